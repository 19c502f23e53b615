"""Bootstrap confidence intervals of pooled and mean scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gwunet.evaluation.metrics import METRICS, Counts, FrameScore, rates
from gwunet.evaluation.resampling import (
    FEWEST_GROUPS,
    LEVEL,
    RESAMPLES,
    SEED,
    TOO_FEW_GROUPS,
    Unit,
    draw,
    limits,
    ratios,
)

NO_COUNTS = "no interval for the pooled value, which does not follow from counts; see per_frame_mean"


@dataclass(frozen=True, kw_only=True, slots=True)
class Intervals:
    """Confidence intervals of the pooled and the mean scores."""

    level: float
    """Nominal coverage."""
    unit: Unit
    """What was drawn with replacement; with "frame", frames of one sequence make intervals too narrow."""
    n_groups: int
    """Number of patients, sequences or frames drawn from."""
    n_resamples: int
    seed: int
    pooled: Mapping[str, tuple[float, float]]
    """Metric -> lower and upper limit of the pooled score."""
    per_frame_mean: Mapping[str, tuple[float, float]]
    """Metric -> lower and upper limit of the mean per frame."""
    not_computed: Mapping[str, str] = field(default_factory=dict)
    """``pooled`` or ``per_frame_mean`` with the metric -> why it has no interval."""


def bootstrap(groups: Sequence[Sequence[FrameScore]], unit: Unit, n_resamples: int = RESAMPLES) -> Intervals:
    """Percentile intervals from resampled groups; the same frames always give the same intervals.

    There are none below ``FEWEST_GROUPS`` groups. Resamples in which a metric is undefined (no wire drawn, say) do not
    count for it.
    """
    draws = draw(len(groups), n_resamples)
    enough = len(groups) >= FEWEST_GROUPS
    pooled = _limits(_resampled_pooled(groups, draws)) if enough else {}
    means = _limits(_resampled_means(groups, draws)) if enough else {}
    reasons = {f"pooled.{name}": _reason(groups, name, NO_COUNTS) for name in METRICS if name not in pooled}
    reasons |= {f"per_frame_mean.{name}": _reason(groups, name) for name in METRICS if name not in means}
    return Intervals(
        level=LEVEL,
        unit=unit,
        n_groups=len(groups),
        n_resamples=n_resamples,
        seed=SEED,
        pooled=pooled,
        per_frame_mean=means,
        not_computed=reasons,
    )


def _resampled_pooled(
    groups: Sequence[Sequence[FrameScore]], draws: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Metric -> (R,) pooled score of every resample."""
    counts = np.array([np.sum([frame.tally.counts for frame in group], axis=0) for group in groups])
    return rates(Counts(*(draws @ counts).T))


def _resampled_means(
    groups: Sequence[Sequence[FrameScore]], draws: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Metric -> (R,) mean over the frames of every resample that have the metric."""
    resampled = {}
    for name in METRICS:
        defined = [[value for frame in group if (value := frame.scores.value(name)) is not None] for group in groups]
        resampled[name] = ratios(draws, list(map(sum, defined)), list(map(len, defined)))
    return resampled


def _limits(resampled: Mapping[str, NDArray[np.float64]]) -> dict[str, tuple[float, float]]:
    return {name: found for name, values in resampled.items() if (found := limits(values)) is not None}


def _reason(groups: Sequence[Sequence[FrameScore]], metric: str, otherwise: str = "no frame has the metric") -> str:
    if len(groups) < FEWEST_GROUPS:
        return TOO_FEW_GROUPS
    known = any(frame.scores.value(metric) is not None for group in groups for frame in group)
    return otherwise if known else "no frame has the metric"
