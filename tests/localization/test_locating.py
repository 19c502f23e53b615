"""Wires of known geometry are found where they are, told apart where they cross, and noise does no harm."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from gwunet.errors import UsageError
from gwunet.localization import Guidewire, locate_guidewires
from gwunet.synthetic.raster import footprint

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]


def drawn(points: Points, width_px: float, shape: tuple[int, int] = (128, 128)) -> Mask:
    """Pixels whose centres lie within half a width of a polyline."""
    return np.asarray(footprint(points, shape, width_px / 2).distance_image(np.inf) <= width_px / 2)


def straight(start: tuple[float, float], stop: tuple[float, float]) -> Points:
    count = int(np.hypot(stop[0] - start[0], stop[1] - start[1])) + 1
    return np.linspace(start, stop, count)


def arc(centre: tuple[float, float], radius: float, first_deg: float, last_deg: float) -> Points:
    angles = np.deg2rad(np.linspace(first_deg, last_deg, int(radius * abs(np.deg2rad(last_deg - first_deg))) + 2))
    return np.array(centre) + radius * np.stack([-np.sin(angles), np.cos(angles)], axis=1)


def apart_px(one: Points, other: Points) -> tuple[float, float]:
    """Mean and largest distance of two curves with points about a pixel apart, both ways."""
    distances = np.concatenate([cKDTree(one).query(other)[0], cKDTree(other).query(one)[0]])
    return float(distances.mean()), float(distances.max())


def the_wire(mask: NDArray[np.generic], **options: object) -> Guidewire:
    (wire,) = locate_guidewires(mask, **options)  # type: ignore[arg-type]
    return wire


# One wire -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("upright", [False, True])
def test_a_straight_bar_gives_its_ends_width_and_direction(width: int, upright: bool) -> None:
    mask = np.zeros((64, 100), np.bool_)
    mask[20 : 20 + width, 10:81] = True
    wire = the_wire(mask.T if upright else mask)
    middle = 20 + (width - 1) / 2
    ends = sorted([wire.tip, wire.base], key=sum)
    for found, column in zip(ends, (10, 80), strict=True):
        expected = (column, middle) if upright else (middle, column)
        assert found == pytest.approx(expected, abs=0.75)
    assert wire.width_px == pytest.approx(width, abs=0.1)
    along = wire.centreline[:, 1 if upright else 0]
    assert along == pytest.approx(middle, abs=0.05)
    towards_larger = sum(wire.tip) > sum(wire.base)
    assert wire.angle_deg == pytest.approx(
        {(False, True): 0, (False, False): 180, (True, True): -90, (True, False): 90}[upright, towards_larger]
    )
    assert wire.flags == {"base_uncertain"}
    assert wire.confidence == pytest.approx(1)


@pytest.mark.parametrize("width_px", [1.5, 2.2, 3.0, 4.1, 6.0])
@pytest.mark.parametrize("angle_deg", [7, 40, 118, 200, 301])
def test_a_wire_from_the_border_is_followed_to_its_true_end(width_px: float, angle_deg: float) -> None:
    angle = np.deg2rad(angle_deg)
    tip = np.array([64 - 20 * np.sin(angle), 64 + 20 * np.cos(angle)])
    truth = straight((64 + 120 * np.sin(angle), 64 - 120 * np.cos(angle)), (tip[0], tip[1]))
    wire = the_wire(drawn(truth, width_px))
    assert wire.flags == set()
    assert np.hypot(*(wire.tip - tip)) < 1
    assert (wire.angle_deg - angle_deg + 180) % 360 - 180 == pytest.approx(0, abs=6)
    assert min(*wire.base, *(127 - np.array(wire.base))) == pytest.approx(0, abs=1)
    seen = truth[((truth >= 0) & (truth <= 127)).all(axis=1)]
    assert apart_px(wire.centreline, seen)[0] < 0.5
    assert wire.mean_width_px == pytest.approx(width_px, abs=0.4)
    assert wire.length_px == pytest.approx(len(seen) - 1, abs=3)


def test_the_field_is_the_border_where_it_is_given() -> None:
    truth = straight((60, 20), (70, 100))
    mask = drawn(truth, 3)
    field = np.zeros_like(mask)
    field[:, 30:] = True
    assert the_wire(mask).flags == {"base_uncertain"}
    wire = the_wire(mask, field=field)
    assert wire.flags == set()
    assert wire.base == pytest.approx((61.25, 30), abs=0.6)
    field[:, 90:] = False
    assert the_wire(mask, field=field).flags == {"base_uncertain", "tip_leaves_field"}


@pytest.mark.parametrize(("width_px", "aside_px"), [(4, 8), (6, 8), (6, 12)])
def test_a_tip_beside_the_place_where_another_wire_leaves_stays_where_it_is(width_px: float, aside_px: float) -> None:
    mask = drawn(straight((60, 0), (60, 121 - width_px / 2)), width_px)
    other = drawn(straight((120, 64), (60 + aside_px, 127)), width_px)
    assert not (mask & other).any()
    first = min(locate_guidewires(mask | other), key=lambda wire: abs(wire.base[0] - 60))
    assert first.tip == pytest.approx((60, 121 - width_px / 2), abs=1)
    assert first.flags == set()


def test_a_curved_tip_points_where_it_points() -> None:
    truth = np.concatenate([straight((100, 0), (100, 59)), arc((90, 60), 10, -90, 60)])
    wire = the_wire(drawn(truth, 3))
    assert wire.tip == pytest.approx(truth[-1], abs=1)
    assert wire.angle_deg == pytest.approx(150, abs=15)


def test_spacing_gives_millimetres() -> None:
    mask = drawn(straight((64, 0), (64, 100)), 3)
    assert the_wire(mask).length_mm is None
    wire = the_wire(mask, spacing_mm=(0.5, 0.2))
    assert wire.length_mm == pytest.approx(20, abs=0.3)


# Gaps, spurs, false alarms ------------------------------------------------------------------------------------------


def test_a_gap_is_bridged_along_the_curve_and_flagged() -> None:
    truth = arc((140, 64), 80, 140, 50)
    mask = drawn(truth, 3)
    mask[:, 58:70] = False
    wire = the_wire(mask)
    assert "gap_bridged" in wire.flags
    mean, largest = apart_px(wire.centreline, truth)
    assert mean < 0.5
    assert largest < 1.5


def test_a_longer_gap_is_bridged_only_with_some_probability_in_it() -> None:
    mask = drawn(straight((64, 3), (60, 124)), 3).astype(np.float32)
    faint = mask.copy()
    faint[:, 46:82] *= 0.4
    mask[:, 46:82] = 0
    assert len(locate_guidewires(mask)) == 2
    wire = the_wire(faint)
    assert "gap_bridged" in wire.flags
    assert wire.confidence < 0.9


def fading(mask: Mask, values: NDArray[np.floating]) -> NDArray[np.float32]:
    """A wire along the rows of which every column has a probability of its own."""
    return np.asarray(mask * values, np.float32)


def test_a_tip_is_followed_to_where_the_network_hardly_sees_it() -> None:
    mask = drawn(straight((64, 0), (64, 100)), 3)
    columns = np.arange(128)
    said = fading(mask, np.clip(0.9 - 0.03 * (columns - 70), 0.21, 0.9))
    wire = the_wire(said)
    assert np.hypot(*(np.subtract(wire.tip, (64, 100)))) < 1.5
    assert wire.flags == frozenset()
    assert wire.confidence == pytest.approx(said.max(axis=0)[:101].mean(), abs=0.03)


def test_a_long_gap_is_followed_along_what_the_network_says_there_and_flagged() -> None:
    mask = drawn(arc((128, 64), 60, 0, 180), 3)
    columns = np.arange(128)
    there = the_wire(fading(mask, np.where(abs(columns - 64) < 30, 0.3, 0.9)))
    assert "gap_bridged" in there.flags
    assert there.length_px == pytest.approx(60 * np.pi, abs=4)
    assert len(locate_guidewires(fading(mask, np.where(abs(columns - 64) < 30, 0.1, 0.9)), wires=2)) == 2


@pytest.mark.parametrize("background", [0.3, 0.45])
def test_where_the_network_says_little_of_the_whole_frame_the_mask_counts(background: float) -> None:
    mask = drawn(straight((64, 0), (64, 100)), 3)
    wire = the_wire(np.where(mask, 0.9, background).astype(np.float32))
    assert wire.length_px == pytest.approx(100, abs=5)


def test_what_hardly_reaches_the_threshold_is_no_wire() -> None:
    sure = 0.9 * drawn(straight((30, 0), (30, 110)), 3)
    faint = fading(drawn(straight((64, 0), (64, 110)), 3), np.where(np.arange(128) < 20, 0.6, 0.3))
    (wire,) = locate_guidewires(np.asarray(sure + faint, np.float32))
    assert wire.tip[0] == pytest.approx(30, abs=1)
    assert len(locate_guidewires(np.asarray(sure + faint, np.float32), wires=2)) == 2


def test_beside_a_wire_that_comes_in_a_shorter_piece_inside_is_none() -> None:
    """Unless it was drawn, or asked for."""
    mask = drawn(straight((64, 0), (64, 110)), 3) | drawn(straight((30, 40), (30, 90)), 3)
    assert len(locate_guidewires(mask.astype(np.float32))) == 1
    assert len(locate_guidewires(mask)) == 2
    assert len(locate_guidewires(mask.astype(np.float32), wires=2)) == 2
    inside = drawn(straight((64, 24), (64, 104)), 3) | drawn(straight((30, 40), (30, 80)), 3)
    assert len(locate_guidewires(inside.astype(np.float32))) == 2


def test_a_shorter_piece_inside_that_crosses_the_wire_is_one() -> None:
    """A second wire whose way from the border the network does not see: in a catheter, say."""
    mask = drawn(straight((64, 0), (64, 110)), 3) | drawn(straight((40, 50), (88, 74)), 3)
    assert len(locate_guidewires(mask.astype(np.float32))) == 2


def test_what_a_wire_is_followed_to_does_not_count_against_it() -> None:
    """Beside a wire of 110 px that comes in, 45 px that do so are one, whether or not something faint follows."""
    wire = drawn(straight((100, 0), (100, 110)), 3).astype(np.float32)
    other = fading(drawn(straight((30, 0), (30, 110)), 3), np.where(np.arange(128) < 45, 0.9, 0.25))
    assert len(locate_guidewires(wire + other)) == 2
    assert len(locate_guidewires(wire + np.where(other > 0.5, other, 0))) == 2


@pytest.mark.parametrize("inset_px", [1, 4])
def test_an_edge_of_the_collimator_is_no_wire(inset_px: int) -> None:
    """A network that was never shown such a border may take it for one; a mask's was drawn."""
    field = np.zeros((128, 128), np.bool_)
    field[10:118, 20:110] = True
    edge = drawn(straight((10, 110 - 1 - inset_px), (117, 110 - 1 - inset_px)), 2)
    wire = drawn(straight((60, 20), (60, 90)), 3)
    found = locate_guidewires((edge | wire).astype(np.float32), field=field)
    assert [round(each.tip[0]) for each in found] == [60]
    assert locate_guidewires(edge.astype(np.float32), field=field, wires=1) == []
    assert len(locate_guidewires(edge | wire, field=field)) == 2


def test_an_end_that_would_soon_leave_the_field_is_the_base() -> None:
    """Although the other one is straighter."""
    hook = arc((64, 40), 24, 90, 180)[::-1]
    points = np.concatenate([hook, straight((40, 40), (40, 100))])
    assert points[0].tolist() == pytest.approx([64, 16])
    wire = the_wire(drawn(points, 3))
    assert np.hypot(*np.subtract(wire.base, (40, 100))) < 2  # nothing is near: the straighter end
    wire = the_wire(drawn(points - (0, 6), 3)[:72])
    assert np.hypot(*np.subtract(wire.base, (64, 10))) < 2
    assert wire.flags == {"base_uncertain"}


def test_a_rough_edge_and_a_pinhole_change_nothing() -> None:
    mask = drawn(straight((64, 0), (64, 100)), 5)
    clean = the_wire(mask)
    mask[61, 40:42] = mask[67, 70] = True
    mask[64, 55] = False
    rough = the_wire(mask)
    assert rough.flags == clean.flags
    assert apart_px(rough.centreline, clean.centreline)[1] < 0.6


def test_specks_are_no_wires() -> None:
    mask = drawn(straight((64, 0), (64, 100)), 3)
    for row, column in ((20, 20), (100, 70), (30, 90)):
        mask[row : row + 3, column : column + 4] = True
    assert len(locate_guidewires(mask)) == 1


def test_a_number_of_wires_keeps_the_longest() -> None:
    wires = [straight((20 + 30 * i, 10), (20 + 30 * i, 60 + 20 * i)) for i in range(3)]
    mask = np.any([drawn(points, 3) for points in wires], axis=0)
    assert len(locate_guidewires(mask)) == 3
    found = locate_guidewires(mask, wires=2)
    assert sorted(round(wire.centreline[:, 0].mean()) for wire in found) == [50, 80]


@pytest.mark.parametrize("wires", ["auto", 1])
@pytest.mark.parametrize("followed_down", [False, True])
def test_a_long_wire_hardly_above_the_threshold_outweighs_a_speck(wires: object, followed_down: bool) -> None:
    """Also where hysteresis followed it down: its mean probability then is below the threshold."""
    long, speck = drawn(straight((90, 0), (100, 110)), 3), drawn(straight((30, 50), (30, 70)), 3)
    said = (0.48 * long + 0.6 * speck).astype(np.float32)
    probability = np.where(long | speck, np.maximum(said, 0.5), 0) if followed_down else said
    found = locate_guidewires(
        probability,
        wires=wires,  # type: ignore[arg-type]
        threshold=0.5 if followed_down else 0.3,
        support=said if followed_down else None,
    )
    assert found[0].confidence == pytest.approx(0.48, abs=0.03)
    assert found[0].length_px == pytest.approx(110, abs=3)


def test_a_short_piece_at_the_border_is_a_wire_where_it_is_sure() -> None:
    """As sure as the threshold makes it: a network that takes a low one says less of wires."""
    long, short = drawn(straight((90, 0), (80, 127)), 3), drawn(straight((0, 50), (20, 50)), 3)
    for said, threshold, count in ((0.78, 0.5, 1), (0.82, 0.5, 2), (0.78, 0.3, 2), (0.7, 0.3, 1)):
        probability = np.maximum(0.95 * long, said * short).astype(np.float32)
        assert len(locate_guidewires(probability, threshold=threshold)) == count


# Crossings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle_deg", [15, 30, 60, 90])
def test_wires_that_cross_are_told_apart(angle_deg: float) -> None:
    angle = np.deg2rad(angle_deg)
    first = straight((64, 0), (64, 110))
    second = straight(
        (64 - 50 * np.sin(angle), 60 - 50 * np.cos(angle)), (64 + 50 * np.sin(angle), 60 + 50 * np.cos(angle))
    )
    found = locate_guidewires(drawn(first, 3) | drawn(second, 3))
    assert len(found) == 2
    for truth in (first, second):
        mean, largest = min(apart_px(wire.centreline, truth) for wire in found)
        assert mean < 0.5
        assert largest < 3
    assert all("crosses_other" in wire.flags for wire in found)


def test_wires_that_run_in_each_others_shadow_are_told_apart() -> None:
    """They share a stretch of some 30 px, where thinning leaves one line."""
    columns = np.linspace(0, 127, 160)
    bow = 0.004 * (columns - 64) ** 2
    first, second = np.stack([62.5 - bow, columns], axis=1), np.stack([65.5 + bow, columns], axis=1)
    found = locate_guidewires(drawn(first, 4) | drawn(second, 4))
    assert len(found) == 2
    for truth in (first, second):
        assert min(apart_px(wire.centreline, truth)[0] for wire in found) < 1


@pytest.mark.parametrize("turn_deg", [330, 360, 390])
def test_a_loop_is_followed_through_its_own_crossing(turn_deg: float) -> None:
    """At 360 degrees the wire runs along itself where it has come round."""
    loop = arc((60, 60), 25, -90, -90 + turn_deg)
    away = loop[-1] - loop[-2]
    truth = np.concatenate([straight((85, 0), (85, 60)), loop, loop[-1] + away * np.arange(1, 40)[:, None]])
    wire = the_wire(drawn(truth, 3))
    assert "crosses_itself" in wire.flags
    assert apart_px(wire.centreline, truth)[0] < 0.7
    assert wire.length_px == pytest.approx(np.hypot(*np.diff(truth, axis=0).T).sum(), abs=6)
    assert wire.tip == pytest.approx(truth[-1], abs=1)


def test_a_ring_alone_is_cut_somewhere() -> None:
    rows, columns = np.mgrid[:100, :100]
    wire = the_wire(np.abs(np.hypot(rows - 50, columns - 50) - 30) <= 1.5)
    assert wire.length_px == pytest.approx(2 * np.pi * 30, abs=2)
    assert apart_px(wire.centreline, arc((50, 50), 30, 0, 360))[1] < 1


def test_a_tip_that_touches_another_wire_ends_there() -> None:
    first, second = straight((64, 0), (64, 127)), straight((127, 60), (67, 60))
    found = locate_guidewires(drawn(first, 3) | drawn(second, 3))
    assert len(found) == 2
    touching = min(found, key=lambda wire: wire.length_px)
    assert touching.tip == pytest.approx((67, 60), abs=1.5)
    assert touching.tip_confidence < 0.5 < touching.base_confidence
    assert min(apart_px(wire.centreline, first)[1] for wire in found) < 1


# Symmetry -----------------------------------------------------------------------------------------------------------

WINDING = np.concatenate([straight((100, 0), (90, 40)), arc((70, 40), 20, -80, 30), arc((52, 66), 9, 190, 60)])
SYMMETRIES = {
    "quarter turn": (np.rot90, lambda p, edge: np.stack([edge - p[:, 1], p[:, 0]], axis=1)),
    "half turn": (lambda m: np.rot90(m, 2), lambda p, edge: edge - p),
    "three quarters": (lambda m: np.rot90(m, 3), lambda p, edge: np.stack([p[:, 1], edge - p[:, 0]], axis=1)),
    "upside down": (np.flipud, lambda p, edge: np.stack([edge - p[:, 0], p[:, 1]], axis=1)),
    "mirrored": (np.fliplr, lambda p, edge: np.stack([p[:, 0], edge - p[:, 1]], axis=1)),
    "transposed": (np.transpose, lambda p, _: p[:, ::-1]),
}


@pytest.mark.parametrize("name", SYMMETRIES)
@pytest.mark.parametrize("width_px", [2, 3.3, 5])
def test_turning_and_mirroring_a_mask_moves_the_wire_with_it(name: str, width_px: float) -> None:
    turn, move = SYMMETRIES[name]
    mask = drawn(WINDING, width_px)
    still, turned = the_wire(mask), the_wire(turn(mask))
    expected = move(still.centreline, 127)
    assert turned.tip == pytest.approx(expected[-1], abs=0.2)
    assert turned.base == pytest.approx(expected[0], abs=0.2)
    assert apart_px(turned.centreline, expected)[1] < 0.75
    assert turned.flags == still.flags


@pytest.mark.parametrize("width_px", [2, 3.3, 5])
def test_a_straight_wire_has_its_length_at_any_angle_and_turned(width_px: float) -> None:
    """Where it ends must not depend on how the pixels happen to lie on it."""
    moved_px = []
    for angle_deg in range(3, 90, 12):
        angle = np.deg2rad(angle_deg)
        half = 30 * np.array([-np.sin(angle), np.cos(angle)])
        mask = drawn(np.linspace(64.3 - half, 64.3 + half, 61), width_px)
        ends = the_wire(mask).centreline[[0, -1]]
        assert np.hypot(*(ends[1] - ends[0])) == pytest.approx(60, abs=0.8)
        for turn, move in SYMMETRIES.values():
            turned = the_wire(turn(mask)).centreline[[0, -1]]
            expected = move(ends, 127)
            # Which end is the base is anybody's guess.
            moved_px.append(min(np.hypot(*(turned - order).T).max() for order in (expected, expected[::-1])))
    assert np.mean(moved_px) < 0.17


def test_moving_a_mask_moves_the_wires_exactly() -> None:
    mask = np.zeros((200, 220), np.bool_)
    mask[30:158, 20:148] = drawn(arc((64, 64), 30, 0, 200), 3) | drawn(straight((30, 30), (90, 100)), 3)
    moved = np.roll(mask, (23, 41), axis=(0, 1))
    before, after = locate_guidewires(mask), locate_guidewires(moved)
    assert len(before) == len(after) == 2
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(other.centreline, one.centreline + np.array([23, 41]), atol=1e-9)
        assert (one.flags, one.tip_confidence) == (other.flags, other.tip_confidence)


# Anything goes in ---------------------------------------------------------------------------------------------------


def check(wires: list[Guidewire], shape: tuple[int, int]) -> None:
    for wire in wires:
        assert wire.centreline.shape == (len(wire.width_px), 2)
        assert len(wire.centreline) >= 2
        assert np.isfinite(wire.centreline).all()
        assert ((wire.centreline > -2) & (wire.centreline < np.add(shape, 1))).all()
        assert (wire.width_px > 0).all()
        assert -180 < wire.angle_deg <= 180
        for confidence in (wire.confidence, wire.tip_confidence, wire.base_confidence):
            assert 0 <= confidence <= 1


@settings(max_examples=40, deadline=None)
@example((23, 23), 0.046875, 140764340, "auto")  # a wire all of whose pixels lie beside its line
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.floats(0.02, 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["auto", 1, 2]),
)
def test_any_noise_gives_an_answer(shape: tuple[int, int], share: float, seed: int, wires: object) -> None:
    noise = np.random.default_rng(seed).random(shape) < share
    found = locate_guidewires(noise, wires=wires)  # type: ignore[arg-type]
    check(found, shape)
    assert wires == "auto" or len(found) <= wires  # type: ignore[operator]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([(40, 60), (9, 90)]), st.floats(0, 1), st.floats(0.05, 1), st.integers(0, 1000))
def test_any_noise_of_a_network_gives_an_answer(
    shape: tuple[int, int], top: float, threshold: float, seed: int
) -> None:
    noise = (top * np.random.default_rng(seed).random(shape) ** 3).astype(np.float32)
    check(locate_guidewires(noise, threshold=threshold), shape)


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_any_small_mask_gives_an_answer(mask: Mask) -> None:
    check(locate_guidewires(mask), mask.shape)


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (2, 50), (128, 128)])
def test_empty_and_full_masks(shape: tuple[int, int]) -> None:
    assert locate_guidewires(np.zeros(shape, np.uint8)) == []
    check(locate_guidewires(np.ones(shape, np.uint8)), shape)


def test_a_frame_of_noise_takes_no_seconds() -> None:
    noise = np.random.default_rng(0).random((256, 256)) < 0.5
    check(locate_guidewires(noise), noise.shape)


def test_a_mask_counts_as_probability() -> None:
    mask = drawn(WINDING, 3)
    for same in (mask.astype(np.uint8), 255 * mask.astype(np.uint8)):
        np.testing.assert_array_equal(the_wire(same).centreline, the_wire(mask).centreline)
    # Between pixels probabilities are followed further down than a mask is.
    for nearly in (mask.astype(np.float32), mask.astype(np.float16)):
        np.testing.assert_allclose(the_wire(nearly).centreline, the_wire(mask).centreline, atol=0.05)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"wires": 0}, "wires is 0; give 'auto' or a number from 1 on"),
        ({"wires": "two"}, "wires is 'two'"),
        ({"field": np.ones((3, 3), np.bool_)}, r"field has shape \(3, 3\), the frame \(8, 8\)"),
        ({"threshold": 0.0}, r"threshold is 0\.0; give a probability above 0"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        locate_guidewires(np.zeros((8, 8)), **options)  # type: ignore[arg-type]


def test_a_batch_and_a_number_that_is_none_are_refused() -> None:
    with pytest.raises(UsageError, match=r"shape \(1, 8, 8\); give one frame"):
        locate_guidewires(np.zeros((1, 8, 8)))
    broken = drawn(WINDING, 3).astype(np.float32)
    broken[100, 3] = np.nan
    with pytest.raises(UsageError, match="not a number"):
        locate_guidewires(broken)
    field = np.ones_like(broken, np.bool_)
    field[95:, :10] = False
    assert np.isfinite(the_wire(broken, field=field).centreline).all()  # beyond the field nothing counts
