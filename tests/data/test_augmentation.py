"""Patches are resampled as their view says and varied as often as the plan says, inside the exposed field alone."""

import dataclasses
import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gwunet.data.augmentation import VARIATIONS, cut_patch, vary
from gwunet.data.sampling import View
from gwunet.data.store import Sample
from gwunet.data.variation import GreyScale
from gwunet.dataset import CENTRELINE, IGNORE
from gwunet.jsonio import from_json, to_json
from gwunet.plans import Augmentation, Configuration

GREY = GreyScale(100.0, 30.0, 255.0)


def make_sample(shape: tuple[int, int], exposed: float = 1.0) -> Sample:
    rng = np.random.default_rng(0)
    field = rng.random(shape) < exposed
    target = rng.choice((0, 1, IGNORE, CENTRELINE), shape, p=(0.6, 0.2, 0.1, 0.1)).astype(np.uint8)
    return Sample((rng.normal(size=shape) * field).astype(np.float32), target, field)


def view_of(sample: Sample, angle_deg: float = 0, zoom: float = 1, rows: bool = False, columns: bool = False) -> View:
    height, width = sample.frame.shape
    return View(((height - 1) / 2, (width - 1) / 2), math.radians(angle_deg), zoom, rows, columns)


def assert_same(patch: Sample, expected: Sample) -> None:
    np.testing.assert_allclose(patch.frame, expected.frame, atol=1e-4)  # of float32 positions
    np.testing.assert_array_equal(patch.target, expected.target)
    np.testing.assert_array_equal(patch.field, expected.field)


def each_layer(sample: Sample, change: Callable[[np.ndarray], np.ndarray]) -> Sample:
    return Sample(change(sample.frame), change(sample.target), change(sample.field))


@pytest.mark.parametrize("shape", [(16, 16), (17, 17), (31, 40), (1, 9)])
def test_a_plain_view_of_the_whole_frame_is_the_frame(shape: tuple[int, int]) -> None:
    sample = make_sample(shape, 0.8)
    assert_same(cut_patch(sample, view_of(sample), shape), sample)


@pytest.mark.parametrize("edge", [16, 17])
@pytest.mark.parametrize("quarters", [-1, 1, 2])
def test_quarter_turns_are_those_of_numpy(edge: int, quarters: int) -> None:
    sample = make_sample((edge, edge), 0.8)
    patch = cut_patch(sample, view_of(sample, -90 * quarters), (edge, edge))
    assert_same(patch, each_layer(sample, lambda layer: np.rot90(layer, quarters)))


@pytest.mark.parametrize(("rows", "columns"), [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("shape", [(15, 22), (16, 21)])
def test_flips_are_those_of_numpy(shape: tuple[int, int], rows: bool, columns: bool) -> None:
    sample = make_sample(shape, 0.8)
    axes = [axis for axis, flipped in enumerate((rows, columns)) if flipped]
    patch = cut_patch(sample, view_of(sample, rows=rows, columns=columns), shape)
    assert_same(patch, each_layer(sample, lambda layer: np.flip(layer, axes)))


@given(
    angle_deg=st.floats(-180, 180),
    zoom=st.floats(0.8, 3),
    rows=st.booleans(),
    columns=st.booleans(),
    centre=st.tuples(st.floats(20, 40), st.floats(25, 45)),
)
def test_a_ramp_is_sampled_where_the_view_points(
    angle_deg: float, zoom: float, rows: bool, columns: bool, centre: tuple[float, float]
) -> None:
    """Bilinear sampling of a plane is exact, so each patch pixel tells where it looked."""
    shape, patch_size = (61, 71), (11, 14)
    true_rows, true_columns = np.indices(shape).astype(np.float32)
    turn = math.radians(angle_deg)
    view = View(centre, turn, zoom, rows, columns)
    everywhere = np.ones(shape, bool)
    found_rows = cut_patch(Sample(true_rows, np.zeros(shape, np.uint8), everywhere), view, patch_size)
    found_columns = cut_patch(Sample(true_columns, np.zeros(shape, np.uint8), everywhere), view, patch_size)
    y, x = np.indices(patch_size) - (np.array(patch_size)[:, None, None] - 1) / 2
    y, x = (-y if rows else y) / zoom, (-x if columns else x) / zoom
    np.testing.assert_allclose(found_rows.frame, centre[0] + y * math.cos(turn) - x * math.sin(turn), atol=1e-3)
    np.testing.assert_allclose(found_columns.frame, centre[1] + y * math.sin(turn) + x * math.cos(turn), atol=1e-3)
    assert found_rows.field.all()


@pytest.mark.parametrize("angle_deg", [0, 30, 72])
def test_the_centreline_turns_with_its_wire(angle_deg: float) -> None:
    """A wide bar with its middle marked: in the patch too the centreline is the pixels near the bar's axis."""
    target = np.zeros((101, 101), np.uint8)
    target[46:55, 10:91] = 1
    target[48:53, 14:87] = CENTRELINE
    sample = Sample(np.zeros((101, 101), np.float32), target, np.ones((101, 101), bool))
    found = cut_patch(sample, view_of(sample, angle_deg), (51, 51)).target
    y, x = np.indices((51, 51)) - 25.0
    turn = math.radians(angle_deg)
    from_axis = abs(y * math.cos(turn) - x * math.sin(turn))
    assert (found[from_axis < 2.2] == CENTRELINE).all()
    assert (found[(from_axis > 2.8) & (from_axis < 4.2)] == 1).all()
    assert (found[from_axis > 4.8] == 0).all()


def test_beyond_the_frame_is_neither_exposed_nor_wire() -> None:
    sample = make_sample((10, 12))
    patch = cut_patch(sample, view_of(sample), (20, 22))
    assert_same(each_layer(patch, lambda layer: layer[5:15, 5:17]), sample)
    outside = np.ones((20, 22), bool)
    outside[5:15, 5:17] = False
    assert not patch.field[outside].any()
    assert (patch.frame[outside] == 0).all()
    assert (patch.target[outside] == 0).all()


@pytest.mark.parametrize("angle_deg", [0, 37])
def test_outside_stays_zero_and_targets_keep_their_values(angle_deg: float) -> None:
    sample = make_sample((60, 60), 0.5)
    patch = cut_patch(sample, view_of(sample, angle_deg, 1.7), (60, 60))
    assert (patch.frame[~patch.field] == 0).all()
    assert (patch.frame.dtype, patch.target.dtype, patch.field.dtype) == (np.float32, np.uint8, bool)
    assert set(np.unique(patch.target)) <= {0, 1, IGNORE, CENTRELINE}


@pytest.fixture
def plain(make_configuration: Callable[..., Configuration]) -> Augmentation:
    return make_configuration().augmentation


def wired() -> Sample:
    """A dark wire straight across, of which the outer pixels are not exposed here and there."""
    sample = make_sample((48, 50), 1.0)
    field = np.ones((48, 50), bool)
    field[:, :4] = False
    target = np.zeros((48, 50), np.uint8)
    target[23:26] = 1
    frame = np.where(target > 0, sample.frame - 3, sample.frame)
    return Sample(np.where(field, frame, 0).astype(np.float32), np.where(field, target, 0).astype(np.uint8), field)


def chances(plain: Augmentation, probability: float, *names: str) -> Augmentation:
    return dataclasses.replace(plain, **{f"{name}_probability": probability for name in names})


def state_of(patch: Sample) -> tuple[bytes, bytes, bytes]:
    return patch.frame.tobytes(), patch.target.tobytes(), patch.field.tobytes()


def test_every_probability_of_the_plan_has_its_variation() -> None:
    """``spatial_probability`` belongs to the view."""
    named = {field.name for field in dataclasses.fields(Augmentation) if field.name.endswith("_probability")}
    assert named == {f"{name}_probability" for name in VARIATIONS} | {"spatial_probability"}


def test_a_plan_of_before_means_what_it_meant(plain: Augmentation) -> None:
    """Variations that were not known when a plan was written are off in it."""
    later = {"low_resolution", "inversion", "occlusion", "collimator", "exposure"}
    content = {key: value for key, value in to_json(plain).items() if key.removesuffix("_probability") not in later}
    content["noise_probability"] = 0.15
    read = from_json(Augmentation, content, "plans.json")
    assert {name for name in VARIATIONS if getattr(read, f"{name}_probability")} == {"noise"}


def test_nothing_varies_without_probability(plain: Augmentation) -> None:
    patch = wired()
    assert vary(np.random.default_rng(0), patch, plain, GREY) is patch


@pytest.mark.parametrize("name", VARIATIONS)
def test_each_variation_changes_a_copy_and_never_the_outside(plain: Augmentation, name: str) -> None:
    patch = wired()
    before = state_of(patch)
    changed = 0
    for seed in range(12):
        varied = vary(np.random.default_rng(seed), patch, chances(plain, 1.0, name), GREY)
        changed += not np.array_equal(varied.frame, patch.frame)
        assert (varied.frame[~varied.field] == 0).all()
        assert not (varied.field & ~patch.field).any()
        assert (varied.target[~varied.field] == 0).all()
        assert (varied.frame.dtype, varied.target.dtype, varied.field.dtype) == (np.float32, np.uint8, bool)
        assert np.isfinite(varied.frame).all()
    assert changed >= 6
    assert state_of(patch) == before


def test_a_variation_comes_as_often_as_the_plan_says(plain: Augmentation) -> None:
    """300 patches at 30 %: 90 and not more than four standard deviations of 7.9 away."""
    patch, some = wired(), chances(plain, 0.3, "inversion")
    turned = sum(vary(np.random.default_rng(seed), patch, some, GREY) is not patch for seed in range(300))
    assert abs(turned - 90) < 32


def test_variations_depend_on_their_generator_and_leave_the_global_ones(plain: Augmentation) -> None:
    patch, everything = wired(), chances(plain, 1.0, *VARIATIONS)

    def draw_globally() -> tuple[float, float, float]:
        return np.random.random(), random.random(), float(torch.rand(1))

    def seed_globally(seed: int) -> None:
        np.random.seed(seed)
        random.seed(seed)
        torch.manual_seed(seed)

    seed_globally(0)
    expected = draw_globally()
    results = []
    for seed in (0, 1):
        seed_globally(seed)
        results.append(state_of(vary(np.random.default_rng(5), patch, everything, GREY)))
        if seed == 0:
            assert draw_globally() == expected
    assert results[0] == results[1]
    assert state_of(vary(np.random.default_rng(6), patch, everything, GREY)) != results[0]


def test_a_patch_without_exposed_pixels_stays_zero(plain: Augmentation) -> None:
    patch = Sample(np.zeros((20, 20), np.float32), np.zeros((20, 20), np.uint8), np.zeros((20, 20), bool))
    for seed in range(5):
        varied = vary(np.random.default_rng(seed), patch, chances(plain, 1.0, *VARIATIONS), GREY)
        assert state_of(varied) == state_of(patch)
