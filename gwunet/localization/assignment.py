"""Which branch ends go on in which: an assignment problem over all ends of a frame at once."""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from gwunet.localization.branch_ends import Chosen, Ends, bends
from gwunet.localization.sampling import Map
from gwunet.localization.shared import Stretch
from gwunet.localization.skeleton import FREE, Points

NODE_BEND = 4.0
"""Bend (squared radians) up to which two branches that meet are one wire."""
GAP_BEND = 1.0
"""The same across an interruption, where nothing but direction speaks for it."""
GAP_PX = 30.0
"""Longest interruption that is bridged without any probability in it."""
GAP_START_PX = 4.0
"""Shorter pieces bridge at most their own length and this."""
CROSSING_WIDTHS = 8.0
"""Longest interruption behind a crossing, in widths, beside ``GAP_START_PX``."""
NEVER = 1e6

Costs = NDArray[np.float64]


def partners(ends: Ends, stretches: dict[int, Stretch], width_px: float, probability: Map) -> Chosen:
    """(E,) the end in which each end goes on; itself where a wire ends."""
    costs = _costs(ends, stretches, width_px, probability)
    return _without_rings(_paired(costs), costs, ends)


def _costs(ends: Ends, stretches: dict[int, Stretch], width_px: float, probability: Map) -> Costs:
    """(E, E) of joining two ends; on the diagonal of leaving one alone, which is 1 for a long wire's."""
    count = len(ends.node)
    one, other = _pairs(count)
    meet = (ends.node[one] == ends.node[other]) & (ends.node[one] != FREE)
    way = ends.place[one] - ends.place[other]
    gap = np.hypot(way[:, 0], way[:, 1])
    shorter = np.minimum(ends.length[one], ends.length[other])
    # A wire may be interrupted right where it meets another: then only one of the ends is free.
    apart = ((ends.node[one] == FREE) | (ends.node[other] == FREE)) & (one // 2 != other // 2)
    apart &= gap <= np.minimum(2 * GAP_PX, GAP_START_PX + width_px + shorter)
    apart &= (ends.node[one] == ends.node[other]) | (gap <= CROSSING_WIDTHS * width_px + GAP_START_PX)
    some = meet | apart
    one, other, meet, gap = one[some], other[some], meet[some], gap[some]
    bent = bends(ends.course(one), ends.course(other))
    for node, stretch in stretches.items():
        here = np.flatnonzero(ends.node[one] == node)
        bent[here] = stretch.bends(ends, one[here], other[here])
    costs = bent / np.where(meet, NODE_BEND, GAP_BEND)
    far = np.flatnonzero(~meet & (costs < 1))
    if far.size:
        support = _support(probability, ends.place[one[far]], ends.place[other[far]])
        costs[far] += np.maximum(0, gap[far] - width_px) / GAP_PX * (1 - support)
    table = np.full((count, count), NEVER)
    table[one, other] = table[other, one] = costs
    # A wire rather ends as a short piece than as a long one: a spur must not take a wire's continuation.
    np.fill_diagonal(table, np.minimum(1, 0.25 + ends.length / (6 * width_px + 16)))
    return table


@functools.lru_cache(maxsize=32)
def _pairs(count: int) -> tuple[Chosen, Chosen]:
    """Both of all pairs of so many ends."""
    one, other = np.triu_indices(count, 1)
    return one, other


def _support(probability: Map, start: Points, end: Points) -> NDArray[np.float64]:
    """(J,) in [0, 1]: mean probability between two places, in shares of the threshold."""
    shares = np.linspace(0, 1, 17)[:, None, None]
    places = start + shares * (end - start)
    values = probability.at(places[..., 0], places[..., 1])
    return np.asarray(np.minimum(values / probability.threshold, 1).mean(axis=0))


def _paired(costs: Costs) -> Chosen:
    """(E,) the cheapest pairing.

    The cheapest assignment may go round in a circle (a to b, b to c, c to a). Then the best pair of all circles is kept
    and the rest is assigned again.
    """
    costs = costs.copy()
    alone = costs.diagonal().copy()
    ends = np.arange(len(costs))
    while True:
        _, partner = linear_sum_assignment(costs)
        circular = ends[partner[partner] != ends]
        if not circular.size:
            return np.asarray(partner)
        gain = alone[circular] + alone[partner[circular]] - 2 * costs[circular, partner[circular]]
        one = int(circular[gain.argmax()])
        other = int(partner[one])
        costs[[one, other]] = costs[:, [one, other]] = NEVER
        costs[one, other] = costs[other, one] = 0


def routes(partner: Chosen) -> list[tuple[list[int], bool]]:
    """The ends at which each wire's branches are entered, in order, and whether it is a ring (cut anywhere)."""
    seen: set[int] = set()
    found = []
    alone = np.flatnonzero(partner == np.arange(len(partner))).tolist()
    for start in [*alone, *range(len(partner))]:
        if start // 2 in seen:
            continue
        entered = [start]
        while True:
            seen.add(entered[-1] // 2)
            far = entered[-1] ^ 1
            following = int(partner[far])
            if following == far or following // 2 in seen:
                break
            entered.append(following)
        found.append((entered, following == start))
    return found


def _without_rings(partner: Chosen, costs: Costs, ends: Ends) -> Chosen:
    """A wire has ends: a ring that meets another wire is a loop of it."""
    partner = partner.copy()
    while True:
        exchanges = [
            exchange
            for entered, is_ring in routes(partner)
            if is_ring
            for exchange in _exchanges({end // 2 for end in entered}, partner, costs, ends)
        ]
        if not exchanges:
            return partner
        _, one, other, third, fourth = min(exchanges)
        # One goes on in third, and what these two went on in before in each other, or a wire ends there.
        partner[one], partner[third] = third, one
        partner[other], partner[fourth] = (fourth, other) if fourth != third else (other, one)


def _exchanges(ring: set[int], partner: Chosen, costs: Costs, ends: Ends) -> list[tuple[float, int, int, int, int]]:
    """Where a ring meets others: the extra cost of opening it, two ends joined so far, a third and its partner."""
    found = []
    for one in (end for branch in ring for end in (2 * branch, 2 * branch + 1)):
        other = int(partner[one])
        beside = np.flatnonzero((ends.node == ends.node[one]) & (ends.node != FREE))
        for third in beside.tolist():
            if third // 2 in ring:
                continue
            fourth = int(partner[third])
            after = costs[one, third] + (costs[other, other] if fourth == third else costs[other, fourth])
            found.append((float(after - costs[one, other] - costs[third, fourth]), one, other, third, fourth))
    return found
