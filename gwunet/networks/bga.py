"""BGA, the two-way fusion of an encoder feature and the decoder feature below it.

Reference: FGA-Net paper, section "BGA module", figure 5. Where its text is silent (normalisation, stride and
sigmoids) this follows the bilateral guided aggregation of BiSeNet V2 (Yu et al., IJCV 2021), which it resembles.
"""

import torch
from torch import Tensor, nn

from gwunet.networks.blocks import resize


def depthwise_separable(in_channels: int, out_channels: int) -> nn.Sequential:
    """Depthwise 3x3, batch norm, then 1x1."""
    return nn.Sequential(
        nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False),
        nn.BatchNorm2d(in_channels),
        nn.Conv2d(in_channels, out_channels, 1),
    )


def conv_norm(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """3x3 and batch norm."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(out_channels)
    )


class BGA(nn.Module):
    """Bilateral guidance: detail gates meaning at full resolution, meaning gates detail at half of it."""

    def __init__(self, low_channels: int, high_channels: int, fusion_kernel_size: int = 1) -> None:
        """``low``: the encoder feature; ``high``: the decoder feature at half its size. The output is as ``low``."""
        super().__init__()
        self.low_detail = depthwise_separable(low_channels, low_channels)
        self.low_reduced = conv_norm(low_channels, low_channels, stride=2)
        self.high_expanded = conv_norm(high_channels, low_channels)
        self.high_meaning = depthwise_separable(high_channels, low_channels)
        self.fusion = nn.Sequential(
            nn.Conv2d(low_channels, low_channels, fusion_kernel_size, padding=fusion_kernel_size // 2, bias=False),
            nn.BatchNorm2d(low_channels),
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """``(B, L, H, W)`` and ``(B, M, ceil(H/2), ceil(W/2))`` to ``(B, L, H, W)``."""
        gate_low = resize(self.high_expanded(high), low).sigmoid()
        at_high = self.low_reduced(low) * self.high_meaning(high).sigmoid()
        # One pass over memory for the product and the sum.
        fused: Tensor = self.fusion(torch.addcmul(resize(at_high, low), self.low_detail(low), gate_low))
        return fused
