"""Bootstrap confidence intervals of what is said about wires."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

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
from gwunet.evaluation.wires import WireMatch, WireScore

MEDIANS = ("tip_error_px", "base_error_px", "mean_distance_px")
RESAMPLES_AT_ONCE = 100
"""Bounds memory."""
NEVER_DEFINED = "no resample has a value"


@dataclass(frozen=True, kw_only=True, slots=True)
class WireIntervals:
    """Percentile intervals over resampled groups."""

    level: float
    """Nominal coverage."""
    unit: Unit
    """What is drawn with replacement."""
    n_groups: int
    n_resamples: int
    seed: int
    medians: Mapping[str, tuple[float, float]]
    """Distance -> limits of its median over matched wires."""
    shares: Mapping[str, tuple[float, float]]
    """``precision``, ``recall``, ``frames_with_missed`` or ``frames_with_false`` -> limits."""
    not_computed: Mapping[str, str] = field(default_factory=dict)
    n_groups_of: Mapping[str, int] = field(default_factory=dict)
    """Distance or share -> how many of the groups have a part in it, where not all have."""


def wire_intervals(groups: Sequence[Sequence[WireScore]], unit: Unit) -> WireIntervals:
    """The same groups always give the same intervals.

    Args:
        groups: frames by patient, by sequence or alone.
        unit: which of these.
    """
    draws, counts = draw(len(groups)), _counts(groups)
    n_groups = dict.fromkeys(MEDIANS, sum(any(frame.matches for frame in group) for group in groups))
    n_groups |= {name: int(np.count_nonzero(whole)) for name, (_, whole) in counts.items()}
    enough = {name for name, number in n_groups.items() if number >= FEWEST_GROUPS}
    medians = {name: _medians(groups, name, draws) for name in MEDIANS if name in enough}
    shares = {name: ratios(draws, *counted) for name, counted in counts.items() if name in enough}
    found = {name: limits(values) for name, values in (medians | shares).items()}
    known = {name: interval for name, interval in found.items() if interval is not None}
    return WireIntervals(
        level=LEVEL,
        unit=unit,
        n_groups=len(groups),
        n_resamples=RESAMPLES,
        seed=SEED,
        medians={name: known[name] for name in medians if name in known},
        shares={name: known[name] for name in shares if name in known},
        not_computed={
            name: TOO_FEW_GROUPS if number else NEVER_DEFINED for name, number in n_groups.items() if name not in known
        },
        n_groups_of={name: number for name, number in n_groups.items() if number < len(groups)},
    )


def _counts(groups: Sequence[Sequence[WireScore]]) -> dict[str, tuple[list[int], list[int]]]:
    """Share -> its numerator and its denominator in every group."""
    matched = [sum(len(frame.matches) for frame in group) for group in groups]
    return {
        "precision": (matched, [sum(frame.n_predicted for frame in group) for group in groups]),
        "recall": (matched, [sum(frame.n_reference for frame in group) for group in groups]),
        "frames_with_missed": ([sum(bool(frame.missed) for frame in group) for group in groups], _sizes(groups)),
        "frames_with_false": ([sum(bool(frame.false) for frame in group) for group in groups], _sizes(groups)),
    }


def _sizes(groups: Sequence[Sequence[WireScore]]) -> list[int]:
    return list(map(len, groups))


def _medians(groups: Sequence[Sequence[WireScore]], name: str, draws: NDArray[np.int64]) -> NDArray[np.float64]:
    """(R,) median in every resample, a value counting as often as its group is drawn."""
    matches: list[tuple[float, int]] = [
        (_error(match, name), number)
        for number, group in enumerate(groups)
        for frame in group
        for match in frame.matches
    ]
    if not matches:
        return np.full(len(draws), np.nan)
    values, numbers = (np.array(side) for side in zip(*sorted(matches), strict=True))
    pieces = [
        _weighted_medians(values, draws[start : start + RESAMPLES_AT_ONCE, numbers])
        for start in range(0, len(draws), RESAMPLES_AT_ONCE)
    ]
    return np.concatenate(pieces)


def _weighted_medians(values: NDArray[np.float64], times: NDArray[np.int64]) -> NDArray[np.float64]:
    """(R,) median of (N,) rising values, of which each counts as often as (R, N) ``times`` says."""
    up_to = np.cumsum(times, axis=1)
    count = up_to[:, -1]
    # For an even number of values the mean of the two in the middle.
    places = [(up_to < rank[:, None]).sum(axis=1) for rank in ((count + 1) // 2, count // 2 + 1)]
    lower, upper = (values[np.minimum(place, len(values) - 1)] for place in places)
    return np.where(count > 0, (lower + upper) / 2, np.nan)


def _error(match: WireMatch, name: str) -> float:
    value: float = getattr(match, name)
    return value
