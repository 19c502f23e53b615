"""Masks drawn on frames."""

import numpy as np
import pytest

from gwunet.inference.overlay import FALSE, HIT, MISSED, draw_overlay


def nearest_colour(pixel):
    """Which of the overlay's colours a pixel is, or grey."""
    names = {"hit": HIT, "false": FALSE, "missed": MISSED, "grey": (pixel.mean(),) * 3}
    return min(names, key=lambda name: np.abs(np.subtract(pixel, names[name], dtype=float)).sum())


@pytest.fixture
def frame():
    return np.random.default_rng(0).integers(90, 150, (40, 50)).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_frame_without_wire_is_grey_and_uses_the_whole_range(frame, dtype):
    picture = draw_overlay(frame.astype(dtype) * (1 if dtype == np.uint8 else 250), np.zeros_like(frame))
    assert picture.shape == (40, 50, 3)
    assert picture.dtype == np.uint8
    assert np.ptp(picture, axis=2).max() == 0
    assert (picture.min(), picture.max()) == (0, 255)


def test_border_does_not_take_part_in_the_window(frame):
    framed = np.pad(frame, 60, constant_values=15)
    bare = draw_overlay(frame, np.zeros_like(frame))
    inside = draw_overlay(framed, np.zeros_like(framed))[60:-60, 60:-60]
    assert np.abs(inside.astype(int) - bare).max() <= 3


def test_prediction_is_outlined_and_the_wire_beneath_stays_visible(frame):
    prediction = np.zeros_like(frame)
    prediction[20, 10:30] = 1
    frame[20, 10:30:2] = 90
    frame[20, 11:30:2] = 150
    picture = draw_overlay(frame, prediction)
    assert nearest_colour(picture[19, 15]) == "hit"
    assert nearest_colour(picture[17, 15]) == "grey"
    contrast = picture[20, 11:30:2].mean() - picture[20, 10:30:2].mean()
    assert contrast > 100


def test_reference_marks_errors_pixel_by_pixel(frame):
    prediction, reference = np.zeros((2, *frame.shape), dtype=np.uint8)
    prediction[10, 5:20] = 1
    reference[10, 10:30] = 1
    prediction[30, 5:20] = 1
    reference[30, :] = 2
    picture = draw_overlay(frame, prediction, reference)
    assert {nearest_colour(pixel) for pixel in picture[10, 5:10]} == {"false"}
    assert {nearest_colour(pixel) for pixel in picture[10, 20:30]} == {"missed"}
    assert nearest_colour(picture[9, 15]) == "hit"
    assert {nearest_colour(pixel) for pixel in picture[30, 5:20]} == {"grey"}


def test_mask_at_the_edge_and_constant_frame():
    picture = draw_overlay(np.full((16, 16), 77, dtype=np.uint8), np.ones((16, 16), dtype=np.uint8))
    assert np.isfinite(picture).all()
