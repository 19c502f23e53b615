"""From a raw dataset to fingerprint, plans, folds and preprocessed frames."""

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeVar

from gwunet.data.store import discard_store, is_up_to_date
from gwunet.data.writing import write_store
from gwunet.dataset import Dataset
from gwunet.device import available_memory_gb, resolve_device
from gwunet.errors import NotPreparedError, SchemaError, UsageError
from gwunet.fingerprint import Fingerprint, source_of
from gwunet.integrity import IntegrityReport
from gwunet.jsonio import read_json, write_json
from gwunet.parallel import workers
from gwunet.plans import Configuration, Plans, Preprocessing, Target
from gwunet.preparation import inspect_dataset, measure_dataset
from gwunet.progress import Progress, no_progress
from gwunet.registry import Registry
from gwunet.splits import load_splits, make_splits
from gwunet.workspace import Workspace

logger = logging.getLogger(__name__)


class DatasetPlanner(Protocol):
    """What the core asks of a planner."""

    configuration_name: ClassVar[str]
    by_default: ClassVar[bool]
    """Whether the configuration is planned when none is named."""

    def plan(self, fingerprint: Fingerprint, target: Target) -> Configuration:
        """The configuration for a dataset on a machine."""
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
    kind: Literal["cpu", "cuda"]
    if device in ("cpu", "cuda"):
        kind = "cuda" if device == "cuda" else "cpu"
    elif device == "auto":
        kind = "cuda" if resolve_device("auto").type == "cuda" else "cpu"
    else:
        raise UsageError(f"--target_device {device}: unknown; use auto, cpu or cuda")
    if memory_gb is not None and memory_gb <= 0:
        raise UsageError(f"--memory_gb {memory_gb}: must be above 0")
    if memory_gb is None and kind == "cuda" and resolve_device("auto").type != "cuda":
        raise UsageError("--target_device cuda: this machine has no GPU; give the other one's memory with --memory_gb")
    return Target(device=kind, memory_gb=memory_gb or available_memory_gb(kind))


def planners_for(configurations: Sequence[str] | None, planner: str | None) -> list[DatasetPlanner]:
    """The planners of the wanted configurations; where none is named, those that are ``by_default``.

    Raises:
        UsageError: a configuration or planner is unknown.
    """
    if planner is not None:
        return [PLANNERS.find(planner)()]
    by_configuration = {made.configuration_name: made for made in map(PLANNERS.get, PLANNERS.names())}
    wanted = configurations or sorted(name for name, made in by_configuration.items() if made.by_default)
    unknown = [name for name in wanted if name not in by_configuration]
    if unknown:
        raise UsageError(f"unknown configuration {unknown[0]!r}: known are {', '.join(sorted(by_configuration))}")
    return [by_configuration[name]() for name in wanted]


def read_plans(workspace: Workspace, dataset: str) -> Plans:
    """The plans of a dataset.

    Raises:
        NotPreparedError: it has not been planned.
    """
    path = workspace.preprocessed_dataset(dataset) / "plans.json"
    if not path.is_file():
        raise NotPreparedError(f"{path}: {dataset} has not been planned; run gw_plan_and_preprocess -d {dataset} first")
    return read_json(Plans, path)


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
    progress: Progress = no_progress,
) -> Plans:
    """Verify a raw dataset, measure it, divide it into folds and decide how to train on it.

    Writes ``integrity.json``, ``fingerprint.json``, ``splits.json`` (unless there is one) and ``plans.json``. A sound
    dataset whose files have not changed since is neither verified nor measured again. Configurations planned before
    and not planned now are kept if the frames are still the same.

    Args:
        dataset: id or folder name.
        workspace: a workspace or its folder; None looks for it as ``Workspace.find``.
        configurations: names; None plans those of the planners that are ``by_default``.
        planner: a planner in place of the configurations' own: a registered name, or ``module:Class`` (the module is
            imported).
        target: the machine to train on, or what says so, asked once the frames are measured; this one by default.
        processes: how many frames are read at a time.
        clean: verify and measure again, and forget earlier folds and plans.
        preprocess: do what ``preprocess_dataset`` does as well, while the frames are measured.
        progress: see ``gwunet.progress.Progress``.

    Raises:
        DatasetError: the dataset is missing or broken; every problem is listed.
        UsageError: a configuration or planner is unknown.
    """
    workspace = _as_workspace(workspace)
    planners = planners_for(configurations, planner)
    raw = Dataset.open(workspace.raw_dataset(dataset))
    folder = workspace.preprocessed_dataset(raw.name)
    if clean:
        _forget(folder)
    with _warming_up(planners):
        fingerprint = _survey(raw, folder, processes, preprocess, progress)
    machine = target() if callable(target) else target
    plans = Plans(
        schema_version=1,
        dataset=raw.name,
        preprocessing=Preprocessing(borders=fingerprint.borders),
        configurations={made.name: made for made in (each.plan(fingerprint, machine) for each in planners)},
    )
    plans = _keep_earlier(folder / "plans.json", plans)
    _write_splits(folder / "splits.json", raw, fingerprint)
    write_json(folder / "plans.json", plans)
    if preprocess:
        preprocess_dataset(raw.name, workspace=workspace, processes=processes, progress=progress)
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
    """
    workspace = _as_workspace(workspace)
    raw = Dataset.open(workspace.raw_dataset(dataset))
    plans = read_plans(workspace, raw.name)
    folder = workspace.preprocessed_dataset(raw.name)
    if clean:
        discard_store(folder)
    if is_up_to_date(folder, raw, plans.preprocessing):
        logger.info("%s: the preprocessed frames are up to date (--clean makes them anew)", folder)
        return
    write_store(folder, raw, plans.preprocessing, processes, progress)


def _as_workspace(workspace: Workspace | str | Path | None) -> Workspace:
    return workspace if isinstance(workspace, Workspace) else Workspace.find(workspace)


@contextlib.contextmanager
def _warming_up(planners: Sequence[DatasetPlanner]) -> Iterator[None]:
    """Importing torch takes seconds, in which other cores can read frames."""

    def warm_up() -> None:
        with contextlib.suppress(Exception):  # what fails here fails in plan, where it is reported
            for planner in planners[:1]:
                getattr(planner, "warm_up", lambda: None)()  # a planner of one's own need not have it

    thread = threading.Thread(target=warm_up)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _forget(folder: Path) -> None:
    """What was found and decided before, so that everything is made anew."""
    for name in ("integrity.json", "fingerprint.json", "splits.json", "plans.json"):
        (folder / name).unlink(missing_ok=True)
    discard_store(folder)


def _survey(raw: Dataset, folder: Path, processes: int, preprocess: bool, progress: Progress) -> Fingerprint:
    """The fingerprint of a sound dataset; of files that have not changed since, as it was found before."""
    source = raw.digest((*raw.training, *raw.test))  # before reading: what changes meanwhile is read again
    report = _read_if_current(IntegrityReport, folder / "integrity.json", source)
    fingerprint = _read_if_current(Fingerprint, folder / "fingerprint.json", source_of(raw))
    if report is not None and fingerprint is not None and not raw.problems:
        _warn_or_refuse(report)
        logger.info("%s: up to date and kept; nothing is verified or measured again (--clean does)", folder)
        return fingerprint
    with workers(processes, len(raw.training), str(raw.folder)) as run:
        report, borders = inspect_dataset(raw, run, progress)
        _warn_or_refuse(report)
        write_json(folder / "integrity.json", dataclasses.replace(report, source=source))
        if fingerprint is None:
            fingerprint = measure_dataset(raw, borders, run, progress, folder if preprocess else None)
            write_json(folder / "fingerprint.json", fingerprint)
    return fingerprint


def _warn_or_refuse(report: IntegrityReport) -> None:
    for warning in report.warnings:
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


def _keep_earlier(path: Path, plans: Plans) -> Plans:
    if not path.is_file():
        return plans
    earlier = read_json(Plans, path)
    if earlier.preprocessing != plans.preprocessing:
        dropped = sorted(set(earlier.configurations) - set(plans.configurations))
        if dropped:
            logger.warning("%s: the frames have changed; %s must be planned again", path, ", ".join(dropped))
        return plans
    return Plans(
        schema_version=1,
        dataset=plans.dataset,
        preprocessing=plans.preprocessing,
        configurations={**earlier.configurations, **plans.configurations},
    )


def _write_splits(path: Path, raw: Dataset, fingerprint: Fingerprint) -> None:
    if path.is_file():
        load_splits(path, raw.training, allow_leaking=True)
        logger.info("%s: kept as it is (--clean makes new folds)", path)
        return
    write_json(path, make_splits(raw.training, fingerprint.wire_pixels))
