"""Where a wire ends: beyond the skeleton's end, which thinning leaves short, and within the mask's."""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from gwunet.localization.branch_ends import pseudo_inverse
from gwunet.localization.centreline import Line
from gwunet.localization.sampling import Map
from gwunet.localization.skeleton import Points

Numbers = NDArray[np.complex128]
"""Places and directions: rows are the real parts and columns the imaginary ones."""

STEP_PX = 0.25
"""Of the grid on which a wire's end is read."""
DIRECTION_PX = 10.0
"""Length over which direction and curvature of an end are fitted."""
FULL_PX = 8.0
"""Length over which the wire's area per length is read, beside the last half width: over one or two pixels it depends
on how these happen to lie on the wire, and with it where the wire ends."""
SHARPEST_CURVATURE = 0.1
"""Radians per pixel by which a wire is followed beyond its skeleton."""
STRAIGHT = 1e-6
"""Radians per pixel below which an arc is computed as a straight line, which it is to far less than a pixel."""
BORDER_PX = 2.0
"""A wire that comes so near to the end of the exposed field leaves it."""
NEAR_BORDER_PX = 20.0
"""So far before the end of the exposed field a network may lose a wire. At most ``sampling.MARGIN_PX``."""
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
    direction: tuple[float, float]
    """Unit vector away from the wire."""
    at_border: bool
    """The wire leaves the exposed field here."""
    to_border_px: float
    """How much further it would leave, if it went on as it does; infinite from ``NEAR_BORDER_PX`` on."""
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
    before = round(min(FULL_PX, course.fitted_px) / STEP_PX)
    along = np.arange(-before, (course.inset_px + 1.5 * width + BEYOND_PX + 2) / STEP_PX) * STEP_PX
    middle, tangent = course.at(along)
    beside = np.arange(-(width / 2 + 1), width / 2 + 1 + STEP_PX / 2, STEP_PX)
    # The normal is i times the tangent.
    rows = middle.real - beside[:, None] * tangent.imag
    columns = middle.imag + beside[:, None] * tangent.real
    values = probability.at(rows, columns)
    across = values.sum(axis=0) * STEP_PX
    # Up to the skeleton's end the wire has its full width.
    full = float(across[: before + round(course.inset_px / STEP_PX) + 1].mean())
    values, across, along, tangent = values[:, before:], across[before:], along[before:], tangent[before:]
    near_axis = (np.abs(beside) <= max(0.5, width / 4)).nonzero()[0]
    axis = values[near_axis[0] : near_axis[-1] + 1].sum(axis=0) / len(near_axis)
    ends_at = _first(axis < probability.threshold * 0.999)
    reached = float(along[-1] if ends_at is None else along[ends_at])
    exit_place = _exit(course, middle, reached, width, probability)
    if exit_place is not None:
        length = max(0.0, _along(exit_place - course.start, course.direction))
        tail = _straight(course.start, exit_place)
    else:
        length = course.inset_px
        if ends_at is not None and not touches:
            may_be_flat = width >= FLAT_WIDTH_PX and _is_along_grid(tangent[[0, ends_at]])
            length = max(0.0, _without_cap(across, along, ends_at, width, full, may_be_flat))
        count = max(1, round(length))
        tail = course.at(length - np.arange(round(length), -1, -1, dtype=np.float64) * (length / count))[0]
    direction = course.place(length)[1]
    shown = course.inset_px if touches else reached
    inner = axis[_steps(shown - BEYOND_PX) : _steps(shown)]
    outer = axis[_steps(shown + width / 2) : _steps(shown + width / 2 + BEYOND_PX)]
    beyond = 0.0 if exit_place is not None else _mean(outer)
    return End(
        tail=_as_points(tail),
        replaces=course.skipped + 1,
        direction=(direction.real, direction.imag),
        at_border=exit_place is not None,
        to_border_px=0.0 if exit_place is not None else _to_border(course, reached, probability),
        confidence=min(max(_mean(inner) - beyond, 0.0), 1.0),
        bend=abs(course.curvature),
    )


def _steps(length: float) -> int:
    """Index of the first of the grid's places that lies beyond a length."""
    return max(0, math.floor(length / STEP_PX) + 1)


def _mean(values: NDArray[np.float64]) -> float:
    """0 of none."""
    return float(values.sum()) / max(len(values), 1)


def _along(way: complex, direction: complex) -> float:
    return way.real * direction.real + way.imag * direction.imag


def _exit(course: "_Course", middle: Numbers, reached: float, width_px: float, probability: Map) -> complex | None:
    """Where a wire leaves the exposed field; None if it does not.

    The middle of the cut through the wire at the field's border, or where its course crosses the border soon after.
    The cut lies on the course, or is at least joined to the end; others are another wire's, which leaves beside it.

    Args:
        course: of the wire's end.
        middle: (N,) places on it, before and behind the end.
        reached: where on the course the mask ends.
        width_px: of the wire.
        probability: where it runs.
    """
    place = course.place(reached)[0]
    centre = place.real, place.imag
    radius_px = 1.5 * width_px + BORDER_PX
    # The course beyond, an arc, lies no further away than it is long.
    if probability.is_all_inside(centre, max(radius_px, reached, BORDER_PX) + 2):
        return None
    cut = probability.cut_near(np.array(centre), radius_px)
    if len(cut):
        off_px = np.abs(cut[:, :1] + 1j * cut[:, 1:] - middle).min(axis=1)
        is_own = off_px <= width_px / 2 + BORDER_PX
        if off_px.min() > width_px / 2:
            inner = course.place(reached - width_px / 2)[0]
            is_own = probability.joined_to(np.array([inner.real, inner.imag]), cut, radius_px + width_px / 2)
        cut = cut[is_own]
    if len(cut):
        return complex(*cut.mean(axis=0))
    beyond = np.arange(0, reached + BORDER_PX, STEP_PX)
    places = course.at(beyond)[0]
    crosses = _first(~probability.is_inside(places.real, places.imag))
    if crosses is None:
        return None
    # Half a pixel back is the centre of the last pixel, about.
    return course.place(float(beyond[crosses]) - 0.5)[0]


def _to_border(course: "_Course", reached: float, probability: Map) -> float:
    """Pixels along the course from where the mask ends to the end of the exposed field; infinite where that is far."""
    place = course.place(reached)[0]
    if probability.is_all_inside((place.real, place.imag), NEAR_BORDER_PX):
        return math.inf
    beyond = np.arange(0, NEAR_BORDER_PX)
    places = course.at(reached + beyond)[0]
    crosses = _first(~probability.is_inside(places.real, places.imag))
    return math.inf if crosses is None else float(beyond[crosses])


def _straight(start: complex, stop: complex) -> Numbers:
    """Places about a pixel apart from one to another."""
    count = round(abs(stop - start)) + 1
    return np.asarray(stop + (start - stop) * np.linspace(1, 0, count) if count > 1 else [stop], np.complex128)


def _first(found: NDArray[np.bool_]) -> int | None:
    index = int(found.argmax())
    return index if found[index] else None


def _is_along_grid(directions: Numbers) -> bool:
    """Whether all are nearly those of rows or columns."""
    return bool((np.minimum(np.abs(directions.real), np.abs(directions.imag)) < ALONG_GRID).all())


def _without_cap(
    across: NDArray[np.float64],
    along: NDArray[np.float64],
    ends_at: int,
    width_px: float,
    full: float,
    may_be_flat: bool,
) -> float:
    """Where on the course a wire ends whose drawing goes on beyond with a round end of half its width.

    A flat end that covers the same area would be pi / 8 widths beyond the wire's own; the area is known better
    than where the mask ends, which on the course itself depends on single pixels. A wire along rows or columns
    whose end is cut straight ends at the centre of its last pixels; others' pixels do not tell how they are cut.

    Args:
        across: (N,) area per length at the places ``along``, which begin at 0.
        ends_at: index of the first place where there is no wire.
        full: area per length before them.
        may_be_flat: the wire is wide enough and runs along rows or columns.
    """
    full = max(full, 1e-6)
    stop = min(len(across), ends_at + round((width_px / 2 + 1) / STEP_PX))
    # Values stand for a quarter pixel around them: so the first begins half a step before it.
    flat = float(across[:stop].sum()) * STEP_PX / full - STEP_PX / 2
    near_end = float(across[max(0, ends_at - 1 - round(width_px / 4 / STEP_PX))]) / full
    cut_straight = near_end > 1 - FLAT_SHARE and float(along[ends_at]) - flat < STEP_PX + FLAT_SHARE * width_px
    if cut_straight and may_be_flat:
        return flat - 0.5
    return flat - math.pi / 8 * width_px


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Course:
    """A line beyond its end, by direction and curvature.

    Rows are real and columns imaginary: then a factor turns, and i is a quarter of a turn.
    """

    start: complex
    """Somewhat inside the line, where thinning has not touched it."""
    direction: complex
    curvature: float
    inset_px: float
    """From the start to the line's own end."""
    fitted_px: float
    """From the start backwards: what of the line it was fitted to."""
    skipped: int
    """Points of the line after the start."""

    @classmethod
    def of(cls, line: Line, inset_px: float) -> "_Course":
        # The points are evenly spaced: the fit is the same for all lines, in steps backwards from the start.
        step = max(math.dist(line.points[-1], line.points[-2]), 1e-9)
        skipped = min(round(inset_px / step), len(line.points) // 3)
        places = line.points[::-1][skipped : skipped + round(DIRECTION_PX / step) + 1]
        order = 2 if len(places) >= 6 else 1
        place, slope, *rest = (pseudo_inverse(len(places), order) @ places).tolist()
        speed = max(math.hypot(*slope), 1e-9)
        # Backwards, so that slope and sense of turning are the opposite.
        curvature = -2 * (slope[0] * rest[0][1] - slope[1] * rest[0][0]) / speed**3 if rest else 0.0
        curvature = min(max(curvature, -SHARPEST_CURVATURE), SHARPEST_CURVATURE)
        return cls(
            complex(*place), -complex(*slope) / speed, curvature, skipped * step, (len(places) - 1) * step, skipped
        )

    def at(self, along: NDArray[np.float64]) -> tuple[Numbers, Numbers]:
        """(N,) places and directions at (N,) pixels from the start: on an arc."""
        tangent = self.direction * np.exp(1j * self.curvature * along)
        is_straight = abs(self.curvature) < STRAIGHT
        way = self.direction * along if is_straight else (tangent - self.direction) / (1j * self.curvature)
        return np.asarray(self.start + way, np.complex128), np.asarray(tangent, np.complex128)

    def place(self, along: float) -> tuple[complex, complex]:
        """One place and the direction there."""
        places, tangents = self.at(np.array([along]))
        return complex(places[0]), complex(tangents[0])


def _as_points(numbers: Numbers) -> Points:
    """(N, 2) rows and columns."""
    return np.ascontiguousarray(numbers).view(np.float64).reshape(-1, 2)


def with_ends(line: Line, first: End, last: End) -> Line:
    """The line with its ends in place of its outermost points; ``first`` looks out of its first point."""
    start = min(first.replaces, len(line.points) - 1)
    kept = max(1, len(first.tail) + len(line.points) - start - last.replaces)
    stop = start + max(0, kept - len(first.tail))
    inner = line.width_px[start:stop]
    before, after = line.width_px[start], line.width_px[max(start, stop - 1)]
    head = first.tail[::-1][:kept]
    return Line(
        points=np.concatenate([head, line.points[start:stop], last.tail]),
        width_px=np.concatenate([np.repeat(before, len(head)), inner, np.repeat(after, len(last.tail))]),
        typical_width_px=line.typical_width_px,
    )


def reversed_line(line: Line) -> Line:
    """From its other end."""
    return Line(points=line.points[::-1], width_px=line.width_px[::-1], typical_width_px=line.typical_width_px)
