"""The part of a probability map that has wires in it, read between pixels."""

import dataclasses
import math
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.localization.skeleton import Mask, Points

MARGIN_PX = 20
"""Zeros or probabilities around the wires' bounding box."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Map:
    """A cut-out; its coordinates count from its own first pixel."""

    values: NDArray[np.float32]
    """(h, w) probabilities; 0 beyond the frame and beyond the exposed field."""
    inside: Mask
    """(h, w) the exposed field."""
    origin: tuple[int, int]
    """Row and column of its first pixel in the frame; negative where it reaches beyond."""
    threshold: float

    @classmethod
    def around(cls, probability: NDArray[np.generic], mask: Mask, field: Mask | None, threshold: float) -> Self | None:
        """The surroundings of the pixels of a mask within the field, all (H, W); None if there are none."""
        rows = np.flatnonzero(mask.any(axis=1))
        if not rows.size:
            return None
        columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
        first = np.array([rows[0], columns[0]]) - MARGIN_PX
        last = np.array([rows[-1], columns[-1]]) + MARGIN_PX + 1
        start, stop = np.maximum(first, 0), np.minimum(last, mask.shape)
        there = slice(start[0], stop[0]), slice(start[1], stop[1])
        here = slice(start[0] - first[0], stop[0] - first[0]), slice(start[1] - first[1], stop[1] - first[1])
        values = np.zeros(last - first, np.float32)
        inside = np.zeros(values.shape, np.bool_)
        inside[here] = True if field is None else field[there]
        if field is None or probability is mask:
            values[here] = probability[there]
        else:
            np.copyto(values[here], probability[there], casting="unsafe", where=inside[here])
        return cls(values, inside, (int(first[0]), int(first[1])), threshold)

    @property
    def mask(self) -> Mask:
        """(h, w) bool."""
        return np.asarray(self.values >= self.threshold)

    def at(self, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """(...) values at places, linear between pixel centres; beyond the cut-out as at its edge."""
        height, width = self.values.shape
        # Not np.clip: for a few hundred places its overhead is a third of the time.
        down = np.minimum(np.maximum(rows, 0), height - 1.001)
        right = np.minimum(np.maximum(columns, 0), width - 1.001)
        top, left = down.astype(np.intp), right.astype(np.intp)
        down -= top
        right -= left
        corner = top
        corner *= width
        corner += left
        left_of = 1 - right
        flat = self.values.ravel()
        upper = flat.take(corner) * left_of
        upper += flat[1:].take(corner) * right
        lower = flat[width:].take(corner) * left_of
        lower += flat[width + 1 :].take(corner) * right
        lower *= down
        upper *= 1 - down
        upper += lower
        return np.asarray(upper)

    def pixels(self, places: Points) -> NDArray[np.float32]:
        """(N,) values of the pixels on which (N, 2) places lie; beyond the cut-out as at its edge."""
        return np.asarray(self.values[self._pixel(places[:, 0], places[:, 1])])

    def is_inside(self, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> Mask:
        """(...) whether places lie on pixels of the exposed field; beyond the cut-out as at its edge."""
        return np.asarray(self.inside[self._pixel(rows, columns)])

    def _pixel(self, rows: NDArray[np.float64], columns: NDArray[np.float64]) -> tuple[NDArray[np.intp], ...]:
        height, width = self.values.shape
        row, column = np.rint(rows).astype(np.intp), np.rint(columns).astype(np.intp)
        return np.minimum(np.maximum(row, 0), height - 1), np.minimum(np.maximum(column, 0), width - 1)

    def is_all_inside(self, place: tuple[float, float], radius_px: float) -> bool:
        """Whether all pixels within a radius of a place, and some more, are of the exposed field."""
        rows, columns = (
            slice(
                min(max(math.floor(middle - radius_px), 0), size - 1),
                min(max(math.ceil(middle + radius_px), 0), size - 1) + 1,
            )
            for middle, size in zip(place, self.inside.shape, strict=True)
        )
        return bool(self.inside[rows, columns].all())

    def cut_near(self, place: Points, radius_px: float) -> Points:
        """(K, 2) pixels of wires that touch the end of the exposed field within a radius of a place."""
        first, last = self._box(place, radius_px)
        if (last <= first).any():
            return np.empty((0, 2))
        window = slice(first[0], last[0]), slice(first[1], last[1])
        surroundings = self.inside[first[0] - 1 : last[0] + 1, first[1] - 1 : last[1] + 1]
        interior = surroundings[:-2, 1:-1] & surroundings[2:, 1:-1] & surroundings[1:-1, :-2] & surroundings[1:-1, 2:]
        cut = np.argwhere((self.values[window] >= self.threshold) & ~interior) + first
        return np.asarray(cut[np.hypot(*(cut - place).T) <= radius_px], np.float64)

    def joined_to(self, place: Points, pixels: Points, radius_px: float) -> Mask:
        """(K,) which of (K, 2) pixels of wires are joined, near a place, to the wire that is nearest to it.

        Args:
            place: with a pixel of a wire within the radius.
            pixels: all within the radius.
            radius_px: what lies further away joins nothing.
        """
        first, last = self._box(place, radius_px)
        wires = self.values[first[0] : last[0], first[1] : last[1]] >= self.threshold
        pieces, _ = ndimage.label(wires, np.ones((3, 3)))
        there = np.argwhere(wires)
        nearest = there[np.hypot(*(there + first - place).T).argmin()]
        return np.asarray(pieces[tuple((pixels.astype(np.intp) - first).T)] == pieces[tuple(nearest)])

    def _box(self, place: Points, radius_px: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """First pixel, and the one after the last, of a square around a place, not on the cut-out's edge."""
        first = np.maximum(np.floor(place - radius_px).astype(np.intp), 1)
        last = np.minimum(np.ceil(place + radius_px).astype(np.intp) + 1, np.array(self.values.shape) - 1)
        return first, last
