"""Whether two models differ: the same groups of frames drawn for both, again and again."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np

from gwunet.evaluation.resampling import FEWEST_GROUPS, Unit, draw, limits, ratios

Verdict = Literal["a difference is shown", "no difference shown", "too few groups to tell"]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The mean over frames of one model less that of another, on the same frames."""

    one: str
    other: str
    metric: str
    difference: float
    """``one`` less ``other``."""
    interval: tuple[float, float] | None
    """95 % percentile interval of the paired bootstrap; null below six groups."""
    unit: Unit
    """What is drawn."""
    n_groups: int
    verdict: Verdict
    """A difference is shown where the interval does not hold 0."""


def paired_difference(
    one: tuple[str, Mapping[str, float]],
    other: tuple[str, Mapping[str, float]],
    metric: str,
    group_of: Mapping[str, str],
    unit: Unit,
) -> Difference:
    """Compare two models by the paired bootstrap over groups.

    Args:
        one: name, and value of each case.
        other: the same, of the same cases.
        metric: what the values are, for the result.
        group_of: case -> patient or sequence.
        unit: which of them.
    """
    cases = sorted(one[1])
    names, numbers = np.unique([group_of[case] for case in cases], return_inverse=True)
    differences = np.array([one[1][case] - other[1][case] for case in cases])
    sums, sizes = np.bincount(numbers, differences), np.bincount(numbers)
    interval = limits(ratios(draw(len(names)), sums, sizes)) if len(names) >= FEWEST_GROUPS else None
    return Difference(
        one=one[0],
        other=other[0],
        metric=metric,
        difference=float(differences.mean()),
        interval=interval,
        unit=unit,
        n_groups=len(names),
        verdict=_verdict(interval),
    )


def _verdict(interval: tuple[float, float] | None) -> Verdict:
    if interval is None:
        return "too few groups to tell"
    return "no difference shown" if interval[0] <= 0 <= interval[1] else "a difference is shown"
