"""Centrelines, contours and pieces of thin masks."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from gwunet.thinning import thinned

BoolMask = NDArray[np.bool_]
Point = tuple[float, float]
"""Row and column, in pixels, 0 at the centre of the first pixel."""

FOUR_NEIGHBOURS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], dtype=bool)
EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


def common_box(mask: BoolMask, other: BoolMask) -> tuple[slice, slice]:
    """Rows and columns that hold all of both masks; the first pixel if they are empty."""
    either = mask | other
    rows, columns = (np.flatnonzero(either.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0, 1), slice(0, 1)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def centreline_of(mask: BoolMask) -> BoolMask:
    """One-pixel-wide, 8-connected skeleton of ``mask``, both (H, W)."""
    return thinned(mask)


def contour_of(mask: BoolMask) -> BoolMask:
    """Pixels of ``mask`` with one of their four neighbours outside it; beyond the frame counts as outside."""
    inside = np.pad(mask, 1)
    interior = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    contour: BoolMask = mask & ~interior
    return contour


def pixels_of(mask: BoolMask) -> NDArray[np.int64]:
    """(N, 2) row and column of the mask's pixels; on thin masks several times faster than ``np.argwhere``."""
    return np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape), axis=1)


def contour_distances_px(mask: BoolMask, other: BoolMask) -> NDArray[np.float64]:
    """Distance from every contour pixel of ``mask`` to the nearest of ``other``; empty if either mask is.

    A search tree on the few contour pixels is some twenty times faster than distance maps of the frame.
    """
    if not (mask.any() and other.any()):
        return np.empty(0)
    distances, _ = cKDTree(pixels_of(contour_of(other))).query(pixels_of(contour_of(mask)))
    return np.asarray(distances, dtype=np.float64)


def count_pieces(wire: BoolMask, predicted_centreline: BoolMask) -> tuple[int, int]:
    """Breaks and false pieces of a predicted centreline.

    A piece is an 8-connected part. It lies on a reference wire (an 8-connected part of ``wire``) when they share a
    pixel. Breaks are, summed over the reference wires, the pieces on it beyond the first.
    """
    wires, _ = ndimage.label(wire, EIGHT_NEIGHBOURS)
    pieces, n_pieces = ndimage.label(predicted_centreline, EIGHT_NEIGHBOURS)
    shared = predicted_centreline & wire
    pairs = np.unique(np.stack((wires[shared], pieces[shared])), axis=1)
    breaks = pairs.shape[1] - len(np.unique(pairs[0]))
    return breaks, n_pieces - len(np.unique(pairs[1]))


def betti_numbers(mask: BoolMask) -> tuple[int, int]:
    """Number of 8-connected pieces of ``mask``, and of holes: 4-connected parts of the rest that are closed in.

    Beyond the frame lies background, so a wire that runs along the frame's border closes nothing in.
    """
    _, n_pieces = ndimage.label(mask, EIGHT_NEIGHBOURS)
    _, n_around = ndimage.label(~np.pad(mask, 1), FOUR_NEIGHBOURS)
    return n_pieces, n_around - 1


def tip_errors_px(predicted_centreline: BoolMask, tips: Sequence[Point]) -> list[float]:
    """Distance of each true tip to the nearest endpoint of the centreline; none where there is no centreline.

    An endpoint has at most one neighbour; a centreline without any (a closed loop) offers all its pixels.
    """
    if not tips or not predicted_centreline.any():
        return []
    with_itself = ndimage.convolve(predicted_centreline.astype(np.uint8), EIGHT_NEIGHBOURS, mode="constant")
    endpoints = pixels_of(predicted_centreline & (with_itself <= 2))
    distances, _ = cKDTree(endpoints if len(endpoints) else pixels_of(predicted_centreline)).query(tips)
    return [float(distance) for distance in distances]
