"""Guidewires: the paths they follow, and their shape as they advance."""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.synthetic.curves import Points, headings_of, random_curve, trace
from gwunet.synthetic.raster import edge_of

WIDTH_RANGE_PX = (2.0, 3.0)
"""Of which a wire's width is drawn unless another range is asked for."""
CNR_RANGE = (2.15, 2.85)
"""What is asked for; what is measured scatters around it and, from 256 pixels on, stays between 1 and 3."""
MIN_VISIBLE = 0.25
"""Shortest path inside the field in shares of the frame's edge."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Wire:
    """A guidewire on its way along a path, one point a pixel."""

    path: Points
    """(N, 2) from outside the frame to where the tip may reach."""
    width_px: float
    widest_px: float
    """No magnification makes it wider."""
    cnr: float
    """Wanted contrast-to-noise ratio, mean over the visible wire."""
    advance: tuple[int, ...]
    """Index in the path that the tip has reached, of each frame."""
    tip_length: int
    """Length of the floppy, more radiopaque tip, pixels."""
    tip_bend: tuple[float, ...]
    """Angle by which the tip curves off the path, of each frame; it changes as the wire is turned. Radians."""
    tip_density: float
    """Attenuation of the tip over that of the shaft."""

    def shape(self, frame: int) -> Points:
        """(N, 2) centreline in a frame from base to tip, one point a pixel, before motion."""
        reached = self.advance[frame]
        headings = headings_of(self.path[: reached + 1])
        ramp = np.linspace(0, 1, self.tip_length) ** 1.5
        visible = min(self.tip_length, len(headings))  # a wire that has only just entered is all tip
        headings[-visible:] += self.tip_bend[frame] * ramp[-visible:]
        return trace(self.path[0], headings)

    def density(self, n_points: int) -> NDArray[np.float64]:
        """Relative attenuation of the segments of the last ``n_points`` of the shape, (n_points - 1,)."""
        from_tip = np.arange(n_points - 1)[::-1]
        return np.where(from_tip < self.tip_length, self.tip_density, 1.0)


def path_through(
    rng: np.random.Generator, depth: NDArray[np.floating], point: NDArray[np.float64], heading: float
) -> tuple[Points, int]:
    """A path from outside the frame through ``point`` with a heading there, that then stays well inside the field.

    Args:
        depth: (H, W) distance to the edge of the exposed field in pixels.

    Returns:
        The path and the index of ``point`` in it.
    """
    size = edge_of(depth.shape)
    margin = 0.05 * size
    ahead = random_curve(rng, point, heading, int(0.8 * size), bend=rng.uniform(2, 5) / size)
    stop = np.flatnonzero(_depth_at(depth, ahead) < margin)
    ahead = ahead[: stop[0]] if stop.size else ahead
    behind = random_curve(rng, point, heading + np.pi, 2 * max(depth.shape), bend=1.2 / size)
    beyond = 0.06 * size
    left = np.flatnonzero(((behind < -beyond) | (behind > np.add(depth.shape, beyond))).any(axis=1))
    behind = behind[: left[0] + 1] if left.size else behind
    return np.concatenate([behind[:0:-1], ahead]), len(behind) - 1


def sample_path(rng: np.random.Generator, depth: NDArray[np.floating]) -> Points:
    """The longest of a few random paths through the field."""
    size = edge_of(depth.shape)
    candidates = []
    for _ in range(6):
        inside = np.argwhere(depth > 0.3 * depth.max())
        point = inside[rng.integers(len(inside))].astype(np.float64)
        candidates.append(path_through(rng, depth, point, rng.uniform(0, 2 * np.pi))[0])
    return max(candidates, key=lambda path: min(1.1 * size, np.count_nonzero(_depth_at(depth, path) > 0)))


def crossing_path(rng: np.random.Generator, depth: NDArray[np.floating], other: Points) -> tuple[Points, int]:
    """A path that crosses ``other`` at a good angle inside the field, and the index of the crossing in it."""
    size = edge_of(depth.shape)
    deep = np.flatnonzero(_depth_at(depth, other) > 0.1 * size)
    candidates = []
    for _ in range(6):
        index = int(rng.choice(deep)) if deep.size else len(other) // 2
        tangent = headings_of(other[[max(0, index - 4), index]])[0]
        heading = tangent + rng.choice([-1, 1]) * rng.uniform(0.6, 1.4)
        candidates.append(path_through(rng, depth, other[index], heading))
    return max(candidates, key=lambda candidate: len(candidate[0]) - candidate[1])


def sample_wire(
    rng: np.random.Generator,
    path: Points,
    depth: NDArray[np.floating],
    frames: int,
    width_range_px: tuple[float, float],
    start: int | None = None,
) -> Wire:
    """A wire that advances along ``path`` from index ``start`` (default: a random one), with pauses and withdrawals."""
    size = edge_of(depth.shape)
    entered = int(np.argmax(_depth_at(depth, path) > 0))
    tip_length = int(size * rng.uniform(0.04, 0.09))
    earliest = min(entered + int(MIN_VISIBLE * size), len(path) - 1)
    if start is None:
        start = int(rng.uniform(earliest, max(earliest + 1, len(path) - 0.1 * size)))
    steps = size * np.where(rng.random(frames) < 0.2, rng.uniform(-0.012, 0.0, frames), rng.uniform(0.0, 0.04, frames))
    advance = np.clip(start + np.cumsum(steps), earliest, len(path) - 1).astype(int)
    turn = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.35, frames))
    return Wire(
        path=path,
        width_px=rng.uniform(*width_range_px),
        widest_px=width_range_px[1],
        cnr=rng.uniform(*CNR_RANGE),
        advance=tuple(int(a) for a in advance),
        tip_length=tip_length,
        tip_bend=tuple(float(b) for b in rng.uniform(0.8, 2.6) * np.cos(turn)),
        tip_density=rng.uniform(1.0, 1.4),
    )


def _depth_at(depth: NDArray[np.floating], points: Points) -> NDArray[np.float64]:
    return np.asarray(ndimage.map_coordinates(depth, points.T, order=1, mode="constant", cval=-1.0))
