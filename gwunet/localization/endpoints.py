"""Where a wire ends: beyond the skeleton's end, which thinning leaves short, and within the mask's."""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from gwunet.localization.branch_ends import pseudo_inverse
from gwunet.localization.centreline import Line
from gwunet.localization.sampling import Map
from gwunet.localization.skeleton import Points

STEP_PX = 0.25
"""Of the grid on which a wire's end is read."""
DIRECTION_PX = 10.0
"""Length over which direction and curvature of an end are fitted."""
SHARPEST_CURVATURE = 0.1
"""Radians per pixel by which a wire is followed beyond its skeleton."""
STRAIGHT = 1e-6
"""Radians per pixel below which an arc is computed as a straight line, which it is to far less than a pixel."""
BORDER_PX = 2.0
"""A wire that comes so near to the end of the exposed field leaves it."""
BEYOND_PX = 4.0
"""Length of the wire on both sides of its end whose probabilities tell how sure the end is."""


FLAT_WIDTH_PX = 3.5
"""In narrower wires pixels do not tell a round end from one that is cut straight."""
FLAT_SHARE = 0.01
"""An end is cut straight if, up to it, area and width are less by at most this share of the wire's width."""


ALONG_GRID = 0.05
"""Sine of the angle up to which a wire counts as running along rows or columns."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class End:
    """One end of a wire."""

    tail: Points
    """(K, 2) the line's last points; they take the place of the last ``replaces`` ones."""
    replaces: int
    direction: Points
    """(2,) unit vector away from the wire."""
    at_border: bool
    """The wire leaves the exposed field here."""
    confidence: float
    bend: float
    """Radians per pixel, without sign."""


def find_end(line: Line, probability: Map, *, touches: bool) -> End:
    """The end after a line's last point.

    Args:
        touches: the line ends where it meets another wire, so that nothing in the mask shows its end.
    """
    width = line.typical_width_px
    course = _Course.of(line, inset_px=width / 2)
    along = np.arange(0, course.inset_px + 1.5 * width + BEYOND_PX + 2, STEP_PX)
    middle, normal = course.at(along)
    beside = np.arange(-(width / 2 + 1), width / 2 + 1 + STEP_PX / 2, STEP_PX)
    values = probability.at(middle[:, None] + beside[:, None] * normal[:, None])
    axis = values[:, np.abs(beside) <= max(0.5, width / 4)].mean(axis=1)
    ends_at = _first(axis < probability.threshold * 0.999)
    reached = float(along[-1] if ends_at is None else along[ends_at])
    exit_place = _exit(course, reached, width, probability)
    if exit_place is not None:
        length = max(0.0, float((exit_place - course.start) @ course.direction))
        tail = _straight(course.start, exit_place)
    else:
        along_grid = bool(np.abs(course.direction).min() < ALONG_GRID)
        length = course.inset_px
        if ends_at is not None and not touches:
            length = max(0.0, _without_cap(values, along, ends_at, width, along_grid))
        tail, _ = course.at(np.linspace(length, 0, round(length) + 1)[::-1])
    _, last_normal = course.at(np.array([length]))
    shown = course.inset_px if touches else reached
    inner = axis[(along <= shown) & (along > shown - BEYOND_PX)]
    outer = axis[(along > shown + width / 2) & (along <= shown + width / 2 + BEYOND_PX)]
    beyond = 0.0 if exit_place is not None or not outer.size else float(outer.mean())
    return End(
        tail=tail,
        replaces=course.skipped + 1,
        direction=np.array([last_normal[0, 1], -last_normal[0, 0]]),
        at_border=exit_place is not None,
        confidence=float(np.clip((inner.mean() if inner.size else 0.0) - beyond, 0, 1)),
        bend=abs(course.curvature),
    )


def _exit(course: "_Course", reached: float, width_px: float, probability: Map) -> Points | None:
    """(2,) where a wire leaves the exposed field; None if it does not.

    The middle of the cut through the wire at the field's border, or where its course crosses the border soon after.
    """
    place = course.at(np.array([reached]))[0][0]
    cut = probability.cut_near(place, 1.5 * width_px + BORDER_PX)
    if len(cut):
        return np.asarray(cut.mean(axis=0))
    beyond = np.arange(0, reached + BORDER_PX, STEP_PX)
    crosses = _first(~probability.is_inside(course.at(beyond)[0]))
    if crosses is None:
        return None
    # Half a pixel back is the centre of the last pixel, about.
    return np.asarray(course.at(beyond[[crosses]] - 0.5)[0][0])


def _straight(start: Points, stop: Points) -> Points:
    """Points about a pixel apart from one place to another."""
    count = round(math.dist(start, stop)) + 1
    return stop + (start - stop) * np.linspace(1, 0, count)[:, None] if count > 1 else stop[None]


def _first(found: NDArray[np.bool_]) -> int | None:
    index = int(found.argmax())
    return index if found[index] else None


def _without_cap(
    values: NDArray[np.float64], along: NDArray[np.float64], ends_at: int, width_px: float, along_grid: bool
) -> float:
    """Where on the course a wire ends whose drawing goes on beyond with a round end of half its width.

    A flat end that covers the same area would be pi / 8 widths beyond the wire's own; the area is known better
    than where the mask ends, which on the course itself depends on single pixels. A wire along rows or columns
    whose end is cut straight ends at the centre of its last pixels; others' pixels do not tell how they are cut.
    """
    across = values.sum(axis=1) * STEP_PX
    start = max(0, ends_at - round((1.5 * width_px + 1) / STEP_PX))
    stop = min(len(across), ends_at + round((width_px / 2 + 1) / STEP_PX))
    before = np.sort(across[max(0, start - round(width_px / STEP_PX)) : max(start, 1) + 1])
    full = max(float(before[len(before) // 2]), 1e-6)
    # Values stand for a quarter pixel around them: so the first begins half a step before it.
    flat = float(along[start]) - STEP_PX / 2 + float(across[start:stop].sum()) * STEP_PX / full
    near_end = float(across[max(0, ends_at - 1 - round(width_px / 4 / STEP_PX))]) / full
    cut_straight = near_end > 1 - FLAT_SHARE and float(along[ends_at]) - flat < STEP_PX + FLAT_SHARE * width_px
    if cut_straight and along_grid and width_px >= FLAT_WIDTH_PX:
        return flat - 0.5
    return flat - math.pi / 8 * width_px


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Course:
    """A line beyond its end, by direction and curvature."""

    start: Points
    """(2,) somewhat inside the line, where thinning has not touched it."""
    direction: Points
    curvature: float
    inset_px: float
    """From the start to the line's own end."""
    skipped: int
    """Points of the line after the start."""

    @classmethod
    def of(cls, line: Line, inset_px: float) -> "_Course":
        # The points are evenly spaced: the fit is the same for all lines, in steps backwards from the start.
        step = max(math.dist(line.points[-1], line.points[-2]), 1e-9)
        skipped = min(round(inset_px / step), len(line.points) // 3)
        places = line.points[::-1][skipped : skipped + round(DIRECTION_PX / step) + 1]
        order = 2 if len(places) >= 6 else 1
        place, slope, *rest = pseudo_inverse(len(places), order) @ places
        speed = max(float(np.hypot(*slope)), 1e-9)
        # Backwards, so that slope and sense of turning are the opposite.
        curvature = -2 * float(slope[0] * rest[0][1] - slope[1] * rest[0][0]) / speed**3 if rest else 0.0
        curvature = float(np.clip(curvature, -SHARPEST_CURVATURE, SHARPEST_CURVATURE))
        return cls(place, -slope / speed, curvature, skipped * step, skipped)

    def at(self, along: NDArray[np.float64]) -> tuple[Points, Points]:
        """(N, 2) places and unit normals at (N,) pixels from the start: on an arc."""
        # Rows are real and columns imaginary: then a factor turns, and i is a quarter of a turn.
        direction = complex(*self.direction)
        tangent = direction * np.exp(1j * self.curvature * along)
        is_straight = abs(self.curvature) < STRAIGHT
        way = direction * along if is_straight else (tangent - direction) / (1j * self.curvature)
        return np.add(self.start, _as_points(way)), _as_points(1j * tangent)


def _as_points(numbers: NDArray[np.complexfloating]) -> Points:
    """(N, 2) real and imaginary parts."""
    return np.stack([numbers.real, numbers.imag], axis=1, dtype=np.float64)


def with_end(line: Line, end: End) -> Line:
    """The line with its end in place of its last points."""
    kept = max(1, len(line.points) - end.replaces)
    count = len(end.tail)
    return Line(
        points=np.concatenate([line.points[:kept], end.tail]),
        width_px=np.concatenate([line.width_px[:kept], np.repeat(line.width_px[kept - 1], count)]),
        seen=np.concatenate([line.seen[:kept], np.ones(count, np.bool_)]),
        typical_width_px=line.typical_width_px,
    )


def reversed_line(line: Line) -> Line:
    """From its other end."""
    return dataclasses.replace(line, points=line.points[::-1], width_px=line.width_px[::-1], seen=line.seen[::-1])
