"""From the skeleton's pixels to a smooth line along the middle of a wire, and how wide the wire is there."""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpbsv

from gwunet.localization.sampling import Map
from gwunet.localization.skeleton import Mask, Points

STIFFNESS = 20.0
"""Of the smoothing spline, for points a pixel apart: it flattens waves shorter than 2 pi STIFFNESS^(1/4), 13 px."""
PROFILE_STEP_PX = 0.5
BESIDE_PX = 2.0
"""A profile reaches so far beyond the wire's edges."""
WIDE_SHARE = 1.5
"""A profile so many times as wide as the wire is across two wires."""
UNMEASURED = 1e-4
"""Weight of a point that only says about where the line runs."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A wire's middle, points about a pixel apart, in the coordinates of a ``Map``."""

    points: Points
    """(N, 2)"""
    width_px: NDArray[np.float64]
    """(N,)"""
    typical_width_px: float
    """The median where the wire is alone."""


def arc_length(points: Points) -> NDArray[np.float64]:
    """(N,) pixels from the first of (N, 2) points along them."""
    steps = points[1:] - points[:-1]
    along = np.zeros(len(points))
    np.cumsum(np.hypot(steps[:, 0], steps[:, 1]), out=along[1:])
    return along


def resampled(values: NDArray[np.float64], along: NDArray[np.float64], to: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M, 2) of (N, 2) ``values`` that belong to growing places ``along``."""
    found = np.empty((len(to), 2))
    found[:, 0] = np.interp(to, along, values[:, 0])
    found[:, 1] = np.interp(to, along, values[:, 1])
    return found


def even_places(length: float) -> NDArray[np.float64]:
    """At least two places from 0 to ``length``, about a pixel apart."""
    count = max(2, round(length) + 1)
    places = np.arange(count, dtype=np.float64) * (length / (count - 1))
    places[-1] = length
    return places


def smoothed(points: Points, weights: NDArray[np.float64], stiffness: float) -> Points:
    """The smoothing spline through (N, 2) evenly spaced points, at these points.

    It minimises ``sum w |x - point|^2 + stiffness sum |second difference of x|^2``, the discrete form of the cubic
    smoothing spline: five diagonals, solved in time proportional to N. Without weight it goes on as a cubic does.
    """
    count = len(points)
    if count < 4:
        return points
    bands = np.empty((3, count))
    bands[0] = stiffness
    bands[1] = -4 * stiffness
    bands[1, 1] = bands[1, -1] = -2 * stiffness
    bands[2] = 6 * stiffness
    bands[2, 1] = bands[2, -2] = 5 * stiffness
    bands[2, 0] = bands[2, -1] = stiffness
    bands[2] += weights
    # What scipy.linalg.solveh_banded calls, which itself takes longer than this.
    _, smooth, failed = dpbsv(bands, weights[:, None] * points, overwrite_ab=True, overwrite_b=True)
    if failed:
        raise np.linalg.LinAlgError(f"smoothing spline of {count} points: LAPACK's dpbsv says {failed}")
    return np.asarray(smooth)


def normals(points: Points) -> Points:
    """(N, 2) unit vectors across a line."""
    tangents = np.empty_like(points)
    tangents[0], tangents[-1] = points[1] - points[0], points[-1] - points[-2]
    tangents[1:-1] = (points[2:] - points[:-2]) / 2
    length = np.maximum(np.hypot(tangents[:, 0], tangents[:, 1]), 1e-9)
    across = np.empty_like(points)
    across[:, 0], across[:, 1] = -tangents[:, 1] / length, tangents[:, 0] / length
    return across


def line_through(points: Points, probability: Map, width_px: float) -> Line:
    """The wire's middle near a polyline along its skeleton.

    Args:
        points: (N, 2) N >= 2; across gaps and crossings they may be many pixels apart.
        probability: in whose coordinates they are.
        width_px: of the wires, about.
    """
    rough, trusted = _rough(points)
    across = normals(rough)
    shift, width, centre = _profiles(rough, across, probability, width_px / 2 + BESIDE_PX)
    seen = centre >= probability.threshold / 2
    typical = _median(width[seen]) if seen.any() else width_px
    alone = seen & (width <= WIDE_SHARE * typical + 0.5)
    if np.count_nonzero(alone) < 2:
        alone = trusted = np.ones(len(rough), np.bool_)
        shift = np.zeros(len(rough))
        width = np.where(width > 0, width, typical)
    weights = np.where(alone, 1.0, np.where(seen & trusted, 0.02, UNMEASURED))
    smooth = smoothed(rough + np.where(alone, shift, 0)[:, None] * across, weights, STIFFNESS)
    along = arc_length(smooth)
    even = even_places(float(along[-1]))
    width = np.interp(np.arange(len(rough)), alone.nonzero()[0], width[alone])
    return Line(
        points=resampled(smooth, along, even),
        width_px=np.interp(even, along, width),
        typical_width_px=typical,
    )


def _rough(points: Points) -> tuple[Points, Mask]:
    """A first smooth line, points a pixel apart, and where it is more than a bridge between far points."""
    along = arc_length(points)
    even = even_places(float(along[-1]))
    following = np.clip(np.searchsorted(along, even), 1, len(along) - 1)
    trusted = (along[following] - along[following - 1]) < 2
    places = resampled(points, along, even)
    return smoothed(places, np.where(trusted, 1.0, UNMEASURED), STIFFNESS / 2), trusted


def _median(values: NDArray[np.float64]) -> float:
    """As np.median, which takes far longer than sorting a few hundred numbers."""
    ordered = np.sort(values)
    half = len(ordered) // 2
    return float(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)


def _profiles(
    points: Points, across: Points, probability: Map, reach_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(N,) each: centre of mass of the wire across the line, its width, and the probability on the line."""
    half = int(np.ceil(reach_px / PROFILE_STEP_PX))
    offsets = np.arange(-half, half + 1) * PROFILE_STEP_PX
    beside = offsets[:, None]
    # One row for each offset: NumPy's loops run along the line and not across it.
    values = probability.at(points[:, 0] + beside * across[:, 0], points[:, 1] + beside * across[:, 1])
    # What lies beyond a gap is another wire.
    wire = values >= probability.threshold / 4
    joined = np.empty_like(wire)
    np.logical_and.accumulate(wire[half:], axis=0, out=joined[half:])
    np.logical_and.accumulate(wire[half::-1], axis=0, out=joined[half::-1])
    values = np.where(joined, values, 0)
    mass = values.sum(axis=0)
    shift = (offsets @ values) / np.maximum(mass, 1e-9)
    highest = np.maximum(values.max(axis=0), probability.threshold)
    return shift, mass * PROFILE_STEP_PX / highest, values[half]
