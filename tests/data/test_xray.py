"""Hidden wires, collimators and dose do what they are named for."""

import math

import numpy as np
import pytest

from gwunet.data.store import Sample
from gwunet.data.variation import GreyScale
from gwunet.data.xray import (
    CUT_SHARE,
    DOSE_RANGE,
    Arc,
    Blade,
    DarkBand,
    Exposure,
    WireGap,
    draw_collimator,
    draw_occlusion,
    noise_of,
)
from gwunet.dataset import CENTRELINE, IGNORE

GREY = GreyScale(100.0, 25.0, 255.0)
DEPTH = 2.0
"""Of the wire below its background, in z-scores."""


def make_patch(noise: float = 0.0, field: np.ndarray | None = None, last: int = 79) -> Sample:
    """A wire of three pixels along row 40, up to a column, on a background that brightens downwards."""
    rows, columns = np.indices((81, 80))
    wire = (abs(rows - 40) <= 1) & (columns <= last)
    target = np.where(rows == 40, CENTRELINE, 1) * wire
    field = np.ones((81, 80), bool) if field is None else field
    frame = 0.01 * rows - DEPTH * wire + noise * np.random.default_rng(0).normal(size=wire.shape)
    return Sample((frame * field).astype(np.float32), (target * field).astype(np.uint8), field)


def background(patch: Sample) -> np.ndarray:
    return 0.01 * np.indices(patch.frame.shape)[0]


def test_a_gap_hides_its_stretch_and_nothing_else() -> None:
    patch = make_patch()
    varied = WireGap((40, 30), 6.0, 1.0, 0.3).apply(patch)
    hidden = abs(varied.frame[39:42, 27:34] - background(patch)[39:42, 27:34])
    assert hidden.max() < 0.1
    far = np.hypot(*(np.indices(patch.frame.shape) - np.array([40, 30])[:, None, None])) >= 6
    np.testing.assert_array_equal(varied.frame[far], patch.frame[far])
    np.testing.assert_array_equal(varied.target, patch.target)


def test_a_gap_is_as_opaque_as_it_says_and_noisy_as_its_surroundings() -> None:
    middle = (slice(39, 42), slice(28, 33))
    half = WireGap((40, 30), 6.0, 0.5, 0.3).apply(make_patch())
    depth = background(half)[middle] - half.frame[middle]
    assert depth.mean() == pytest.approx(DEPTH / 2, abs=0.1)
    noisy = WireGap((40, 40), 8.0, 1.0, 0.3).apply(make_patch(noise=0.3))
    inner = (slice(36, 45), slice(36, 45))
    assert (noisy.frame - background(noisy))[inner].std() == pytest.approx(0.3, rel=0.3)  # of 81 values


def test_a_gap_is_painted_with_exposed_background_only() -> None:
    """Above the wire nothing is exposed, below runs all there is to paint with."""
    patch = make_patch(field=np.indices((81, 80))[0] >= 38)
    varied = WireGap((40, 30), 6.0, 1.0, -math.pi / 2).apply(patch)
    assert abs(varied.frame[39:42, 27:34] - background(patch)[39:42, 27:34]).max() < 0.2
    assert (varied.frame[~patch.field] == 0).all()
    narrow = make_patch(field=abs(np.indices((81, 80))[0] - 40) <= 2)
    assert WireGap((40, 30), 6.0, 1.0, 0.0).apply(narrow) is narrow


def test_gaps_lie_between_stretches_of_wire_and_never_at_a_tip() -> None:
    patch = make_patch(last=50)
    gaps = [WireGap.draw(np.random.default_rng(seed), patch) for seed in range(200)]
    found = [gap for gap in gaps if gap is not None]
    assert 100 < len(found) < 200
    assert all(patch.wire[gap.centre] and gap.centre[1] + gap.radius_px <= 51 for gap in found)
    bare = Sample(patch.frame, np.zeros_like(patch.target), patch.field)
    assert WireGap.draw(np.random.default_rng(0), bare) is None


def test_a_band_darkens_by_the_quanta_it_takes_and_the_wire_shows_through() -> None:
    patch = make_patch()
    band = DarkBand((40.0, 30.0), math.pi / 2, 8.0, 0.5, False, GREY.black)  # its axis is column 30
    varied = band.apply(patch)
    column = GREY.mean + GREY.std * patch.frame[:, 30].astype(float)
    np.testing.assert_allclose(GREY.mean + GREY.std * varied.frame[:, 30], 0.5 * column, rtol=1e-5)
    outside = abs(np.arange(80) - 30) >= 8
    np.testing.assert_allclose(varied.frame[:, outside], patch.frame[:, outside], atol=1e-6)
    np.testing.assert_array_equal(varied.target, patch.target)
    assert varied.frame[40, 30] < varied.frame[36, 30] - 0.5


def test_the_edge_of_a_bone_is_sharp_on_one_side() -> None:
    patch = make_patch()
    edge = DarkBand((40.0, 30.0), math.pi / 2, 5.0, 0.5, True, GREY.black).apply(patch)
    darker = patch.frame[10] - edge.frame[10]
    assert abs(darker[:29]).max() < 1e-6
    assert darker[31] == max(darker)
    assert (np.diff(darker[31:51]) < 0).all()
    assert abs(darker[51:]).max() < 1e-6


@pytest.mark.parametrize(("angle_deg", "rows", "columns"), [(0, 1, 0), (90, 0, 1), (180, -1, 0), (216.87, -0.8, -0.6)])
def test_a_blade_covers_what_lies_beyond_its_edge(angle_deg: float, rows: float, columns: float) -> None:
    patch = make_patch()
    varied = Blade(math.radians(angle_deg), 20.53).apply(patch)
    y, x = np.indices(patch.frame.shape) - np.array([40, 39.5])[:, None, None]
    np.testing.assert_array_equal(varied.field, rows * y + columns * x <= 20.53)
    np.testing.assert_array_equal(varied.frame, np.where(varied.field, patch.frame, 0))
    np.testing.assert_array_equal(varied.target, np.where(varied.field, patch.target, 0))


def test_an_arc_leaves_a_circle() -> None:
    patch = make_patch(field=np.indices((81, 80))[1] > 5)
    varied = Arc(0.0, 20.0, 60.0).apply(patch)
    y, x = np.indices(patch.frame.shape) - np.array([40, 39.5])[:, None, None]
    np.testing.assert_array_equal(varied.field, patch.field & ((y + 40) ** 2 + x**2 <= 3600))
    assert (varied.frame[~varied.field] == 0).all()


@pytest.mark.parametrize("shape", [(64, 64), (64, 128)])
def test_collimators_come_from_every_side_and_leave_most_of_a_patch(shape: tuple[int, int]) -> None:
    patch = Sample(np.ones(shape, np.float32), np.ones(shape, np.uint8), np.ones(shape, bool))
    rng = np.random.default_rng(0)
    kept = [draw_collimator(rng, patch).apply(patch).field for _ in range(150)]
    assert min(field.mean() for field in kept) > 0.5
    assert all((~field).any() for field in kept)
    for side in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        assert any(not field[side].all() for field in kept)
    straight = [abs(1 - 2 * cut) for cut in CUT_SHARE]
    distances = [2 * each.distance_px / 64 for each in _blades(shape) if abs(math.cos(each.angle_rad)) > 0.999]
    assert distances
    assert all(straight[1] - 0.01 <= distance <= straight[0] + 0.01 for distance in distances)


def _blades(shape: tuple[int, int]) -> list[Blade]:
    patch = Sample(np.ones(shape, np.float32), np.ones(shape, np.uint8), np.ones(shape, bool))
    rng = np.random.default_rng(1)
    drawn = [draw_collimator(rng, patch) for _ in range(400)]
    return [each for each in drawn if isinstance(each, Blade)]


def test_a_lower_dose_adds_noise_whose_variance_follows_the_signal() -> None:
    """Half the dose doubles the variance; at a quarter of the mean's grey level a quarter of it is added."""
    for score, signal in ((0.0, 1.0), (-3.0, 0.25), (2.0, 1.5), (-4.0, 0.0)):
        patch = Sample(
            np.full((200, 200), score, np.float32), np.zeros((200, 200), np.uint8), np.ones((200, 200), bool)
        )
        added = Exposure(0.5, 0.1, GREY, 3).apply(patch).frame - patch.frame
        assert added.std() == pytest.approx(0.1 * math.sqrt(signal), rel=0.02, abs=1e-6)
    quarter = Exposure(0.25, 0.1, GREY, 3).apply(make_patch())
    flat = slice(50, None)
    assert (quarter.frame - make_patch().frame)[flat].std() == pytest.approx(0.1 * math.sqrt(3), rel=0.15)


def test_a_higher_dose_saturates_and_wire_lost_in_it_is_ignored() -> None:
    frame = np.linspace(-4, 6, 100, dtype=np.float32).reshape(10, 10)
    target = np.full((10, 10), 1, np.uint8)
    target[:, ::2] = 0
    varied = Exposure(1.25, 0.1, GREY, 0).apply(Sample(frame, target, np.ones((10, 10), bool)))
    np.testing.assert_allclose(varied.frame, np.minimum(frame, (204 - 100) / 25), rtol=1e-6)
    expected = np.where((GREY.mean + GREY.std * frame >= 204) & (target == 1), IGNORE, target)
    np.testing.assert_array_equal(varied.target, expected)
    assert (expected == IGNORE).any()


@pytest.mark.parametrize("std", [0.05, 0.3])
def test_noise_is_found_beside_a_wire_and_a_slope(std: float) -> None:
    assert noise_of(make_patch(noise=std)) == pytest.approx(std, rel=0.1)
    assert noise_of(make_patch(noise=std, field=np.indices((81, 80))[1] > 30)) == pytest.approx(std, rel=0.12)


def test_doses_are_drawn_over_their_range_with_the_patchs_own_noise() -> None:
    patch, rng = make_patch(noise=0.2), np.random.default_rng(0)
    drawn = [Exposure.draw(rng, patch, GREY) for _ in range(200)]
    doses = [each.dose for each in drawn]
    assert DOSE_RANGE[0] <= min(doses) < 0.28
    assert 1.25 < max(doses) <= DOSE_RANGE[1]
    assert drawn[0].noise_std == pytest.approx(0.2, rel=0.1)
    assert Exposure.draw(rng, make_patch(), GREY).noise_std == 0.02


def test_occlusions_are_gaps_and_bands() -> None:
    patch = make_patch()
    kinds = [type(draw_occlusion(np.random.default_rng(seed), patch, GREY)) for seed in range(100)]
    assert 30 < kinds.count(DarkBand) < 70
    assert kinds.count(WireGap) > 20
