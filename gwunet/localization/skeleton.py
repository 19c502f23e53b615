"""From a mask to the branches of its skeleton: the graph of what thinning leaves.

Work is in proportion to the wire's pixels, not to the frame's.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from gwunet.thinning import NEIGHBOURS, Indices, Plane, neighbour_bits, thin

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]

FREE = -1
"""In place of a node: the branch ends there."""

MAX_BRANCHES = 64
"""No more are followed, the longest ones; a mask with more is noise."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Branch:
    """A piece of the skeleton between two nodes or free ends."""

    points: Points
    """(N, 2) rows and columns, one pixel after the other; a node at its start or end is in it."""
    nodes: tuple[int, int]
    """Of the first and the last point: number of a node, or ``FREE``."""
    length: float
    """Pixels along its points."""


def length_of(points: Points) -> float:
    """Pixels along (N, 2) points."""
    steps = points[1:] - points[:-1]
    return float(np.hypot(steps[:, 0], steps[:, 1]).sum())


def _linked() -> Mask:
    """(8, 256) neighbours a skeleton pixel is linked to: a diagonal one only if no straight one leads there."""
    bits = neighbour_bits()
    straight = np.roll(bits, 1, axis=0) | np.roll(bits, -1, axis=0)
    linked = bits.copy()
    linked[1::2] &= ~straight[1::2]
    return np.asarray(linked)


_LINKED = _linked()
_DEGREE = _LINKED.sum(axis=0)


def branches_of(mask: Mask) -> list[Branch]:
    """The skeleton of a (H, W) mask, cut at its nodes; where three or more branches meet is a node."""
    plane = Plane(mask)
    pixels = thin(plane)
    if not pixels.size:
        return []
    plane.numbers[pixels] = np.arange(len(pixels))
    codes = plane.codes(pixels)
    neighbours = np.where(_LINKED.take(codes, axis=1), plane.numbers.take(pixels + plane.steps[:, None]), FREE)
    of_nodes = np.flatnonzero(_DEGREE[codes] >= 3)
    node_of, centres = _nodes(plane, pixels, of_nodes)
    chains = _chains(neighbours, _DEGREE[codes], of_nodes)
    if len(chains) > MAX_BRANCHES:
        chains = sorted(chains, key=len, reverse=True)[:MAX_BRANCHES]
    points = plane.coordinates(pixels)
    return [_branch(chain, points, neighbours, node_of, centres) for chain in chains]


def _nodes(plane: Plane, pixels: Indices, of_nodes: Indices) -> tuple[dict[int, int], Points]:
    """The node of each of a node's pixels, and the nodes' centres: node pixels that touch are one node."""
    if not of_nodes.size:
        return {}, np.empty((0, 2))
    is_node = np.zeros(len(pixels), np.bool_)
    is_node[of_nodes] = True
    places = pixels[of_nodes][:, None] + plane.steps[:4]
    beside = np.where(plane.flat[places], plane.numbers[places], FREE)
    joined = (beside != FREE) & is_node[beside]
    labels = _labelled(of_nodes.tolist(), np.repeat(of_nodes, joined.sum(axis=1)).tolist(), beside[joined].tolist())
    count = int(labels.max()) + 1
    sizes = np.bincount(labels, minlength=count)
    centres = [np.bincount(labels, part, minlength=count) / sizes for part in plane.coordinates(pixels[of_nodes]).T]
    return dict(zip(of_nodes.tolist(), labels.tolist(), strict=True)), np.stack(centres, axis=1)


def _labelled(pixels: list[int], one: list[int], other: list[int]) -> Indices:
    """(N,) labels from 0 of what links join: for the few pixels of nodes faster than a sparse matrix is made."""
    beside: dict[int, list[int]] = {pixel: [] for pixel in pixels}
    for first, second in zip(one, other, strict=True):
        beside[first].append(second)
        beside[second].append(first)
    label: dict[int, int] = {}
    count = 0
    for pixel in pixels:
        if pixel in label:
            continue
        waiting = [pixel]
        while waiting:
            here = waiting.pop()
            if here not in label:
                label[here] = count
                waiting += beside[here]
        count += 1
    return np.array([label[pixel] for pixel in pixels])


def _chains(neighbours: Indices, degree: Indices, of_nodes: Indices) -> list[list[int]]:
    """Pixels between nodes, each run in order; a ring is cut at its first pixel.

    Args:
        neighbours: (8, P) numbers of the pixels each is linked to, or ``FREE``.
        degree: (P,) how many those are; overwritten.
        of_nodes: pixels that are nodes.
    """
    # At most two neighbours are left to a pixel that is no node. Of their sum, where ``FREE`` stands in for a missing
    # one, what is not the pixel a walk comes from is where it goes on.
    sums = neighbours.sum(axis=0) - (len(NEIGHBOURS) - 2) * FREE
    beside = neighbours[:, of_nodes]
    linked = beside != FREE
    # Links to nodes are cut.
    np.subtract.at(sums, beside[linked], np.broadcast_to(of_nodes - FREE, beside.shape)[linked])
    np.subtract.at(degree, beside[linked], 1)
    degree[of_nodes] = 2
    onwards: list[int] = sums.tolist()
    chains: list[list[int]] = []
    walked = set()
    for end in np.flatnonzero(degree <= 1).tolist():
        if end not in walked:
            chains.append(_walk(FREE, end, FREE, onwards))
            walked.add(chains[-1][-1])
    if sum(map(len, chains)) + len(of_nodes) < len(onwards):
        seen = np.zeros(len(onwards), np.bool_)
        seen[of_nodes] = True
        for chain in chains:
            seen[chain] = True
        for first in np.flatnonzero(~seen).tolist():
            if first not in walked:
                chains.append([first, *_walk(first, int(neighbours[:, first].max()), first, onwards)])
                walked.update(chains[-1])
    return chains


def _walk(before: int, here: int, until: int, onwards: list[int]) -> list[int]:
    chain = []
    while here != until:
        chain.append(here)
        before, here = here, onwards[here] - before
    return chain


def _branch(chain: list[int], points: Points, neighbours: Indices, node_of: dict[int, int], centres: Points) -> Branch:
    beside = [
        [node_of[near] for near in neighbours[:, end].tolist() if near in node_of] for end in (chain[0], chain[-1])
    ]
    if len(chain) == 1:  # a single pixel may lie between two nodes
        first, last = [*beside[0], FREE, FREE][:2]
    else:
        first, last = (found[0] if found else FREE for found in beside)
    before, after = (centres[[node]] if node != FREE else centres[:0] for node in (first, last))
    line = np.concatenate([before, points[chain], after])
    return Branch(points=line, nodes=(first, last), length=length_of(line))
