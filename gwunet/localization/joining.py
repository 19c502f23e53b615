"""From the branches of a skeleton to wires: stubs are dropped, and what goes on in each other is joined.

Where branches meet, and where a wire is interrupted, every branch end either goes on in another one or is a wire's end.
What a join costs is how sharply a wire would have to bend there, given its direction and curvature on both sides. The
cheapest assignment of all ends at once separates wires that cross, and follows a wire through a crossing with itself.
"""

import dataclasses

import numpy as np

from gwunet.localization.assignment import partners, routes
from gwunet.localization.branch_ends import Ends
from gwunet.localization.sampling import Map
from gwunet.localization.shared import Stretch, split_shared
from gwunet.localization.skeleton import FREE, Branch, Points, length_of


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """Branches that are one wire, one after the other."""

    points: Points
    """(N, 2) a polyline; across gaps and nodes its points may be many pixels apart."""
    nodes: tuple[int, ...]
    """Where it goes on from branch to branch; ``FREE`` across a gap."""
    starts_at_node: bool
    """Its first point lies where it touches another wire, or itself."""
    ends_at_node: bool

    @property
    def length(self) -> float:
        return length_of(self.points)


def chains_of(branches: list[Branch], width_px: float, probability: Map) -> list[Chain]:
    """Joins branches to wires.

    Args:
        branches: of the skeleton.
        width_px: of the wires, about.
        probability: where a gap is supported by it, it may be longer.
    """
    branches = without_stubs(branches, width_px)
    if not branches:
        return []
    skip_px = 0.75 * width_px + 1
    branches, ends, stretches = split_shared(branches, Ends.of(branches, skip_px))
    partner = partners(ends, stretches, width_px, probability)
    return [_chain(entered, branches, ends, stretches, skip_px) for entered, _ in routes(partner)]


def without_stubs(branches: list[Branch], width_px: float) -> list[Branch]:
    """Drops what thinning makes of rough edges and pinholes; nodes closer than wires are wide become one."""
    branches = _contracted(branches, 1.5 * width_px + 5)
    loop_px, spur_px = 4 * width_px + 4, 0.8 * width_px + 2
    kept = []
    for branch in branches:
        at_node = sum(node != FREE for node in branch.nodes)
        is_loop = at_node == 2 and branch.nodes[0] == branch.nodes[1]
        if not (is_loop and branch.length <= loop_px) and not (at_node == 1 and branch.length <= spur_px):
            kept.append(branch)
    met: dict[int, int] = {}
    for branch in kept:
        for node in branch.nodes:
            met[node] = met.get(node, 0) + 1
    return [
        dataclasses.replace(branch, nodes=(_still(branch.nodes[0], met), _still(branch.nodes[1], met)))
        for branch in kept
    ]


def _still(node: int, met: dict[int, int]) -> int:
    """The node, or ``FREE`` if nothing else is left there."""
    return node if met[node] > 1 else FREE


def _contracted(branches: list[Branch], shortest_px: float) -> list[Branch]:
    """Without the short branches between two nodes, whose nodes become one."""
    parent = {node: node for branch in branches for node in branch.nodes}

    def root(node: int) -> int:
        while parent[node] != node:
            node = parent[node]
        return node

    kept = []
    for branch in branches:
        first, last = branch.nodes
        if FREE not in branch.nodes and first != last and branch.length <= shortest_px:
            parent[root(first)] = root(last)
        else:
            kept.append(branch)
    return [dataclasses.replace(branch, nodes=(root(branch.nodes[0]), root(branch.nodes[1]))) for branch in kept]


def _chain(
    entered: list[int], branches: list[Branch], ends: Ends, stretches: dict[int, Stretch], skip_px: float
) -> Chain:
    """The branches entered at these ends, one after the other, with shared stretches between them."""
    pieces, nodes = [], []
    for position, end in enumerate(entered):
        if position:
            before = entered[position - 1] ^ 1
            node = int(ends.node[end]) if ends.node[end] == ends.node[before] else FREE
            nodes.append(node)
            stretch = stretches.get(node)
            if stretch is not None and (before in stretch.at_start) != (end in stretch.at_start):
                pieces.append(stretch.points if before in stretch.at_start else stretch.points[::-1])
        points = branches[end // 2].points[:: -1 if end % 2 else 1]
        pieces.append(_trimmed(points, ends.node[end] != FREE, ends.node[end ^ 1] != FREE, skip_px))
    return Chain(
        points=np.concatenate(pieces),
        nodes=tuple(nodes),
        starts_at_node=bool(ends.node[entered[0]] != FREE),
        ends_at_node=bool(ends.node[entered[-1] ^ 1] != FREE),
    )


def _trimmed(points: Points, first: bool, last: bool, skip_px: float) -> Points:
    """A branch less what lies within the other wires that it meets at its first or last point."""
    skip = min(round(skip_px), (len(points) - 1) // 3)
    return points[skip * first : len(points) - skip * last]
