"""Bootstrap confidence intervals of pooled and mean scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gwunet.evaluation.metrics import METRICS, Counts, FrameScore, rates, wholes
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

NO_FRAME = "no frame has the metric"
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
    n_groups_of: Mapping[str, int] = field(default_factory=dict)
    """The same keys -> how many of the groups have a part in the metric, where not all have."""


def bootstrap(groups: Sequence[Sequence[FrameScore]], unit: Unit, n_resamples: int = RESAMPLES) -> Intervals:
    """Percentile intervals from resampled groups; the same frames always give the same intervals.

    A metric in which fewer than ``FEWEST_GROUPS`` groups have a part has none, however many groups there are. Resamples
    in which a metric is undefined (no wire drawn, say) do not count for it.
    """
    draws = draw(len(groups), n_resamples)
    n_pooled, n_means = _groups_pooled(groups), _groups_with(groups)
    pooled = _limits(_resampled_pooled(groups, draws), n_pooled)
    means = _limits(_resampled_means(groups, draws), n_means)
    # The pooled value of what does not follow from counts has the frames that have the metric.
    numbers = {f"pooled.{name}": n_pooled.get(name, n_means[name]) for name in METRICS}
    numbers |= {f"per_frame_mean.{name}": n_means[name] for name in METRICS}
    reasons = {
        f"{kind}.{name}": _reason(numbers[f"{kind}.{name}"], n_means[name], otherwise)
        for kind, known, otherwise in (("pooled", pooled, NO_COUNTS), ("per_frame_mean", means, NO_FRAME))
        for name in METRICS
        if name not in known
    }
    return Intervals(
        level=LEVEL,
        unit=unit,
        n_groups=len(groups),
        n_resamples=n_resamples,
        seed=SEED,
        pooled=pooled,
        per_frame_mean=means,
        not_computed=reasons,
        n_groups_of={key: number for key, number in numbers.items() if number < len(groups)},
    )


def _resampled_pooled(
    groups: Sequence[Sequence[FrameScore]], draws: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Metric -> (R,) pooled score of every resample."""
    return rates(Counts(*(draws @ _counts(groups)).T))


def _counts(groups: Sequence[Sequence[FrameScore]]) -> NDArray[np.float64]:
    """(groups, counts)"""
    return np.array([np.sum([frame.tally.counts for frame in group], axis=0) for group in groups])


def _groups_pooled(groups: Sequence[Sequence[FrameScore]]) -> dict[str, int]:
    """Metric that follows from counts -> how many groups add to what it is a share or a mean of."""
    return {name: int(np.count_nonzero(whole)) for name, whole in wholes(Counts(*_counts(groups).T)).items()}


def _groups_with(groups: Sequence[Sequence[FrameScore]]) -> dict[str, int]:
    """Metric -> how many groups have a frame with it."""
    return {
        name: sum(any(frame.scores.value(name) is not None for frame in group) for group in groups) for name in METRICS
    }


def _resampled_means(
    groups: Sequence[Sequence[FrameScore]], draws: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Metric -> (R,) mean over the frames of every resample that have the metric."""
    resampled = {}
    for name in METRICS:
        defined = [[value for frame in group if (value := frame.scores.value(name)) is not None] for group in groups]
        resampled[name] = ratios(draws, list(map(sum, defined)), list(map(len, defined)))
    return resampled


def _limits(
    resampled: Mapping[str, NDArray[np.float64]], n_groups: Mapping[str, int]
) -> dict[str, tuple[float, float]]:
    return {
        name: found
        for name, values in resampled.items()
        if n_groups[name] >= FEWEST_GROUPS and (found := limits(values)) is not None
    }


def _reason(n_groups: int, n_groups_with: int, otherwise: str) -> str:
    if not n_groups_with:
        return NO_FRAME
    return TOO_FEW_GROUPS if n_groups < FEWEST_GROUPS else otherwise
