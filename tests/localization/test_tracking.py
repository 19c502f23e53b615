"""Wires of one sequence: numbers kept, tips filtered, gaps bridged, jumps told."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from gwunet.localization import Flag, Guidewire, Tracker

RNG = np.random.default_rng(0)


def wire(
    points: Sequence[tuple[float, float]] | NDArray[np.float64], *flags: Flag, confidence: float = 1.0
) -> Guidewire:
    """One whose centreline goes straight through a few points."""
    corners = np.asarray(points, np.float64)
    along = np.append(0, np.cumsum(np.hypot(*np.diff(corners, axis=0).T)))
    places = np.linspace(0, along[-1], max(2, round(along[-1]) + 1))
    curve = np.column_stack([np.interp(places, along, values) for values in corners.T])
    return Guidewire(
        centreline=curve,
        width_px=np.linspace(2, 3, len(curve)),
        angle_deg=10.0,
        base_angle_deg=-170.0,
        confidence=confidence,
        tip_confidence=confidence,
        base_confidence=confidence,
        flags=frozenset(flags),
    )


def pushed(tip_column: float) -> Guidewire:
    return wire([(100, 0), (100, tip_column)])


def followed(tracker: Tracker, frames: Iterable[Sequence[Guidewire]]) -> list[list[Guidewire]]:
    return [tracker.update(wires) for wires in frames]


def test_wires_that_cross_keep_their_numbers_in_any_order() -> None:
    tracker = Tracker()
    for step in range(20):
        first = wire([(0, 100), (150, 100 + 2 * step)])
        second = wire([(100, 0), (100 - step, 200)])
        both = [first, second] if step % 3 else [second, first]
        reported = tracker.update(both)
        assert [found.identity for found in reported] == [1, 2]
        names = {1: second, 2: first}  # the first frame had the second wire first
        for found in reported:
            assert found.identity is not None
            np.testing.assert_array_equal(found.centreline[0], names[found.identity].centreline[0])


def test_missing_frames_are_bridged_along_the_motion_and_a_wire_comes_back_by_its_number() -> None:
    tracker = Tracker()
    followed(tracker, ([pushed(100 + 4 * step)] for step in range(20)))
    for step in range(20, 25):
        (found,) = tracker.update([])
        assert found.flags == {"bridged_frame"}
        assert found.identity == 1
        # Without tracking the tip would stay behind by 4 px more in each frame.
        assert abs(found.tip[1] - (100 + 4 * step)) < 2 * (step - 19)
        assert found.base == (100, 0)
        assert found.confidence == pytest.approx(0.7 ** (step - 19))
        assert (np.diff(found.centreline[:, 1]) > 0).all()
    assert tracker.update([]) == []
    followed(tracker, [[]] * 100)
    (back,) = tracker.update([pushed(220)])
    assert (back.identity, back.flags, back.tip) == (1, frozenset(), (100.0, 220.0))


def test_what_was_found_once_is_not_bridged_and_takes_no_number_away() -> None:
    tracker = Tracker()
    still = wire([(0, 50), (200, 50)])
    followed(tracker, [[still]] * 4)
    assert [found.identity for found in tracker.update([wire([(20, 300), (40, 380)]), still])] == [1, 2]
    for _ in range(3):
        (found,) = tracker.update([still])
        assert found.identity == 1
    assert [found.identity for found in tracker.update([wire([(150, 300), (250, 380)]), still])] == [1, 3]


def test_a_wire_shortly_hidden_by_another_is_bridged_beside_it() -> None:
    tracker = Tracker()
    first, second = wire([(0, 100), (200, 100)]), wire([(0, 160), (200, 160)])
    followed(tracker, [[first, second]] * 6)
    one, two = tracker.update([second])
    assert (one.identity, one.flags, two.identity, two.flags) == (1, {"bridged_frame"}, 2, frozenset())


def test_a_jump_is_told_and_the_tip_is_where_it_was_found() -> None:
    tracker = Tracker()
    steady = followed(tracker, ([pushed(100 + 2 * step)] for step in range(15)))
    assert not any(found.flags for (found,) in steady[3:])
    (jumped,) = tracker.update([pushed(190)])
    assert (jumped.identity, jumped.flags, jumped.tip) == (1, {"jump"}, (100.0, 190.0))
    (after,) = tracker.update([pushed(192)])
    assert after.flags == frozenset()
    assert after.tip[1] == pytest.approx(192, abs=1)


def test_a_tip_at_rest_is_steadied_and_never_drawn_far_from_where_it_was_found() -> None:
    tracker = Tracker()
    true = np.array([120.0, 90.0])
    raw, filtered = [], []
    for step in range(120):
        tip = true + RNG.normal(0, 1.0, 2)
        (found,) = tracker.update([wire([(0, 90), tip], confidence=0.7)])
        assert np.hypot(*(found.tip - tip)) <= 2 + 1e-9
        if step >= 40:
            raw.append(np.hypot(*(tip - true)))
            filtered.append(np.hypot(*(found.tip - true)))
    assert np.mean(filtered) < 0.8 * np.mean(raw)


def test_the_end_that_moves_becomes_the_tip_and_stays_it() -> None:
    """The border does not tell: the wire comes with its ends in the wrong order."""
    tracker = Tracker()
    reported = followed(tracker, ([wire([(100, 100 + 5 * step), (100, 20)], "base_uncertain")] for step in range(60)))
    assert reported[0][0].tip == (100, 20)
    assert "base_uncertain" in reported[0][0].flags
    (changes,) = [step for step, (found,) in enumerate(reported) if "jump" in found.flags]
    for step in range(changes, 60):
        (found,) = reported[step]
        assert found.tip[1] == pytest.approx(100 + 5 * step, abs=2)
        assert found.base == (100, 20)
        assert "base_uncertain" not in found.flags
        assert (found.angle_deg, found.base_angle_deg, found.width_px[0]) == (-170.0, 10.0, 3.0)
    (contrary,) = tracker.update([wire([(100, 400), (100, 20)])])  # one frame in which the border says otherwise
    assert contrary.base == (100, 20)
    assert contrary.flags == {"base_uncertain", "tip_leaves_field"}


def test_dropped_frames_count_as_passed() -> None:
    """A tip that goes on at its speed while frames are dropped has not jumped."""
    tracker = Tracker()
    followed(tracker, ([pushed(100 + 3 * step)] for step in range(20)))
    (found,) = tracker.update([pushed(100 + 3 * 24)], frames_passed=5)
    assert found.flags == frozenset()
    tracker = Tracker()
    followed(tracker, ([pushed(100 + 3 * step)] for step in range(20)))
    assert tracker.update([], frames_passed=6) == []


@pytest.mark.parametrize("passed", [2, 3, 5])
def test_a_wire_found_in_all_answers_is_bridged_though_frames_were_dropped(passed: int) -> None:
    tracker = Tracker()
    for step in range(20):
        tracker.update([pushed(100 + step * passed)], frames_passed=passed)
    for missed_frames in range(passed, 12, passed):
        found = tracker.update([], frames_passed=passed)
        assert [wire.flags for wire in found] == [{"bridged_frame"}] * (missed_frames <= 5)


@pytest.mark.parametrize("passed", [1, 6, 7, 20])
def test_a_jump_is_told_however_many_frames_were_dropped(passed: int) -> None:
    tracker = Tracker()
    for _ in range(20):
        tracker.update([pushed(200)], frames_passed=passed)
    (found,) = tracker.update([pushed(320)], frames_passed=passed)
    assert (found.identity, found.tip, found.flags) == (1, (100.0, 320.0), {"jump"})


def test_a_wire_is_not_given_away_to_use_one_that_is_further_off() -> None:
    """The first wire is missed, and something false lies beyond the second one."""
    tracker = Tracker()
    rows = [wire([(row, 0), (row, 300)]) for row in (100, 125, 170)]
    followed(tracker, [rows[:2]] * 12)
    reported = tracker.update(rows[1:])
    assert [(found.identity, found.base[0]) for found in reported] == [(1, 100), (2, 125), (3, 170)]
    assert [found.flags for found in reported] == [{"bridged_frame"}, set(), set()]


def test_wires_that_move_together_are_followed_together() -> None:
    tracker = Tracker()
    followed(tracker, [[wire([(row, 0), (row, 300)]) for row in (100, 125)]] * 12)
    reported = tracker.update([wire([(row, 0), (row, 300)]) for row in (118, 143)])
    assert [(found.identity, found.base[0]) for found in reported] == [(1, 118), (2, 143)]


def test_what_comes_in_is_not_changed() -> None:
    tracker = Tracker()
    given = [[pushed(100 + RNG.normal()), wire([(0, 50), (70, 50)], "base_uncertain")] for _ in range(5)]
    before = [[found.centreline.copy() for found in frame] for frame in given]
    followed(tracker, given)
    for frame, copies in zip(given, before, strict=True):
        for found, copy in zip(frame, copies, strict=True):
            np.testing.assert_array_equal(found.centreline, copy)
            assert found.identity is None


CROSSING = (wire([(20, 20), (180, 180)], "crosses_other"), wire([(20, 260), (180, 100)], "crosses_other"))
MISTAKEN = (
    wire([(20, 20), (140, 140), (180, 100)], "crosses_other"),
    wire([(20, 260), (140, 140), (180, 180)], "crosses_other"),
)
"""The same mask, and each wire goes on as the other behind the crossing."""


def ends(reported: Sequence[Guidewire]) -> list[tuple[int | None, tuple[float, float], tuple[float, float]]]:
    return [(found.identity, found.base, found.tip) for found in reported]


def test_wires_put_together_in_the_wrong_way_behind_a_crossing_are_mended() -> None:
    tracker = Tracker()
    expected = ends(followed(tracker, [CROSSING] * 12)[-1])
    assert expected == [(1, (20, 20), (180, 180)), (2, (20, 260), (180, 100))]
    for given in (MISTAKEN, MISTAKEN[::-1]):
        mended = tracker.update(given)
        assert ends(mended) == expected
        for found, true in zip(mended, CROSSING, strict=True):
            assert found.flags == {"crosses_other"}
            assert len(found.width_px) == len(found.centreline)
            offsets = found.centreline[:, None] - true.centreline
            assert np.hypot(offsets[..., 0], offsets[..., 1]).min(axis=1).max() < 3
    assert ends(tracker.update(CROSSING)) == expected


def test_crossings_are_mended_beside_what_was_seen_once() -> None:
    tracker = Tracker()
    expected = ends(followed(tracker, [CROSSING] * 12)[-1])
    followed(tracker, [[*CROSSING, wire([(200, 20), (200, 60)])], CROSSING])
    assert ends(tracker.update(MISTAKEN)) == expected


def test_a_wrong_way_in_which_one_wire_comes_out_reversed_is_mended() -> None:
    """Neither has an end at the border, so that which one is the base is a guess, frame by frame."""
    tracker = Tracker()
    uncertain: frozenset[Flag] = frozenset({"base_uncertain"})
    crossing, mistaken = ([dataclasses.replace(one, flags=uncertain) for one in two] for two in (CROSSING, MISTAKEN))
    expected = ends(followed(tracker, [crossing] * 12)[-1])
    reversed_one = dataclasses.replace(mistaken[1], centreline=mistaken[1].centreline[::-1])
    for given in ([mistaken[0], reversed_one], [reversed_one, mistaken[0]]):
        assert ends(tracker.update(given)) == expected


def test_a_first_frame_in_the_wrong_way_does_not_hold_the_others() -> None:
    tracker = Tracker()
    reported = followed(tracker, [MISTAKEN, *[CROSSING] * 20])
    assert [[found.tip for found in frame] for frame in reported[1:]] == [[(180, 180), (180, 100)]] * 20


def test_what_all_later_frames_say_is_believed_in_the_end() -> None:
    tracker = Tracker()
    followed(tracker, [CROSSING] * 60)
    tips = [[found.tip for found in frame] for frame in followed(tracker, [MISTAKEN] * 12)]
    assert tips == [[(180, 180), (180, 100)]] * 5 + [[(180, 100), (180, 180)]] * 7


def test_flags_of_ends_go_with_the_ends_that_are_exchanged() -> None:
    tracker = Tracker()
    leaving = wire([(20, 260), (180, 100)], "crosses_other", "base_uncertain", "tip_leaves_field")
    followed(tracker, [[CROSSING[0], leaving]] * 12)
    first = wire([(20, 20), (140, 140), (180, 100)], "crosses_other", "base_uncertain", "tip_leaves_field")
    one, other = tracker.update([first, MISTAKEN[1]])
    assert (one.tip, "tip_leaves_field" in one.flags) == ((180, 180), False)
    assert (other.tip, "tip_leaves_field" in other.flags) == ((180, 100), True)


def test_two_wires_taken_for_one_are_both_bridged() -> None:
    tracker = Tracker()
    first, second = wire([(0, 100), (100, 150)]), wire([(0, 200), (100, 160)])
    followed(tracker, [[first, second]] * 12)
    joined = wire([(0, 100), (100, 150), (100, 160), (0, 200)], "base_uncertain", "tip_leaves_field")
    for _ in range(5):
        reported = tracker.update([joined])
        assert ends(reported) == [(1, first.base, first.tip), (2, second.base, second.tip)]
        assert all(found.flags == {"bridged_frame"} for found in reported)
    (found,) = tracker.update([joined])  # it stays: so that is what there is
    assert {found.base, found.tip} == {(0, 100), (0, 200)}


SHEATH = wire([(200, 0), (125, 250)]), wire([(206, 0), (284, 260)]), wire([(204, 0), (129, 250)])
ONWARD = wire([(200, 0), (200, 200)]), wire([(90, 230), (195, 230)]), wire([(200, 0), (200, 226)])


@pytest.mark.parametrize("wires", [SHEATH, ONWARD], ids=["base", "tip"])
def test_a_wire_that_moves_towards_an_end_of_a_missing_one_is_followed(wires: Sequence[Guidewire]) -> None:
    """Two come out of one sheath, and the base of one moves to where the other's was; a tip is pushed to another's."""
    tracker = Tracker()
    followed(tracker, [wires[:2]] * 12)
    one, two = tracker.update([wires[2]])
    assert (one.identity, one.base, "bridged_frame" in one.flags) == (1, wires[2].base, False)
    assert one.tip == pytest.approx(wires[2].tip, abs=2)
    assert (two.identity, two.flags) == (2, {"bridged_frame"})
