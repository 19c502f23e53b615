"""Stretches of the skeleton that two wires share: where they cross at a small angle, or run in each other's shadow.

Thinning leaves one line there, with a fork at both of its ends. Such a stretch is taken out of the branches, and the
four branches at its forks meet in one node instead, as if the stretch had no length.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from gwunet.localization.branch_ends import Chosen, Course, Ends, angles, bends, rotated
from gwunet.localization.skeleton import FREE, Branch, Points, length_of

FORK_BEND = 2.5
"""Bend (squared radians) up to which a fork's prong goes on in its stem."""
SHORTEST_PRONG_PX = 8.0


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A line that two wires share."""

    points: Points
    """(N, 2) from its first fork to its last."""
    start: Course
    """Of its first point: outwards, towards the first fork's prongs; of one end."""
    stop: Course
    at_start: frozenset[int]
    """The two ends at its first fork; the others are at its last."""

    def bends(self, ends: Ends, one: Chosen, other: Chosen) -> NDArray[np.float64]:
        """(J,) as ``bends``, the stretch drawn out straight; two prongs of one fork bend as sharply as they look."""
        first = np.isin(one, list(self.at_start))
        along = first != np.isin(other, list(self.at_start))
        found = bends(ends.course(one), ends.course(other))
        begin, beyond = np.where(first, one, other)[along], np.where(first, other, one)[along]
        found[along] = bends(*self._straightened(ends.course(begin), ends.course(beyond)))
        return found

    def _straightened(self, before: Course, after: Course) -> tuple[Course, Course]:
        """``after`` moved as if the stretch were straight, and both less the curvature that the stretch has itself."""
        entering, leaving = -self.start[1], self.stop[1]
        turn = float(angles(entering, leaving)[0])
        length = length_of(self.points)
        straight_end = self.points[0] + length * entering
        own = turn / max(length, 1.0)
        moved = straight_end + rotated(after[0] - self.points[-1], -turn), rotated(after[1], -turn), after[2] + own
        return (before[0], before[1], before[2] - own), moved


def split_shared(branches: list[Branch], ends: Ends) -> tuple[list[Branch], Ends, dict[int, Stretch]]:
    """Takes shared stretches out of the branches; also gives the ends of those left, and the stretches by node."""
    at: dict[int, list[int]] = {}
    for end, node in enumerate(ends.node.tolist()):
        at.setdefault(node, []).append(end)
    found: dict[int, tuple[int, list[int]]] = {}
    taken: set[int] = set()
    for number, branch in enumerate(branches):
        first, last = branch.nodes
        if FREE in (first, last) or first == last or taken & {first, last}:
            continue
        prongs = [[end for end in at[node] if end // 2 != number] for node in (first, last)]
        if all(_is_fork(ends, 2 * number + side, prongs[side]) for side in (0, 1)):
            found[number] = first, prongs[0]
            taken |= {first, last}
    if not found:
        return branches, ends, {}
    kept = [number for number in range(len(branches)) if number not in found]
    place = {2 * number + side: 2 * index + side for index, number in enumerate(kept) for side in (0, 1)}
    merged = {branches[number].nodes[1]: node for number, (node, _) in found.items()}
    stretches = {
        node: Stretch(
            points=branches[number].points,
            start=ends.course(np.array([2 * number])),
            stop=ends.course(np.array([2 * number + 1])),
            at_start=frozenset(place[end] for end in prongs),
        )
        for number, (node, prongs) in found.items()
    }
    rows = np.array(sorted(place))
    node = np.array([merged.get(node, node) for node in ends.node[rows].tolist()])
    left = Ends(
        place=ends.place[rows],
        direction=ends.direction[rows],
        curvature=ends.curvature[rows],
        node=node,
        length=ends.length[rows],
    )
    return [branches[number] for number in kept], left, stretches


def _is_fork(ends: Ends, stem: int, prongs: list[int]) -> bool:
    """Whether both of two prongs go on in the stem, and not in each other."""
    if len(prongs) != 2 or ends.length[prongs].min() < SHORTEST_PRONG_PX:
        return False
    one, other = prongs
    on = bends(ends.course(np.array(prongs)), ends.course(np.array([stem, stem])))
    back = bends(ends.course(np.array([one])), ends.course(np.array([other])))
    return bool(on.max() < FORK_BEND and back[0] > on.max())
