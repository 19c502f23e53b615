"""Masks drawn on frames."""

import numpy as np
import pytest

from gwunet.inference import wire_overlay
from gwunet.inference.overlay import FALSE, HIT, MISSED, draw_overlay
from gwunet.localization import Guidewire


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


def test_wires_are_drawn_in_strips_as_in_one_piece(monkeypatch):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (300, 210, 3), dtype=np.uint8)
    for identity, flags in ((None, ()), (7, ("jump",)), (12, ("bridged_frame",))):
        angle = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.05, 250))
        points = np.array([150.0, 100.0]) + np.cumsum(np.stack([np.sin(angle), np.cos(angle)], 1), 0)
        wire = Guidewire(
            centreline=np.clip(points, 0, (299, 209)),
            width_px=np.full(250, 3.0),
            angle_deg=rng.uniform(-180, 180),
            base_angle_deg=0.0,
            confidence=0.9,
            tip_confidence=0.9,
            base_confidence=0.9,
            flags=frozenset(flags),
            identity=identity,
        )
        drawn = {}
        for strip in (1000, 40):
            monkeypatch.setattr(wire_overlay, "STRIP_PX", strip)
            drawn[strip] = wire_overlay.draw_wires(picture, [wire]).astype(int)
        assert np.abs(drawn[40] - drawn[1000]).max() <= 2  # roundings of the mean
        assert 100 < (drawn[40] != picture).any(axis=2).sum() < 5000


def test_drawing_wires_takes_little_room():
    """A wire across a large frame; enlarged as a whole it would be 600 million bytes and more."""
    points = np.stack([np.arange(4000.0), np.arange(4000.0)], axis=1)
    wire = Guidewire(
        centreline=points,
        width_px=np.full(4000, 3.0),
        angle_deg=0.0,
        base_angle_deg=0.0,
        confidence=0.9,
        tip_confidence=0.9,
        base_confidence=0.9,
    )
    boxes = list(wire_overlay._boxes((4000, 4000), [wire.centreline]))
    assert sum(box.stop - box.start for box, _ in boxes) == 4000
    for rows, columns in boxes:
        assert columns.start <= rows.start <= rows.stop <= columns.stop
        assert (rows.stop - rows.start + 64) * (columns.stop - columns.start) < 4000 * 4000 / 50
