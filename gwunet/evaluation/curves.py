"""Distances between two curves, each given by the points of a polyline."""

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]
"""``(N, 2)`` row, column in pixels; N >= 1."""

POINTS_AT_ONCE = 512
"""Bounds memory: of curves with thousands of points the distances are taken in pieces."""


def resampled(curve: Curve, step_px: float = 1.0) -> Curve:
    """Points at equal distances along ``curve``, at most ``step_px`` apart, its ends among them.

    A curve without length gives one point.
    """
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))))
    if along[-1] == 0:
        return curve[:1]
    wanted = np.linspace(0, along[-1], max(int(np.ceil(along[-1] / step_px)), 1) + 1)
    return np.stack([np.interp(wanted, along, curve[:, axis]) for axis in (0, 1)], axis=1)


def distances_px(points: Curve, curve: Curve) -> NDArray[np.float64]:
    """(N,) distance from each of ``points`` to the nearest place of ``curve``, on its vertices or between them."""
    pieces = [
        _distances_px(points[start : start + POINTS_AT_ONCE], curve) for start in range(0, len(points), POINTS_AT_ONCE)
    ]
    return np.concatenate(pieces)


def _distances_px(points: Curve, curve: Curve) -> NDArray[np.float64]:
    """With |p - a - t s|² = |p - a|² - t (2 (p - a)s - t |s|²) for segments from a along s, matrix products do most."""
    # Near the origin squares lose no digits.
    centre = curve.mean(axis=0)
    points, curve = points - centre, curve - centre
    starts = curve[:-1] if len(curve) > 1 else curve
    along = np.diff(curve, axis=0) if len(curve) > 1 else np.zeros_like(curve)
    squared_length = (along**2).sum(axis=1)
    projection = points @ along.T
    projection -= (starts * along).sum(axis=1)
    part = projection / np.where(squared_length > 0, squared_length, 1)
    np.clip(part, 0, 1, out=part)
    projection *= 2
    projection -= part * squared_length
    part *= projection
    squared = points @ (-2 * starts.T)
    squared += (starts**2).sum(axis=1)
    squared -= part
    distances: NDArray[np.float64] = np.sqrt(np.maximum(squared.min(axis=1) + (points**2).sum(axis=1), 0))
    return distances


def frechet_px(curve: Curve, other: Curve) -> float:
    """Discrete Fréchet distance of two curves, each walked from its first point to its last.

    The shortest leash that lets two walkers go from point to point, never back, each along its own curve. Curves that
    run in opposite directions are far apart.

    Reference:
        T. Eiter and H. Mannila, Computing discrete Fréchet distance, TU Wien, 1994. Their recursion, one diagonal of
        the table at a time: the entries of a diagonal depend on the two before it alone.
    """
    n, m = len(curve), len(other)
    rows, columns = np.ascontiguousarray(curve.T), np.ascontiguousarray(other[::-1].T)
    # Entry i + 1 of a diagonal is row i of the table; what lies beyond the table stays infinite.
    before, last, now = np.full((3, n + 1), np.inf)
    before[0] = 0  # so that the first entry is its own distance
    for diagonal in range(n + m - 1):
        first, end = max(0, diagonal - m + 1), min(n, diagonal + 1)
        # Row i of the diagonal is column diagonal - i: the other curve from its end.
        beside = slice(m - 1 - diagonal + first, m - 1 - diagonal + end)
        apart = rows[:, first:end] - columns[:, beside]
        apart *= apart
        least = now[first + 1 : end + 1]
        np.minimum(last[first + 1 : end + 1], last[first:end], out=least)
        np.minimum(least, before[first:end], out=least)
        np.maximum(least, apart[0] + apart[1], out=least)
        now[first] = now[end + 1 : end + 2] = np.inf
        before, last, now = last, now, before
    return float(np.sqrt(last[n]))
