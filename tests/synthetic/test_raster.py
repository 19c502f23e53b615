"""Drawn curves against brute force and closed forms."""

import itertools

import numpy as np
import pytest

from gwunet.synthetic.raster import chord, footprint, tube


def test_distance_image_is_the_distance_to_the_nearest_segment() -> None:
    points = np.array([[3.2, 2.7], [8.9, 5.1], [9.3, 14.6], [4.0, 18.2]])
    dense = np.concatenate([a + np.linspace(0, 1, 4001)[:, None] * (b - a) for a, b in itertools.pairwise(points)])
    pixels = np.stack(np.mgrid[:14, :22], axis=-1).reshape(-1, 1, 2)
    brute = np.linalg.norm(pixels - dense, axis=2).min(axis=1).reshape(14, 22)

    drawn = footprint(points, (14, 22), reach_px=2.5).distance_image(far=np.inf)

    np.testing.assert_allclose(drawn[brute < 2.49], brute[brute < 2.49], atol=1e-4)
    assert np.isinf(drawn[brute > 2.51]).all()


@pytest.mark.parametrize("radius", [0.3, 1.0, 1.37, 4.0])
@pytest.mark.parametrize("offset", [0.0, 0.25, 0.5])
def test_chord_keeps_the_area_of_the_cylinder(radius: float, offset: float) -> None:
    distances = np.abs(np.arange(-8, 9) + offset)
    assert chord(distances, radius).sum() == pytest.approx(np.pi * radius**2, rel=1e-9)


def test_tube_keeps_the_volume_of_the_cylinder() -> None:
    points = np.stack([np.full(41, 20.3), np.linspace(10, 50, 41)], axis=1)
    middle = tube(points, (40, 60), 1.4)[:, 20:40]
    assert middle.sum() == pytest.approx(20 * np.pi * 1.4**2, rel=1e-5)


def test_curves_outside_the_image_draw_nothing() -> None:
    points = np.stack([np.full(5, -30.0), np.arange(5.0)], axis=1)
    assert not tube(points, (20, 20), 2.0).any()
