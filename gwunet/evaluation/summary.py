"""Frame scores gathered per sequence, per patient and over all, as ``summary.json`` holds them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gwunet.errors import UsageError
from gwunet.evaluation.bootstrap import Intervals, bootstrap
from gwunet.evaluation.calibration import Calibration, describe_calibration
from gwunet.evaluation.localization import Localization
from gwunet.evaluation.metrics import METRICS, NO_PROBABILITY, FrameScore, Scores, Tally, score, scored_pixels
from gwunet.evaluation.resampling import Unit, unit_of
from gwunet.jsonio import to_json

SCHEMA_VERSION = 1
NOT_OF_EVERY_FRAME = ("hd95_px", "assd_px", "breaks", "tip_error_px", "wire_found", "ece", "brier")
"""Which frames their pooled values leave out is said with them."""

Group = tuple[str | None, str]
"""Patient, where known, and sequence of a frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupScores:
    """The scores of one sequence or one patient."""

    name: str
    patient: str | None
    n_frames: int
    pooled: Scores
    per_frame_mean: Scores


@dataclass(frozen=True, kw_only=True, slots=True)
class FramesWithoutWire:
    """Cases in which at least one mask holds no wire."""

    both_empty: tuple[str, ...]
    """Rightly empty: their overlap scores are 1 and stand in the means."""
    reference_empty: tuple[str, ...]
    """False alarms: their overlap scores are 0."""
    prediction_empty: tuple[str, ...]
    """Missed altogether: their overlap scores are 0."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """All scores of a set of frames; its fields are the keys of ``summary.json``."""

    schema_version: int
    n_frames: int
    pooled: Scores
    """All frames as one: counts added, contour distances and probabilities put together."""
    per_frame_mean: Scores
    """Mean over the frames that have the metric."""
    per_wire_frame_mean: Scores
    """The same over the frames with wire in the reference alone."""
    paper: Mapping[str, float | None]
    """The columns of Table 1 of the FGA-Net paper, in percent."""
    confidence_intervals: Intervals
    frames_without_wire: FramesWithoutWire
    not_scored: tuple[str, ...]
    """Cases left out because the reference or the prediction is missing (``allow_missing``)."""
    sequences: tuple[GroupScores, ...]
    patients: tuple[GroupScores, ...]
    frames: tuple[Mapping[str, Any], ...]
    """One object per frame: ``case``, ``patient``, ``sequence``, ``tp``, ``fp``, ``fn``, ``tn`` and the metrics."""
    calibration: Calibration | None = None
    """Reliability of the probabilities of all frames; null where none are given."""
    localization: Localization | None = None
    """How well wires are located; null where that is not judged."""
    made_with: str | None = None
    """SHA-256 of what the records of ``gw_predict`` or ``gw_ensemble`` say of how the masks were made: by it
    scores of masks that were replaced since are told. Null without a record."""


def summarise(
    scores: Sequence[FrameScore], groups: Mapping[str, Group] | None = None, not_scored: Sequence[str] = ()
) -> Summary:
    """Gather frame scores.

    Args:
        scores: one per frame.
        groups: case -> (patient or None, sequence), for all frames; None where nothing is known.
        not_scored: cases that have no score, to be named in the summary.

    Raises:
        UsageError: there are no frames, a case comes twice, or ``groups`` lacks a case.
    """
    _check(scores, groups)
    by_sequence, by_patient = _grouped(scores, groups or {})
    tally = Tally.pool([frame.tally for frame in scores])
    pooled, means = _pooled(scores, tally), mean_scores(scores)
    return Summary(
        schema_version=SCHEMA_VERSION,
        n_frames=len(scores),
        pooled=pooled,
        per_frame_mean=means,
        per_wire_frame_mean=mean_scores([frame for frame in scores if _has_wire(frame)]),
        paper=_paper(pooled, means),
        confidence_intervals=_intervals(scores, by_sequence, by_patient),
        frames_without_wire=_frames_without_wire(scores),
        not_scored=tuple(not_scored),
        sequences=tuple(_group_scores(name, patient, frames) for (patient, name), frames in by_sequence.items()),
        patients=tuple(_group_scores(patient, patient, frames) for patient, frames in by_patient.items()),
        frames=tuple(_frame_row(frame, (groups or {}).get(frame.case)) for frame in scores),
        calibration=None if tally.reliability is None else describe_calibration(tally.reliability),
    )


def _check(scores: Sequence[FrameScore], groups: Mapping[str, Group] | None) -> None:
    if not scores:
        raise UsageError("nothing to summarise: there are no scored frames")
    twice = [case for case, times in Counter(frame.case for frame in scores).items() if times > 1]
    if twice:
        raise UsageError(f"these cases are scored more than once: {', '.join(twice)}; give each frame once")
    unknown = [frame.case for frame in scores if groups is not None and frame.case not in groups]
    if unknown:
        raise UsageError(f"no patient and sequence given for {', '.join(unknown)}; give them for all frames or none")


def _grouped(
    scores: Sequence[FrameScore], groups: Mapping[str, Group]
) -> tuple[dict[Group, list[FrameScore]], dict[str, list[FrameScore]]]:
    """Frames by sequence and by patient, where known, in the order of their first frame."""
    by_sequence: dict[Group, list[FrameScore]] = {}
    by_patient: dict[str, list[FrameScore]] = {}
    for frame in scores:
        if frame.case in groups:
            patient, _ = group = groups[frame.case]
            by_sequence.setdefault(group, []).append(frame)
            if patient is not None:
                by_patient.setdefault(patient, []).append(frame)
    return by_sequence, by_patient


def pooled_scores(frames: Sequence[FrameScore]) -> Scores:
    """Scores of all pixels of ``frames`` together; ``not_computed`` also tells which frames a metric leaves out."""
    return _pooled(frames, Tally.pool([frame.tally for frame in frames]))


def _pooled(frames: Sequence[FrameScore], tally: Tally) -> Scores:
    scores = score(tally)
    notes = {name: _left_out(frames, name) for name in NOT_OF_EVERY_FRAME}
    # A frame without wire has no ROC area of its own, but its background pixels count in the pooled one.
    notes["auc"] = _left_out(frames, "auc", [NO_PROBABILITY])
    return _with_notes({name: scores.value(name) for name in METRICS}, notes, scores.not_computed)


def mean_scores(frames: Sequence[FrameScore]) -> Scores:
    """Mean of each metric over the frames that have it; ``not_computed`` tells which frames are left out."""
    means: dict[str, float | None] = {}
    for name in METRICS:
        values = [value for frame in frames if (value := frame.scores.value(name)) is not None]
        means[name] = float(np.mean(values)) if values else None
    return _with_notes(means, {name: _left_out(frames, name) for name in METRICS}, {})


def _with_notes(values: Mapping[str, float | None], notes: Mapping[str, str], reasons: Mapping[str, str]) -> Scores:
    return Scores(**values, not_computed={**{name: note for name, note in notes.items() if note}, **reasons})


def _left_out(frames: Sequence[FrameScore], metric: str, reasons: Sequence[str] | None = None) -> str:
    """The frames without ``metric`` in words, empty if all have it; ``reasons`` limits which count."""
    if not frames:
        return "no frames"
    found = Counter(frame.scores.not_computed.get(metric) for frame in frames)
    parts = {why: n for why, n in found.items() if why is not None and (reasons is None or why in reasons)}
    if not parts:
        return ""
    listed = ", ".join(f"{why} ({n})" for why, n in parts.items())
    return f"left out in {sum(parts.values())} of {len(frames)} frames: {listed}"


def _paper(pooled: Scores, means: Scores) -> dict[str, float | None]:
    columns = {
        "AUC": means.auc_binary,
        "Macro-F1": means.macro_f1,
        "Dice": means.dice,
        "MIoU": means.iou,
        "OIoU": pooled.iou,
    }
    return {name: None if value is None else 100 * value for name, value in columns.items()}


def _intervals(
    scores: Sequence[FrameScore],
    by_sequence: Mapping[Group, list[FrameScore]],
    by_patient: Mapping[str, list[FrameScore]],
) -> Intervals:
    unit = unit_of(by_sequence or [(None, None)])
    groups: dict[Unit, list[list[FrameScore]]] = {
        "patient": [
            *by_patient.values(),
            *(frames for (patient, _), frames in by_sequence.items() if patient is None),
        ],
        "sequence": list(by_sequence.values()),
        "frame": [[frame] for frame in scores],
    }
    return bootstrap(groups[unit], unit)


def _has_wire(frame: FrameScore) -> bool:
    return bool(frame.tally.counts.wire_frames)


def _frames_without_wire(scores: Sequence[FrameScore]) -> FramesWithoutWire:
    empty: dict[tuple[bool, bool], list[str]] = {}
    for frame in scores:
        if scored_pixels(frame.tally.counts):
            predicted = frame.tally.counts.tp + frame.tally.counts.fp > 0
            empty.setdefault((_has_wire(frame), bool(predicted)), []).append(frame.case)
    return FramesWithoutWire(
        both_empty=tuple(empty.get((False, False), ())),
        reference_empty=tuple(empty.get((False, True), ())),
        prediction_empty=tuple(empty.get((True, False), ())),
    )


def _group_scores(name: str, patient: str | None, frames: Sequence[FrameScore]) -> GroupScores:
    return GroupScores(
        name=name,
        patient=patient,
        n_frames=len(frames),
        pooled=pooled_scores(frames),
        per_frame_mean=mean_scores(frames),
    )


def _frame_row(frame: FrameScore, group: Group | None) -> dict[str, Any]:
    patient, sequence = group or (None, None)
    counts = frame.tally.counts
    pixels = {name: int(getattr(counts, name)) for name in ("tp", "fp", "fn", "tn")}
    return {"case": frame.case, "patient": patient, "sequence": sequence, **pixels, **to_json(frame.scores)}
