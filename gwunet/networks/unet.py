"""U-Net, with batch norm and padded convolutions as it is used today.

Reference: Ronneberger et al., U-Net, MICCAI 2015, section 2, figure 1.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.networks.blocks import DoubleConvolution, crop, require_at_least, require_features
from gwunet.networks.registry import NETWORKS


class DecoderStage(nn.Module):
    """Doubles the feature from below, joins it with the encoder's and convolves."""

    def __init__(self, skip_channels: int, below_channels: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(below_channels, skip_channels, 2, stride=2)
        self.stage = DoubleConvolution(2 * skip_channels, skip_channels)

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """``(B, S, H, W)`` and ``(B, D, ceil(H/2), ceil(W/2))`` to ``(B, S, H, W)``."""
        output: Tensor = self.stage(torch.cat((skip, crop(self.up(below), skip)), dim=1))
        return output


@NETWORKS.register("UNet")
class UNet(nn.Module):
    """U-Net for any frame size.

    Args:
        in_channels: channels of the frame.
        features: channels of the encoder stages, the bottleneck last; each halves the resolution. The U-Net paper
            has 64 to 1024; these are what the cost in the FGA-Net paper's Table 1 fits.
    """

    decoder_stage: ClassVar[type[nn.Module]] = DecoderStage
    """Made of the channels of the skip connection and of the feature from below; variants have their own."""

    def __init__(self, in_channels: int = 1, features: Sequence[int] = (32, 64, 128, 256, 512)) -> None:
        super().__init__()
        require_at_least(1, in_channels=in_channels)
        require_features(tuple(features))
        self.encoder = nn.ModuleList()
        channels = in_channels
        for width in features:
            self.encoder.append(DoubleConvolution(channels, width))
            channels = width
        self.decoder = nn.ModuleList()
        for skip in reversed(features[:-1]):
            self.decoder.append(self.decoder_stage(skip, channels))
            channels = skip
        self.head = nn.Conv2d(channels, 1, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """``(B, C, H, W)`` to logits ``(B, 1, H, W)``."""
        skips: list[Tensor] = []
        feature = frames
        for depth, stage in enumerate(self.encoder):
            if depth:
                skips.append(feature)
                feature = F.max_pool2d(feature, 2, ceil_mode=True)
            feature = stage(feature)
        for stage in self.decoder:
            feature = stage(skips.pop(), feature)
        logits: Tensor = self.head(feature)
        return logits
