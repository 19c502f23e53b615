"""The part of a probability map that has wires in it, read between pixels."""

import dataclasses
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gwunet.localization.skeleton import Mask, Points

MARGIN_PX = 12
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
        """The surroundings of a mask's pixels, all arguments (H, W); None if there are none."""
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
        values[here] = probability[there]
        inside[here] = True if field is None else field[there]
        if field is not None:
            values[~inside] = 0
        return cls(values, inside, (int(first[0]), int(first[1])), threshold)

    @property
    def mask(self) -> Mask:
        """(h, w) bool."""
        return np.asarray(self.values >= self.threshold)

    def at(self, points: Points) -> NDArray[np.float64]:
        """(...) values at (..., 2) places, linear between pixel centres; beyond the cut-out as at its edge."""
        height, width = self.values.shape
        # Not np.clip: for a few hundred places its overhead is a third of the time.
        row = np.minimum(np.maximum(points[..., 0], 0), height - 1.001)
        column = np.minimum(np.maximum(points[..., 1], 0), width - 1.001)
        top, left = row.astype(np.intp), column.astype(np.intp)
        down, right = row - top, column - left
        flat = self.values.ravel()
        corner = top * width + left
        left_of = 1 - right
        upper = flat.take(corner) * left_of + flat.take(corner + 1) * right
        corner += width
        lower = flat.take(corner) * left_of + flat.take(corner + 1) * right
        return np.asarray(upper * (1 - down) + lower * down)

    def is_inside(self, points: Points) -> Mask:
        """(...) whether (..., 2) places lie on pixels of the exposed field; beyond the cut-out as at its edge."""
        rows, columns = np.rint(points[..., 0]).astype(np.intp), np.rint(points[..., 1]).astype(np.intp)
        height, width = self.inside.shape
        return np.asarray(
            self.inside[np.minimum(np.maximum(rows, 0), height - 1), np.minimum(np.maximum(columns, 0), width - 1)]
        )

    def cut_near(self, place: Points, radius_px: float) -> Points:
        """(K, 2) pixels of wires that touch the end of the exposed field within a radius of a place."""
        first = np.maximum(np.floor(place - radius_px).astype(np.intp), 1)
        last = np.minimum(np.ceil(place + radius_px).astype(np.intp) + 1, np.array(self.values.shape) - 1)
        if (last <= first).any():
            return np.empty((0, 2))
        window = slice(first[0], last[0]), slice(first[1], last[1])
        surroundings = self.inside[first[0] - 1 : last[0] + 1, first[1] - 1 : last[1] + 1]
        if surroundings.all():
            return np.empty((0, 2))
        interior = surroundings[:-2, 1:-1] & surroundings[2:, 1:-1] & surroundings[1:-1, :-2] & surroundings[1:-1, 2:]
        cut = np.argwhere((self.values[window] >= self.threshold) & ~interior) + first
        return np.asarray(cut[np.hypot(*(cut - place).T) <= radius_px], np.float64)
