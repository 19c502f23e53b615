"""Crop and back is exact; z-scores are numpy's, inside the field alone."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gwunet.exposed_field import Border
from gwunet.fingerprint import estimate_borders, sample_border
from gwunet.plans import Preprocessing
from gwunet.preprocessing import crop_frame, normalise, put_back

PLAN = Preprocessing(borders={"uint8": Border(level=15.0, threshold=20.0, spread=2.0)})


def bordered(shape: tuple[int, int], sides: tuple[int, int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A frame of values 110 to 199 with borders of 15 of the given depths, and its field.

    None is below 107, half-way from the border to the brightest: a pixel that is might rightly count as border.
    """
    top, bottom, left, right = sides
    frame = np.full(shape, 15, np.uint8)
    field = np.zeros(shape, bool)
    field[top : shape[0] - bottom, left : shape[1] - right] = True
    frame[field] = np.random.default_rng(seed).integers(110, 200, int(field.sum()))
    return frame, field


def assert_crop_and_back(frame: np.ndarray, field: np.ndarray) -> None:
    crop = crop_frame(frame, PLAN)
    rows, columns = np.flatnonzero(field.any(1)), np.flatnonzero(field.any(0))
    box = crop.box
    assert (box.top, box.bottom, box.left, box.right) == (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)
    mask = np.random.default_rng(1).integers(0, 2, frame.shape, np.uint8) * field
    back = put_back(mask[box.slices], box, crop.frame_shape)
    assert back.dtype == mask.dtype
    np.testing.assert_array_equal(back, mask)
    np.testing.assert_array_equal(put_back(crop.pixels * crop.field, box, frame.shape), frame * field)


@pytest.mark.parametrize("shape", [(20, 20), (19, 22), (21, 17)])
def test_crop_and_back_is_exact_for_every_border_of_a_small_frame(shape: tuple[int, int]) -> None:
    for sides in itertools.product((0, 1, 4), repeat=4):
        assert_crop_and_back(*bordered(shape, sides))


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(24, 71), st.integers(24, 71)),
    sides=st.tuples(*[st.integers(0, 8)] * 4),
    seed=st.integers(0, 1000),
)
def test_crop_and_back_is_exact(shape: tuple[int, int], sides: tuple[int, int, int, int], seed: int) -> None:
    assert_crop_and_back(*bordered(shape, sides, seed))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_scores_are_those_of_numpy_in_float64(dtype: type) -> None:
    rng = np.random.default_rng(2)
    pixels = rng.integers(0, np.iinfo(dtype).max, (60, 70)).astype(dtype)
    field = rng.random((60, 70)) < 0.7
    values = pixels[field].astype(np.float64)
    scores = normalise(pixels, field, values.mean(), values.std())
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores[field], (values - values.mean()) / values.std(), atol=1e-5)
    assert (scores[~field] == 0).all()


def test_mean_and_deviation_are_those_of_the_field_alone() -> None:
    frame, field = bordered((40, 50), (5, 0, 7, 3))
    crop = crop_frame(frame, PLAN)
    values = frame[field].astype(np.float64)
    assert crop.mean == pytest.approx(values.mean(), rel=1e-12)
    assert crop.std == pytest.approx(values.std(), rel=1e-12)
    assert normalise(crop.pixels, crop.field, crop.mean, crop.std)[crop.field].std() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_constant_frame_comes_out_as_zero(value: int) -> None:
    crop = crop_frame(np.full((30, 31), value, np.uint8), PLAN)
    assert (normalise(crop.pixels, crop.field, crop.mean, crop.std) == 0).all()
    assert crop.pixels.shape == (30, 31)


def test_a_type_the_dataset_did_not_have_is_judged_by_its_own_edges() -> None:
    frame, _ = bordered((64, 80), (16, 9, 20, 0))
    crop = crop_frame(frame.astype(np.uint16) * 16, PLAN)
    assert (crop.box.top, crop.box.bottom, crop.box.left, crop.box.right) == (16, 55, 20, 80)
    assert crop.field.all()
    assert crop.pixels.dtype == np.uint16


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(("trained", "seen"), [(None, 12), (0, 15), (15, 30), (15, 0)])
def test_a_border_the_dataset_did_not_have_is_found_too(trained: int | None, seen: int, dtype: type) -> None:
    """The blades of another machine, brighter than any of the dataset's, which may have had none."""
    scale = 1 if dtype == np.uint8 else 16

    def frame_of(level: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        frame = rng.normal(140, 12, (256, 256))
        rows, columns = np.mgrid[:256, :256]
        field = (rows - 128) ** 2 + (columns - 128) ** 2 < 110**2
        if level is None:
            field[:] = True
        else:
            frame = np.where(field, frame, rng.normal(level, 0.7, frame.shape))
        return (frame * scale).clip(0, 255 * scale).astype(dtype), field

    borders = estimate_borders([sample_border(frame_of(trained, seed)[0]) for seed in range(4)])
    frame, true_field = frame_of(seen, 9)
    crop = crop_frame(frame, Preprocessing(borders=borders))
    found = put_back(crop.field, crop.box, frame.shape)
    assert (found & true_field).sum() >= 0.98 * (found | true_field).sum()
