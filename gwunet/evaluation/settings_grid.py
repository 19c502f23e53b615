"""Dice of one frame under hundreds of settings at once, from the pieces of its probabilities.

A mask under any threshold, hysteresis and smallest piece is a union of pieces (8-connected parts) of the pixels above
the low threshold. So the pieces of each low threshold are found once, with their size, their wire pixels and their
highest probability, and every setting's counts are sums over pieces: nothing is scored again.
"""

import dataclasses
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gwunet.dataset import IGNORE
from gwunet.postprocessing import Postprocessing
from gwunet.postprocessing.settings import first_level

THRESHOLDS = tuple(step / 20 for step in range(1, 20))
SMALLEST_PX = (0, 10, 25, 50, 100)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SettingsGrid:
    """Thresholds, with and without hysteresis, and smallest pieces, each with each."""

    thresholds: tuple[float, ...] = THRESHOLDS
    """Rising."""
    smallest_px: tuple[int, ...] = SMALLEST_PX
    """Rising, the first one 0."""

    @staticmethod
    def around(planned: float) -> "SettingsGrid":
        """The usual grid, which has the planned threshold too."""
        return SettingsGrid(thresholds=tuple(sorted({*THRESHOLDS, planned})))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Low thresholds, thresholds, smallest pieces."""
        return len(self.thresholds), len(self.thresholds), len(self.smallest_px)

    def settings(self, index: tuple[int, int, int]) -> Postprocessing:
        """What an entry of the grid stands for; without hysteresis both thresholds are one."""
        low, high, smallest = index
        return Postprocessing(
            threshold=self.thresholds[high],
            low_threshold=None if low == high else self.thresholds[low],
            smallest_px=self.smallest_px[smallest],
        )


def dice_on_grid(
    levels: NDArray[np.integer[Any]], top: int, reference: NDArray[np.uint8], grid: SettingsGrid
) -> NDArray[np.float32]:
    """Dice of a frame under every setting of ``grid``.

    Args:
        levels: (H, W) probabilities in whole steps of 1/``top``.
        top: the level of probability 1.
        reference: (H, W), 0 background, 1 wire, 2 left out.
        grid: the settings.

    Returns:
        ``grid.shape`` Dice, NaN where the low threshold is above the threshold. 1 where both masks are empty.
    """
    first = [first_level(threshold, top) for threshold in grid.thresholds]
    n_wire = np.count_nonzero(reference == 1)
    pixels = _Pixels(levels, reference, first[0])
    dice = np.full(grid.shape, np.nan, np.float32)
    for low, level in enumerate(first):
        predicted, right = pixels.counts(level, first, grid.smallest_px)
        whole = predicted + n_wire
        found = np.where(whole > 0, 2 * right / np.maximum(whole, 1), 1)
        dice[low, low:] = found[low:]
    return dice


class _Pixels:
    """The pixels of a frame that reach the lowest threshold, and which of them are neighbours; both highest first.

    So at any threshold they are the first ones of each.
    """

    def __init__(self, levels: NDArray[np.integer[Any]], reference: NDArray[np.uint8], lowest: int) -> None:
        above = levels >= lowest
        order = np.argsort(-levels[above].astype(np.int64), kind="stable")
        self._levels = levels[above].astype(np.int64)[order]
        self._counted = (reference[above] != IGNORE).astype(np.float64)[order]
        self._wire = (reference[above] == 1).astype(np.float64)[order]
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        number = np.full(np.add(levels.shape, (1, 2)), -1)  # so that no neighbour is beyond an edge
        number[:-1, 1:-1][above] = rank
        pairs = []
        for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):
            there = number[down : down + levels.shape[0], 1 + right : 1 + right + levels.shape[1]][above]
            pairs.append(np.stack((rank[there >= 0], there[there >= 0])))
        joined = np.concatenate(pairs, axis=1)
        lower = joined.max(axis=0)  # the later one in the order is the lower one
        by_level = np.argsort(lower, kind="stable")
        self._pairs, self._lower = joined[:, by_level], lower[by_level]

    def counts(
        self, low: int, highs: list[int], smallest_px: tuple[int, ...]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(thresholds, smallest pieces) pixels of wire predicted, and those of them that are wire."""
        n = int(np.searchsorted(-self._levels, -low, side="right"))
        one, other = self._pairs[:, : np.searchsorted(self._lower, n)]
        neighbours = coo_array((np.ones(len(one), bool), (one, other)), shape=(n, n))
        n_pieces, piece = connected_components(neighbours, directed=False)
        highest = np.zeros(n_pieces, np.int64)
        highest[piece[::-1]] = self._levels[:n][::-1]  # what is written last stays: the highest
        # The classes of a piece: how many thresholds and smallest sizes it passes.
        size = np.bincount(piece, minlength=n_pieces)
        passed = np.searchsorted(highs, highest, side="right"), np.searchsorted(smallest_px, size, side="right")
        shape = len(highs) + 1, len(smallest_px) + 1
        where = np.ravel_multi_index(passed, shape)[piece]
        tables = (
            np.bincount(where, weights[:n], minlength=shape[0] * shape[1]) for weights in (self._counted, self._wire)
        )
        predicted, right = (_sums_from(table.reshape(shape))[1:, 1:] for table in tables)
        return predicted, right


def _sums_from(table: NDArray[Any]) -> NDArray[np.float64]:
    """Each entry with all that are no lower in either class."""
    return table[::-1, ::-1].cumsum(axis=0).cumsum(axis=1)[::-1, ::-1]


def simplest_first(grid: SettingsGrid, planned: float) -> list[list[tuple[int, int, int]]]:
    """The settings by the number of steps they have beyond the planned threshold, the fewest first."""
    n_low, n_high, n_smallest = grid.shape
    kinds: list[list[tuple[int, int, int]]] = [[], [], [], []]
    for low, high, smallest in itertools.product(range(n_low), range(n_high), range(n_smallest)):
        if low <= high:
            steps = (grid.thresholds[high] != planned) + (low != high) + (smallest > 0)
            kinds[steps].append((low, high, smallest))
    return kinds
