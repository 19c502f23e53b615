"""The 8-direction spatial shift."""

import pytest
import torch

from gwunet.networks.spatial_shift import DIRECTIONS, SpatialShift


def groups(channels: int) -> list[int]:
    """Group of each channel: eight groups that differ by one channel at most."""
    small, larger = divmod(channels, 8)
    return [group for group in range(8) for _ in range(small + (group < larger))]


@pytest.mark.parametrize("channels", [3, 8, 13, 32])
@pytest.mark.parametrize("shape", [(4, 5), (1, 3), (1, 1)])
def test_each_group_moves_its_own_way_and_zeros_come_in(channels: int, shape: tuple[int, int]) -> None:
    height, width = shape
    features = torch.randn(2, channels, height, width)
    expected = torch.zeros_like(features)
    for channel, group in enumerate(groups(channels)):
        down, right = DIRECTIONS[group]
        for row in range(height):
            for column in range(width):
                if 0 <= row - down < height and 0 <= column - right < width:
                    expected[:, channel, row, column] = features[:, channel, row - down, column - right]
    assert torch.equal(SpatialShift(channels)(features), expected)


def test_all_eight_neighbours_are_seen() -> None:
    assert set(DIRECTIONS) == {(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)} - {(0, 0)}
    dot = torch.zeros(1, 8, 3, 3)
    dot[..., 1, 1] = 1
    seen = SpatialShift(8)(dot).sum(1)[0]
    assert torch.equal(seen, torch.tensor([[1.0, 1, 1], [1, 0, 1], [1, 1, 1]]))
