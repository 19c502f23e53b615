"""Smooth random curves in the image plane: arrays of (N, 2) float64 points, row then column, one pixel apart."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Points = NDArray[np.float64]


def smooth_noise(rng: np.random.Generator, n_steps: int, correlation_px: float) -> NDArray[np.float64]:
    """(n_steps,) Gaussian noise of unit variance, correlated along the curve."""
    white = rng.standard_normal(n_steps)
    smooth = ndimage.gaussian_filter1d(white, correlation_px, mode="wrap")
    # The standard deviation of a Gaussian-filtered white sequence is 1 / sqrt(2 sigma sqrt(pi)).
    return np.asarray(smooth * np.sqrt(2 * correlation_px * np.sqrt(np.pi)))


def smooth_turns(rng: np.random.Generator, n_steps: int, bend: float, correlation_px: float) -> NDArray[np.float64]:
    """Random change of heading per step, (n_steps,) radians.

    Args:
        bend: standard deviation of the curvature, radians per pixel; its inverse is a typical radius of curvature.
        correlation_px: length over which the curvature keeps its sign.
    """
    return bend * smooth_noise(rng, n_steps, correlation_px)


def trace(start: NDArray[np.float64], headings: NDArray[np.float64]) -> Points:
    """The curve that leaves ``start`` and takes one step of a pixel along every heading (0 is along the columns)."""
    steps = np.stack([np.sin(headings), np.cos(headings)], axis=1)
    return np.concatenate([start[None], start + np.cumsum(steps, axis=0)])


def headings_of(points: Points) -> NDArray[np.float64]:
    """Heading of every step of a curve, (N - 1,) radians."""
    steps = np.diff(points, axis=0)
    return np.arctan2(steps[:, 0], steps[:, 1])


def normals_of(points: Points) -> Points:
    """Unit normal at every point of a curve, (N, 2)."""
    tangents = np.gradient(points, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    return np.stack([-tangents[:, 1], tangents[:, 0]], axis=1)


def random_curve(
    rng: np.random.Generator, start: NDArray[np.float64], heading: float, length_px: int, bend: float
) -> Points:
    """A smooth curve of ``length_px`` steps whose typical radius of curvature is ``1 / bend`` pixels."""
    turns = smooth_turns(rng, length_px, bend, correlation_px=max(4.0, 0.3 / bend))
    return trace(start, heading + np.cumsum(turns))
