"""Modulated deformable convolution (v2) on torch alone.

Reference: Zhu et al., Deformable ConvNets v2, CVPR 2019, equation 1; FGA-Net paper, section "SDA module", equation 1.

Each of nine taps looks at its own place between four pixels. Two formulations of that are kept, each where it measured
best or is the only one: weighted sums of rows on a CPU, ``grid_sample`` elsewhere and for export. Where torchvision is
installed, its operator serves CUDA if it gives the same.
"""

import functools
import logging
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

logger = logging.getLogger(__name__)

KERNEL_SIZE = 3
TAPS = KERNEL_SIZE * KERNEL_SIZE
CHUNK_VALUES = 1 << 24
"""So many sampled values (64 MiB) are in memory at a time: nine taps of hundreds of channels are more than that."""


def deformable_conv2d(features: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
    """A 3x3 convolution whose taps are moved by ``offsets`` and scaled by ``modulation``, with zeros outside.

    Args:
        features: ``(B, C, H, W)``.
        offsets: ``(B, 18, H, W)`` in pixels: row and column of tap 0, of tap 1, and so on, taps in row-major order.
        modulation: ``(B, 9, H, W)``, a factor for each tap.
        weight: ``(D, C, 3, 3)``, the kernel of an ordinary convolution.

    Returns:
        ``(B, D, H, W)``. Zero offsets and unit modulation give ``conv2d(features, weight, padding=1)``.
    """
    if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export():
        return by_grid(features, offsets, modulation, weight)
    if features.device.type == "cpu":
        return by_rows(features, offsets, modulation, weight)
    if features.device.type == "cuda" and not torch.compiler.is_compiling():
        operator = torchvision_operator(features.device.type)
        if operator is not None:
            return operator(features, offsets, modulation, weight)
    return by_grid(features, offsets, modulation, weight)


def by_rows(features: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
    """``deformable_conv2d`` as weighted sums of rows: a pixel is a row of channels, a tap the sum of four of them.

    ``embedding_bag`` sums whole rows of contiguous channels, and the modulation costs nothing as a part of its
    weights. Features and offsets in channels_last memory spare copies. Where the convolution after it is to run in
    bf16 and nobody asks for gradients, rows and weights are rounded to bf16 before the sum, not after it, which makes
    the sum up to five times as fast.
    """
    batch, channels, height, width = features.shape
    indices, factors = _corners(offsets, modulation)
    if torch.is_autocast_enabled("cpu") and not torch.is_grad_enabled():
        features, factors = (values.to(torch.get_autocast_dtype("cpu")) for values in (features, factors))
    # A rim of zeros: what lies outside is a row like any other.
    rows = F.pad(features.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).view(-1, channels)
    # The nine taps of a pixel are the channels of a 1x1 convolution, which is somewhat faster than a matrix product.
    kernel = weight.permute(0, 2, 3, 1).reshape(-1, TAPS * channels, 1, 1)
    pixels = max(1, CHUNK_VALUES // (TAPS * channels)) * TAPS
    parts = []
    for where, factor in zip(torch.split(indices, pixels), torch.split(factors, pixels), strict=True):
        taps = F.embedding_bag(where, rows, per_sample_weights=factor, mode="sum").view(1, -1, 1, TAPS * channels)
        parts.append(F.conv2d(taps.permute(0, 3, 1, 2), kernel))
    product = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
    return product.permute(0, 2, 3, 1).reshape(batch, height, width, -1).permute(0, 3, 1, 2)


def _corners(offsets: Tensor, modulation: Tensor) -> tuple[Tensor, Tensor]:
    """The four pixels around each tap as rows of the frame with a rim of one pixel, and their factors.

    Returns:
        ``(B * H * W * 9, 4)`` int32 and the same shape in the type of ``offsets``.
    """
    batch, _, height, width = offsets.shape
    device, dtype = offsets.device, offsets.dtype
    tap = torch.arange(TAPS, device=device)
    row = (torch.arange(height, device=device).view(-1, 1, 1) + tap // KERNEL_SIZE).to(dtype)
    column = (torch.arange(width, device=device).view(1, -1, 1) + tap % KERNEL_SIZE).to(dtype)
    down, right = offsets.permute(0, 2, 3, 1).reshape(batch, height, width, TAPS, 2).unbind(-1)
    # Beyond the rim all is zero, so a place further away may as well lie on the rim.
    y, x = (down + row).clamp(0, height + 1), (right + column).clamp(0, width + 1)
    # A NaN stays one in the factors; as an index it would be a place outside the frame.
    top, left = y.detach().int().clamp(0, height), x.detach().int().clamp(0, width)
    y, x = y - top, x - left
    scale = modulation.permute(0, 2, 3, 1)
    below = scale * y
    above = scale - below
    below_right, above_right = below * x, above * x
    factors = torch.stack((above - above_right, above_right, below - below_right, below_right), dim=-1)
    stride = width + 2
    frame = torch.arange(batch, device=device, dtype=torch.int32).view(-1, 1, 1, 1) * ((height + 2) * stride)
    to_corner = torch.tensor((0, 1, stride, stride + 1), device=device, dtype=torch.int32)
    indices = (torch.add(left, top, alpha=stride) + frame).unsqueeze(-1) + to_corner
    return indices.reshape(-1, 4), factors.reshape(-1, 4)


def by_grid(features: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
    """``deformable_conv2d`` with all taps sampled in one ``grid_sample``, an operator that ONNX has."""
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


@functools.cache
def torchvision_operator(device: str) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] | None:
    """torchvision's operator with the arguments of ``deformable_conv2d``; None where it is absent, fails or disagrees.

    ``device``: ``"cuda"`` or another type; the operator is compared there once.
    """
    try:
        from torchvision.ops import deform_conv2d
    except (ImportError, OSError, RuntimeError, AttributeError):  # absent, or built for another torch
        return None

    def operator(features: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
        output: Tensor = deform_conv2d(features, offsets, weight, padding=KERNEL_SIZE // 2, mask=modulation)
        return output

    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 3, 7, 6), (2, 2 * TAPS, 7, 6), (2, TAPS, 7, 6), (4, 3, KERNEL_SIZE, KERNEL_SIZE))
    given = [torch.randn(shape, generator=generator).to(device) for shape in shapes]
    try:
        found = operator(*given)
    except (RuntimeError, NotImplementedError) as problem:
        logger.warning("torchvision's deformable convolution fails on %s and is not used: %s", device, problem)
        return None
    if not torch.allclose(found, by_grid(*given), atol=1e-4, rtol=1e-3):
        logger.warning("torchvision's deformable convolution gives other values on %s and is not used", device)
        return None
    return operator


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
