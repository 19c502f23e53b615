"""``Tracker``: which wire is which from frame to frame, where its tip is, and what it does while it is not seen."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gwunet.localization.exchange import squared_distances, tails_exchanged
from gwunet.localization.guidewire import Flag, Guidewire, Point
from gwunet.localization.tip_filter import TipFilter

LONGEST_BRIDGE = 5
"""Frames for which a wire is reported though it is not found: a third of a second of usual fluoroscopy."""
MOST_REMEMBERED = 20
"""Wires not seen any more that may still come back."""
MOST_SMOOTHING_PX = 2.0
"""No tip of a wire that is found is reported further from where it was found."""
TIP_NOISE_PX = 0.7
"""Standard deviation of a tip found with confidence 1; it grows as the confidence shrinks."""
LEAST_CONFIDENCE = 0.25
JUMP_SIGMAS, LEAST_JUMP_PX = 4.0, 6.0
FADING = 0.7
"""Share of its confidence that a wire keeps in each frame in which it is not found."""

GATE_SHARE, LEAST_GATE_PX = 0.2, 20.0
"""Two curves further apart than this share of the longer one's length are two wires. The same share of the wires' mean
length is what a track without wire costs in the assignment: so no track gives its wire away to take another one that is
further off, for the sake of one more pair."""
WIDEST_GATE = 2.0
"""A wire may come back so many times further away."""
TIP_SHARE, MOST_TIP_PX = 0.25, 80.0
"""What the tips' distance adds to the curves', up to a limit: tips move further than wires."""
COMPARED_POINTS = 32
LEFT_OVER, DEAREST_PX = 1e-3, 1e3
"""Pairs that cost more than that are made where nothing else is, the nearest first, and so weigh hardly anything."""
JOINED_SHARE = 0.25
"""Two wires taken for one run so much of the missing one's length away from the other."""
UNPAIRED_PX = 100.0
"""Cost of a track without a wire, where two ways of putting wires together are compared."""
EXCHANGE_MARGIN_PX = 1.0
"""Wires that cross are put together in the other way if that fits the tracks by so much better."""
MOST_EXCHANGES = 5
"""Frames in succession after which the frames are right and the tracks were wrong."""

DECIDED, CERTAIN, FIRM = 1.0, 1.0, 5.0
MOTION_EVIDENCE = 0.25
MOTION_MEMORY = 0.9
MOTION_RATIO, MOTION_MARGIN_PX = 2.0, 5.0
TURNED = -2.0
"""Evidence for the tip being the tip: 1 for each frame in which the border decides and 0.25 for one in which its end
moves more than the other, at most 5. At 1 it is decided; at -2 the ends are exchanged, so that a few contrary frames do
not make them flicker."""

Curve = NDArray[np.float64]


class Tracker:
    """Follows the wires of one sequence; what it says of a frame depends on that frame and those before it alone.

    The wires of a new frame are assigned to those known by the distance of their curves and tips. One found for the
    first time gets the next number, from 1 on; one that comes back gets its number back. The tip is filtered by a
    constant-velocity model, and the end of the centreline is drawn to the filtered tip, so that
    ``centreline[-1]`` never is further than 2 px from where the tip was found. A tip that moved further than its motion
    so far explains is reported as it was found, with the flag ``jump``.

    A wire that is missing is reported where it is expected to be, with the flag ``bridged_frame`` and less confidence
    from frame to frame, for at most 5 frames, dropped ones among them, and half as many as it was found in before: what
    was found once, by mistake perhaps, is not.

    Where wires cross, one frame alone may take the end of one for that of the other. If exchanging what lies behind
    their meeting fits the frames before better, it is exchanged, for at most 5 frames in succession and a third of
    those in which both were found before.

    A wire that goes on far beyond where it was and has an end of another one, which is missing, is two wires taken for
    one: both are bridged.

    Where the border of the field does not say which end is the base, the end that moves less becomes it, and the flag
    ``base_uncertain`` goes.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._count = 0
        self._exchanges: dict[frozenset[int], int] = {}
        """By the numbers of two wires, the frames in succession in which their tails were exchanged."""

    def update(
        self,
        guidewires: Sequence[Guidewire],
        *,
        frames_passed: int = 1,
        frame_shape: tuple[int, ...] | None = None,
    ) -> list[Guidewire]:
        """The wires of the next frame, with their numbers.

        Args:
            guidewires: what ``locate_guidewires`` found in it.
            frames_passed: since the frame of the last call; more than 1 where frames were dropped.
            frame_shape: rows and columns of the frame: a tip that is expected beyond is reported at its border, with
                the flag ``tip_leaves_field``. None where that is unknown.

        Returns:
            Those found and those bridged, by their numbers.
        """
        for track in self._tracks:
            track.advance(frames_passed)
        guidewires, pairs = self._untangled(guidewires)
        taken = set(pairs.values())
        for joined in _joined(self._tracks, guidewires, pairs):
            del pairs[joined]
        reported = []
        for track in self._tracks:
            wire = None if id(track) not in pairs else track.found(guidewires[pairs[id(track)]], frame_shape)
            wire = track.missing(frame_shape) if wire is None else wire
            if wire is not None:
                reported.append(wire)
        for index, wire in enumerate(guidewires):
            if index not in taken:
                self._count += 1
                self._tracks.append(_Track(self._count, wire))
                reported.append(self._tracks[-1].last)
        self._forget()
        return sorted(reported, key=lambda wire: wire.identity or 0)

    def _untangled(self, wires: Sequence[Guidewire]) -> tuple[Sequence[Guidewire], dict[int, int]]:
        """The wires, those that cross put together as the tracks say, and their assignment."""
        costs, alone_px = _costs(self._tracks, wires), _alone_px(wires)
        pairs = _assigned(self._tracks, costs, alone_px)
        known = [track for track in self._tracks if id(track) in pairs or track.is_expected]
        before, self._exchanges = self._exchanges, {}
        if len(wires) < 2 or _is_steady(known, wires, pairs):
            return wires, pairs
        best = self._unlikeliness(known, costs, pairs) - EXCHANGE_MARGIN_PX
        found = wires, pairs
        ordered = self._as_tracks(wires, pairs)
        for one, other in itertools.combinations(range(len(wires)), 2):
            for exchanged in tails_exchanged(ordered[one], ordered[other]):
                changed, changed_costs = list(ordered), costs.copy()
                changed[one], changed[other] = exchanged
                changed_costs[:, [one, other]] = _costs(self._tracks, exchanged)
                changed_pairs = _assigned(self._tracks, changed_costs, alone_px)
                cost = self._unlikeliness(known, changed_costs, changed_pairs)
                if cost >= best:
                    continue
                of_both = [track for track in self._tracks if changed_pairs.get(id(track)) in (one, other)]
                numbers = frozenset(track.number for track in of_both)
                times = before.get(numbers, 0) + 1
                if times <= min(MOST_EXCHANGES, min((track.seen for track in of_both), default=0) // 3):
                    best, found = cost, (changed, changed_pairs)
                    self._exchanges = {numbers: times}
        return found

    def _as_tracks(self, wires: Sequence[Guidewire], pairs: dict[int, int]) -> list[Guidewire]:
        """The wires, those of which the border does not say which end is the base in the order of their tracks."""
        ordered = list(wires)
        for track in self._tracks:
            index = pairs.get(id(track))
            if index is not None and "base_uncertain" in wires[index].flags and not track.runs_as(wires[index]):
                ordered[index] = _turned(wires[index])
        return ordered

    def _unlikeliness(self, known: Sequence["_Track"], costs: Curve, pairs: dict[int, int]) -> float:
        """Sum of the known tracks' distances from their wires, in pixels."""
        return sum(
            float(row[pairs[id(track)]]) if id(track) in pairs else UNPAIRED_PX
            for track, row in zip(self._tracks, costs, strict=True)
            if track in known
        )

    def _forget(self) -> None:
        lost = sorted((track for track in self._tracks if track.missed), key=lambda track: track.missed)
        too_many = {id(track) for track in lost[MOST_REMEMBERED:]}
        self._tracks = [track for track in self._tracks if id(track) not in too_many]


class _Track:
    """One wire through the frames."""

    def __init__(self, number: int, wire: Guidewire) -> None:
        self.number = number
        self.last = dataclasses.replace(wire, identity=number)
        """As it was reported last."""
        self.seen, self.missed = 1, 0
        """Frames looked at in which it was found, less those in between in which it was not; such ones since then."""
        self.passed = 0
        """Frames since it was found, also those that were dropped."""
        self._evidence = 0.0 if "base_uncertain" in wire.flags else CERTAIN
        self._moved_px = np.zeros(2)
        """Fading sums of what the base and the tip moved."""
        self._filter = TipFilter(wire.tip, _tip_noise(wire))

    def advance(self, frames: int) -> None:
        """Let frames pass."""
        for _ in range(min(frames, LONGEST_BRIDGE)):
            self._filter.advance()
        self.missed += 1
        self.passed += frames

    @property
    def is_expected(self) -> bool:
        """Whether the wire, if it is missing, is reported nevertheless."""
        return self.passed <= LONGEST_BRIDGE and self.missed <= self.seen // 2

    def runs_as(self, wire: Guidewire) -> bool:
        """Whether it had its base rather where the wire has it than where that has its tip."""
        return sum(_moved_px(self.last, wire)) <= sum(_moved_px(self.last, wire, exchanged=True))

    def missing(self, frame_shape: tuple[int, ...] | None) -> Guidewire | None:
        """The wire in a frame in which it was not found; None where that is too long ago."""
        if not self.is_expected:
            return None
        wire = self.last
        tip = _within(self._filter.tip, frame_shape)
        leaving: set[Flag] = set() if tip == self._filter.tip else {"tip_leaves_field"}
        self.last = dataclasses.replace(
            wire,
            centreline=_kept_within(_drawn_to(wire.centreline, tip), frame_shape),
            confidence=wire.confidence * FADING,
            tip_confidence=wire.tip_confidence * FADING,
            base_confidence=wire.base_confidence * FADING,
            flags=(wire.flags - {"jump"}) | {"bridged_frame", *leaving},
        )
        return self.last

    def found(self, wire: Guidewire, frame_shape: tuple[int, ...] | None) -> Guidewire:
        """The wire as it was found in a frame, put in order and filtered."""
        wire, exchanged = self._in_order(wire)
        flags: set[Flag] = {"jump"} if self._follow(wire, exchanged) else set()
        self.seen, self.missed, self.passed = max(0, self.seen + 1 - self.missed) + 1, 0, 0
        tip = _within(_at_most(wire.tip, self._filter.tip, MOST_SMOOTHING_PX), frame_shape)
        self.last = dataclasses.replace(
            wire,
            centreline=_kept_within(_drawn_to(wire.centreline, tip), frame_shape),
            identity=self.number,
            flags=wire.flags | flags,
        )
        return self.last

    def _follow(self, wire: Guidewire, exchanged: bool) -> bool:
        """Take in where the tip was found; True where it is a jump."""
        noise_px = _tip_noise(wire)
        is_back = self.missed > 1 and self.passed > LONGEST_BRIDGE + 1
        if exchanged or is_back:
            self._filter = TipFilter(wire.tip, noise_px)
            return exchanged
        moved_px = float(np.hypot(*np.subtract(wire.tip, self._filter.tip)))
        if moved_px > LEAST_JUMP_PX and self._filter.surprise(wire.tip, noise_px) > JUMP_SIGMAS:
            self._filter.move_to(wire.tip, noise_px)
            return True
        self._filter.measure(wire.tip, noise_px)
        return False

    def _in_order(self, wire: Guidewire) -> tuple[Guidewire, bool]:
        """``wire`` from base to tip, by all frames so far, and whether that is another order than before."""
        is_certain = "base_uncertain" not in wire.flags
        as_before = self.runs_as(wire)
        same = wire if as_before else _turned(wire)
        if is_certain:
            self._weigh(CERTAIN if as_before else -CERTAIN)
        else:
            self._moved_px = MOTION_MEMORY * self._moved_px + _moved_px(self.last, same)
            base_px, tip_px = self._moved_px
            if tip_px > MOTION_RATIO * base_px + MOTION_MARGIN_PX:
                self._weigh(MOTION_EVIDENCE)
            elif base_px > MOTION_RATIO * tip_px + MOTION_MARGIN_PX:
                self._weigh(-MOTION_EVIDENCE)
        exchanged = self._evidence <= TURNED
        if exchanged:
            same = _turned(same)
            self._evidence, self._moved_px = -self._evidence, self._moved_px[::-1].copy()
        if self._evidence >= DECIDED and not (is_certain and same is not wire):
            same = dataclasses.replace(same, flags=same.flags - {"base_uncertain"})
        return same, exchanged

    def _weigh(self, evidence: float) -> None:
        self._evidence = min(FIRM, self._evidence + evidence)


def _costs(tracks: Sequence[_Track], wires: Sequence[Guidewire]) -> NDArray[np.float64]:
    """(T, W) how far each wire is from each track."""
    if not tracks or not wires:
        return np.empty((len(tracks), len(wires)))
    apart = _apart([track.last.centreline for track in tracks], [wire.centreline for wire in wires]).tolist()
    return np.array(
        [
            [_cost(track, wire, apart_px) for wire, apart_px in zip(wires, row, strict=True)]
            for track, row in zip(tracks, apart, strict=True)
        ]
    )


def _alone_px(wires: Sequence[Guidewire]) -> float:
    """What a track without wire costs in the assignment: about a gate."""
    lengths = [len(wire.centreline) for wire in wires]  # points are about 1 px apart
    return max(LEAST_GATE_PX, GATE_SHARE * sum(lengths) / max(len(lengths), 1))


def _assigned(tracks: Sequence[_Track], costs: NDArray[np.float64], alone_px: float) -> dict[int, int]:
    """By the ``id`` of a track, the index of its wire."""
    if not costs.size:
        return {}
    from scipy.optimize import linear_sum_assignment

    # As many pairs as can be are not the best ones: where a wire is missed, another one's is not given to its track.
    gain = np.maximum(alone_px - costs, LEFT_OVER * (DEAREST_PX - costs))
    rows, columns = linear_sum_assignment(np.where(np.isfinite(costs), gain, 0.0), maximize=True)
    return {
        id(tracks[row]): int(column)
        for row, column in zip(rows, columns, strict=True)
        if np.isfinite(costs[row, column])
    }


def _joined(tracks: Sequence[_Track], wires: Sequence[Guidewire], pairs: dict[int, int]) -> set[int]:
    """The ``id`` of those tracks whose wire is theirs and a missing one's in one: it has an end of the missing one."""
    missing = [track for track in tracks if id(track) not in pairs and track.is_expected]
    return {
        id(track)
        for track in tracks
        if id(track) in pairs
        for other in missing
        if _has_both(wires[pairs[id(track)]], track.last, other.last)
    }


def _has_both(wire: Guidewire, one: Guidewire, other: Guidewire) -> bool:
    """Whether a wire that may be ``one`` has an end of ``other``, far from those of ``one``, and is long beyond it."""
    if not any(_to_an_end(other, end) < LEAST_GATE_PX < _to_an_end(one, end) for end in (wire.base, wire.tip)):
        return False
    off = squared_distances(_thinned(wire.centreline), _thinned(one.centreline)).min(axis=1) > LEAST_GATE_PX**2
    return bool(off.mean() * len(wire.centreline) > JOINED_SHARE * len(other.centreline))


def _to_an_end(wire: Guidewire, place: Point) -> float:
    """Pixels from a place to the nearer end."""
    return min(math.dist(wire.base, place), math.dist(wire.tip, place))


def _is_steady(tracks: Sequence[_Track], wires: Sequence[Guidewire], pairs: dict[int, int]) -> bool:
    """Whether all tracks have wires whose ends are about where they were."""
    return all(
        id(track) in pairs and max(_moved_px(track.last, wires[pairs[id(track)]])) <= LEAST_JUMP_PX for track in tracks
    )


def _cost(track: _Track, wire: Guidewire, apart_px: float) -> float:
    """How far a wire is from a track, in pixels; infinite where it must be another wire."""
    known = track.last
    absent = min(track.missed - 1, 10)
    about_px = max(len(known.centreline), len(wire.centreline))  # points are about 1 px apart
    gate = max(LEAST_GATE_PX, GATE_SHARE * about_px) * min(WIDEST_GATE, 1 + 0.1 * (track.passed - 1))
    if apart_px > gate:
        return np.inf
    tips_px = min(_moved_px(known, wire)[1], _moved_px(known, wire, exchanged=True)[1])
    return apart_px + TIP_SHARE * min(tips_px, MOST_TIP_PX) + absent


def _apart(firsts: Sequence[Curve], seconds: Sequence[Curve]) -> NDArray[np.float64]:
    """(F, S) mean distance of the points of each of two curves from the other one, in pixels; all pairs at once."""
    one, other = [_thinned(curve) for curve in firsts], [_thinned(curve) for curve in seconds]
    squared = squared_distances(np.concatenate(one), np.concatenate(other))
    rows, columns = np.array([len(curve) for curve in one]), np.array([len(curve) for curve in other])
    row, column = np.cumsum(rows) - rows, np.cumsum(columns) - columns
    from_first = np.sqrt(np.minimum.reduceat(squared, column, axis=1))
    from_second = np.sqrt(np.minimum.reduceat(squared, row, axis=0))
    means = np.add.reduceat(from_first, row, axis=0) / rows[:, None]
    means += np.add.reduceat(from_second, column, axis=1) / columns
    return np.asarray(means / 2)


def _thinned(points: Curve) -> Curve:
    return np.asarray(points[:: max(1, len(points) // COMPARED_POINTS)])


def _moved_px(before: Guidewire, now: Guidewire, *, exchanged: bool = False) -> tuple[float, float]:
    """How far the base and the tip moved; ``exchanged``: if ``now`` has them in the wrong order."""
    base, tip = (now.tip, now.base) if exchanged else (now.base, now.tip)
    return math.dist(before.base, base), math.dist(before.tip, tip)


def _turned(wire: Guidewire) -> Guidewire:
    """The wire with base and tip exchanged."""
    # If the border made one end the base, the other one is inside the field; so the new tip leaves it.
    flags: frozenset[Flag] = wire.flags
    if "base_uncertain" not in flags:
        flags |= {"base_uncertain", "tip_leaves_field"}
    return dataclasses.replace(
        wire,
        centreline=wire.centreline[::-1],
        width_px=wire.width_px[::-1],
        angle_deg=wire.base_angle_deg,
        base_angle_deg=wire.angle_deg,
        tip_confidence=wire.base_confidence,
        base_confidence=wire.tip_confidence,
        flags=flags,
    )


def _tip_noise(wire: Guidewire) -> float:
    return TIP_NOISE_PX / max(wire.tip_confidence, LEAST_CONFIDENCE)


def _at_most(start: Point, end: Point, longest_px: float) -> Point:
    """The point on the way from ``start`` to ``end``, at most so far."""
    way = np.subtract(end, start)
    row, column = start + way * min(1.0, longest_px / max(float(np.hypot(*way)), 1e-9))
    return float(row), float(column)


def _within(place: Point, frame_shape: tuple[int, ...] | None) -> Point:
    """The place, or the nearest one in the frame."""
    if frame_shape is None:
        return place
    row, column = (min(max(part, 0.0), size - 1.0) for part, size in zip(place, frame_shape, strict=True))
    return row, column


def _kept_within(points: Curve, frame_shape: tuple[int, ...] | None) -> Curve:
    """The points, those beyond the frame at its border."""
    if frame_shape is None:
        return points
    kept: Curve = np.minimum(np.maximum(points, 0.0), np.array(frame_shape) - 1.0)
    return kept


def _drawn_to(points: Curve, tip: Point) -> Curve:
    """A curve whose last point is ``tip``; points before it follow, the less the further from it they are."""
    way = np.subtract(tip, points[-1])
    distance = float(np.hypot(*way))
    if distance == 0:
        return points
    to_tip = np.zeros(len(points))
    steps = points[1:] - points[:-1]
    np.cumsum(np.hypot(steps[:, 0], steps[:, 1])[::-1], out=to_tip[-2::-1])
    # Three times the distance: a wire that is drawn back is pressed together and not folded.
    share = np.maximum(1 - to_tip / min(max(20.0, 3 * distance), float(to_tip[0])), 0) ** 2
    drawn: Curve = points + share[:, None] * way
    return drawn
