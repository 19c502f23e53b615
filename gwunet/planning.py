"""From a raw dataset to fingerprint, plans, folds and preprocessed frames."""

import contextlib
import dataclasses
import functools
import logging
import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeVar

from gwunet.data.lock import locked
from gwunet.data.store import discard_store, is_up_to_date
from gwunet.data.writing import write_locked
from gwunet.dataset import Dataset
from gwunet.device import available_memory_gb, resolve_device
from gwunet.errors import DatasetError, SchemaError, SplitError, UsageError
from gwunet.fingerprint import MEASURING, Fingerprint, source_of
from gwunet.integrity import CHECKING, IntegrityReport
from gwunet.jsonio import read_json, write_json
from gwunet.parallel import another_process, can_start_processes, workers
from gwunet.plans import Configuration, Plans, Preprocessing, Target
from gwunet.preparation import inspect_dataset, measure_dataset
from gwunet.prepared import FINGERPRINT, INTEGRITY, PLANS, SPLITS, earlier_plans, read_plans, read_splits
from gwunet.progress import Progress, no_progress
from gwunet.registry import Registry
from gwunet.splits import check_sites, make_site_splits, make_splits
from gwunet.workspace import Workspace

logger = logging.getLogger(__name__)


class DatasetPlanner(Protocol):
    """What the core asks of a planner."""

    configuration_name: ClassVar[str]
    by_default: ClassVar[bool]
    """Whether the configuration is planned when none is named."""
    keeps_rate: ClassVar[bool]
    """Whether it plans for the target's frame rate, and so only where one is asked for."""

    def plan(self, fingerprint: Fingerprint, target: Target) -> Configuration:
        """The configuration for a dataset on a machine."""
        ...

    def warm_up(self) -> None:
        """Import what ``plan`` will, while frames are measured."""
        ...


PLANNERS: Registry[type[DatasetPlanner]] = Registry("planner", home="gwunet.planners", base="Planner")


def target_machine(device: str = "auto", memory_gb: float | None = None) -> Target:
    """The machine to plan for.

    Args:
        device: ``auto`` (this machine), ``cpu`` or ``cuda``; a GPU need not be here to be planned for.
        memory_gb: memory of a training step in GiB; None takes this machine's.

    Raises:
        UsageError: the device is unknown, or a GPU that is not here was named without its memory.
    """
    check_target(device, memory_gb)
    kind: Literal["cpu", "cuda"] = "cpu"
    if device == "cuda" or (device == "auto" and resolve_device("auto").type == "cuda"):
        kind = "cuda"
    return Target(device=kind, memory_gb=memory_gb or available_memory_gb(kind))


def check_target(device: str, memory_gb: float | None) -> None:
    """Refuse what ``target_machine`` would, without its look at the machine, which takes seconds, where it can do so.

    Raises:
        UsageError: the device is unknown, the memory not a number above 0 or not given for a GPU that is not here.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--target_device {device}: unknown; use auto, cpu or cuda")
    if memory_gb is not None and not 0 < memory_gb < math.inf:
        raise UsageError(f"--memory_gb {memory_gb}: must be a number above 0, in GiB")
    if memory_gb is None and device == "cuda" and resolve_device("auto").type != "cuda":
        raise UsageError("--target_device cuda: this machine has no GPU; give the other one's memory with --memory_gb")


def check_rate(realtime_fps: float | None, device: str) -> None:
    """Refuse a frame rate that is none, or a device for it that is not here.

    Raises:
        UsageError: as said.
    """
    if realtime_fps is None:
        return
    if not 0 < realtime_fps < math.inf:
        raise UsageError(f"--realtime {realtime_fps}: must be above 0, in frames per second")
    check_measurable(device)


def check_measurable(device: str) -> None:
    """Refuse a device on which nothing can be measured, since it is not here.

    Raises:
        UsageError: a GPU was named, and this machine has none.
    """
    if device == "cuda" and resolve_device("auto").type != "cuda":
        raise UsageError(
            "--realtime with --target_device cuda: found no GPU here; wanted one to measure on: run this on the "
            "machine that is to keep the rate"
        )


def planners_for(
    configurations: Sequence[str] | None, planner: str | None, realtime: bool = False
) -> list[DatasetPlanner]:
    """The planners of the wanted configurations; where none is named, those that are ``by_default``.

    Args:
        configurations: names.
        planner: in place of the configurations' own.
        realtime: a frame rate is to be kept: planners that plan for one come along, if none of them is named.

    Raises:
        UsageError: a configuration or planner is unknown, or the planner is for another configuration; one that plans
            for a frame rate is named without a rate, or a rate with another planner.
    """
    planners = _named_planners(configurations, planner)
    keeping = [each for each in planners if each.keeps_rate]
    if realtime and not keeping:
        if planner is not None:
            raise UsageError(
                f"--realtime with -pl {planner}: this planner plans for no frame rate; leave one of them out"
            )
        planners += [found() for found in map(PLANNERS.get, PLANNERS.names()) if found.keeps_rate]
    elif keeping and not realtime:
        name = keeping[0].configuration_name
        raise UsageError(f"{name}: planned for a frame rate, and none was given; add --realtime FRAMES_PER_SECOND")
    return planners


def _named_planners(configurations: Sequence[str] | None, planner: str | None) -> list[DatasetPlanner]:
    if planner is not None:
        made = PLANNERS.find(planner)()
        others = [name for name in configurations or () if name != made.configuration_name]
        if others:
            raise UsageError(
                f"-c {' '.join(others)} -pl {planner}: this planner plans {made.configuration_name} alone; leave -c "
                "out, or run once more for the others"
            )
        return [made]
    by_configuration = {found.configuration_name: found for found in map(PLANNERS.get, PLANNERS.names())}
    wanted = configurations or sorted(name for name, found in by_configuration.items() if found.by_default)
    unknown = [name for name in wanted if name not in by_configuration]
    if unknown:
        raise UsageError(f"unknown configuration {unknown[0]!r}: known are {', '.join(sorted(by_configuration))}")
    return [by_configuration[name]() for name in wanted]


def plan_dataset(
    dataset: str | int,
    *,
    workspace: Workspace | str | Path | None = None,
    configurations: Sequence[str] | None = None,
    planner: str | None = None,
    target: Target | Callable[[], Target] = target_machine,
    processes: int = 1,
    clean: bool = False,
    preprocess: bool = False,
    realtime_fps: float | None = None,
    split_by: Literal["patient", "site"] = "patient",
    progress: Progress = no_progress,
) -> Plans:
    """Verify a raw dataset, measure it, divide it into folds and decide how to train on it.

    Writes ``integrity.json``, ``fingerprint.json``, ``splits.json`` (unless there is one) and ``plans.json``. A sound
    dataset whose files have not changed since is neither verified nor measured again. Configurations planned before
    and not planned now are kept if the frames and masks are still the same.

    Args:
        dataset: id or folder name.
        workspace: a workspace or its folder; None looks for it as ``Workspace.find``.
        configurations: names; None plans those of the planners that are ``by_default``.
        planner: a planner in place of the configurations' own: a registered name, or ``module:Class`` (the module is
            imported).
        target: the machine to train on, or what says so, asked once the frames are measured; this one by default.
        processes: how many frames are read at a time.
        clean: verify and measure again, and replace earlier folds and plans; they stay where there is an error.
        preprocess: do what ``preprocess_dataset`` does as well, while the frames are measured.
        realtime_fps: plan a network too that keeps so many frames per second on this machine, by measuring it.
        split_by: ``site``: a fold for each site, which leaves it out, in place of folds of patients.
        progress: see ``gwunet.progress.Progress``.

    Raises:
        DatasetError: the dataset is missing or broken; every problem is listed. Or a file changed meanwhile.
        UsageError: a configuration or planner is unknown, or no network keeps the frame rate.
        SplitError: folds by site are asked for, and sites are not declared, or there are other folds already.
        OutputError: another command prepares the same dataset, or the disk is full.
    """
    workspace = Workspace.find(workspace)
    planners = planners_for(configurations, planner, realtime_fps is not None)
    raw = Dataset.open(workspace.raw_dataset(dataset))
    folder = workspace.preprocessed_dataset(raw.name)
    with locked(folder):
        earlier = _check_earlier(folder, raw, split_by, clean)
        with _deciding(planners, target, realtime_fps, processes) as decide:
            fingerprint = _survey(raw, folder, processes, clean, preprocess, progress)
            decided = decide(fingerprint)
        plans = Plans(
            schema_version=1,
            dataset=raw.name,
            preprocessing=Preprocessing(borders=fingerprint.borders),
            configurations={made.name: made for made in decided},
            source=fingerprint.source,
        )
        if earlier is not None:
            plans = _keep_earlier(earlier, plans, folder / PLANS)
        if clean or not (folder / SPLITS).is_file():
            make = make_site_splits if split_by == "site" else make_splits
            write_json(folder / SPLITS, make(raw.training, fingerprint.wire_pixels))
        write_json(folder / PLANS, plans)
        if preprocess:
            _preprocess(raw, folder, plans, processes, progress)
    return plans


def preprocess_dataset(
    dataset: str | int,
    *,
    workspace: Workspace | str | Path | None = None,
    processes: int = 1,
    clean: bool = False,
    progress: Progress = no_progress,
) -> None:
    """Write the preprocessed frames of a planned dataset, unless they stand there up to date.

    Args:
        dataset: id or folder name.
        workspace: a workspace or its folder; None looks for it as ``Workspace.find``.
        processes: how many frames are prepared at a time.
        clean: write them anew in any case.
        progress: see ``gwunet.progress.Progress``.

    Raises:
        NotPreparedError: the dataset has not been planned.
        FrameError: a frame or mask cannot be read.
        OutputError: another command prepares the same dataset, or the disk is full.
    """
    workspace = Workspace.find(workspace)
    raw = Dataset.open(workspace.raw_dataset(dataset))
    plans = read_plans(workspace, raw.name)
    folder = workspace.preprocessed_dataset(raw.name)
    with locked(folder):
        if clean:
            discard_store(folder)
        _preprocess(raw, folder, plans, processes, progress)


def _preprocess(raw: Dataset, folder: Path, plans: Plans, processes: int, progress: Progress) -> None:
    if is_up_to_date(folder, raw, plans.preprocessing):
        logger.info("%s: the preprocessed frames are up to date (--clean makes them anew)", folder)
        return
    write_locked(folder, raw, plans.preprocessing, processes, progress)


Decide = Callable[[Fingerprint], list[Configuration]]


@contextlib.contextmanager
def _deciding(
    planners: Sequence[DatasetPlanner],
    target: Target | Callable[[], Target],
    realtime_fps: float | None,
    processes: int,
) -> Iterator[Decide]:
    """What makes the configurations: of several processes one of its own, which imports torch while frames are read."""
    here = functools.partial(_decide, planners, target, realtime_fps)
    if processes <= 1 or not can_start_processes() or not _can_travel((planners, target)):
        yield here
        return
    with another_process() as pool:
        pool.submit(_warm_up, planners)

        def decide(fingerprint: Fingerprint) -> list[Configuration]:
            try:
                return pool.submit(here, fingerprint).result()
            except BrokenProcessPool:  # for lack of memory, say; it may do without the copy
                return here(fingerprint)

        yield decide


def _decide(
    planners: Sequence[DatasetPlanner],
    target: Target | Callable[[], Target],
    realtime_fps: float | None,
    fingerprint: Fingerprint,
) -> list[Configuration]:
    machine = target() if callable(target) else target
    paced = machine if realtime_fps is None else dataclasses.replace(machine, realtime_fps=realtime_fps)
    return [planner.plan(fingerprint, paced if planner.keeps_rate else machine) for planner in planners]


def _warm_up(planners: Sequence[DatasetPlanner]) -> None:
    with contextlib.suppress(Exception):  # what fails here fails in plan, where it is reported
        for planner in planners[:1]:
            planner.warm_up()


def _can_travel(what: object) -> bool:
    """Whether another process can be given it; a class made in a function, say, cannot."""
    try:
        pickle.dumps(what)
    except (pickle.PicklingError, AttributeError, TypeError):
        return False
    return True


def _check_earlier(folder: Path, raw: Dataset, split_by: str, clean: bool) -> Plans | None:
    """The plans that stand there and are to stay; what cannot be done is found before hours are spent on frames."""
    splits = folder / SPLITS
    if splits.is_file() and not clean and not raw.problems:  # an incomplete pair is the cause, and reported as such
        found = read_splits(folder, raw, allow_leaking=True)
        if split_by == "site" and found.grouping != "site":
            raise SplitError(
                f"{splits}: found folds by {found.grouping}; wanted folds by site: --clean makes new ones, with which "
                "trained folds cannot be judged any more; or copy the dataset under another id"
            )
        logger.info("%s: kept as it is (--clean makes new folds)", splits)
    elif split_by == "site" and not raw.problems:
        check_sites(raw.training)
    return None if clean else earlier_plans(folder)


def _survey(
    raw: Dataset, folder: Path, processes: int, clean: bool, preprocess: bool, progress: Progress
) -> Fingerprint:
    """The fingerprint of a sound dataset; of files that have not changed since, as it was found before."""
    source = _source_of_all(raw)  # before reading: what changes meanwhile is read again
    report = None if clean else _read_if_current(IntegrityReport, folder / INTEGRITY, source)
    fingerprint = None if clean else _read_if_current(Fingerprint, folder / FINGERPRINT, source_of(raw))
    if report is not None and fingerprint is not None and not raw.problems:
        _warn_or_refuse(report)
        logger.info("%s: up to date and kept; nothing is verified or measured again (--clean does)", folder)
        return fingerprint
    with workers(processes, len(raw.training) + len(raw.test), str(raw.folder)) as run:
        if report is None or report.borders is None or raw.problems:
            report = dataclasses.replace(inspect_dataset(raw, run, progress), source=source)
        _warn_or_refuse(report)
        write_json(folder / INTEGRITY, report)
        if clean:  # not before: what was prepared stays as long as nothing can take its place
            (folder / FINGERPRINT).unlink(missing_ok=True)
            discard_store(folder)
        if fingerprint is None:
            store, unchanged = folder if preprocess else None, functools.partial(_refuse_changed, raw, source)
            fingerprint = measure_dataset(raw, report.borders or {}, run, progress, store, unchanged)
            write_json(folder / FINGERPRINT, fingerprint)
    return fingerprint


def _source_of_all(raw: Dataset) -> str:
    """Of ``integrity.json``: all cases, what is looked for, and how borders are estimated."""
    return f"{CHECKING}-{MEASURING}-{raw.digest((*raw.training, *raw.test))}"


def _refuse_changed(raw: Dataset, source: str) -> None:
    """Borders of the files as they were and measurements of the files as they are would be of no dataset."""
    if _source_of_all(raw) != source:
        raise DatasetError(
            f"{raw.folder}: found files that changed while they were read; wanted them to stay: "
            "run again once nothing writes there"
        )


def _warn_or_refuse(report: IntegrityReport) -> None:
    for warning in report.summary:
        logger.warning("%s", warning)
    report.raise_if_broken()


Found = TypeVar("Found", IntegrityReport, Fingerprint)


def _read_if_current(cls: type[Found], path: Path, source: str) -> Found | None:
    """What an earlier command found, if it still holds; of another version or damaged, it does not."""
    try:
        found = read_json(cls, path)
    except SchemaError:
        return None
    return found if found.source == source else None


def _keep_earlier(earlier: Plans, plans: Plans, path: Path) -> Plans:
    """The new plans, with those configurations of the earlier ones that were planned for the same frames and masks."""
    if earlier.preprocessing != plans.preprocessing or earlier.source != plans.source:
        dropped = sorted(set(earlier.configurations) - set(plans.configurations))
        if dropped:
            names = ", ".join(dropped)
            logger.warning("%s: %s: planned for other frames or masks, so must be planned again", path, names)
        return plans
    return dataclasses.replace(plans, configurations={**earlier.configurations, **plans.configurations})
