"""Two wires that cross and were put together in the wrong way: each goes on as the other behind the crossing."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gwunet.localization.guidewire import Flag, Guidewire

MEETING_PX = 12.0
"""Wires that come so near to each other, or to a mean width, may have met: a wrong end is drawn back from the other."""
COARSE_STEP = 4
"""Points are about a pixel apart; meetings are looked for at every fourth."""


def tails_exchanged(one: Guidewire, other: Guidewire) -> Iterator[tuple[Guidewire, Guidewire]]:
    """The two wires with what lies behind a meeting exchanged, for each place where they meet."""
    for here, there in _meetings(one, other):
        yield _continued(one, here, other, there), _continued(other, there, one, here)


def _meetings(one: Guidewire, other: Guidewire) -> list[tuple[int, int]]:
    """Points of both wires at each meeting: the nearest ones of every run of points that are near."""
    first, second = one.centreline[::COARSE_STEP], other.centreline[::COARSE_STEP]
    squared = squared_distances(first, second)
    nearest = squared.min(axis=1)
    near_px = max(MEETING_PX, one.mean_width_px, other.mean_width_px) + COARSE_STEP / 2
    near = np.flatnonzero(nearest <= near_px**2)
    if not near.size:
        return []
    runs = np.split(near, np.flatnonzero(np.diff(near) > 2) + 1)
    rows = [int(run[nearest[run].argmin()]) for run in runs]
    return [(COARSE_STEP * row, COARSE_STEP * int(squared[row].argmin())) for row in rows]


def squared_distances(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, M) of (N, 2) and (M, 2) points, square pixels."""
    rows = first[:, 0, None] - second[:, 0]
    columns = first[:, 1, None] - second[:, 1]
    rows *= rows
    columns *= columns
    rows += columns
    return rows


def _continued(head: Guidewire, here: int, tail: Guidewire, there: int) -> Guidewire:
    """``head`` up to a point, then ``tail`` from one of its points on."""
    centreline = np.concatenate([head.centreline[: here + 1], tail.centreline[there + 1 :]])
    leaves = "tip_leaves_field" in tail.flags
    # An end's being at the border shows in the flags of both ends together.
    base_at_border = ("base_uncertain" in head.flags) == ("tip_leaves_field" in head.flags)
    flags: set[Flag] = set(head.flags | tail.flags) - {"tip_leaves_field", "base_uncertain"}
    if leaves:
        flags.add("tip_leaves_field")
    if base_at_border == leaves:
        flags.add("base_uncertain")
    share = (here + 1) / max(len(centreline), 1)
    return dataclasses.replace(
        head,
        centreline=centreline,
        width_px=np.concatenate([head.width_px[: here + 1], tail.width_px[there + 1 :]]),
        angle_deg=tail.angle_deg,
        confidence=share * head.confidence + (1 - share) * tail.confidence,
        tip_confidence=tail.tip_confidence,
        flags=frozenset(flags),
    )
