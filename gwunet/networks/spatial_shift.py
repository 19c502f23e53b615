"""Spatial shift: channel groups move one pixel in different directions.

Reference: FGA-Net paper, section "SDA module" (its reference 32, fully 1x1 convolutional networks).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1))
"""(rows, columns) each group moves by, in order of the groups."""


def group_sizes(channels: int, groups: int = len(DIRECTIONS)) -> tuple[int, ...]:
    """Nearly equal sizes of ``groups`` channel groups; the first ones take the remainder."""
    return tuple(channels // groups + (index < channels % groups) for index in range(groups))


def spatial_shift(features: Tensor) -> Tensor:
    """Shift eight channel groups by one pixel, each in its own direction; zeros come in at the border.

    Args:
        features: ``(B, C, H, W)``.

    Returns:
        ``(B, C, H, W)`` where a pixel holds values of its eight neighbours, group by group.
    """
    height, width = features.shape[-2:]
    padded = F.pad(features, (1, 1, 1, 1))
    moved = []
    start = 0
    for (rows, columns), size in zip(DIRECTIONS, group_sizes(features.shape[1]), strict=True):
        group = padded[:, start : start + size, 1 - rows : 1 - rows + height, 1 - columns : 1 - columns + width]
        moved.append(group)
        start += size
    return torch.cat(moved, dim=1)
