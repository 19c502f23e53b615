"""From a raw dataset to fingerprint, plans, folds and preprocessed frames."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Protocol, TypeVar

from gwunet.data.store import discard_store, is_up_to_date, write_store
from gwunet.dataset import Dataset
from gwunet.device import available_memory_gb, resolve_device
from gwunet.errors import NotPreparedError, SchemaError, UsageError
from gwunet.fingerprint import Fingerprint, extract_fingerprint, source_of
from gwunet.integrity import IntegrityReport, verify_dataset
from gwunet.jsonio import read_json, write_json
from gwunet.plans import Configuration, Plans, Preprocessing, Target
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
    """The planners of the wanted configurations; where none is named, of every network's but not of the ablations.

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
    target: Target | None = None,
    processes: int = 1,
    clean: bool = False,
    progress: Progress = no_progress,
) -> Plans:
    """Verify a raw dataset, measure it, divide it into folds and decide how to train on it.

    Writes ``integrity.json``, ``fingerprint.json``, ``splits.json`` (unless there is one) and ``plans.json``. A sound
    dataset whose files have not changed since is neither verified nor measured again. Configurations planned before
    and not planned now are kept if the frames are still the same.

    Args:
        dataset: id or folder name.
        workspace: a workspace or its folder; None looks for it as ``Workspace.find``.
        configurations: names; None plans every network.
        planner: a planner in place of the configurations' own: a registered name, or ``module:Class`` (the module is
            imported).
        target: the machine to train on; None is this one.
        processes: for measuring.
        clean: verify and measure again, and forget earlier folds and plans.
        progress: see ``gwunet.progress.Progress``.

    Raises:
        DatasetError: the dataset is missing or broken; every problem is listed.
        UsageError: a configuration or planner is unknown.
    """
    workspace = _as_workspace(workspace)
    planners = planners_for(configurations, planner)
    target = target or target_machine()
    raw = Dataset.open(workspace.raw_dataset(dataset))
    folder = workspace.preprocessed_dataset(raw.name)
    _verify(folder / "integrity.json", raw, processes, progress, clean)
    if clean:
        for name in ("splits.json", "plans.json"):
            (folder / name).unlink(missing_ok=True)
    fingerprint = _measure(folder / "fingerprint.json", raw, processes, progress, clean)
    plans = Plans(
        schema_version=1,
        dataset=raw.name,
        preprocessing=Preprocessing(borders=fingerprint.borders),
        configurations={made.name: made for made in (each.plan(fingerprint, target) for each in planners)},
    )
    plans = _keep_earlier(folder / "plans.json", plans)
    _write_splits(folder / "splits.json", raw, fingerprint)
    write_json(folder / "plans.json", plans)
    return plans


def preprocess_dataset(
    dataset: str | int,
    *,
    workspace: Workspace | str | Path | None = None,
    threads: int = 1,
    clean: bool = False,
    progress: Progress = no_progress,
) -> None:
    """Write the preprocessed frames of a planned dataset, unless they stand there up to date.

    Args:
        dataset: id or folder name.
        workspace: a workspace or its folder; None looks for it as ``Workspace.find``.
        threads: how many frames are prepared at a time.
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
        logger.info("%s: the preprocessed frames are up to date and kept (--clean makes them anew)", folder)
        return
    write_store(folder, raw, plans.preprocessing, threads, progress)


def _as_workspace(workspace: Workspace | str | Path | None) -> Workspace:
    return workspace if isinstance(workspace, Workspace) else Workspace.find(workspace)


def _verify(path: Path, raw: Dataset, threads: int, progress: Progress, clean: bool) -> None:
    """Verify a dataset, or say again what was found in the same files before."""
    source = raw.digest((*raw.training, *raw.test))
    earlier = None if clean else _read_if_current(IntegrityReport, path, source)
    if earlier is not None and not raw.problems:
        logger.info("%s: nothing has changed since; not verified again (--clean does)", path)
        report = earlier
    else:
        report = verify_dataset(raw, threads, progress)
    for warning in report.warnings:
        logger.warning("%s", warning)
    report.raise_if_broken()
    if report is not earlier:
        write_json(path, dataclasses.replace(report, source=source))


def _measure(path: Path, raw: Dataset, processes: int, progress: Progress, clean: bool) -> Fingerprint:
    """The fingerprint of a dataset, measured or as it was measured of the same files before."""
    earlier = None if clean else _read_if_current(Fingerprint, path, source_of(raw))
    if earlier is not None:
        logger.info("%s: up to date and kept (--clean measures again)", path)
        return earlier
    fingerprint = extract_fingerprint(raw, processes, progress)
    write_json(path, fingerprint)
    return fingerprint


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
