"""A folder of predicted masks scored against a folder of reference masks."""

import contextlib
import dataclasses
import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from gwunet.dataset import IGNORE, MASKS, TEST_MASKS, Dataset
from gwunet.errors import DatasetError, FrameError, UsageError, few
from gwunet.evaluation.centreline_file import CENTRELINES_NAME
from gwunet.evaluation.geometry import Point
from gwunet.evaluation.localization import summarise_localization
from gwunet.evaluation.made_with import made_with
from gwunet.evaluation.metrics import FrameScore, score_frame
from gwunet.evaluation.summary import Group, Summary, summarise
from gwunet.evaluation.tables import check_tables, write_summary
from gwunet.evaluation.wire_sources import CaseWires, TrueWires, find_wires, read_known_wires
from gwunet.evaluation.wires import WireScore
from gwunet.exposed_field import find_field
from gwunet.io.frames import BINARY_MASK, FRAME_ENDINGS, read_frame, read_mask, visible_files
from gwunet.io.probability import read_field, read_probability
from gwunet.parallel import workers
from gwunet.progress import Progress, no_progress

NAMES_SHOWN = 10
DRAWN = ("overlays", "tracks")
"""Folders beside the masks with what ``gw_predict --overlay`` and ``--track`` draw."""

logger = logging.getLogger(__name__)


def evaluate_folder(
    reference: Path,
    prediction: Path,
    output: Path | None = None,
    *,
    tips: Mapping[str, Iterable[Point]] | None = None,
    wires: TrueWires = "auto",
    allow_missing: bool = False,
    processes: int = 1,
    progress: Progress = no_progress,
) -> Summary:
    """Score every mask in ``prediction``; frames are paired by their path in the folder without ending: ``a/b/frame``.

    Args:
        reference: folder of masks. If it is labelsTr or labelsTs of a dataset, patients, sequences, left-out pixels
            and, where it was simulated, tips and centrelines are that dataset's.
        prediction: folder of masks, with ``<case>.npz`` beside them where probabilities were saved, and
            ``centrelines.json`` where wires were located. Folders named as those that ``gw_predict`` draws in are not
            looked at, unless the reference has them.
        output: JSON file to write the summary to; its tables go beside it as CSV.
        tips: case -> true tips (row, column) in pixels; by default those of a simulated dataset.
        wires: judge where wires run: "auto" where ``centrelines.json`` gives the true ones; "masks" locates them in
            the reference masks where there is no such file; "none" never. The predicted ones are those of
            ``centrelines.json`` in ``prediction``, or else located in its masks.
        allow_missing: score the frames present in both folders instead of refusing; the others are named in the
            summary.
        processes: frames scored at a time; the result is the same for any number.
        progress: see ``gwunet.progress.Progress``.

    Raises:
        DatasetError: a folder is empty or missing, or a frame has no partner.
        FrameError: a mask cannot be read or does not have its partner's size.
        SchemaError: a ``centrelines.json`` has another form.
        UsageError: ``wires`` is none of these; or somebody else's file has the name of a table beside ``output``.
        OutputError: the summary cannot be written.
    """
    if wires not in get_args(TrueWires):
        raise UsageError(f"wires: found {wires!r}, wanted one of {', '.join(get_args(TrueWires))}")
    if output is not None:
        check_tables(output)
    references = _Reference.open(reference, prediction)
    predictions = _frames_by_case(prediction, [reference.resolve(), *_drawn(reference, prediction)])
    cases, not_scored = _paired(references.masks, predictions, reference, prediction, allow_missing)
    known = read_known_wires(reference)
    sequences = references.sequences(cases)
    sources = find_wires(known, prediction, cases, sequences or (), wires)
    if sources is not None:
        _warn_of_tips_alone([case for case in cases if case in known and known[case].wires is None], reference)
    if tips is None:
        tips = {case: found.tips for case, found in known.items()}
    jobs = [
        _Job(
            case=case,
            reference=references.masks[case],
            meaning=references.meaning,
            prediction=predictions[case],
            tips=tuple(tips.get(case, ())),
            wires=None if sources is None else sources.cases.get(case),
            image=references.images.get(case),
        )
        for case in cases
    ]
    with workers(processes, len(jobs), str(prediction)) as run:
        scores, wire_scores = zip(*progress(run(_score, jobs), len(jobs), "evaluate"), strict=True)
    summary = dataclasses.replace(summarise(scores, references.groups, not_scored), made_with=made_with(prediction))
    if sources is not None:
        found = {score.case: score for score in wire_scores if score is not None}
        judged = summarise_localization(
            found,
            references.groups,
            sequences,
            (sources.reference, sources.prediction),
            not_judged=set(cases) - found.keys(),
        )
        summary = dataclasses.replace(summary, localization=judged)
    if output is not None:
        write_summary(output, summary)
    return summary


def _warn_of_tips_alone(cases: Collection[str], reference: Path) -> None:
    if cases:
        logger.warning(
            "%s: where wires run is not judged in %s, whose wires %s gives by a tip alone",
            *(reference, _listed(cases), CENTRELINES_NAME),
        )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Reference:
    """A folder of reference masks and what is known of its cases."""

    masks: Mapping[str, Path]
    meaning: Mapping[int, int]
    """From the values in the files to 0, 1 and ``IGNORE``."""
    groups: Mapping[str, Group] | None
    """Case -> patient and sequence; None where unknown."""
    frame: Mapping[str, int]
    """Case -> position in its sequence, where it has one."""
    images: Mapping[str, Path]
    """Case -> its frame, where it is a dataset's."""

    @classmethod
    def open(cls, folder: Path, prediction: Path) -> "_Reference":
        """As a part of a dataset where it is one; the folder of predictions, if it lies within, is none of it."""
        if folder.name not in (MASKS, TEST_MASKS) or not (folder.parent / "dataset.json").is_file():
            return cls(
                masks=_frames_by_case(folder, [prediction.resolve()]),
                meaning=dict(BINARY_MASK),
                groups=None,
                frame={},
                images={},
            )
        dataset = Dataset.open(folder.parent)
        cases = [case for case in (dataset.training if folder.name == MASKS else dataset.test) if case.mask]
        return cls(
            masks={case.name: case.mask for case in cases if case.mask},
            meaning=dict(dataset.mask_meaning),
            groups={case.name: (case.patient, case.sequence) for case in cases},
            frame={case.name: case.frame for case in cases if case.frame is not None},
            images={case.name: case.image for case in cases},
        )

    def sequences(self, cases: Iterable[str]) -> list[list[str]] | None:
        """Cases by sequence in the order of time, or of their names where that is unknown; None without sequences."""
        if self.groups is None:
            return None
        by_sequence: dict[Group, list[str]] = {}
        for case in sorted(cases, key=lambda case: (self.frame.get(case, 0), case)):
            by_sequence.setdefault(self.groups[case], []).append(case)
        return list(by_sequence.values())


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Job:
    """All that scoring one case needs; small, since it goes to another process."""

    case: str
    reference: Path
    meaning: Mapping[int, int]
    prediction: Path
    tips: tuple[Point, ...]
    wires: CaseWires | None
    """None where they are not judged."""
    image: Path | None = None
    """The frame, where the dataset has it."""


def _score(job: _Job) -> tuple[FrameScore, WireScore | None]:
    reference, prediction = read_mask(job.reference, job.meaning), read_mask(job.prediction)
    saved = job.prediction.with_suffix(".npz")
    score = score_frame(job.case, reference, prediction, read_probability(saved) if saved.is_file() else None, job.tips)
    if job.wires is None:
        return score, None
    field = _exposed(job, reference.shape) if job.wires.needs_masks else None
    left_out = reference == IGNORE
    return score, job.wires.score(job.case, reference == 1, (prediction == 1) & ~left_out, field, left_out)


def _exposed(job: _Job, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Where the frame was exposed, as the prediction has it or else the frame itself; None where neither is there."""
    saved = job.prediction.with_suffix(".npz")
    field = read_field(saved) if saved.is_file() else None
    if field is None and job.image is not None:
        with contextlib.suppress(FrameError):  # a frame is not needed to judge masks
            field = find_field(read_frame(job.image), None)
    return field if field is not None and field.shape == shape else None


def _drawn(reference: Path, prediction: Path) -> list[Path]:
    """Folders of pictures that are no masks."""
    found = [name for name in DRAWN if (prediction / name).is_dir() and not (reference / name).is_dir()]
    if found:
        logger.info("%s: not looked at: %s, where gw_predict draws", prediction, " and ".join(found))
    return [(prediction / name).resolve() for name in found]


def _frames_by_case(folder: Path, left_out: Collection[Path] = ()) -> dict[str, Path]:
    """By path in the folder, without ending; in the order of the names."""
    if not folder.is_dir():
        raise DatasetError(f"{folder}: found no such folder; wanted a folder of masks: check the path")
    by_case: dict[str, Path] = {}
    for path in visible_files(folder, left_out):
        if path.suffix.lower() not in FRAME_ENDINGS:
            continue
        inside = path.relative_to(folder)
        case = inside.with_suffix("").as_posix()
        if case in by_case:
            other = by_case[case].relative_to(folder)
            raise DatasetError(f"{folder}: found {other} and {inside}; wanted one mask per frame: remove one")
        by_case[case] = path
    if not by_case:
        raise DatasetError(
            f"{folder}: found no masks; wanted files ending in {', '.join(FRAME_ENDINGS)}, there or in the folders "
            "below"
        )
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
    return f"{len(names)} frame{'s' if len(names) > 1 else ''}: {few(names, NAMES_SHOWN)}"
