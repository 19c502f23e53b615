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
    padded = np.full((n, n + m), np.inf)
    padded[:, :m] = (curve[:, :1] - other[:, 0]) ** 2 + (curve[:, 1:] - other[:, 1]) ** 2
    # Rows of n + m entries read as rows of one fewer: each moves a column further, so that diagonals become columns.
    diagonals = np.ascontiguousarray(padded.reshape(-1)[: n * (n + m - 1)].reshape(n, n + m - 1).T)
    # Entry i + 1 of a diagonal is row i of the table; entry 0 lies before the table.
    before, last, now = np.full((3, n + 1), np.inf)
    last[1] = diagonals[0, 0]
    for diagonal in diagonals[1:]:
        least = now[1:]
        np.minimum(last[1:], last[:-1], out=least)
        np.minimum(least, before[:-1], out=least)
        np.maximum(least, diagonal, out=least)
        before, last, now = last, now, before
    return float(np.sqrt(last[n]))
