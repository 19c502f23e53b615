"""Spatial shift: channel groups move one pixel in different directions.

Reference: FGA-Net paper, section "SDA module" (its reference 32, fully 1x1 convolutional networks).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))
"""(rows, columns) each group moves by, in order of the groups."""


def group_sizes(channels: int, groups: int = len(DIRECTIONS)) -> tuple[int, ...]:
    """Nearly equal sizes of ``groups`` channel groups; the first ones take the remainder."""
    return tuple(channels // groups + (index < channels % groups) for index in range(groups))


class SpatialShift(nn.Module):
    """Shifts eight channel groups by one pixel, each in its own direction; zeros come in at the border.

    It is done by a depthwise convolution whose kernels have a single 1: the same values in one pass over memory.
    """

    kernels: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        kernels = torch.zeros(channels, 1, 3, 3)
        start = 0
        for (rows, columns), size in zip(DIRECTIONS, group_sizes(channels), strict=True):
            kernels[start : start + size, 0, 1 - rows, 1 - columns] = 1
            start += size
        self.register_buffer("kernels", kernels, persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape, where a pixel holds values of its eight neighbours, group by group."""
        return F.conv2d(features, self.kernels, padding=1, groups=features.shape[1])
