"""Patches are resampled as their view says and varied inside the exposed field alone."""

import dataclasses
import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwunet.data.augmentation import cut_patch, vary_intensity
from gwunet.data.sampling import View
from gwunet.data.store import Sample
from gwunet.dataset import CENTRELINE, IGNORE
from gwunet.plans import Augmentation, Configuration

VARIATIONS = ("brightness", "contrast", "gamma", "noise", "blur")


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


def always(plain: Augmentation, *names: str) -> Augmentation:
    return dataclasses.replace(plain, **{f"{name}_probability": 1.0 for name in names})


def test_nothing_varies_without_probability(plain: Augmentation) -> None:
    patch = make_sample((30, 31), 0.7)
    np.testing.assert_array_equal(vary_intensity(np.random.default_rng(0), patch, plain), patch.frame)


@pytest.mark.parametrize("name", VARIATIONS)
def test_each_variation_changes_the_field_and_not_the_outside(plain: Augmentation, name: str) -> None:
    patch = make_sample((30, 31), 0.7)
    before = patch.frame.copy()
    varied = vary_intensity(np.random.default_rng(0), patch, always(plain, name))
    assert (varied[patch.field] != before[patch.field]).mean() > 0.9
    assert (varied[~patch.field] == 0).all()
    assert varied.dtype == np.float32
    np.testing.assert_array_equal(patch.frame, before)


def test_what_the_variations_do(plain: Augmentation) -> None:
    patch = make_sample((64, 64))
    values = patch.frame

    def vary(name: str, seed: int = 1) -> np.ndarray:
        return vary_intensity(np.random.default_rng(seed), patch, always(plain, name))

    shift = vary("brightness") - values
    np.testing.assert_allclose(shift, shift[0, 0], atol=1e-5)
    slope = (vary("contrast") - values.mean()) / (values - values.mean())
    inner = (values > np.percentile(values, 5)) & (values < np.percentile(values, 95))  # the range is kept
    assert 0.65 <= np.median(slope[inner]) <= 1.5
    assert slope[inner & (abs(values - values.mean()) > 0.1)].std() < 1e-3
    gamma = vary("gamma")
    assert gamma.mean() == pytest.approx(values.mean(), abs=1e-3)
    assert gamma.std() == pytest.approx(values.std(), abs=1e-3)
    assert (np.diff(gamma.ravel()[np.argsort(values.ravel())]) >= -1e-5).all()  # order of brightness is kept
    assert (vary("noise") - values).mean() == pytest.approx(0, abs=0.02)
    assert vary("blur").std() < values.std()


def test_a_variation_depends_on_its_generator_and_leaves_the_global_ones(plain: Augmentation) -> None:
    patch, everything = make_sample((30, 31), 0.7), always(plain, *VARIATIONS)
    first = vary_intensity(np.random.default_rng(5), patch, everything)
    np.random.seed(0)
    random.seed(0)
    expected = (np.random.random(), random.random())
    np.random.seed(0)
    random.seed(0)
    again = vary_intensity(np.random.default_rng(5), patch, everything)
    assert (np.random.random(), random.random()) == expected
    np.testing.assert_array_equal(again, first)
    assert (vary_intensity(np.random.default_rng(6), patch, everything) != first).any()


def test_a_patch_without_exposed_pixels_stays_zero(plain: Augmentation) -> None:
    patch = make_sample((20, 20), 0.0)
    assert (vary_intensity(np.random.default_rng(0), patch, always(plain, *VARIATIONS)) == 0).all()
