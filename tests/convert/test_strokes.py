"""Curves and outlines as masks, against circles, straight lines and brute-force distances."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gwunet.convert.strokes import curve_through, draw_polygon, draw_stroke
from gwunet.errors import DatasetError, UsageError


def near_segment(shape: tuple[int, int], start: tuple[float, float], end: tuple[float, float], reach: float) -> NDArray:
    """Pixels within ``reach`` of a segment, one by one, by the angle at its ends."""
    mask = np.zeros(shape, np.uint8)
    for row in range(shape[0]):
        for column in range(shape[1]):
            ahead = (end[0] - start[0], end[1] - start[1])
            to_pixel = (row - start[0], column - start[1])
            from_end = (row - end[0], column - end[1])
            if ahead[0] * to_pixel[0] + ahead[1] * to_pixel[1] <= 0:
                distance = math.hypot(*to_pixel)
            elif ahead[0] * from_end[0] + ahead[1] * from_end[1] >= 0:
                distance = math.hypot(*from_end)
            else:
                distance = abs(ahead[0] * to_pixel[1] - ahead[1] * to_pixel[0]) / math.hypot(*ahead)
            mask[row, column] = distance <= reach + 1e-6
    return mask


def circle_points(degrees: range, radius: float = 40.0) -> NDArray[np.float64]:
    angles = np.deg2rad(np.array(degrees, np.float64))
    return 64 + radius * np.stack([np.sin(angles), np.cos(angles)], axis=1)


def test_a_smooth_curve_through_points_of_a_circle_is_the_circle() -> None:
    clicked = circle_points(range(0, 271, 30))
    curve = curve_through(clicked, smooth=True)
    off = np.abs(np.linalg.norm(curve - 64, axis=1) - 40)
    assert off.max() < 0.6  # a chord is 1.36 px off; the ends of the curve are straight
    assert off[60:-60].max() < 0.05
    assert np.linalg.norm(curve[:, None] - clicked, axis=2).min(axis=0).max() < 1e-9
    assert np.linalg.norm(np.diff(curve, axis=0), axis=1).max() < 1.1
    straight = curve_through(clicked, smooth=False)
    assert np.linalg.norm(straight - 64, axis=1).min() == pytest.approx(40 * math.cos(math.radians(15)), abs=0.01)


def test_three_points_give_two_cubics_with_straight_ends() -> None:
    curve = curve_through(np.array([[4.0, 0.0], [0.0, 10.0], [4.0, 20.0]]), smooth=True)
    from_end = 1 - np.abs(curve[:, 1] - 10) / 10
    np.testing.assert_allclose(curve[:, 0], 4 - 6 * from_end + 2 * from_end**3, atol=1e-9)


@pytest.mark.parametrize(
    ("points", "at_most_px"),
    [
        ([[100, 0], [100, 110], [104, 120], [110, 123], [116, 120]], 1.5),  # a J tip
        ([[100, 0], [100, 90], [103, 97], [110, 100], [200, 100]], 1.5),  # a bend
        ([[100, 0], [100, 60], [107, 70], [114, 60], [114, 6]], 2.5),  # a hairpin: an arc through the points is 2.1 off
        ([[100, 0], [100, 100], [100.5, 103], [100, 106], [100, 109]], 1.0),  # straight, and an unsteady hand
    ],
)
def test_a_long_straight_piece_beside_a_bend_stays_straight(points: list[list[float]], at_most_px: float) -> None:
    clicked = np.array(points, np.float64)
    curve, lines = (curve_through(clicked, smooth=smooth) for smooth in (True, False))
    assert np.linalg.norm(curve[:, None] - lines, axis=2).min(axis=1).max() < at_most_px
    assert np.linalg.norm(np.diff(curve, axis=0), axis=1).max() < 1.5


def test_two_points_give_a_line_and_repeated_ones_count_once() -> None:
    line = curve_through(np.array([[2.0, 2.0], [2.0, 2.0], [2.0, 9.0], [2.0, 9.0]]), smooth=True)
    np.testing.assert_allclose(line, np.stack([np.full(8, 2.0), np.arange(2.0, 10.0)], axis=1))


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.ones((1, 2)), np.ones((3, 2))])
def test_fewer_than_two_different_points_are_refused(points: NDArray[np.float64]) -> None:
    with pytest.raises(DatasetError, match="fewer than two different points"):
        draw_stroke(points, 3.0, (16, 16), smooth=True)


@pytest.mark.parametrize("width", [1.0, 1.5, 2.0, 3.0, 4.0, 8.0])
@pytest.mark.parametrize("smooth", [True, False])
def test_a_stroke_is_every_pixel_within_half_its_width(width: float, smooth: bool) -> None:
    start, end = (3.3, 2.6), (17.2, 21.9)
    drawn = draw_stroke(np.array([start, end]), width, (20, 24), smooth=smooth)
    np.testing.assert_array_equal(drawn, near_segment((20, 24), start, end, width / 2))


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize(("width", "rows"), [(1.0, [10]), (2.0, [9, 10, 11]), (3.0, [9, 10, 11]), (5.0, range(8, 13))])
def test_a_line_through_pixel_centres_is_symmetric(width: float, rows: list[int], smooth: bool) -> None:
    points = np.array([[10.0, 5.0], [10.0, 9.0], [10.0, 11.5], [10.0, 15.0]])
    mask = draw_stroke(points, width, (21, 21), smooth=smooth)
    assert list(np.flatnonzero(mask[:, 10])) == list(rows)
    np.testing.assert_array_equal(mask, mask[::-1])
    np.testing.assert_array_equal(mask, mask[:, ::-1])


@given(
    st.lists(st.tuples(st.floats(0, 30), st.floats(0, 24)), min_size=2, max_size=6, unique=True),
    st.floats(1, 8),
    st.booleans(),
)
def test_a_mirrored_stroke_is_the_stroke_of_mirrored_points(
    points: list[tuple[float, float]], width: float, smooth: bool
) -> None:
    clicked = np.round(np.array(points), 1)
    if (np.linalg.norm(np.diff(clicked, axis=0), axis=1) == 0).any():
        return
    mask = draw_stroke(clicked, width, (31, 25), smooth=smooth)
    mirrored = draw_stroke([30, 24] - clicked, width, (31, 25), smooth=smooth)
    # Rounding may decide about a pixel whose distance is half the width to the last digit.
    assert np.count_nonzero(mask != mirrored[::-1, ::-1]) <= 1
    rows, columns = np.rint(clicked).astype(int).T
    assert width < 1.5 or mask[rows, columns].all()


def test_the_thinnest_stroke_has_no_gaps() -> None:
    for angle in np.linspace(0, np.pi, 37):
        direction = np.array([np.sin(angle), np.cos(angle)])
        mask = draw_stroke(np.array([20.5 - 15 * direction, 20.5 + 15 * direction]), 1.0, (41, 41), smooth=False)
        along = np.argwhere(mask) @ direction
        assert np.diff(np.sort(along)).max() < 1.5


def test_a_stroke_that_leaves_the_frame_is_cut_off() -> None:
    whole = draw_stroke(np.array([[5.0, 1.0], [5.0, 29.0]]), 3.0, (11, 31), smooth=False)
    cut = draw_stroke(np.array([[5.0, 1.0], [5.0, 29.0]]), 3.0, (11, 20), smooth=False)
    np.testing.assert_array_equal(cut, whole[:, :20])


def test_a_polygon_on_pixel_edges_fills_exactly_its_pixels() -> None:
    corners = np.array([[2.0, 3.0], [2.0, 8.0], [6.0, 8.0], [6.0, 3.0]]) - 0.5
    expected = np.zeros((9, 10), np.uint8)
    expected[2:6, 3:8] = 1
    np.testing.assert_array_equal(draw_polygon(corners, (9, 10)), expected)


def test_a_polygon_on_pixel_centres_is_symmetric() -> None:
    diamond = np.array([[2.0, 6.0], [6.0, 10.0], [10.0, 6.0], [6.0, 2.0]])
    rows, columns = np.mgrid[:13, :13]
    np.testing.assert_array_equal(draw_polygon(diamond, (13, 13)), np.abs(rows - 6) + np.abs(columns - 6) <= 4)


def test_the_area_of_a_polygon_is_that_of_the_shoelace_formula() -> None:
    polygon = circle_points(range(0, 360, 7), radius=37.3) * [1.0, 0.6]
    rows, columns = polygon.T
    area = abs(np.dot(rows, np.roll(columns, 1)) - np.dot(columns, np.roll(rows, 1))) / 2
    assert draw_polygon(polygon, (128, 128)).sum() == pytest.approx(area, rel=0.005)


def test_a_polygon_needs_three_points() -> None:
    with pytest.raises(DatasetError, match="polygon of 2 points; wanted at least three"):
        draw_polygon(np.array([[1.0, 1.0], [5.0, 5.0]]), (8, 8))


@pytest.mark.parametrize("width", [0.0, -3.0, 0.99, 51.0, math.nan, math.inf])
def test_a_width_that_is_no_wires_is_refused(width: float) -> None:
    with pytest.raises(UsageError, match="wanted 1 to 50 px"):
        draw_stroke(np.array([[1.0, 1.0], [5.0, 5.0]]), width, (8, 8), smooth=True)


def test_a_line_drawn_by_a_machine_gone_wild_is_refused() -> None:
    zigzag = np.array([[0.0, 0.0], [15.0, 15.0]] * 40)
    with pytest.raises(DatasetError, match="wanted at most 640 px"):
        draw_stroke(zigzag, 3.0, (16, 16), smooth=False)
