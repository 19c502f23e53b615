"""Settings chosen on some frames and judged on others, and never on the same.

What is chosen is wrapped in ``Chosen`` together with the frames it was chosen on. Whoever wants to judge it must say on
which frames, and gets it only if none of them, and none of their patients, had a part in the choice.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from gwunet.dataset import Case
from gwunet.errors import SplitError, UsageError
from gwunet.evaluation.geometry import Point
from gwunet.evaluation.settings_grid import SettingsGrid, simplest_first
from gwunet.postprocessing import Postprocessing

T = TypeVar("T")

LEAST_GAIN = 0.001
"""What each further step must add to the mean Dice (or clDice) of the frames chosen on; and it must add more than the
standard error of that gain between patients. Less is chance, and a step that is not there cannot go wrong."""
FEWEST_GROUPS = 2
"""To choose on; the gain in a single one has no standard error."""
GAPS_PX = (10, 20, 40)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OutOfFoldFrame:
    """A frame with what was predicted by weights that were not trained on it."""

    case: Case
    fold: int
    group: str
    """What no fold divides: its patient, sequence or site; the frame itself where folds divide sequences."""
    probabilities: tuple[Path, ...]
    """One file for each model."""
    tips: tuple[Point, ...] = ()
    """Of its true wires, where they are known."""


class Chosen(Generic[T]):
    """A value chosen on frames."""

    def __init__(self, value: T, frames: Iterable[OutOfFoldFrame]) -> None:
        self._value = value
        self.frames = tuple(frames)
        """Those it was chosen on."""
        self._cases = {frame.case.name for frame in self.frames}
        self._groups = {frame.group for frame in self.frames}

    def to_judge(self, frames: Sequence[OutOfFoldFrame]) -> T:
        """The value, for use on ``frames``.

        Raises:
            SplitError: one of them, or of the same patient or sequence, is among the frames it was chosen on.
        """
        for frame in frames:
            if frame.case.name in self._cases or frame.group in self._groups:
                what = frame.case.name if frame.case.name in self._cases else f"others of {frame.group}"
                raise SplitError(
                    f"{frame.case.name}: found {what} among the frames that its settings were chosen on; wanted "
                    "settings chosen on other folds, or its score says nothing about new frames"
                )
        return self._value

    def to_ship(self) -> T:
        """The value, for frames that nobody has seen."""
        return self._value


def choose_settings(
    grid: SettingsGrid, planned: float, dice: NDArray[np.floating[Any]], frames: Sequence[OutOfFoldFrame]
) -> Chosen[Postprocessing]:
    """The settings of ``grid`` with the best mean Dice; more steps only where each adds ``LEAST_GAIN``.

    Args:
        grid: what to choose from.
        planned: the threshold to keep where nothing is better.
        dice: (frames, *grid.shape).
        frames: in the same order.

    Raises:
        UsageError: there is nothing to choose on.
    """
    if not frames:
        raise UsageError("no frames to choose threshold and postprocessing on; at least two folds are needed")
    mean = dice.mean(axis=0, dtype=np.float64)

    def worth(index: tuple[int, int, int]) -> tuple[float, ...]:
        """Of equally good ones those nearest to what was planned."""
        low, high, smallest = index
        return float(mean[index]), -abs(grid.thresholds[high] - planned), low - high, -smallest

    groups = [frame.group for frame in frames]
    (best,), *further = simplest_first(grid, planned)
    best_steps = 0
    for steps, indices in enumerate(further, start=1):
        index = max(indices, key=worth, default=best)
        if _gains(dice[:, *index] - dice[:, *best], groups, LEAST_GAIN * (steps - best_steps)):
            best, best_steps = index, steps
    return Chosen(grid.settings(best), frames)


def _gains(gain: NDArray[np.floating[Any]], groups: Sequence[str], least: float) -> bool:
    """Whether the mean over frames reaches ``least``, and its group means are not as likely chance.

    Args:
        gain: of each frame.
        groups: of each frame.
        least: of the mean.
    """
    names, numbers = np.unique(groups, return_inverse=True)
    if len(names) < FEWEST_GROUPS or gain.mean() < least:
        return False
    of_groups = np.bincount(numbers, gain) / np.bincount(numbers)
    return bool(of_groups.mean() > of_groups.std(ddof=1) / math.sqrt(len(names)))


def choose_gap(
    settings: Chosen[Postprocessing], dice: NDArray[np.floating[Any]], cldice: NDArray[np.floating[Any]]
) -> Chosen[Postprocessing]:
    """The gap to bridge with the best mean clDice, which sees breaks, among those that cost no Dice.

    Args:
        settings: those the gap comes on top of; the frames they were chosen on are those of the arrays.
        dice: (frames, 1 + gaps), the first column without bridges.
        cldice: the same of clDice.
    """
    groups = [frame.group for frame in settings.frames]
    costs_nothing = [index for index in range(1, len(GAPS_PX) + 1) if dice[:, index].mean() >= dice[:, 0].mean()]
    best = max(costs_nothing, key=lambda index: float(cldice[:, index].mean()), default=0)
    if not best or not _gains(cldice[:, best] - cldice[:, 0], groups, LEAST_GAIN):
        return settings
    return Chosen(dataclasses.replace(settings.to_ship(), gap_px=GAPS_PX[best - 1]), settings.frames)
