"""The validation frames of a model's folds taken together: means, and intervals over whole patients."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gwunet.evaluation.resampling import LEVEL, Unit, groups_of_frames, interval_of_mean

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """A column of the tables."""

    key: str
    """In ``summary.json``."""
    label: str
    meaning: str
    decimals: int = 3


METRICS = (
    Metric(key="dice", label="Dice", meaning="overlap with the reference; 1 is perfect"),
    Metric(key="iou", label="IoU", meaning="intersection over union"),
    Metric(key="precision", label="precision", meaning="share of the predicted pixels that are wire"),
    Metric(key="recall", label="recall", meaning="share of the wire's pixels that were predicted"),
    Metric(key="cldice", label="clDice", meaning="overlap of the centrelines; says whether the course is right"),
    Metric(key="hd95_px", label="HD95 (px)", meaning="95th percentile of the distance of the outlines", decimals=1),
    Metric(key="assd_px", label="ASSD (px)", meaning="mean distance of the outlines", decimals=1),
    Metric(key="breaks", label="breaks", meaning="extra pieces of a wire, per frame", decimals=2),
    Metric(key="false_pieces", label="false pieces", meaning="pieces on no wire, per frame", decimals=2),
    Metric(key="b0_error", label="b0 error", meaning="pieces too many or too few, per frame", decimals=2),
    Metric(key="wire_found", label="wire found", meaning="share of frames with at least half of the wire's length"),
    Metric(key="tip_error_px", label="tip error (px)", meaning="from the true tip to the nearest end", decimals=1),
    Metric(key="auc", label="AUC", meaning="area under the ROC curve of the probabilities"),
    Metric(key="ece", label="ECE", meaning="expected calibration error of the probabilities", decimals=4),
)

IN_BRIEF = ("dice", "precision", "recall", "cldice", "hd95_px", "breaks", "false_pieces", "tip_error_px")
"""Those that tables of many frames or models have."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """A metric of a model."""

    metric: Metric
    mean: float
    """Over the frames that have it."""
    n_frames: int
    """How many have it."""
    interval: tuple[float, float] | None
    """None where there are too few groups."""
    by_fold: Mapping[str, float | None]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Results:
    """All validation frames of a model."""

    values: tuple[Value, ...]
    """Metrics that at least one frame has."""
    unit: Unit
    """What intervals are drawn over."""
    n_groups: int
    n_frames: int
    level: float = LEVEL

    def value(self, key: str) -> Value | None:
        """The metric of that key; None where no frame has it."""
        return next((value for value in self.values if value.metric.key == key), None)


def results_of(rows: Sequence[Row]) -> Results:
    """Gather at least one frame; each has its ``fold``."""
    unit, group_of = groups_of_frames(rows)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(group_of[row["case"]], []).append(row)
    values = [_value(metric, rows, list(groups.values())) for metric in METRICS]
    return Results(
        values=tuple(value for value in values if value is not None),
        unit=unit,
        n_groups=len(groups),
        n_frames=len(rows),
    )


def _value(metric: Metric, rows: Sequence[Row], groups: Sequence[Sequence[Row]]) -> Value | None:
    numbers = numbers_of(rows, metric.key)
    if not numbers:
        return None
    folds = sorted({str(row["fold"]) for row in rows})
    by_fold = {fold: numbers_of([row for row in rows if str(row["fold"]) == fold], metric.key) for fold in folds}
    return Value(
        metric=metric,
        mean=float(np.mean(numbers)),
        n_frames=len(numbers),
        interval=interval_of_mean([numbers_of(group, metric.key) for group in groups]),
        by_fold={fold: float(np.mean(found)) if found else None for fold, found in by_fold.items()},
    )


def numbers_of(rows: Sequence[Row], key: str) -> list[float]:
    """The metric's values of the frames that have it."""
    return [float(row[key]) for row in rows if isinstance(row.get(key), int | float)]
