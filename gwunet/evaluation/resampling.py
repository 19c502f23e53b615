"""Whole groups of frames drawn with replacement: frames of one patient or sequence resemble one another.

All intervals of the program are made here: the same draws for the same number of groups, the same limits.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Unit = Literal["patient", "sequence", "frame"]
"""What is drawn."""

LEVEL = 0.95
RESAMPLES = 1000
SEED = 20250428
FEWEST_GROUPS = 6
"""Of fewer groups drawn with replacement the limits of an interval say little: it is not given. Of two to five groups,
intervals that should cover the truth in 95 of 100 cases cover it in 49 to 84."""
TOO_FEW_GROUPS = "an interval needs six groups at least"


def unit_of(groups: Iterable[tuple[str | None, str | None]]) -> Unit:
    """What to draw, from the patient and sequence of every frame, None where unknown.

    Patients where any is known, and each sequence without one as if it were another; sequences where these are a single
    group; frames where not all sequences are known either.
    """
    known = set(groups)
    if (
        any(patient is not None for patient, _ in known)
        and len({patient or (sequence,) for patient, sequence in known}) > 1
    ):
        return "patient"
    return "frame" if any(sequence is None for _, sequence in known) else "sequence"


def groups_of_frames(frames: Sequence[Mapping[str, Any]]) -> tuple[Unit, dict[str, str]]:
    """What to draw of a summary's frames (``Summary.frames``), and case -> name of its group."""
    unit = unit_of((frame.get("patient"), frame.get("sequence")) for frame in frames)
    return unit, {frame["case"]: group_name(frame, unit) for frame in frames}


def group_name(frame: Mapping[str, Any], unit: Unit) -> str:
    """What a frame's group is called; without a patient it is of its sequence, and without that a group of its own."""
    patient, sequence, case = (frame.get(key) for key in ("patient", "sequence", "case"))
    if unit == "patient":
        return str(patient or sequence or case)
    if unit == "sequence" and sequence is not None:
        return sequence if patient is None else f"{patient}/{sequence}"  # two patients may each have one of that name
    return str(case)


def draw(n_groups: int, n_resamples: int = RESAMPLES) -> NDArray[np.int64]:
    """``(R, n_groups)``: how often each group is in each resample; always the same for a number of groups."""
    chances = np.full(n_groups, 1 / n_groups)
    return np.random.default_rng(SEED).multinomial(n_groups, chances, n_resamples)


def ratios(draws: NDArray[np.int64], part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """``(R,)`` ratio of sums over the groups drawn, NaN where there is nothing to divide by.

    Args:
        draws: ``(R, groups)``.
        part: ``(groups,)`` numerators.
        whole: ``(groups,)`` denominators, numbers of things.
    """
    below = draws @ np.asarray(whole)
    return np.where(below > 0, draws @ np.asarray(part) / np.maximum(below, 1), np.nan)


def limits(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Percentile interval of resampled values but the NaN ones; None where there are no others."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return None
    lower, upper = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(lower), float(upper)


def interval_of_mean(groups: Sequence[Sequence[float]]) -> tuple[float, float] | None:
    """Interval of the mean of all values; None below ``FEWEST_GROUPS`` groups that have any."""
    if sum(len(group) > 0 for group in groups) < FEWEST_GROUPS:
        return None
    return limits(ratios(draw(len(groups)), list(map(sum, groups)), list(map(len, groups))))
