"""Tiles cover a frame, and their weighted mean is what an untiled network would give."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gwunet.inference.sliding_window import gaussian_weights, predict_probability
from gwunet.tiling import tile_starts

sizes = st.integers(1, 200)
steps = st.floats(0.05, 1.0)
Network = Callable[[Tensor], Tensor]


def predict(frame: Tensor, *networks: Network, tile: tuple[int, int] = (16, 20), **options: object) -> Tensor:
    chosen = {"step": 0.5, "mirror": False, "batch_size": 4} | options
    return predict_probability(networks, frame[None], tile_size=tile, **chosen)[0]  # type: ignore[arg-type]


def pointwise(tiles: Tensor) -> Tensor:
    return 2 * tiles - 0.5


def lopsided(tiles: Tensor) -> Tensor:
    """Neither shift- nor flip-symmetric: looks one pixel up and two to the left."""
    return tiles + 0.7 * tiles.roll(1, -2) - 0.4 * tiles.roll(2, -1)


def ramp(tiles: Tensor) -> Tensor:
    """Depends on the place in the tile alone."""
    return torch.linspace(-3, 3, tiles.shape[-1]).expand_as(tiles)


@given(extent=sizes, tile=sizes, step=steps)
def test_tiles_cover_every_pixel_evenly(extent: int, tile: int, step: float) -> None:
    starts = tile_starts(extent, tile, step)
    edge = min(tile, extent)
    covered = {pixel for start in starts for pixel in range(start, start + edge)}
    assert covered == set(range(extent))
    assert (starts[0], starts[-1]) == (0, extent - edge)
    gaps = [after - before for before, after in itertools.pairwise(starts)]
    assert all(0 <= gap <= math.ceil(step * tile) for gap in gaps)
    assert max(gaps, default=0) - min(gaps, default=0) <= 1
    assert len(starts) == len(set(starts))


def test_steps_of_half_a_tile_by_hand() -> None:
    assert tile_starts(512, 256, 0.5) == (0, 128, 256)
    assert tile_starts(513, 256, 0.5) == (0, 86, 171, 257)
    assert tile_starts(256, 256, 0.5) == (0,)
    assert tile_starts(100, 256, 0.5) == (0,)
    assert tile_starts(512, 256, 1.0) == (0, 256)


@pytest.mark.parametrize("step", [0.25, 1e-9, 5e-324])
def test_a_tiny_step_gives_no_tile_twice(step: float) -> None:
    assert tile_starts(8, 4, step) == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("tile", [(16, 24), (7, 9)])
def test_the_weights_are_a_gaussian_of_an_eighth(tile: tuple[int, int]) -> None:
    weights = gaussian_weights(tile, torch.device("cpu"))
    assert weights.shape == tile
    assert weights.max() == 1
    for row in range(tile[0]):
        for column in range(tile[1]):
            distance = [(at - (edge - 1) / 2) / (edge / 8) for at, edge in zip((row, column), tile, strict=True)]
            nearest = [((edge - 1) % 2 / 2) / (edge / 8) for edge in tile]
            true = math.exp(-0.5 * (distance[0] ** 2 + distance[1] ** 2 - nearest[0] ** 2 - nearest[1] ** 2))
            assert weights[row, column].item() == pytest.approx(max(true, 1e-3), rel=1e-4)


@settings(max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    tile=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    step=st.floats(0.2, 1.0),
    mirror=st.booleans(),
    batch_size=st.integers(1, 9),
)
def test_a_pointwise_network_is_applied_to_every_pixel(
    shape: tuple[int, int], tile: tuple[int, int], step: float, mirror: bool, batch_size: int
) -> None:
    frame = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    found = predict(frame, pointwise, tile=tile, step=step, mirror=mirror, batch_size=batch_size)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, pointwise(frame)[0].sigmoid(), atol=1e-5, rtol=1e-5)


def test_the_mean_is_weighted_by_the_tiles() -> None:
    """Against a loop over tiles and pixels in float64."""
    frame = torch.randn(1, 23, 41)
    tile, step = (16, 20), 0.5
    total, weight_sum = torch.zeros(23, 41, dtype=torch.float64), torch.zeros(23, 41, dtype=torch.float64)
    weights = gaussian_weights(tile, torch.device("cpu")).double()
    for top in (0, 7):
        for left in (0, 7, 14, 21):
            part = ramp(frame[None, :, top : top + 16, left : left + 20])[0, 0].sigmoid().double()
            total[top : top + 16, left : left + 20] += part * weights
            weight_sum[top : top + 16, left : left + 20] += weights
    torch.testing.assert_close(
        predict(frame, ramp, tile=tile, step=step).double(), total / weight_sum, atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize("shape", [(16, 20), (12, 33), (33, 50)])
def test_mirroring_is_the_mean_of_the_four_flips_of_each_tile(shape: tuple[int, int]) -> None:
    frame = torch.randn(1, *shape)

    def four_flips(tiles: Tensor) -> Tensor:
        flips = ([], [2], [3], [2, 3])
        mean = sum(lopsided(tiles.flip(axes)).sigmoid().flip(axes) for axes in flips) / 4
        return torch.as_tensor(mean).logit()

    torch.testing.assert_close(predict(frame, lopsided, mirror=True), predict(frame, four_flips), atol=1e-5, rtol=1e-4)
    assert (predict(frame, lopsided, mirror=True) - predict(frame, lopsided)).abs().max() > 0.01


@pytest.mark.parametrize("mirror", [False, True])
def test_the_batch_size_does_not_matter(mirror: bool) -> None:
    frame = torch.randn(1, 45, 61)
    one = predict(frame, lopsided, mirror=mirror, batch_size=1)
    for batch_size in (2, 7, 1000):
        torch.testing.assert_close(predict(frame, lopsided, mirror=mirror, batch_size=batch_size), one)


def test_networks_are_averaged_as_probabilities() -> None:
    frame = torch.randn(1, 30, 30)
    parts = [predict(frame, network) for network in (pointwise, lopsided, ramp)]
    torch.testing.assert_close(predict(frame, pointwise, lopsided, ramp), sum(parts) / 3)


def test_a_frame_that_fits_is_one_tile_of_its_own_size() -> None:
    seen: list[tuple[int, ...]] = []

    def network(tiles: Tensor) -> Tensor:
        seen.append(tuple(tiles.shape))
        return tiles

    predict(torch.randn(1, 11, 18), network)
    predict(torch.randn(1, 11, 40), network, batch_size=100)
    assert seen == [(1, 1, 11, 18), (3, 1, 11, 20)]


def test_half_precision_networks_give_float32() -> None:
    frame = torch.randn(1, 30, 30)
    found = predict(frame, lambda tiles: pointwise(tiles).to(torch.bfloat16))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, pointwise(frame)[0].sigmoid(), atol=0.02, rtol=0.02)
