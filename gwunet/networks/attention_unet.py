"""Attention U-Net: a U-Net whose decoder tells which parts of a skip connection count.

Reference: Oktay et al., Attention U-Net, MIDL 2018, section 2, equations 1 and 2. As in the two-dimensional version
that the cost in the FGA-Net paper's Table 1 fits, the gating feature is upsampled first, so that a gate works at the
skip connection's own resolution, and its convolutions have batch norms.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.networks.blocks import ConvNormReLU, DoubleConvolution, crop
from gwunet.networks.registry import NETWORKS
from gwunet.networks.unet import UNet


class AttentionGate(nn.Module):
    """Additive attention: the skip feature times ``sigmoid(psi(relu(W_x x + W_g g)))``, one factor for each pixel."""

    def __init__(self, channels: int) -> None:
        """Skip and gating feature have ``channels``, the space in which they are added half as many."""
        super().__init__()
        inner = max(1, channels // 2)
        self.of_skip = nn.Sequential(nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner))
        self.of_gating = nn.Sequential(nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner))
        self.psi = nn.Sequential(nn.Conv2d(inner, 1, 1, bias=False), nn.BatchNorm2d(1))

    def forward(self, skip: Tensor, gating: Tensor) -> Tensor:
        """Twice ``(B, C, H, W)`` to ``(B, C, H, W)``."""
        added = F.relu(self.of_skip(skip) + self.of_gating(gating), inplace=True)
        attended: Tensor = skip * self.psi(added).sigmoid()
        return attended


class GatedDecoderStage(nn.Module):
    """Doubles the feature from below, gates the encoder's with it, joins both and convolves."""

    def __init__(self, skip_channels: int, below_channels: int) -> None:
        super().__init__()
        self.up = ConvNormReLU(below_channels, skip_channels)
        self.gate = AttentionGate(skip_channels)
        self.stage = DoubleConvolution(2 * skip_channels, skip_channels)

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """``(B, S, H, W)`` and ``(B, D, ceil(H/2), ceil(W/2))`` to ``(B, S, H, W)``."""
        gating = self.up(crop(F.interpolate(below, scale_factor=2.0, mode="nearest"), skip))
        output: Tensor = self.stage(torch.cat((self.gate(skip, gating), gating), dim=1))
        return output


@NETWORKS.register("AttentionUNet")
class AttentionUNet(UNet):
    """Attention U-Net for any frame size: a U-Net but for its decoder.

    Args:
        in_channels: channels of the frame.
        features: channels of the encoder stages, the bottleneck last; each halves the resolution.
    """

    decoder_stage = GatedDecoderStage

    def __init__(self, in_channels: int = 1, features: Sequence[int] = (64, 128, 256, 512, 1024)) -> None:
        super().__init__(in_channels, features)
