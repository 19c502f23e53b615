"""Gaps in a wire: ends of two pieces that point at each other are joined by a straight piece as wide as they are."""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from gwunet.thinning import thinned

BoolMask = NDArray[np.bool_]

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)
LOOK_BACK_PX = 10
"""An end points away from the middle of its centreline's last so many pixels."""
LARGEST_TURN_DEG = 40.0
"""Between the direction of an end and the bridge; a guidewire is stiff, so both ends look at each other."""


@dataclasses.dataclass(frozen=True, slots=True)
class Bridge:
    """A straight piece from the middle of one end's last pixels to that of another's, (row, column) each."""

    start: tuple[float, float]
    end: tuple[float, float]
    length_px: float
    """Between the two ends of centrelines."""
    radius_px: float


def bridge_gaps(mask: BoolMask, gap_px: float) -> BoolMask:
    """``mask`` (H, W) with gaps of at most ``gap_px`` bridged."""
    return draw_bridges(mask, find_bridges(mask, gap_px))


def find_bridges(mask: BoolMask, gap_px: float) -> list[Bridge]:
    """The bridges, shortest first: each end is used once, and pieces that are joined already are not joined again.

    So the bridges of a smaller gap are the first ones of a larger gap's.
    """
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return []
    corner = np.array((rows[0], columns[0]))
    mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    pieces, count = ndimage.label(mask, EIGHT_NEIGHBOURS)
    if count < 2:
        return []
    skeleton = thinned(mask)
    line = np.stack(np.unravel_index(np.flatnonzero(skeleton), skeleton.shape), axis=1)
    with_itself = ndimage.convolve(skeleton.astype(np.uint8), EIGHT_NEIGHBOURS, mode="constant")
    of_line = pieces[tuple(line.T)]
    ends = np.flatnonzero(with_itself[tuple(line.T)] <= 2)
    middles = _middles(line, of_line, ends)
    widths = _widths(np.bincount(pieces.ravel()), np.bincount(of_line, minlength=count + 1))
    pairs = cKDTree(line[ends]).query_pairs(gap_px, output_type="ndarray")
    lengths = np.linalg.norm(line[ends[pairs[:, 0]]] - line[ends[pairs[:, 1]]], axis=1)
    joined = list(range(count + 1))
    used: set[int] = set()
    bridges = []
    for number in np.lexsort((pairs[:, 1], pairs[:, 0], lengths)):
        one, other = (int(end) for end in pairs[number])
        root_a, root_b = (_root(joined, int(of_line[ends[end]])) for end in (one, other))
        a, b = line[ends[one]], line[ends[other]]
        if root_a == root_b or used & {one, other} or not _look_at_each_other(a, b, middles[one], middles[other]):
            continue
        joined[root_a] = root_b
        used |= {one, other}
        start, end = ((float(row), float(column)) for row, column in (middles[one] + corner, middles[other] + corner))
        width = float(widths[of_line[ends[one]]] + widths[of_line[ends[other]]]) / 2
        bridges.append(Bridge(start, end, float(lengths[number]), max(0.5, width / 2)))
    return bridges


def draw_bridges(mask: BoolMask, bridges: list[Bridge]) -> BoolMask:
    """``mask`` with the pixels whose centre lies on a bridge."""
    mask = mask.copy() if bridges else mask
    for bridge in bridges:
        reach = math.ceil(bridge.radius_px)
        pairs = list(zip(bridge.start, bridge.end, strict=True))
        low = [max(0, math.floor(min(pair)) - reach) for pair in pairs]
        high = [math.ceil(max(pair)) + reach + 1 for pair in pairs]
        part = mask[low[0] : high[0], low[1] : high[1]]
        pixels = np.indices(part.shape) + np.reshape(low, (2, 1, 1))
        along = np.subtract(bridge.end, bridge.start)
        offset = pixels - np.reshape(bridge.start, (2, 1, 1))
        share = np.clip(np.tensordot(along, offset, axes=1) / (along @ along), 0, 1)
        distance = np.linalg.norm(offset - share * along.reshape(2, 1, 1), axis=0)
        part |= distance <= bridge.radius_px
    return mask


def _middles(line: NDArray[np.int64], of_line: NDArray[np.int32], ends: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """For each end the middle of its centreline's last pixels: the end itself strays to a corner of the wire."""
    near = cKDTree(line).query_ball_point(line[ends], LOOK_BACK_PX)
    return [
        line[[index for index in neighbours if of_line[index] == of_line[end]]].mean(axis=0)
        for end, neighbours in zip(ends, near, strict=True)
    ]


def _widths(areas: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of pieces by their pixels and those of their centrelines, which end about half a width before the piece does.

    So ``area = width * (length + width)``.
    """
    return np.asarray((np.sqrt(lengths**2 + 4 * areas) - lengths) / 2)


def _look_at_each_other(
    a: NDArray[np.int64], b: NDArray[np.int64], middle_a: NDArray[np.float64], middle_b: NDArray[np.float64]
) -> bool:
    """Whether both ends go on towards each other; one that is no longer than a pixel points nowhere."""
    across = (b - a) / np.linalg.norm(b - a)
    for away in (a - middle_a, middle_b - b):
        length = np.linalg.norm(away)
        if length < 1 or away @ across < length * math.cos(math.radians(LARGEST_TURN_DEG)):
            return False
    return True


def _root(joined: list[int], piece: int) -> int:
    while joined[piece] != piece:
        piece = joined[piece]
    return piece
