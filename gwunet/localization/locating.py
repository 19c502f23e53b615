"""``locate_guidewires``: from what the network says of every pixel to the wires of a frame."""

import dataclasses
import math
import operator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gwunet.errors import UsageError
from gwunet.localization.centreline import Line, line_through
from gwunet.localization.endpoints import End, find_end, reversed_line, with_ends
from gwunet.localization.guidewire import Flag, Guidewire
from gwunet.localization.joining import Chain, chains_of
from gwunet.localization.sampling import Map
from gwunet.localization.skeleton import FREE, Mask, branches_of

Wires = Literal["auto"] | int

SHORTEST_PX = 8.0
"""A shorter wire is none."""
SHORTEST_WIDTHS = 2.0
"""What is not so many times as long as it is wide is no wire."""
SHORTEST_SHARE = 0.05
"""With ``wires="auto"``, neither is what is shorter than this share of the frame's edge: a wire that has only just come
in is found a few frames later, but calcifications and clips are that short in every frame."""
WEAKEST_SHARE = 0.25
"""With ``wires="auto"``, a piece of less than this share of the strongest one's strength is a false alarm, unless it is
sure and comes in through the border of the field, as wires do."""
SURE = 0.6
"""Certainty of such a piece: with a threshold of a half, its mean probability is 0.8."""
LEAST_CERTAINTY = 0.1
"""Of a wire whose mean probability is hardly above what makes a pixel wire, or below where a mask was followed down to
less: a long one is a wire rather than a speck that is somewhat surer."""


def locate_guidewires(
    probability: NDArray[np.generic],
    *,
    wires: Wires = "auto",
    field: Mask | None = None,
    spacing_mm: tuple[float, float] | None = None,
    threshold: float = 0.5,
    support: NDArray[np.floating] | None = None,
) -> list[Guidewire]:
    """The wires of a frame, each from its base to its tip; the surest and longest first.

    Args:
        probability: (H, W) floats in [0, 1], or a mask of bools or of integers, where 0 is background.
        wires: how many there are at most; ``auto`` where that is unknown.
        field: (H, W) the exposed field; None where it is the whole frame.
        spacing_mm: distance of pixel centres along a column and along a row; for lengths in mm.
        threshold: wires are where the probability is at least this; in (0, 1].
        support: (H, W) what the network says, where ``probability`` was changed to fit a mask: wires run where that is,
            and their confidence is the mean of this. Where it does not reach the threshold, a gap was bridged.

    Raises:
        UsageError: an argument cannot work.
    """
    _check(probability, wires, field, threshold)
    is_mask = not np.issubdtype(probability.dtype, np.floating)
    mask: Mask = np.asarray(probability.astype(np.bool_) if is_mask else np.greater_equal(probability, threshold))
    if field is not None:
        mask = mask & field
    near = Map.around(mask if is_mask else probability, mask, field, threshold)
    if near is None:
        return []
    if not is_mask and np.isnan(near.values).any():
        raise UsageError("locate_guidewires: a probability is not a number (NaN); look where it was computed")
    said = None if support is None else Map.around(support, mask, field, threshold)
    pieces = _pieces(near, wires, probability.shape, said)
    located = [_located(piece, near, probability.shape, spacing_mm) for piece in pieces]
    doubtful = min(threshold, 0.5)
    ranked = [
        (length_px * _certainty(wire, doubtful), wire)
        for wire, length_px in ((wire, wire.length_px) for wire in located)
        if length_px >= max(SHORTEST_PX, SHORTEST_WIDTHS * wire.mean_width_px)
    ]
    ranked.sort(key=operator.itemgetter(0), reverse=True)
    return _plausible(ranked, doubtful) if wires == "auto" else [wire for _, wire in ranked[:wires]]


def shortest_wire_px(shape: tuple[int, ...]) -> float:
    """Length of the shortest thin wire with ``wires="auto"`` in a frame of so many rows and columns."""
    return max(SHORTEST_PX, SHORTEST_SHARE * math.sqrt(math.prod(shape)))


def _certainty(wire: Guidewire, doubtful: float) -> float:
    """1 where certain, least where the mean probability is ``doubtful`` or less: there a wire is as likely as none."""
    return max(LEAST_CERTAINTY, (wire.confidence - doubtful) / (1 - doubtful))


def _plausible(ranked: list[tuple[float, Guidewire]], doubtful: float) -> list[Guidewire]:
    return [
        wire
        for strength, wire in ranked
        if strength >= WEAKEST_SHARE * ranked[0][0] or (_certainty(wire, doubtful) >= SURE and _comes_in(wire))
    ]


def _comes_in(wire: Guidewire) -> bool:
    """Whether at least one end is at the border of the field."""
    return "base_uncertain" not in wire.flags or "tip_leaves_field" in wire.flags


def _check(probability: NDArray[np.generic], wires: Wires, field: Mask | None, threshold: float) -> None:
    if probability.ndim != 2:
        raise UsageError(f"locate_guidewires: probability has shape {probability.shape}; give one frame, (H, W)")
    if field is not None and field.shape != probability.shape:
        raise UsageError(
            f"locate_guidewires: field has shape {field.shape}, the frame {probability.shape}; give both alike"
        )
    if wires != "auto" and (not isinstance(wires, int) or wires < 1):
        raise UsageError(f"locate_guidewires: wires is {wires!r}; give 'auto' or a number from 1 on")
    if not 0 < threshold <= 1:
        raise UsageError(f"locate_guidewires: threshold is {threshold}; give a probability above 0 and at most 1")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """What may be a wire."""

    chain: Chain
    line: Line
    confidence: float
    flags: frozenset[Flag]


def _pieces(near: Map, wires: Wires, shape: tuple[int, ...], said: Map | None) -> list[_Piece]:
    mask = near.mask
    branches = branches_of(mask)
    length = sum(branch.length + 1 for branch in branches)
    width_px = max(1.0, np.count_nonzero(mask) / max(length, 1.0))
    shortest_px = max(SHORTEST_PX, SHORTEST_WIDTHS * width_px)
    if wires == "auto":
        shortest_px = max(shortest_px, shortest_wire_px(shape))
    chains = [chain for chain in chains_of(branches, width_px, near) if chain.length + width_px >= shortest_px]
    pieces = []
    for chain in chains:
        line = line_through(chain.points, near, width_px)
        confidence = float(np.minimum((said or near).at(line.points[:, 0], line.points[:, 1]), 1).mean())
        flags = _flags_of(chain, chains)
        if said is not None and _is_bridged(line, near, said):
            flags |= {"gap_bridged"}
        pieces.append(_Piece(chain, line, confidence, flags))
    return pieces


def _is_bridged(line: Line, near: Map, said: Map) -> bool:
    """Whether a line has a pixel of the mask in which the network saw no wire; both maps have the same cut-out."""
    bridges = near.mask & ~said.mask
    height, width = bridges.shape
    rows, columns = np.rint(line.points).astype(np.intp).T
    return bool(
        bridges[np.minimum(np.maximum(rows, 0), height - 1), np.minimum(np.maximum(columns, 0), width - 1)].any()
    )


def _flags_of(chain: Chain, chains: list[Chain]) -> frozenset[Flag]:
    flags: set[Flag] = set()
    for node in chain.nodes:
        if node == FREE:
            flags.add("gap_bridged")
            continue
        if chain.nodes.count(node) > 1:
            flags.add("crosses_itself")
        if any(node in other.nodes for other in chains if other is not chain):
            flags.add("crosses_other")
    return frozenset(flags)


def _located(piece: _Piece, near: Map, shape: tuple[int, ...], spacing_mm: tuple[float, float] | None) -> Guidewire:
    line = piece.line
    last = find_end(line, near, touches=piece.chain.ends_at_node)
    first = find_end(reversed_line(line), near, touches=piece.chain.starts_at_node)
    line = with_ends(line, first, last)
    flags: set[Flag] = set(piece.flags)
    base, tip = first, last
    if _is_base(last, first):
        base, tip, line = last, first, reversed_line(line)
    if base.at_border == tip.at_border:
        flags.add("base_uncertain")
    if tip.at_border:
        flags.add("tip_leaves_field")
    return Guidewire(
        centreline=np.minimum(np.maximum(line.points + near.origin, 0), np.array(shape) - 1.0),
        width_px=np.array(line.width_px),
        angle_deg=_angle_deg(tip),
        base_angle_deg=_angle_deg(base),
        confidence=piece.confidence,
        tip_confidence=tip.confidence,
        base_confidence=base.confidence,
        flags=frozenset(flags),
        spacing_mm=spacing_mm,
    )


def _is_base(one: End, other: End) -> bool:
    """Whether ``one`` is the base rather than ``other``; where the border does not tell, the straighter end is."""
    if one.at_border != other.at_border:
        return one.at_border
    return one.bend < other.bend


def _angle_deg(end: End) -> float:
    # Adding 0 makes the 0 that a straight wire's rounding may leave negative positive: -180 is 180.
    row, column = (round(part, 12) + 0.0 for part in end.direction)
    return math.degrees(math.atan2(0.0 - row, column))
