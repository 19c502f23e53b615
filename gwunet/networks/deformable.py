"""Modulated deformable convolution (v2) on torch alone.

Reference: Zhu et al., Deformable ConvNets v2, CVPR 2019, equation 1; FGA-Net paper, section "SDA module", equation 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KERNEL_SIZE = 3
TAPS = KERNEL_SIZE * KERNEL_SIZE


def deformable_conv2d(features: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
    """A 3x3 convolution whose taps are moved by ``offsets`` and scaled by ``modulation``, with zeros outside.

    All taps are sampled bilinearly in one ``grid_sample``; then one matrix product applies the kernel.

    Args:
        features: ``(B, C, H, W)``.
        offsets: ``(B, 18, H, W)`` in pixels: row and column of tap 0, of tap 1, and so on, taps in row-major order.
        modulation: ``(B, 9, H, W)``, a factor for each tap.
        weight: ``(D, C, 3, 3)``, the kernel of an ordinary convolution.

    Returns:
        ``(B, D, H, W)``. Zero offsets and unit modulation give ``conv2d(features, weight, padding=1)``.
    """
    batch, channels, height, width = features.shape
    grid = _sampling_grid(offsets, height, width)
    sampled = F.grid_sample(features, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    taps = sampled.reshape(batch, channels, TAPS, height * width) * modulation.reshape(batch, 1, TAPS, height * width)
    product = torch.matmul(weight.flatten(1), taps.reshape(batch, channels * TAPS, height * width))
    return product.reshape(batch, weight.shape[0], height, width)


def _sampling_grid(offsets: Tensor, height: int, width: int) -> Tensor:
    """``(B, 9 * H, W, 2)`` positions for ``grid_sample``: x then y, -1 and 1 at the outer pixel edges."""
    batch = offsets.shape[0]
    taps = torch.arange(TAPS, device=offsets.device)
    row_of_tap = (taps // KERNEL_SIZE - KERNEL_SIZE // 2).to(offsets.dtype).view(1, TAPS, 1, 1)
    column_of_tap = (taps % KERNEL_SIZE - KERNEL_SIZE // 2).to(offsets.dtype).view(1, TAPS, 1, 1)
    pairs = offsets.reshape(batch, TAPS, 2, height, width)
    rows = torch.arange(height, device=offsets.device, dtype=offsets.dtype).view(1, 1, height, 1)
    columns = torch.arange(width, device=offsets.device, dtype=offsets.dtype).view(1, 1, 1, width)
    y = (2 * (rows + row_of_tap + pairs[:, :, 0]) + 1) / height - 1
    x = (2 * (columns + column_of_tap + pairs[:, :, 1]) + 1) / width - 1
    return torch.stack((x, y), dim=-1).reshape(batch, TAPS * height, width, 2)


class DeformableConv2d(nn.Module):
    """A 3x3 deformable convolution that predicts its own offsets and modulation with a 3x3 convolution.

    The predictor starts at zero, so training starts from an ordinary convolution with modulation 0.5.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, KERNEL_SIZE, KERNEL_SIZE))
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")
        self.predictor = nn.Conv2d(in_channels, 3 * TAPS, KERNEL_SIZE, padding=1)
        nn.init.zeros_(self.predictor.weight)
        nn.init.zeros_(self.predictor.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, D, H, W)``."""
        # Positions need more than the 8 bits of a bf16 mantissa: sampling stays in float32 under autocast.
        predicted = self.predictor(features).float()
        offsets, modulation = predicted.split((2 * TAPS, TAPS), dim=1)
        return deformable_conv2d(features.float(), offsets, modulation.sigmoid(), self.weight)
