"""Scores of a predicted wire mask against a reference mask.

A frame is first turned into a ``Tally``: everything that is counted in it. Tallies add up exactly, so the same
formulas score a frame, a sequence, a patient or all frames together. Formulas and edge cases stand in
documentation/reference/metrics.md.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gwunet.dataset import IGNORE
from gwunet.errors import FrameError
from gwunet.evaluation.calibration import brier_score, calibration_error, reliability_table
from gwunet.evaluation.geometry import (
    Point,
    betti_numbers,
    centreline_of,
    common_box,
    contour_distances_px,
    count_pieces,
    tip_errors_px,
)
from gwunet.evaluation.roc import pooled_histogram, probability_histogram, roc_area

FloatArray = NDArray[np.float64]
Mask = NDArray[np.uint8]

FOUND_FROM = 0.5
"""A wire counts as found when the prediction covers at least this part of its centreline."""

NO_PROBABILITY = "no probabilities given"
NO_TIP = "no tip known"
NO_WIRE_ANYWHERE = "no wire in the reference nor in the prediction"
NO_WIRE_IN_REFERENCE = "no wire in the reference"
NO_WIRE_IN_PREDICTION = "no wire in the prediction"
MISSED = "nothing of the wire is predicted"
NEVER_TOGETHER = "no frame has wire in both the reference and the prediction"
NO_BACKGROUND = "no background in the reference"
NO_PIXELS = "every pixel is left out"


class Counts(NamedTuple):
    """What is counted in frames: scalars, or arrays with one entry per set of frames."""

    tp: FloatArray
    """Pixels that are wire in both masks."""
    fp: FloatArray
    """Pixels that are wire in the prediction alone."""
    fn: FloatArray
    """Pixels that are wire in the reference alone."""
    tn: FloatArray
    """Pixels that are wire in neither."""
    predicted_centreline: FloatArray
    """Centreline pixels of the prediction."""
    predicted_centreline_on_wire: FloatArray
    """Those of them on the reference mask."""
    centreline: FloatArray
    """Centreline pixels of the reference."""
    centreline_covered: FloatArray
    """Those of them on the predicted mask."""
    breaks: FloatArray
    """Predicted pieces on a reference wire beyond its first."""
    false_pieces: FloatArray
    """Predicted pieces on no reference wire."""
    b0_error: FloatArray
    """Difference of the numbers of pieces."""
    b1_error: FloatArray
    """Difference of the numbers of holes."""
    contour_distances: FloatArray
    """Contour pixels of both masks that have a distance to the other."""
    contour_distance_px: FloatArray
    """Sum of these distances."""
    wire_frames: FloatArray
    """Frames with wire in the reference."""
    wire_frames_found: FloatArray
    """Those of them in which the wire is found."""
    tips: FloatArray
    """Tips that are known."""
    tips_measured: FloatArray
    """Those of them in frames with a predicted centreline to measure to."""
    tip_error_px: FloatArray
    """Sum of the errors of the measured ones."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Everything needed to score a set of frames; adding tallies pools the frames exactly."""

    counts: Counts
    to_reference_px: FloatArray
    """(N,) distances from the prediction's contour pixels to the reference's contour."""
    to_prediction_px: FloatArray
    """(M,) distances from the reference's contour pixels to the prediction's contour."""
    histogram: NDArray[np.integer[Any]] | None
    """(3, N), see ``probability_histogram``; None without probabilities."""
    reliability: FloatArray | None = None
    """(4, RELIABILITY_BINS), see ``reliability_table``; None without probabilities."""

    @staticmethod
    def pool(tallies: Sequence["Tally"]) -> "Tally":
        """All frames of ``tallies`` as one set."""
        histograms = [tally.histogram for tally in tallies if tally.histogram is not None]
        tables = [tally.reliability for tally in tallies if tally.reliability is not None]
        return Tally(
            counts=Counts(*np.sum([tally.counts for tally in tallies], axis=0)),
            to_reference_px=np.concatenate([tally.to_reference_px for tally in tallies]),
            to_prediction_px=np.concatenate([tally.to_prediction_px for tally in tallies]),
            histogram=pooled_histogram(histograms) if histograms else None,
            reliability=np.sum(tables, axis=0) if tables else None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """The metrics of a set of frames, null where undefined; ``not_computed`` says why."""

    dice: float | None
    """2 TP / (2 TP + FP + FN)."""
    iou: float | None
    """TP / (TP + FP + FN), of the wire."""
    precision: float | None
    """TP / (TP + FP)."""
    recall: float | None
    """TP / (TP + FN)."""
    specificity: float | None
    """TN / (TN + FP)."""
    macro_f1: float | None
    """Mean of the wire's F1 (Dice) and the background's."""
    cldice: float | None
    """Harmonic mean of the parts of each centreline that lie on the other mask."""
    hd95_px: float | None
    """Larger of the two directed 95th percentiles of contour distance, in pixels."""
    assd_px: float | None
    """Mean distance of the contour pixels of both masks to the other's contour, in pixels."""
    auc: float | None
    """Area under the ROC curve of the probabilities."""
    auc_binary: float | None
    """(recall + specificity) / 2."""
    breaks: float | None
    """Number of predicted pieces on a reference wire beyond its first; null where nothing of the wire is predicted."""
    false_pieces: float | None
    """Number of predicted pieces on no reference wire."""
    b0_error: float | None
    """Difference of the numbers of 8-connected pieces of the two masks."""
    b1_error: float | None
    """Difference of the numbers of holes in the two masks."""
    wire_found: float | None
    """Share of the frames with wire in which it is found; of one frame 1 or 0."""
    tip_error_px: float | None
    """Mean distance from a tip to the nearest endpoint of the predicted centreline, in pixels."""
    ece: float | None
    """Expected calibration error of the probabilities."""
    brier: float | None
    """Mean squared difference of the probabilities and the mask."""
    not_computed: Mapping[str, str] = field(default_factory=dict)
    """Metric -> why it is null, or which frames it leaves out."""

    def value(self, metric: str) -> float | None:
        """The metric of that name."""
        number: float | None = getattr(self, metric)
        return number


METRICS = tuple(field.name for field in dataclasses.fields(Scores) if field.name != "not_computed")


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameScore:
    """One frame's scores with the tally they come from."""

    case: str
    scores: Scores
    tally: Tally


def score_frame(
    case: str,
    reference: Mask,
    prediction: Mask,
    probability: NDArray[np.floating[Any]] | None = None,
    tips: Iterable[Point] = (),
) -> FrameScore:
    """Score one frame.

    Args:
        case: name of the frame, for messages and tables.
        reference: (H, W), 0 background, 1 wire, 2 left out everywhere.
        prediction: (H, W), 0 background, 1 wire.
        probability: (H, W) float in [0, 1]; without it there is no ``auc``.
        tips: true tips (row, column) in pixels; those outside the frame or on left-out pixels are not used.

    Raises:
        FrameError: sizes differ or a value is impossible.
    """
    _check(case, reference, prediction, probability)
    valid = reference != IGNORE
    # Left-out pixels become background for centrelines and contours, and are taken off the background's count.
    wire, predicted = reference == 1, (prediction == 1) & valid
    histogram = reliability = None
    if probability is not None:
        values, truth = (probability, wire) if valid.all() else (probability[valid], wire[valid])
        histogram = probability_histogram(values.ravel(), truth.ravel())
        reliability = reliability_table(values.ravel(), truth.ravel())
    tips = [tip for tip in tips if _is_visible(tip, valid)]
    # The rest looks at wire pixels alone, so it need not see the whole frame.
    rows, columns = box = common_box(wire, predicted)
    wire, predicted = wire[box], predicted[box]
    tips = [(row - rows.start, column - columns.start) for row, column in tips]
    distances = contour_distances_px(predicted, wire), contour_distances_px(wire, predicted)
    tally = Tally(
        counts=_count(wire, predicted, int(valid.sum()), tips, distances),
        to_reference_px=distances[0],
        to_prediction_px=distances[1],
        histogram=histogram,
        reliability=reliability,
    )
    return FrameScore(case=case, scores=score(tally), tally=tally)


def _check(case: str, reference: Mask, prediction: Mask, probability: NDArray[Any] | None) -> None:
    for name, array in (("prediction", prediction), ("probability", probability)):
        if array is not None and array.shape != reference.shape:
            sizes = f"{_size(array)}, the reference {_size(reference)}"
            raise FrameError(f"{case}: the {name} is {sizes}; both must have the frame's own size")
    for name, mask, allowed in (("reference", reference, (0, 1, IGNORE)), ("prediction", prediction, (0, 1))):
        if mask.size and (mask.min() < 0 or mask.max() > allowed[-1]):
            found = ", ".join(map(str, np.unique(mask)[:8]))
            raise FrameError(f"{case}: the {name} holds the values {found}; wanted only {', '.join(map(str, allowed))}")
    # A comparison with NaN is false, so this refuses NaN too.
    if probability is not None and probability.size and not (probability.min() >= 0 and probability.max() <= 1):
        found = f"{probability.min()} to {probability.max()}"
        raise FrameError(f"{case}: probabilities must lie in [0, 1], these go from {found}")


def _size(array: NDArray[Any]) -> str:
    return " x ".join(map(str, array.shape))


def _is_visible(tip: Point, valid: NDArray[np.bool_]) -> bool:
    row, column = round(tip[0]), round(tip[1])
    return 0 <= row < valid.shape[0] and 0 <= column < valid.shape[1] and bool(valid[row, column])


def _count(
    wire: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    n_valid: int,
    tips: Sequence[Point],
    contour_distances: Sequence[FloatArray],
) -> Counts:
    tp, n_wire, n_predicted = (np.count_nonzero(mask) for mask in (wire & predicted, wire, predicted))
    centreline, predicted_centreline = centreline_of(wire), centreline_of(predicted)
    n_centreline, covered = np.count_nonzero(centreline), np.count_nonzero(centreline & predicted)
    breaks, false_pieces = count_pieces(wire, predicted_centreline)
    (b0, b1), (predicted_b0, predicted_b1) = betti_numbers(wire), betti_numbers(predicted)
    tip_errors = tip_errors_px(predicted_centreline, tips)
    numbers = {
        "tp": tp,
        "fp": n_predicted - tp,
        "fn": n_wire - tp,
        "tn": n_valid - n_wire - n_predicted + tp,
        "predicted_centreline": np.count_nonzero(predicted_centreline),
        "predicted_centreline_on_wire": np.count_nonzero(predicted_centreline & wire),
        "centreline": n_centreline,
        "centreline_covered": covered,
        "breaks": breaks,
        "false_pieces": false_pieces,
        "b0_error": abs(predicted_b0 - b0),
        "b1_error": abs(predicted_b1 - b1),
        "contour_distances": sum(map(len, contour_distances)),
        "contour_distance_px": sum(each.sum() for each in contour_distances),
        "wire_frames": n_wire > 0,
        "wire_frames_found": n_wire > 0 and covered >= FOUND_FROM * n_centreline,
        "tips": len(tips),
        "tips_measured": len(tip_errors),
        "tip_error_px": sum(tip_errors),
    }
    return Counts(**{name: np.asarray(number, dtype=np.float64) for name, number in numbers.items()})


def hd95_px(tally: Tally) -> float | None:
    """The larger of the two directed 95th percentiles; None without distances."""
    if not len(tally.to_reference_px):
        return None
    return float(max(np.percentile(tally.to_reference_px, 95), np.percentile(tally.to_prediction_px, 95)))


def rates(counts: Counts) -> dict[str, FloatArray]:
    """Every metric that follows from counts alone, NaN where undefined."""
    nothing = (counts.tp + counts.fp + counts.fn == 0).astype(np.float64)
    dice = _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn, otherwise=1)
    background_f1 = _ratio(2 * counts.tn, 2 * counts.tn + counts.fp + counts.fn, otherwise=1)
    recall = _ratio(counts.tp, counts.tp + counts.fn, otherwise=nothing)
    specificity = _ratio(counts.tn, counts.tn + counts.fp, otherwise=np.nan)
    no_wire = counts.tp + counts.fn == 0
    found = {
        "dice": dice,
        "iou": _ratio(counts.tp, counts.tp + counts.fp + counts.fn, otherwise=1),
        "precision": _ratio(counts.tp, counts.tp + counts.fp, otherwise=nothing),
        "recall": recall,
        "specificity": specificity,
        "macro_f1": (dice + background_f1) / 2,
        # The harmonic mean of a/b and c/d, written so that an empty centreline divides nothing by zero.
        "cldice": _ratio(
            2 * counts.predicted_centreline_on_wire * counts.centreline_covered,
            counts.predicted_centreline_on_wire * counts.centreline
            + counts.centreline_covered * counts.predicted_centreline,
            otherwise=nothing,
        ),
        "auc_binary": np.where(no_wire, np.nan, (recall + specificity) / 2),
        # A wire that is missed has no breaks, which must not look like a good prediction.
        "breaks": np.where(no_wire | (counts.predicted_centreline_on_wire > 0), counts.breaks, np.nan),
        "false_pieces": counts.false_pieces,
        "b0_error": counts.b0_error,
        "b1_error": counts.b1_error,
        "assd_px": _ratio(counts.contour_distance_px, counts.contour_distances, otherwise=np.nan),
        "wire_found": _ratio(counts.wire_frames_found, counts.wire_frames, otherwise=np.nan),
        "tip_error_px": _ratio(counts.tip_error_px, counts.tips_measured, otherwise=np.nan),
    }
    no_pixels = scored_pixels(counts) == 0
    return {name: np.where(no_pixels, np.nan, values) for name, values in found.items()}


def scored_pixels(counts: Counts) -> FloatArray:
    """Those that are not left out."""
    return np.asarray(counts.tp + counts.fp + counts.fn + counts.tn)


def wholes(counts: Counts) -> dict[str, FloatArray]:
    """For each metric of ``rates`` what it is a share or a mean of: 0 where the frames have no part in it."""
    wire, either = counts.tp + counts.fn, counts.tp + counts.fp + counts.fn
    return {
        "dice": either,
        "iou": either,
        "precision": counts.tp + counts.fp,
        "recall": wire,
        "specificity": counts.tn + counts.fp,
        "macro_f1": either,
        "cldice": counts.predicted_centreline + counts.centreline,
        "auc_binary": wire,
        "breaks": counts.predicted_centreline_on_wire,
        "false_pieces": scored_pixels(counts),
        "b0_error": scored_pixels(counts),
        "b1_error": scored_pixels(counts),
        "assd_px": counts.contour_distances,
        "wire_found": counts.wire_frames,
        "tip_error_px": counts.tips_measured,
    }


def _ratio(part: FloatArray, whole: FloatArray, otherwise: FloatArray | float) -> FloatArray:
    """``part / whole``, or ``otherwise`` where ``whole`` is 0; counts are whole numbers, so 1 is the least divisor."""
    return np.where(whole > 0, part / np.maximum(whole, 1), otherwise)


def score(tally: Tally) -> Scores:
    """All metrics of a tally."""
    values: dict[str, float | None] = {name: float(rate) for name, rate in rates(tally.counts).items()}
    values = {name: None if value != value else value for name, value in values.items()}
    values["hd95_px"] = hd95_px(tally)
    values["auc"] = None if tally.histogram is None else roc_area(tally.histogram)
    values["ece"] = None if tally.reliability is None else calibration_error(tally.reliability)
    values["brier"] = None if tally.reliability is None else brier_score(tally.reliability)
    reasons = {name: _reason(name, tally) for name in METRICS if values[name] is None}
    return Scores(**values, not_computed=reasons)


def _reason(metric: str, tally: Tally) -> str:
    """Why ``metric`` is undefined for ``tally``."""
    counts = tally.counts
    no_reference, no_prediction = counts.tp + counts.fn == 0, counts.tp + counts.fp == 0
    if metric in ("auc", "ece", "brier") and tally.histogram is None:
        return NO_PROBABILITY
    if scored_pixels(counts) == 0:
        return NO_PIXELS
    if metric in ("auc", "auc_binary", "specificity", "wire_found"):
        return NO_WIRE_IN_REFERENCE if no_reference and metric != "specificity" else NO_BACKGROUND
    if metric == "tip_error_px":
        return NO_TIP if counts.tips == 0 else NO_WIRE_IN_PREDICTION
    if metric == "breaks":
        return MISSED
    if no_reference and no_prediction:
        return NO_WIRE_ANYWHERE
    if no_reference or no_prediction:
        return NO_WIRE_IN_REFERENCE if no_reference else NO_WIRE_IN_PREDICTION
    return NEVER_TOGETHER
