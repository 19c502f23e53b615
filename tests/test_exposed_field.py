"""Collimator borders are found at any level, shape and depth; anatomy and wires are left alone."""

import dataclasses
import io
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw
from skimage.draw import polygon2mask
from skimage.morphology import convex_hull_image

from gwunet.exposed_field import (
    NO_BORDER,
    Border,
    BorderSample,
    Box,
    _percentile,
    border_sample,
    bounding_box,
    estimate_border,
    exposed_field,
)
from gwunet.synthetic import simulate_sequence

SHAPE = (160, 201)
ROWS, COLUMNS = np.indices(SHAPE)


def inside(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    return (top <= ROWS) & (bottom > ROWS) & (left <= COLUMNS) & (right > COLUMNS)


CIRCLE = (ROWS - 80) ** 2 + (COLUMNS - 100) ** 2 <= 76**2
FIELDS = {
    "four sides": inside(21, 131, 33, 170),
    "top": inside(17, 160, 0, 201),
    "bottom": inside(0, 143, 0, 201),
    "left": inside(0, 160, 24, 201),
    "right": inside(0, 160, 0, 181),
    "left and right": inside(0, 160, 30, 171),
    "circle": CIRCLE,
    "cut circle": CIRCLE & inside(20, 140, 0, 201),
}


def body(seed: int = 0, noise: float = 4.0) -> np.ndarray:
    """Soft tissue: bright, uneven and noisy."""
    rng = np.random.default_rng(seed)
    waves = 130 + 40 * np.sin(ROWS / 37 + 1) * np.cos(COLUMNS / 53) - 20 * (COLUMNS / SHAPE[1])
    return waves + rng.normal(0, noise, SHAPE)


def frame_with(field: np.ndarray, level: float, border_noise: float = 0.0, quality: int | None = None) -> np.ndarray:
    rng = np.random.default_rng(1)
    values = np.where(field, body(), level + rng.normal(0, border_noise, SHAPE))
    frame = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return frame if quality is None else through_jpeg(frame, quality)


def through_jpeg(frame: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def found_field(frame: np.ndarray) -> np.ndarray:
    return exposed_field(frame, estimate_border([border_sample(frame)]))


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize(("level", "noise"), [(0, 0.0), (15, 0.0), (15, 1.5), (20, 0.0), (20, 1.5)])
def test_a_border_is_found_to_the_pixel(field: np.ndarray, level: float, noise: float) -> None:
    frame = frame_with(field, level, noise)
    border = estimate_border([border_sample(frame)])
    assert border.level == pytest.approx(level, abs=1)
    found = exposed_field(frame, border)
    assert (found != field).mean() < 0.001
    assert bounding_box(found) == bounding_box(field)


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize("level", [0, 15, 20])
@pytest.mark.parametrize("quality", [50, 85])
def test_jpeg_moves_the_fields_end_by_three_pixels_at_most(field: np.ndarray, level: int, quality: int) -> None:
    """Though the 8 x 8 blocks that hold the end ring."""
    found = found_field(frame_with(field, level, 1.0, quality))
    assert (field & ~found).mean() < 0.001
    assert (found & ~field).mean() < 0.01
    found_box, box = bounding_box(found), bounding_box(field)
    for side in ("top", "bottom", "left", "right"):
        assert abs(getattr(found_box, side) - getattr(box, side)) <= 3


SIMULATED: dict[str, dict[str, Any]] = {
    "black 0, circular": {"border": 0, "collimator": "circular"},
    "black 0, rectangular": {"border": 0, "collimator": "rectangular"},
    "black 15, circular": {"border": 15, "collimator": "circular"},
    "black 15, rectangular": {"border": 15, "collimator": "rectangular"},
    "JPEG, circular": {"border": "jpeg", "collimator": "circular"},
    "JPEG, rectangular": {"border": "jpeg", "collimator": "rectangular"},
    "16 bit": {"bits": 16},
    "16 bit, black 15": {"bits": 16, "border": 15},
    "not square": {"size": (320, 256)},
    "none": {"border": "none"},
}


@pytest.mark.parametrize("options", SIMULATED.values(), ids=SIMULATED)
def test_the_field_agrees_with_the_simulators(options: dict[str, Any]) -> None:
    """Intersection over union, the border estimated from all frames of a dataset."""
    frames = [
        next(simulate_sequence(seed=8, patient=patient, sequence=0, frames=1, **{"size": 256, **options}))
        for patient in range(2)
    ]
    border = estimate_border([border_sample(frame.image) for frame in frames])
    for frame in frames:
        found = exposed_field(frame.image, border)
        assert (found & frame.exposed).sum() >= 0.98 * (found | frame.exposed).sum()


DEPTHS: dict[str, dict[str, Any]] = {
    "8": {"border": 15},
    "10": {"bits": 12, "border": 15},  # then divided by 4
    "12": {"bits": 12, "border": 15},
    "16": {"bits": 16, "border": 15},
}


def frames_of_depth(depth: str, patients: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Simulated frames kept in 16 bit, each with its field; other patients for each depth."""
    seed, options = 20 + int(depth), {"size": 256, "collimator": "rectangular", **DEPTHS[depth]}
    frames = [
        next(simulate_sequence(seed=seed, patient=patient, sequence=0, frames=1, **options))
        for patient in range(patients)
    ]
    return [(frame.image.astype(np.uint16) >> (2 if depth == "10" else 0), frame.exposed) for frame in frames]


@pytest.mark.parametrize("depths", ["12 16", "8 16", "8 12", "10 12"])
def test_depths_mixed_in_16_bit_are_found_as_each_by_itself(depths: str) -> None:
    """What is dark in 16 bits is bright in 12."""
    groups = {depth: frames_of_depth(depth, 1 + place) for place, depth in enumerate(depths.split())}
    border = estimate_border([border_sample(frame) for group in groups.values() for frame, _ in group])
    assert list(border.depths) == list(groups)
    for depth, group in groups.items():
        alone = estimate_border([border_sample(frame) for frame, _ in group])
        assert border.depths[depth] == alone.depths[depth] == dataclasses.replace(alone, depths={})
        for frame, field in group:
            found = exposed_field(frame, border)
            assert (found & field).sum() >= 0.98 * (found | field).sum()
    assert dataclasses.replace(border, depths={}) == border.depths[depth], "the second depth has more frames"


def test_a_depth_the_dataset_did_not_have_is_judged_by_its_own_edges() -> None:
    deep, shallow = frames_of_depth("16", 1), frames_of_depth("12", 1)
    for trained_on, ((frame, field),) in ((deep, shallow), (shallow, deep)):
        found = exposed_field(frame, estimate_border([border_sample(other) for other, _ in trained_on]))
        assert (found & field).sum() >= 0.98 * (found | field).sum()
    without = (body() * 16).astype(np.uint16)
    without[:, :20] //= 3  # darker than the border in 16 bits
    assert exposed_field(without, estimate_border([border_sample(frame) for frame, _ in deep])).all()


@pytest.mark.parametrize("level", [0, 15])
def test_the_field_ends_half_way_down_the_penumbra(level: int) -> None:
    """A penumbra of 8 pixels: a threshold just above black would take in 4 of them on either side."""
    depth = np.minimum.reduce([ROWS - 29.5, 129.5 - ROWS, COLUMNS - 39.5, 159.5 - COLUMNS])
    share = np.clip(depth / 8 + 0.5, 0, 1)
    frame = np.rint(level + share * (body(noise=2.0) - level)).astype(np.uint8)
    found = bounding_box(found_field(frame))
    assert (found.top, found.left) == pytest.approx((30, 40), abs=1)
    assert (found.bottom, found.right) == pytest.approx((130, 160), abs=1)


def test_oblique_blades_make_a_polygon() -> None:
    field = polygon2mask(SHAPE, [(10, 60), (30, 170), (120, 190), (150, 90), (90, 12)])
    found = found_field(frame_with(field, 15, 1.0))
    assert (found != field).mean() < 0.001
    np.testing.assert_array_equal(convex_hull_image(found, offset_coordinates=False), found)


@pytest.mark.parametrize("level", [0, 15])
def test_narrow_dark_anatomy_at_the_fields_end_stays(level: int) -> None:
    """A rib or a diaphragm as dark as the border, between brighter parts: a field has no notches."""
    field = FIELDS["four sides"]
    frame = frame_with(field, level, 1.0)
    frame[inside(60, 85, 33, 60) | inside(110, 131, 80, 120)] = level
    np.testing.assert_array_equal(found_field(frame), field)


@pytest.mark.parametrize("quality", [None, 85])
def test_a_dark_organ_between_border_and_bright_lung_stays(quality: int | None) -> None:
    """It is darker than half-way from the border to the lung; narrower ones than this, of 27 pixels, may be cut."""
    field = FIELDS["four sides"]
    tissue = np.where(COLUMNS < 60, 60, 220) + np.random.default_rng(0).normal(0, 3, SHAPE)
    frame = np.rint(np.where(field, tissue, 15)).astype(np.uint8)
    found = found_field(frame if quality is None else through_jpeg(frame, quality))
    assert bounding_box(found).left == pytest.approx(bounding_box(field).left, abs=2)
    assert (found != field).mean() < 0.01


def test_letters_in_the_border_are_no_field() -> None:
    field = FIELDS["circle"]
    picture = Image.fromarray(frame_with(field, 15, 1.0))
    ImageDraw.Draw(picture).text((2, 2), "LAO 30", fill=255)
    assert (found_field(np.asarray(picture)) != field).mean() < 0.001


def test_bright_noise_along_the_frames_edge_is_no_field() -> None:
    """Some real frames have it: two rows that were compressed with something else."""
    field = FIELDS["four sides"]
    frame = frame_with(field, 15)
    frame[:2] = np.random.default_rng(0).normal(15, 7, (2, SHAPE[1])).clip(0, 255)
    frame[15:40, -1] = 80
    assert (exposed_field(frame, Border(level=15.0, threshold=28.0, spread=5.0)) != field).mean() < 0.001


@pytest.mark.parametrize("level", [0, 15])
def test_sixteen_bits_are_treated_alike(level: int) -> None:
    field = FIELDS["four sides"]
    deep = frame_with(field, level, 1.0).astype(np.uint16) * 113
    border = estimate_border([border_sample(deep)])
    assert border.level == pytest.approx(level * 113, abs=113)
    np.testing.assert_array_equal(exposed_field(deep, border), field)


def test_a_frame_without_border_is_exposed_everywhere() -> None:
    frame = np.clip(np.rint(body()), 0, 255).astype(np.uint8)
    assert border_sample(frame).pixels.size == 0
    assert estimate_border([border_sample(frame), border_sample(frame)]) == NO_BORDER
    assert exposed_field(frame, NO_BORDER).all()
    assert exposed_field(frame, Border(level=15.0, threshold=20.0, spread=2.0)).all()


@pytest.mark.parametrize("value", [0, 15, 255])
def test_a_flat_frame_is_exposed_everywhere(value: int) -> None:
    frame = np.full(SHAPE, value, np.uint8)
    assert found_field(frame).all()
    assert exposed_field(frame, Border(level=15.0, threshold=20.0, spread=2.0)).all()


def fading(fading_px: int, noise: float) -> np.ndarray:
    """A dense region at the left edge, as dark as other frames' borders there, that brightens gradually."""
    rows, columns = np.indices((200, 512))
    tissue = 130 + 40 * np.sin(rows / 90 + 1) * np.cos(columns / 120)
    ramp = np.clip(columns / fading_px, 0, 1)
    values = 12 + ramp * (tissue - 12) + np.random.default_rng(0).normal(0, noise, rows.shape)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("fading_px", "noise"),
    [(300, 0.0), (300, 1.0), (300, 3.0), (450, 0.0), (450, 1.0), (450, 3.0), (100, 1.0)],
)
def test_dark_anatomy_that_fades_is_no_border(fading_px: int, noise: float) -> None:
    frame = fading(fading_px, noise)
    assert border_sample(frame).pixels.size == 0
    assert found_field(frame).all()


@pytest.mark.parametrize("fading_px", [100, 200, 400])
@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0])
def test_dark_anatomy_is_not_cut_by_the_border_of_other_frames(fading_px: int, noise: float) -> None:
    assert exposed_field(fading(fading_px, noise), Border(level=15.0, threshold=18.0, spread=1.5)).all()


@pytest.mark.parametrize("width_px", [2, 3, 4])
@pytest.mark.parametrize("level", [0, 15])
def test_a_wire_from_the_border_stays_in_the_field(width_px: int, level: int) -> None:
    """It is as dark as the border it comes from."""
    field = FIELDS["four sides"]
    frame = frame_with(field, level)
    wire = inside(80, 80 + width_px, 0, 120)
    frame[wire] = level
    found = found_field(frame)
    assert bounding_box(found) == bounding_box(field)
    assert found[field & wire].all()


def test_a_wire_from_the_edge_of_a_frame_without_border_stays() -> None:
    frame = np.clip(np.rint(body()), 0, 255).astype(np.uint8)
    frame[70:74, :150] = 10
    assert exposed_field(frame, Border(level=15.0, threshold=20.0, spread=2.0)).all()
    assert found_field(frame).all()


def test_dark_structures_inside_the_field_leave_no_holes() -> None:
    field = FIELDS["circle"]
    frame = frame_with(field, 15)
    frame[60:90, 80:110] = 15  # a clip or a dense bone, not joined to the border
    np.testing.assert_array_equal(found_field(frame), field)


def test_the_level_of_a_dataset_comes_from_the_frames_that_have_a_border() -> None:
    with_border = [frame_with(FIELDS[name], 15, 1.0) for name in ("circle", "left", "top")]
    without = np.clip(np.rint(body(3)), 0, 255).astype(np.uint8)
    border = estimate_border([border_sample(frame) for frame in (*with_border, without, without, without, without)])
    assert border.level == pytest.approx(15, abs=1)
    assert 17 <= border.threshold <= 30
    assert estimate_border([]) == NO_BORDER
    assert exposed_field(without, border).all()


samples_8_bit = arrays(np.uint8, st.integers(1, 60), elements=st.integers(0, 60))
samples_16_bit = arrays(np.uint16, st.integers(1, 60), elements=st.integers(0, 9000))


@given(st.lists(samples_8_bit, min_size=1, max_size=6) | st.lists(samples_16_bit, min_size=1, max_size=6))
def test_what_is_counted_is_what_numpy_would_sort(samples: list[np.ndarray]) -> None:
    border = estimate_border([BorderSample(pixels, 200.0 + place) for place, pixels in enumerate(samples)])
    level, high = np.percentile(np.concatenate(samples), (50, 99.5))
    above_own = np.concatenate([pixels - np.median(pixels) for pixels in samples])
    spread = max(np.percentile(above_own, 99.5), 0.015 * (200 + (len(samples) - 1) / 2))
    assert (border.level, border.threshold, border.spread) == pytest.approx((level, high + spread, spread), abs=2e-3)


@settings(max_examples=50)
@given(samples_8_bit | samples_16_bit, st.sampled_from([0, 20, 50, 99, 99.5, 100]) | st.floats(0, 100))
def test_percentiles_of_whole_numbers_are_numpys(values: np.ndarray, percent: float) -> None:
    assert _percentile(values, percent) == np.percentile(values, percent)


def test_estimating_takes_the_same_memory_for_any_number_of_frames() -> None:
    peaks = []
    for frames in (10, 1000):
        samples = [BorderSample(np.full(2000, 15, np.uint8), 200.0)] * frames
        tracemalloc.start()
        estimate_border(samples)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000


def test_a_tiny_bright_rest_is_no_field() -> None:
    frame = np.full(SHAPE, 15, np.uint8)
    frame[70:80, 90:100] = 200
    assert found_field(frame).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (5, 7), (9, 8)])
def test_frames_smaller_than_a_block_are_no_error(shape: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert found_field(frame).shape == shape


def test_the_box_of_a_mask_is_the_smallest() -> None:
    mask = np.zeros((9, 11), bool)
    mask[2, 5] = mask[6, 3] = True
    box = bounding_box(mask)
    assert box == Box(top=2, bottom=7, left=3, right=6)
    assert (box.height, box.width) == (5, 3)
    assert mask[box.slices].sum() == 2
