"""Distances of curves, against recursion, point by point geometry and closed forms."""

import functools
import itertools
import math
import tracemalloc

import numpy as np
import pytest

from gwunet.evaluation import curves
from gwunet.evaluation.curves import distances_px, frechet_px, resampled


def random_curves(count, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield tuple(np.cumsum(rng.normal(0, 3, (rng.integers(1, 9), 2)), axis=0) for _ in range(2))


def frechet_by_recursion(one, other):
    """As Eiter and Mannila write it down."""

    @functools.cache
    def coupling(i, j):
        before = [(p, q) for p, q in ((i - 1, j), (i - 1, j - 1), (i, j - 1)) if p >= 0 and q >= 0]
        here = math.dist(one[i], other[j])
        return max(here, min(coupling(p, q) for p, q in before)) if before else here

    return coupling(len(one) - 1, len(other) - 1)


def distance_to_segment(point, start, end):
    length = math.dist(start, end)
    if length == 0:
        return math.dist(point, start)
    unit = [(e - s) / length for s, e in zip(start, end, strict=True)]
    along = sum((p - s) * u for p, s, u in zip(point, start, unit, strict=True))
    along = min(max(along, 0), length)
    return math.dist(point, [s + along * u for s, u in zip(start, unit, strict=True)])


def test_frechet_distance_equals_the_recursion():
    for one, other in random_curves(60):
        assert frechet_px(one, other) == pytest.approx(frechet_by_recursion(one, other), abs=1e-12)
        assert frechet_px(one, other) == frechet_px(other, one)


def test_frechet_distance_sees_the_direction_and_the_detour():
    line = np.stack((np.full(11, 5.0), np.arange(11.0)), axis=1)
    assert frechet_px(line, line + np.array((3, 0))) == 3
    assert frechet_px(line, line[::-1]) == 10
    # There and back again: near everywhere, but a walker who never turns must wait half way.
    detour = np.concatenate((line[:8], line[2:7][::-1], line[3:]))
    assert distances_px(detour, line).max() == 0
    assert frechet_px(line, detour) == 3


def test_frechet_distance_of_long_curves_needs_memory_in_proportion_to_their_length():
    line = np.stack((np.arange(3000.0), np.zeros(3000)), axis=1)
    tracemalloc.start()
    distance = frechet_px(line, line + 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert distance == pytest.approx(math.sqrt(2))
    assert peak < 2e6  # the table of all pairs of points would be 72 MB


def test_distances_equal_the_geometry_of_each_segment(monkeypatch):
    monkeypatch.setattr(curves, "POINTS_AT_ONCE", 3)
    for points, curve in random_curves(40, seed=1):
        segments = list(itertools.pairwise(curve)) or [(curve[0], curve[0])]
        expected = [min(distance_to_segment(point, *segment) for segment in segments) for point in points]
        assert distances_px(points, curve) == pytest.approx(expected, abs=1e-9)


def test_distances_keep_their_digits_far_from_the_origin_and_with_points_twice():
    curve = np.array([(5000, 7000), (5000, 7000), (5000, 7010)], dtype=float)
    assert distances_px(np.array([(5000.25, 7005.5), (5000, 6997)]), curve) == pytest.approx([0.25, 3], abs=1e-9)


def test_resampled_points_are_evenly_spaced_and_keep_the_ends():
    corner = np.array([(0, 0), (0, 4), (0, 4), (3.5, 4)], dtype=float)
    points = resampled(corner)
    assert len(points) == 9
    assert points[[0, -1]].tolist() == [[0, 0], [3.5, 4]]
    assert distances_px(points, corner).max() < 1e-12
    along = points[:, 0] + points[:, 1]  # a step right or down adds what it is long
    assert np.diff(along) == pytest.approx(np.full(8, 7.5 / 8))
    assert resampled(corner[1:3]).tolist() == [[0, 4]]
    assert resampled(corner[:1]).tolist() == [[0, 0]]
