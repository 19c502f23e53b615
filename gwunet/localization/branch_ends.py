"""How the ends of a skeleton's branches lie, and how a wire would bend from one to another."""

import dataclasses
import functools
import math
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gwunet.localization.skeleton import FREE, Branch, Points

FIT_PX = 24
"""Length over which direction and curvature of a branch's end are fitted."""
SHARPEST_CURVATURE = 0.08
"""Radians per pixel; a fit that says more is misled by the pixels' steps."""

Chosen = NDArray[np.int64]
Course = tuple[Points, Points, NDArray[np.float64]]
"""Of J ends: (J, 2) places, (J, 2) directions out of the branches, (J,) curvatures."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Ends:
    """All branch ends: ``2 * b`` is the start of branch b, ``2 * b + 1`` its last point; arrays in this order."""

    place: Points
    """(E, 2) where the fit ends, a little before the branch does where it meets others."""
    direction: Points
    """(E, 2) unit vectors out of the branch."""
    curvature: NDArray[np.float64]
    """(E,) radians per pixel, positive where the way out turns from rows to columns."""
    node: Chosen
    """(E,) where they meet others, or ``FREE``."""
    length: NDArray[np.float64]
    """(E,) of their branch, pixels."""

    @classmethod
    def of(cls, branches: list[Branch], skip_px: float) -> Self:
        """The ends of branches.

        Args:
            branches: at least one.
            skip_px: so far from a node the other wires pull the skeleton aside, and half as far from a free end it may
                run into a corner of the mask.
        """
        fits = [
            _fit(points, round(skip_px if node != FREE else skip_px / 2))
            for branch in branches
            for points, node in ((branch.points, branch.nodes[0]), (branch.points[::-1], branch.nodes[1]))
        ]
        place, direction, curvature = zip(*fits, strict=True)
        return cls(
            place=np.array(place),
            direction=np.array(direction),
            curvature=np.array(curvature),
            node=np.array([node for branch in branches for node in branch.nodes]),
            length=np.repeat([branch.length for branch in branches], 2),
        )

    def course(self, chosen: Chosen) -> Course:
        """Place, direction and curvature of some ends."""
        return self.place[chosen], self.direction[chosen], self.curvature[chosen]


def _fit(points: Points, skip: int) -> tuple[list[float], tuple[float, float], float]:
    """Place, direction outwards and curvature where ``points``, that begin at the end, are ``skip`` pixels inside."""
    inside = points[min(skip, max(0, len(points) - 4)) :][:FIT_PX]
    if len(inside) < 2:
        return inside[0].tolist(), (0.0, 0.0), 0.0
    order = 2 if len(inside) >= FIT_PX / 2 else 1
    place, slope, *rest = (pseudo_inverse(len(inside), order) @ inside).tolist()
    speed = max(math.hypot(*slope), 1e-9)
    curvature = 0.0
    if rest:  # the way out is the way in reversed, and turns the other way
        curvature = -2 * (slope[0] * rest[0][1] - slope[1] * rest[0][0]) / speed**3
    curvature = min(max(curvature, -SHARPEST_CURVATURE), SHARPEST_CURVATURE)
    return place, (-slope[0] / speed, -slope[1] / speed), curvature


@functools.lru_cache(maxsize=4 * FIT_PX)
def pseudo_inverse(count: int, order: int) -> NDArray[np.float64]:
    """(order + 1, count) matrix that fits a polynomial to values at 0, 1, ... count - 1; constant term first."""
    return np.asarray(np.linalg.pinv(np.vander(np.arange(count), order + 1, increasing=True)))


def bends(one: Course, other: Course) -> NDArray[np.float64]:
    """(J,) squared radians by which a wire bends from one end to the other, less what its own curvature explains.

    The least bending energy, times its length, of a curve that leaves and arrives in given directions: for an arc it is
    the squared angle by which it turns.
    """
    out, into = one[1], -other[1]
    # A pixel more on both sides: the direction between two points that nearly coincide is noise.
    across = other[0] - one[0] + out + into
    distance = np.hypot(across[:, 0], across[:, 1])
    curvature = (one[2] - other[2]) / 2
    leaving = angles(across, out) + curvature * distance / 2
    arriving = angles(across, into) - curvature * distance / 2
    return np.asarray(4 * (leaving**2 + leaving * arriving + arriving**2))


def angles(start: Points, end: Points) -> NDArray[np.float64]:
    """(J,) radians from one direction to the other, positive from rows to columns."""
    cross = start[:, 0] * end[:, 1] - start[:, 1] * end[:, 0]
    return np.asarray(np.arctan2(cross, (start * end).sum(axis=1)))


def rotated(vectors: Points, angle: float) -> Points:
    """(J, 2) vectors turned by an angle, positive from rows to columns."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.asarray(vectors @ np.array([[cosine, sine], [-sine, cosine]]))
