"""What a report is made from: everything that a workspace holds of one dataset, read and nothing judged.

Folds come and go while a dataset is trained, so what is missing or damaged is a remark on the page, not an error.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from gwunet.best_configuration import SUMMARY as BEST
from gwunet.checkpoint import FINAL
from gwunet.dataset import Dataset
from gwunet.errors import GwunetError, NotPreparedError, SchemaError
from gwunet.evaluation.cross_validation import FILE_NAME as CROSS_VALIDATION
from gwunet.evaluation.made_with import made_with
from gwunet.fingerprint import Fingerprint
from gwunet.io.record_files import run_records
from gwunet.jsonio import parse_json, read_json
from gwunet.plans import Plans
from gwunet.prepared import FINGERPRINT, INTEGRITY, PLANS, SPLITS
from gwunet.trained import SUMMARY, fold_folders, fold_name, parts_of, trained_models, validation_folder
from gwunet.validation import MadeBy, made_by_in, masks_digest
from gwunet.workspace import Workspace

Row = Mapping[str, Any]
"""A frame's entry in ``summary.json``: ``case``, ``patient``, ``sequence``, ``tp``, ``fp``, ``fn``, ``tn``, metrics."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FoldRun:
    """One fold of a model, trained or on the way."""

    name: str
    """``"0"`` to ``"4"``, or ``"all"``."""
    folder: Path
    start: Mapping[str, Any]
    """First line of ``log.jsonl``; empty where it cannot be read."""
    epochs: tuple[Mapping[str, Any], ...]
    finished: bool
    rows: tuple[Row, ...]
    """Those of its validation frames that are the fold's today; empty before validation."""
    checkpoint_sha256: str | None
    """Of the weights that were validated; None where that is not known."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A configuration with the trainer it was trained by."""

    configuration: str
    trainer: str
    folds: tuple[FoldRun, ...]
    folder: Path
    cross_validation: Mapping[str, Any] | None
    """Its ``cross_validation.json``, where there is one."""

    @property
    def name(self) -> str:
        """For headings."""
        return f"{self.configuration} ({self.trainer})"

    @property
    def rows(self) -> list[Row]:
        """The validation frames of all folds, each once, with ``fold``."""
        return [{**row, "fold": fold.name} for fold in self.folds for row in fold.rows]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Predicted:
    """A folder that ``gw_predict`` wrote."""

    name: str
    runs: tuple[Mapping[str, Any], ...]
    """``run.json``, or those of several commands."""
    summary: Mapping[str, Any] | None
    """Of ``gw_evaluate``, where it was run."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """All there is to show."""

    dataset: str
    raw: Dataset | None
    """None where only what was made from it is here; then there are no pictures."""
    fingerprint: Fingerprint
    plans: Plans
    n_folds: int | None
    """None before folds were made."""
    grouping: str | None
    """What no fold divides."""
    validation: Mapping[str, frozenset[str]] | None
    """By name of the fold, the frames it is judged on today; None before folds were made."""
    remarks: tuple[str, ...]
    """Warnings from verification and splitting."""
    models: tuple[Model, ...]
    best: Mapping[str, Any] | None
    """``best_configuration.json``, where there is one."""
    predicted: tuple[Predicted, ...]
    problems: tuple[str, ...]
    """What could not be read, or is out of date."""


def gather(
    workspace: Workspace,
    dataset: str,
    configurations: Sequence[str] | None = None,
    predictions: Mapping[Path, Path | None] | None = None,
) -> Material:
    """Read what a workspace holds of a dataset.

    Args:
        workspace: where it is.
        dataset: folder name.
        configurations: the trained ones to look at; None takes all.
        predictions: folders that ``gw_predict`` wrote, with the file of ``gw_evaluate``; None looks in the folder.

    Raises:
        NotPreparedError: it has not been planned, or none of ``configurations`` is planned or trained.
        SchemaError: fingerprint or plans are damaged.
    """
    prepared = workspace.preprocessed_dataset(dataset)
    for name in (FINGERPRINT, PLANS):
        if not (prepared / name).is_file():
            raise NotPreparedError(
                f"{prepared}: found no {name}; wanted a planned dataset to report on: run "
                f"gw_plan_and_preprocess -d {dataset} first"
            )
    problems: list[str] = []
    splits = _known(prepared / SPLITS, problems)
    folds = splits if isinstance(splits, list) else _of_kind(splits, "folds", list)
    raw = _raw(workspace, dataset, problems)
    validation = _validation(folds)
    return Material(
        dataset=dataset,
        raw=raw,
        fingerprint=read_json(Fingerprint, prepared / FINGERPRINT),
        plans=read_json(Plans, prepared / PLANS),
        n_folds=len(folds) or None,
        grouping=_of_kind(splits, "grouping", str) or None,
        validation=validation,
        remarks=_remarks(prepared, workspace.raw / dataset, splits, problems),
        models=tuple(_models(workspace.results_dataset(dataset), configurations, raw, validation, problems)),
        best=_object(workspace.results_dataset(dataset) / BEST, problems),
        predicted=tuple(_predicted(*each, problems) for each in (predictions or {}).items()),
        problems=tuple(problems),
    )


def _raw(workspace: Workspace, dataset: str, problems: list[str]) -> Dataset | None:
    try:
        return Dataset.open(workspace.raw_dataset(dataset))
    except GwunetError as problem:
        problems.append(f"no pictures and no contrast of wires, since the raw dataset cannot be opened: {problem}")
        return None


def _known(path: Path, problems: list[str]) -> Any:
    """Content of a JSON file; None where it is missing or, which is a problem, damaged."""
    try:
        return parse_json(path) if path.is_file() else None
    except SchemaError as problem:
        problems.append(str(problem))
        return None


def _object(path: Path, problems: list[str]) -> Mapping[str, Any] | None:
    content = _known(path, problems)
    return content if isinstance(content, dict) else None


def _of_kind(content: Any, key: str, kind: type) -> Any:
    """``content[key]`` if it is of that kind, else an empty one."""
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, kind) else kind()


def _remarks(prepared: Path, raw: Path, splits: Any, problems: list[str]) -> tuple[str, ...]:
    integrity = _known(prepared / INTEGRITY, problems)
    found = [*_of_kind(integrity, "errors", list), *_of_kind(integrity, "warnings", list)]
    found += _of_kind(splits, "warnings", list)
    # A report is passed on: it need not say where on this machine the dataset lies.
    return tuple(str(each).replace(f"{raw}/", "") for each in found)


def _validation(folds: Sequence[Any]) -> dict[str, frozenset[str]] | None:
    if not folds:
        return None
    return {
        str(number): frozenset(case for case in _of_kind(fold, "val", list) if isinstance(case, str))
        for number, fold in enumerate(folds)
    }


def _models(
    results: Path,
    configurations: Sequence[str] | None,
    raw: Dataset | None,
    validation: Mapping[str, frozenset[str]] | None,
    problems: list[str],
) -> list[Model]:
    models = []
    for folder in trained_models(results):
        configuration, trainer = parts_of(folder.name)
        if configurations is None or configuration in configurations:
            folds = tuple(_fold(each, raw, validation, problems) for each in fold_folders(folder))
            models.append(
                Model(
                    configuration=configuration,
                    trainer=trainer,
                    folds=folds,
                    folder=folder,
                    cross_validation=_object(folder / CROSS_VALIDATION, problems),
                )
            )
    untrained = set(configurations or ()) - {model.configuration for model in models}
    if untrained:
        trained = sorted({parts_of(folder.name)[0] for folder in trained_models(results)})
        raise NotPreparedError(
            f"{results}: found no trained {', '.join(sorted(untrained))}; wanted some of "
            f"{', '.join(trained) or '(nothing is trained yet)'}: choose with -c, or leave it out"
        )
    return models


def _fold(
    folder: Path, raw: Dataset | None, validation: Mapping[str, frozenset[str]] | None, problems: list[str]
) -> FoldRun:
    start, *epochs = _log(folder / "log.jsonl", problems) or [{}]
    summary = _known(validation_folder(folder) / SUMMARY, problems)
    frames = _of_kind(summary, "frames", list)
    rows = [row for row in frames if _is_row(row)]
    made_by = made_by_in(folder)
    if rows:
        judged = {row["case"] for row in frames if isinstance(row, dict) and isinstance(row.get("case"), str)}
        today = judged if validation is None else validation.get(fold_name(folder), frozenset())
        problems += _changes(folder, raw, made_by, judged, today)
        rows = [row for row in rows if row["case"] in today]
    return FoldRun(
        name=fold_name(folder),
        folder=folder,
        start=start,
        epochs=tuple(epochs),
        finished=(folder / FINAL).is_file(),
        rows=tuple(rows),
        checkpoint_sha256=None if made_by is None else made_by.checkpoint_sha256,
    )


def _changes(
    folder: Path, raw: Dataset | None, made_by: MadeBy | None, judged: Set[str], today: Set[str]
) -> Iterator[str]:
    """In what a fold's validation is not of the frames and masks of today."""
    configuration, trainer = parts_of(folder.parent.name)
    dataset = folder.parent.parent.name
    again = f"gw_train {dataset} {fold_name(folder)} -c {configuration} -tr {trainer}"
    where = f"{folder.parent.name}/{folder.name}"
    if judged != today:
        yield (
            f"{where}: validated on other frames than are the fold's today ({len(judged - today)} left out here, "
            f"{len(today - judged)} without a result): run {again} --val, and where that refuses, train the fold anew"
        )
    if raw is None or made_by is None or made_by.masks_sha256 is None:
        return
    try:
        changed = masks_digest(raw, judged) != made_by.masks_sha256
    except GwunetError:  # frames of these names are there no more, as the remark above says
        changed = judged == today
    if changed:
        yield (
            f"{where}: masks have changed since its frames were scored, so its figures are against the earlier ones, "
            f"and pictures show those of today: run {again} --val"
        )


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("case"), str)
        and all(isinstance(row.get(count), int) for count in ("tp", "fp", "fn", "tn"))
        and isinstance(row.get("dice"), int | float)
        and all(isinstance(row.get(group), str | None) for group in ("patient", "sequence"))
    )


def _log(path: Path, problems: list[str]) -> list[Mapping[str, Any]]:
    if not path.is_file():
        return []
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if not all(isinstance(line, dict) for line in lines):
            raise ValueError("a line is no object")
        return lines
    except OSError as problem:
        reason = f"cannot be read ({problem.strerror})"
    except ValueError as problem:
        reason = f"is damaged ({problem})"
    problems.append(f"{path.parent.name}/{path.name}: no curves, since the file {reason}")
    return []


def _is_stale(summary: Any, folder: Path) -> bool:
    """Whether scores are of masks that were replaced since; those of earlier versions do not say."""
    of = summary.get("made_with") if isinstance(summary, dict) else None
    return of is not None and of != made_with(folder)


def _predicted(folder: Path, summary: Path | None, problems: list[str]) -> Predicted:
    unreadable: list[str] = []
    runs = [_known(path, unreadable) for path in run_records(folder)]
    path = summary or folder / SUMMARY
    known = _known(path, unreadable)
    # Where on this machine the folders lie is nobody's business who is given the page.
    problems += [each.replace(f"{folder}/", f"{folder.name}/").replace(str(path), path.name) for each in unreadable]
    if _is_stale(known, folder):
        problems.append(
            f"{folder.name}: stale scores: {path.name} is of masks that were there before these; wanted a summary of "
            "these: run gw_evaluate again"
        )
        known = None
    elif not runs and known is None:
        problems.append(f"{folder.name}: found neither run.json nor summary.json there; wanted a folder of gw_predict")
    return Predicted(
        name=folder.name,
        runs=tuple(run for run in runs if isinstance(run, dict)),
        summary=known if isinstance(known, dict) else None,
    )
