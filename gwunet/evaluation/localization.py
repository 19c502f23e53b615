"""How well wires are located over many frames: errors of tips, bases and curves, wires missed, false and confused."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from gwunet.evaluation.resampling import Unit, unit_of
from gwunet.evaluation.wire_intervals import WireIntervals, wire_intervals
from gwunet.evaluation.wires import PlainWire, Wire, WireMatch, WireScore, curve_distance_px

TIP_LIMITS_PX = (3, 5, 9)
DISTANCES = ("tip_error_px", "base_error_px", "mean_distance_px", "hausdorff_px", "frechet_px")

NO_WIRE = "no wire in the reference"
NO_WIRE_AT_ALL = "no wire in the reference nor in the prediction"
NO_MATCH = "no predicted wire matches a wire of the reference"
NOT_TRACKED = "the predicted wires have no identities (gw_predict --track gives them)"
NOT_NUMBERED = "the true wires have no identities: they were located in masks"
NO_TIP_KNOWN = "the reference masks tell of no matched wire which end is its tip"
NO_SEQUENCES = "no sequences known"


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """Of the matched wires' errors, in pixels."""

    mean: float
    median: float
    p95: float
    """95th percentile."""
    maximum: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalizationScores:
    """Wires of a set of frames; null where undefined, then ``not_computed`` says why."""

    n_frames: int
    n_wires: int
    """In the reference."""
    n_predicted: int
    n_matched: int
    tip_error_px: Distribution | None
    base_error_px: Distribution | None
    mean_distance_px: Distribution | None
    hausdorff_px: Distribution | None
    frechet_px: Distribution | None
    tips_within_px: Mapping[str, float | None]
    """Limit in pixels -> share of all wires of the reference with a tip error of at most that; a missed one has not."""
    precision: float | None
    """Matched of the predicted wires."""
    recall: float | None
    """Matched of the reference's wires."""
    f1: float | None
    quality: float | None
    """Sum of the matched wires' curve F1, divided by the mean of the numbers of wires in reference and prediction."""
    missed_per_frame: float
    false_per_frame: float
    frames_with_missed: float
    """Share of the frames in which a wire is missed."""
    frames_with_false: float
    ends_swapped: float | None
    """Share of the matched wires whose tip was taken for the base, of those whose tip the reference tells."""
    identity_switches: int | None
    """How often a true wire is found under another identity than the last time."""
    not_computed: Mapping[str, str] = field(default_factory=dict)
    tips_unknown: int = 0
    """Matched wires of reference masks that do not tell which end is the tip: their ends are paired as fits best."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalizationGroup:
    """The wires of one sequence or one patient."""

    name: str
    patient: str | None
    scores: LocalizationScores


@dataclass(frozen=True, kw_only=True, slots=True)
class Localization:
    """How well wires are located, as ``summary.json`` holds it."""

    reference: str
    """Where the true wires come from: ``centrelines.json`` or ``masks``."""
    prediction: str
    all_frames: LocalizationScores
    sequences: tuple[LocalizationGroup, ...]
    patients: tuple[LocalizationGroup, ...]
    confidence_intervals: WireIntervals
    not_judged: tuple[str, ...]
    """Cases of which the file of true wires says nothing."""
    wires: tuple[Mapping[str, Any], ...]
    """One object per wire; a missed one has no ``predicted``, a false one no ``reference``."""


def summarise_localization(
    scores: Mapping[str, WireScore],
    groups: Mapping[str, tuple[str | None, str]] | None,
    sequences: Sequence[Sequence[str]] | None,
    sources: tuple[str, str],
    not_judged: Iterable[str] = (),
) -> Localization:
    """Gather the wires of cases.

    Args:
        scores: case -> its wires; one at least.
        groups: case -> patient or None, and sequence; None where unknown.
        sequences: cases by sequence in the order of time, perhaps with further cases; None where ``groups`` is.
        sources: where true and predicted wires come from.
        not_judged: cases without true wires to compare with.
    """
    in_time = [[scores[case] for case in sequence if case in scores] for sequence in sequences or ()]
    in_time = [frames for frames in in_time if frames]
    by_sequence: list[LocalizationGroup] = []
    by_patient: dict[str, list[list[WireScore]]] = {}
    for frames in in_time:
        patient, name = (groups or {})[frames[0].case]
        by_sequence.append(LocalizationGroup(name=name, patient=patient, scores=score_localization(frames, [frames])))
        if patient is not None:
            by_patient.setdefault(patient, []).append(frames)
    patients = [
        LocalizationGroup(
            name=patient, patient=patient, scores=score_localization(list(itertools.chain(*of_patient)), of_patient)
        )
        for patient, of_patient in by_patient.items()
    ]
    unit = unit_of([(group.patient, group.name) for group in by_sequence] or [(None, None)])
    drawn: dict[Unit, list[list[WireScore]]] = {
        "patient": [
            *(list(itertools.chain(*of_patient)) for of_patient in by_patient.values()),
            *(frames for frames, group in zip(in_time, by_sequence, strict=True) if group.patient is None),
        ],
        "sequence": in_time,
        "frame": [[frame] for frame in scores.values()],
    }
    return Localization(
        reference=sources[0],
        prediction=sources[1],
        all_frames=score_localization(list(scores.values()), None if sequences is None else in_time),
        sequences=tuple(by_sequence),
        patients=tuple(patients),
        confidence_intervals=wire_intervals(drawn[unit], unit),
        not_judged=tuple(sorted(not_judged)),
        wires=tuple(wire_rows(list(scores.values()))),
    )


def score_localization(
    scores: Sequence[WireScore], sequences: Sequence[Sequence[WireScore]] | None = None
) -> LocalizationScores:
    """Gather the wires of frames.

    Args:
        scores: one per frame.
        sequences: the same frames by sequence, each in the order of time, to count identity switches; None where
            unknown.
    """
    matches = [match for frame in scores for match in frame.matches]
    n_wires, n_predicted = sum(frame.n_reference for frame in scores), sum(frame.n_predicted for frame in scores)
    n_frames, n_matched = len(scores), len(matches)
    missed, false = [len(frame.missed) for frame in scores], [len(frame.false) for frame in scores]
    n_unknown = sum(not match.is_tip_known for match in matches)
    measured: dict[str, Any] = {
        **{name: _distribution([getattr(match, name) for match in matches]) for name in DISTANCES},
        "precision": _share(n_matched, n_predicted),
        "recall": _share(n_matched, n_wires),
        "f1": _share(2 * n_matched, n_wires + n_predicted),
        "quality": _share(2 * sum(match.f1 for match in matches), n_wires + n_predicted),
        "ends_swapped": _share(sum(match.ends_swapped for match in matches), n_matched - n_unknown),
    }
    switches, untracked = _all_switches(sequences, matches)
    return LocalizationScores(
        n_frames=n_frames,
        n_wires=n_wires,
        n_predicted=n_predicted,
        n_matched=n_matched,
        tips_within_px={
            str(limit): _share(sum(match.tip_error_px <= limit for match in matches), n_wires)
            for limit in TIP_LIMITS_PX
        },
        **measured,
        missed_per_frame=sum(missed) / n_frames,
        false_per_frame=sum(false) / n_frames,
        frames_with_missed=sum(map(bool, missed)) / n_frames,
        frames_with_false=sum(map(bool, false)) / n_frames,
        identity_switches=switches,
        not_computed=_reasons(n_wires, n_predicted, n_matched, untracked)
        | ({"ends_swapped": NO_TIP_KNOWN} if 0 < n_matched == n_unknown else {}),
        tips_unknown=n_unknown,
    )


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _distribution(values: Sequence[float]) -> Distribution | None:
    if not values:
        return None
    median, p95 = np.percentile(values, [50, 95])
    return Distribution(
        mean=float(np.mean(values)), median=float(median), p95=float(p95), maximum=float(np.max(values))
    )


def _reasons(n_wires: int, n_predicted: int, n_matched: int, untracked: str) -> dict[str, str]:
    reasons: dict[str, str] = {}
    if not n_matched:
        reasons = dict.fromkeys((*DISTANCES, "ends_swapped"), NO_MATCH if n_wires else NO_WIRE)
    if not n_wires:
        reasons |= dict.fromkeys(("tips_within_px", "recall"), NO_WIRE)
    if not n_predicted:
        reasons["precision"] = "no wire in the prediction"
    if not (n_wires or n_predicted):
        reasons |= dict.fromkeys(("precision", "f1", "quality"), NO_WIRE_AT_ALL)
    if untracked:
        reasons["identity_switches"] = untracked
    return reasons


def _all_switches(
    sequences: Sequence[Sequence[WireScore]] | None, matches: Sequence[WireMatch]
) -> tuple[int | None, str]:
    """Identity switches, or None and why."""
    if sequences is None:
        return None, NO_SEQUENCES
    if any(match.predicted_identity is None for match in matches):
        return None, NOT_TRACKED
    if any(match.reference_identity is None for match in matches):
        return None, NOT_NUMBERED
    return sum(map(identity_switches, sequences)), ""


def identity_switches(frames: Sequence[WireScore]) -> int:
    """How often a true wire is matched by another identity than when it was matched last, over one sequence.

    Reference:
        K. Bernardin and R. Stiefelhagen, Evaluating multiple object tracking performance: the CLEAR MOT metrics,
        EURASIP Journal on Image and Video Processing, 2008: their mismatches.
    """
    last: dict[int | None, int | None] = {}
    switches = 0
    for frame in frames:
        for match in frame.matches:
            known = last.get(match.reference_identity)
            switches += known is not None and known != match.predicted_identity
            last[match.reference_identity] = match.predicted_identity
    return switches


def with_identities(frames: Sequence[Sequence[Wire]]) -> list[list[Wire]]:
    """The true wires of a sequence's frames with their numbers, or from 1 where a file gives only their order.

    Where a frame has as many wires as the sequence ever has, their order numbers them. Where one has left the field,
    those that remain are the ones whose curves were nearest the last time; before the first frame with all of them, the
    next time.
    """
    if all(wire.identity is not None for wires in frames for wire in wires):
        return [list(wires) for wires in frames]
    most = max(map(len, frames), default=0)
    first = next(index for index, wires in enumerate(frames) if len(wires) == most)
    earlier = _numbered(frames[first::-1], most)[:0:-1]
    return earlier + _numbered(frames[first:], most)


def _numbered(frames: Sequence[Sequence[Wire]], most: int) -> list[list[Wire]]:
    """Frame by frame from one on that has all wires."""
    last: dict[int, Wire] = {}
    numbered: list[list[Wire]] = []
    for wires in frames:
        numbers = list(range(1, most + 1)) if len(wires) == most else _nearest(wires, last, most)
        last |= dict(zip(numbers, wires, strict=True))
        numbered.append([PlainWire(wire.centreline, number) for number, wire in zip(numbers, wires, strict=True)])
    return numbered


def _nearest(wires: Sequence[Wire], last: Mapping[int, Wire], most: int) -> list[int]:
    cost = np.empty((len(wires), most))
    for row, wire in enumerate(wires):
        for number, other in last.items():
            cost[row, number - 1] = curve_distance_px(wire.centreline, other.centreline)
    return [int(column) + 1 for column in linear_sum_assignment(cost)[1]]


def wire_rows(scores: Sequence[WireScore]) -> list[dict[str, Any]]:
    """One row per wire: the matched ones with their errors, then the missed and the false ones of the frame."""
    rows = []
    for frame in scores:
        for match in frame.matches:
            rows.append(
                {
                    "case": frame.case,
                    "reference": match.reference + 1,
                    "predicted": match.predicted + 1,
                    "reference_identity": match.reference_identity,
                    "predicted_identity": match.predicted_identity,
                    **{name: getattr(match, name) for name in (*DISTANCES, "precision", "recall", "f1")},
                    "ends_swapped": match.ends_swapped if match.is_tip_known else None,
                }
            )
        rows += [_unmatched(frame.case, reference=wire + 1) for wire in frame.missed]
        rows += [_unmatched(frame.case, predicted=wire + 1) for wire in frame.false]
    return rows


WIRE_COLUMNS = (
    "case",
    "reference",
    "predicted",
    "reference_identity",
    "predicted_identity",
    *DISTANCES,
    "precision",
    "recall",
    "f1",
    "ends_swapped",
)


def _unmatched(case: str, **found: int) -> dict[str, Any]:
    return {**dict.fromkeys(WIRE_COLUMNS), "case": case, **found}
