"""Which predicted wire is which, and how far it is off, on cases worked out by hand and by trying all matchings."""

import itertools

import numpy as np
import pytest

from gwunet.errors import FrameError
from gwunet.evaluation.curves import resampled
from gwunet.evaluation.wires import GATE_PX, PlainWire, curve_distance_px, score_wires
from gwunet.localization import Guidewire


def straight(start, end, identity=None):
    """A wire from ``start`` to ``end``, points about 1 px apart."""
    return PlainWire(resampled(np.array([start, end], dtype=float)), identity)


def test_a_shifted_wire_by_hand():
    score = score_wires("run_1", [straight((10, 0), (10, 100), 7)], [straight((12, 0), (12, 100), 3)])
    (match,) = score.matches
    errors = (match.tip_error_px, match.base_error_px, match.mean_distance_px, match.hausdorff_px, match.frechet_px)
    assert errors == pytest.approx((2, 2, 2, 2, 2))
    assert (match.precision, match.recall, match.f1) == (1, 1, 1)
    assert (match.reference_identity, match.predicted_identity) == (7, 3)
    assert not match.ends_swapped
    assert (score.missed, score.false) == ((), ())


def test_a_wire_found_in_part_is_the_same_wire():
    """Of 101 points 61 are found, and four more are within 3 px of the last of them."""
    (match,) = score_wires("", [straight((5, 0), (5, 100))], [straight((5, 0), (5, 60))]).matches
    assert (match.tip_error_px, match.base_error_px) == pytest.approx((40, 0))
    assert match.hausdorff_px == pytest.approx(40)
    assert match.frechet_px == pytest.approx(40)
    assert match.mean_distance_px == pytest.approx((sum(range(1, 41)) / 101 + 0) / 2)
    assert (match.precision, match.recall) == (1, pytest.approx(64 / 101))
    assert match.f1 == pytest.approx(2 * (64 / 101) / (1 + 64 / 101))


def test_exchanged_ends_are_told():
    (match,) = score_wires("", [straight((0, 0), (0, 50))], [straight((0, 49), (0, 1))]).matches
    assert match.ends_swapped
    assert (match.tip_error_px, match.mean_distance_px) == (pytest.approx(49), pytest.approx(3 / 51 / 2, abs=0.05))


def test_a_far_wire_is_missed_and_false():
    there, gone = straight((0, 0), (0, 50)), straight((30, 0), (30, 50))
    score = score_wires("", [there], [gone])
    assert (score.matches, score.missed, score.false) == ((), (0,), (0,))
    assert curve_distance_px(there.centreline, gone.centreline) == pytest.approx(20)  # a point counts 20 px at most
    at_the_gate = straight((GATE_PX, 0), (GATE_PX, 50))
    assert not score_wires("", [there], [at_the_gate]).matches
    assert score_wires("", [there], [straight((GATE_PX - 0.1, 0), (GATE_PX - 0.1, 50))]).matches


def test_crossing_wires_are_not_confused():
    down, up = straight((0, 0), (60, 100)), straight((60, 0), (0, 100))
    score = score_wires("", [down, up], [straight((61, 0), (1, 100)), straight((1, 0), (61, 100))])
    assert [(match.reference, match.predicted) for match in score.matches] == [(0, 1), (1, 0)]
    assert max(match.tip_error_px for match in score.matches) == pytest.approx(1)


def test_matching_is_the_cheapest_of_all():
    rng = np.random.default_rng(0)
    for n_reference, n_predicted in ((1, 3), (2, 2), (3, 2), (3, 3)):
        reference, predicted = (
            [straight((row, 0), (row + slope, 60)) for row, slope in rng.uniform(0, 25, (count, 2))]
            for count in (n_reference, n_predicted)
        )
        cost = [[curve_distance_px(one.centreline, other.centreline) for other in predicted] for one in reference]
        # Dummies stand for "no partner"; a pair that is too far counts as none.
        columns = itertools.permutations([*range(n_predicted), *[None] * n_reference], n_reference)
        cheapest = min(
            sum(GATE_PX if other is None else min(cost[one][other], GATE_PX) for one, other in enumerate(chosen))
            for chosen in columns
        )
        score = score_wires("", reference, predicted)
        found = sum(cost[match.reference][match.predicted] for match in score.matches)
        assert found + GATE_PX * len(score.missed) == pytest.approx(cheapest)
        assert len(score.false) == n_predicted - len(score.matches)


def test_nothing_to_find_and_nothing_found():
    wire = straight((0, 0), (0, 9))
    assert score_wires("", [], []).matches == ()
    assert score_wires("", [wire, wire], []).missed == (0, 1)
    assert score_wires("", [], [wire]).false == (0,)


def test_a_guidewire_of_one_frame_is_a_wire():
    points = straight((3, 3), (3, 30)).centreline
    found = Guidewire(
        centreline=points,
        width_px=np.ones(len(points)),
        angle_deg=0.0,
        base_angle_deg=180.0,
        confidence=1.0,
        tip_confidence=1.0,
        base_confidence=1.0,
        identity=4,
    )
    (match,) = score_wires("", [PlainWire(points)], [found]).matches
    assert (match.tip_error_px, match.predicted_identity) == (0, 4)


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.zeros((4, 3)), np.full((3, 2), np.nan)])
def test_impossible_centrelines_are_refused(points):
    with pytest.raises(FrameError, match="run_1: a predicted centreline has the shape"):
        score_wires("run_1", [], [PlainWire(points)])
