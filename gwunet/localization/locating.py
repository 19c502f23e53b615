"""``locate_guidewires``: from what the network says of every pixel to the wires of a frame."""

import dataclasses
import math
import operator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gwunet.errors import UsageError
from gwunet.localization.centreline import Line, line_through, normals
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
INSIDE_SHARE = 0.65
"""The same of a piece with both ends inside the field, where the strongest one comes in through the border. A mask's
pieces need no more than others: somebody drew them."""
LEAST_CERTAINTY = 0.1
"""Of a wire whose mean probability is hardly above what makes a pixel wire, or below where a mask was followed down to
less: a long one is a wire rather than a speck that is somewhat surer."""
FOLLOWED_SHARE = 0.4
"""A wire is followed to where the probability is less than this share of the threshold."""
MOST_FOLLOWED = 4.0
"""Not so where pixels down to there are so many times those of the mask: then the network knows little of the frame."""
SEEN_SHARE = 0.25
"""With ``wires="auto"``, a wire reaches the threshold on at least this share of its length."""
ALONG_BORDER_PX, ALONG_BORDER_SHARE = 6.0, 0.5
"""What runs so near to the end of the exposed field on so much of its length is the collimator's edge, and no wire."""
GAP_POINTS = 2
"""Of a centreline, about a pixel apart, where the wire is not seen: fewer are no gap."""


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
        threshold: wires are where the probability is at least this; in (0, 1]. From there they are followed to where
            it is less than ``FOLLOWED_SHARE`` of this: across gaps, and at their ends.
        support: (H, W) what the network says, where ``probability`` was changed to fit a mask: wires run where that is,
            and their confidence is the mean of this. Where it does not reach the threshold, a gap was bridged.

    Raises:
        UsageError: an argument cannot work.
    """
    _check(probability, wires, field, threshold)
    is_mask = not np.issubdtype(probability.dtype, np.floating)
    mask, lowest = _followed(probability, field, threshold, is_mask=is_mask)
    near = Map.around(mask if is_mask else probability, mask, field, lowest)
    if near is None:
        return []
    if not is_mask and np.isnan(near.values).any():
        raise UsageError("locate_guidewires: a probability is not a number (NaN); look where it was computed")
    said = near if support is None else Map.around(support, mask, field, lowest) or near
    pieces = _pieces(near, wires, probability.shape, said, None if is_mask else threshold)
    located = [_located(piece, near, probability.shape, spacing_mm, min(threshold, 0.5)) for piece in pieces]
    ranked = sorted(filter(None, located), key=operator.attrgetter("strength_px"), reverse=True)
    kept = _plausible(ranked, WEAKEST_SHARE if is_mask else INSIDE_SHARE) if wires == "auto" else ranked[:wires]
    return [found.wire for found in kept]


def shortest_wire_px(shape: tuple[int, ...]) -> float:
    """Length of the shortest thin wire with ``wires="auto"`` in a frame of so many rows and columns."""
    return max(SHORTEST_PX, SHORTEST_SHARE * math.sqrt(math.prod(shape)))


def _followed(
    probability: NDArray[np.generic], field: Mask | None, threshold: float, *, is_mask: bool
) -> tuple[Mask, float]:
    """(H, W) pixels in which wires are looked for, and the probability that these have at least."""
    inside = True if field is None else field
    if is_mask:
        return np.asarray(probability.astype(np.bool_) & inside), threshold
    lowest = FOLLOWED_SHARE * threshold
    followed, mask = (np.asarray(np.greater_equal(probability, level) & inside) for level in (lowest, threshold))
    if np.count_nonzero(followed) > MOST_FOLLOWED * np.count_nonzero(mask):
        return mask, threshold
    return followed, lowest


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Located:
    """A wire, and what speaks for it."""

    wire: Guidewire
    certainty: float
    """1 where certain, least where probabilities are so low that a wire is as likely as none; what a wire was followed
    to below that takes nothing from it."""
    strength_px: float
    """Length times certainty."""
    comes_in: bool
    """At least one end is at the border of the field, or it crosses another piece, as vessels hardly do."""
    nearly_comes_in: bool
    """At least one end is at the border, or would soon be if the wire went on."""


def _plausible(ranked: list[_Located], inside_share: float) -> list[_Located]:
    """Those of ``wires="auto"``, the strongest first.

    Args:
        inside_share: of pieces inside the field, where the strongest one comes in through its border.
    """
    if ranked and not ranked[0].nearly_comes_in:
        inside_share = WEAKEST_SHARE
    return [
        found
        for found in ranked
        if found.strength_px >= (WEAKEST_SHARE if found.comes_in else inside_share) * ranked[0].strength_px
        or (found.certainty >= SURE and found.comes_in)
    ]


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
    said: NDArray[np.float64]
    """(N,) probabilities at the line's points."""
    flags: frozenset[Flag]


def _pieces(near: Map, wires: Wires, shape: tuple[int, ...], said: Map, threshold: float | None) -> list[_Piece]:
    """What may be wires; the threshold is None where a mask is all that is known."""
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
        along = np.minimum(said.at(line.points[:, 0], line.points[:, 1]), 1)
        flags = _flags_of(chain, chains)
        if threshold is not None:
            if _is_border(line, near):
                continue
            if wires == "auto" and (near.pixels(line.points) >= threshold).mean() < SEEN_SHARE:
                continue
            if _has_gap(said.pixels(line.points) >= threshold):
                flags |= {"gap_bridged"}
        pieces.append(_Piece(chain, line, along, flags))
    return pieces


def _is_border(line: Line, near: Map) -> bool:
    """Whether a line runs along the end of the exposed field: a wire that leaves it comes near it only at its end."""
    aside = ALONG_BORDER_PX * normals(line.points)
    beside = [near.is_inside(*(line.points + way).T) for way in (aside, -aside)]
    return bool(np.logical_and(*beside).mean() < 1 - ALONG_BORDER_SHARE)


def _has_gap(seen: Mask) -> bool:
    """Whether a wire is not seen on the way between places where it is; of (N,) places along it."""
    there = np.flatnonzero(seen)
    return bool(len(there) and np.diff(there).max(initial=1) > GAP_POINTS)


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


def _located(
    piece: _Piece, near: Map, shape: tuple[int, ...], spacing_mm: tuple[float, float] | None, doubtful: float
) -> _Located | None:
    """The wire; None where it is too short for one.

    Args:
        doubtful: probability with which a wire is as likely as none.
    """
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
    wire = Guidewire(
        centreline=np.minimum(np.maximum(line.points + near.origin, 0), np.array(shape) - 1.0),
        width_px=np.array(line.width_px),
        angle_deg=_angle_deg(tip),
        base_angle_deg=_angle_deg(base),
        confidence=float(piece.said.mean()),
        tip_confidence=tip.confidence,
        base_confidence=base.confidence,
        flags=frozenset(flags),
        spacing_mm=spacing_mm,
    )
    length_px = wire.length_px
    if length_px < max(SHORTEST_PX, SHORTEST_WIDTHS * wire.mean_width_px):
        return None
    certainty = max(LEAST_CERTAINTY, float(np.maximum((piece.said - doubtful) / (1 - doubtful), 0).mean()))
    return _Located(
        wire,
        certainty,
        strength_px=length_px * certainty,
        comes_in=base.at_border or tip.at_border or "crosses_other" in flags,
        nearly_comes_in=math.isfinite(min(base.to_border_px, tip.to_border_px)),
    )


def _is_base(one: End, other: End) -> bool:
    """Whether ``one`` is the base rather than ``other``; where the border does not tell, the straighter end is."""
    if one.at_border != other.at_border:
        return one.at_border
    if not one.at_border and one.to_border_px != other.to_border_px:
        return one.to_border_px < other.to_border_px
    return one.bend < other.bend


def _angle_deg(end: End) -> float:
    # Adding 0 makes the 0 that a straight wire's rounding may leave negative positive: -180 is 180.
    row, column = (round(part, 12) + 0.0 for part in end.direction)
    return math.degrees(math.atan2(0.0 - row, column))
