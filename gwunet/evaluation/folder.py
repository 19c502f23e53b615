"""A folder of predicted masks scored against a folder of reference masks."""

import csv
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gwunet.dataset import Dataset
from gwunet.errors import DatasetError, FrameError, SchemaError
from gwunet.evaluation.geometry import Point
from gwunet.evaluation.metrics import METRICS, FrameScore, Mask, score_frame
from gwunet.evaluation.summary import Group, Summary, summarise
from gwunet.io.frames import FRAME_ENDINGS, list_frames, read_mask
from gwunet.jsonio import parse_json, replacing, write_json

PROBABILITY_KEY = "probability"
"""Name of the array in the ``<case>.npz`` beside a predicted mask."""

TRUTH_NAME = "centrelines.json"
"""File of a simulated dataset with the true wires of each case."""

NAMES_SHOWN = 10


def evaluate_folder(
    reference: Path,
    prediction: Path,
    output: Path | None = None,
    *,
    tips: Mapping[str, Iterable[Point]] | None = None,
    allow_missing: bool = False,
    progress: bool = False,
) -> Summary:
    """Score every mask in ``prediction``; frames are paired by name without ending.

    Args:
        reference: folder of masks. If it is labelsTr or labelsTs of a dataset, patients, sequences, left-out pixels
            and, where it was simulated, tips are that dataset's.
        prediction: folder of masks, with ``<case>.npz`` beside them where probabilities were saved.
        output: JSON file to write the summary to; a table with one row per frame goes beside it as CSV.
        tips: case -> true tips (row, column) in pixels; by default those of a simulated dataset.
        allow_missing: score the frames present in both folders instead of refusing; the others are named in the
            summary.
        progress: show a progress bar.

    Raises:
        DatasetError: a folder is empty or missing, or a frame has no partner.
        FrameError: a mask cannot be read or does not have its partner's size.
        OutputError: the summary cannot be written.
    """
    references, groups = _open_reference(reference)
    predictions = _frames_by_case(prediction)
    cases, not_scored = _paired(references, predictions, reference, prediction, allow_missing)
    tips = _known_tips(reference.parent / TRUTH_NAME) if tips is None else tips
    scores = [
        _score_case(case, references[case], predictions[case], tips.get(case, ()))
        for case in tqdm(cases, desc="evaluating", unit="frame", disable=not progress)
    ]
    summary = summarise(scores, groups, not_scored)
    if output is not None:
        write_summary(output, summary)
    return summary


def _open_reference(folder: Path) -> tuple[dict[str, Callable[[], Mask]], dict[str, Group] | None]:
    """Case -> function that reads its mask; case -> patient and sequence where known."""
    if folder.name not in ("labelsTr", "labelsTs") or not (folder.parent / "dataset.json").is_file():
        return {case: functools.partial(read_mask, path) for case, path in _frames_by_case(folder).items()}, None
    dataset = Dataset.open(folder.parent)
    cases = [case for case in (dataset.training if folder.name == "labelsTr" else dataset.test) if case.mask]
    readers: dict[str, Callable[[], Mask]] = {case.name: functools.partial(dataset.read_mask, case) for case in cases}
    return readers, {case.name: (case.patient, case.sequence) for case in cases}


def _known_tips(path: Path) -> dict[str, list[Point]]:
    """Case -> tips of its wires, from the truth that a simulated dataset comes with; empty without that file."""
    if not path.is_file():
        return {}
    truth = parse_json(path)
    try:
        return {
            case: [(float(row), float(column)) for row, column in (wire["tip"] for wire in known["wires"])]
            for case, known in truth["cases"].items()
        }
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise SchemaError(f"{path}: wanted cases.<case>.wires[].tip as [row, column] ({problem!r})") from problem


def _frames_by_case(folder: Path) -> dict[str, Path]:
    paths = list_frames(folder)
    if not paths:
        raise DatasetError(f"{folder}: found no masks; wanted files ending in {', '.join(FRAME_ENDINGS)}")
    by_case: dict[str, Path] = {}
    for path in paths:
        if path.stem in by_case:
            raise DatasetError(
                f"{folder}: found {by_case[path.stem].name} and {path.name}; wanted one mask per frame: remove one"
            )
        by_case[path.stem] = path
    return by_case


def _paired(
    references: Iterable[str], predictions: Iterable[str], reference: Path, prediction: Path, allow_missing: bool
) -> tuple[list[str], list[str]]:
    """Cases in both folders, and cases in one alone."""
    references, predictions = set(references), set(predictions)
    common, alone = sorted(references & predictions), sorted(references ^ predictions)
    problems = []
    if references - predictions:
        problems.append(f"{prediction}: found no prediction for {_listed(references - predictions)}")
    if predictions - references:
        problems.append(f"{reference}: found no reference for {_listed(predictions - references)}")
    if problems and not allow_missing:
        remedy = "predict or remove them, or pass --allow_missing (allow_missing=True) to score the common frames alone"
        raise DatasetError("; ".join([*problems, f"wanted both for every frame: {remedy}"]))
    if not common:
        raise DatasetError(f"{reference} and {prediction} have no frame name in common; wanted equal names")
    return common, alone


def _listed(cases: Iterable[str]) -> str:
    names = sorted(cases)
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return f"{len(names)} frame{'s' if len(names) > 1 else ''}: {', '.join(names[:NAMES_SHOWN])}{more}"


def _score_case(case: str, reader: Callable[[], Mask], prediction: Path, tips: Iterable[Point]) -> FrameScore:
    return score_frame(case, reader(), read_mask(prediction), _read_probability(prediction.with_suffix(".npz")), tips)


def _read_probability(path: Path) -> NDArray[np.floating[Any]] | None:
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            probability: NDArray[np.floating[Any]] = arrays[PROBABILITY_KEY]
    except Exception as problem:  # zipfile, zlib and numpy each have errors of their own for damaged files
        raise FrameError(f"{path}: cannot read {PROBABILITY_KEY!r} ({problem}); predict the frame again") from problem
    return probability


def write_summary(path: Path, summary: Summary) -> None:
    """Write ``summary`` as JSON to ``path`` and its frames as CSV beside it.

    Raises:
        OutputError: a file cannot be written.
    """
    write_json(path, summary)
    _write_csv(path.with_suffix(".csv"), summary.frames)


def _write_csv(path: Path, frames: Sequence[Mapping[str, Any]]) -> None:
    columns = ["case", "patient", "sequence", "tp", "fp", "fn", "tn", *METRICS, "not_computed"]
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for frame in frames:
            reasons = "; ".join(f"{name}: {why}" for name, why in frame["not_computed"].items())
            writer.writerow({**frame, "not_computed": reasons})
