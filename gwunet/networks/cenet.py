"""CE-Net: a ResNet encoder, a context extractor at its end, and a LinkNet-like decoder.

Reference: Gu et al., CE-Net, IEEE Trans Med Imaging 2019, section II, figures 1, 4 and 5.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.networks.blocks import NarrowUpsampling, crop, pad_to_multiple, require_at_least, resize
from gwunet.networks.pretrained import load_pretrained
from gwunet.networks.registry import NETWORKS
from gwunet.networks.resnet import STRIDE, ResNet

CASCADES = ((1,), (3,), (1, 3), (1, 3, 5))
"""Dilations of the 3x3 convolutions in DAC's branches, which so see 3, 7, 9 and 19 pixels.

Every branch computes its own convolutions, which is what the cost in the FGA-Net paper's Table 1 fits. Their weights
are their own as well, and so are those of RMP's 1x1 convolutions; in the authors' code the branches share them.
"""
POOLING_SIZES = (2, 3, 5, 6)
"""Edges and strides of the poolings of RMP."""


class DenseAtrous(nn.Module):
    """DAC: four cascades of dilated 3x3 convolutions, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.cascades = nn.ModuleList()
        for dilations in CASCADES:
            layers = [nn.Conv2d(channels, channels, 3, padding=rate, dilation=rate) for rate in dilations]
            if dilations != (1,):
                layers.append(nn.Conv2d(channels, channels, 1))
            self.cascades.append(nn.Sequential(*layers, nn.ReLU(inplace=True)))

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C, H, W)``."""
        total = features
        for cascade in self.cascades:
            total = total + cascade(features)
        return total


class ResidualMultiPooling(nn.Module):
    """RMP: the input and one channel for each of four max poolings of it, brought back to its size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pointwise = nn.ModuleList([nn.Conv2d(channels, 1, 1) for _ in POOLING_SIZES])

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C + 4, H, W)``."""
        # Rounded up, so that no border is left out and a map smaller than the window is pooled whole.
        pooled = [
            resize(pointwise(F.max_pool2d(features, size, ceil_mode=True)), features)
            for pointwise, size in zip(self.pointwise, POOLING_SIZES, strict=True)
        ]
        return torch.cat((*pooled, features), dim=1)


@NETWORKS.register("CENet")
class CENet(nn.Module):
    """CE-Net for any frame size; the logits are exactly as large as the frame.

    Args:
        in_channels: channels of the frame.
        encoder: a ResNet by name; the paper's is ``"resnet34"``.
        pretrained: weights the encoder starts from: ``"imagenet"`` (as in the paper; fetched), a file with those
            weights, or None. They are for ``width`` 64; several channels are folded into one.
        width: channels of the encoder's first convolution; 64 in the paper, less for a CPU.
        head_channels: channels between the three last convolutions.
    """

    def __init__(
        self,
        in_channels: int = 1,
        encoder: str = "resnet34",
        pretrained: str | None = None,
        width: int = 64,
        head_channels: int = 32,
    ) -> None:
        super().__init__()
        require_at_least(1, in_channels=in_channels, head_channels=head_channels)
        require_at_least(4, width=width)  # a decoder block has a quarter of it
        self.encoder = ResNet(encoder, in_channels, width)
        load_pretrained(self.encoder, pretrained)
        first, second, third, fourth = self.encoder.out_channels
        self.context = nn.Sequential(DenseAtrous(fourth), ResidualMultiPooling(fourth))
        self.decoder4 = NarrowUpsampling(fourth + len(POOLING_SIZES), third, 3)
        self.decoder3 = NarrowUpsampling(third, second, 3)
        self.decoder2 = NarrowUpsampling(second, first, 3)
        self.decoder1 = NarrowUpsampling(first, width, 3)
        self.head = nn.Sequential(
            nn.ConvTranspose2d(width, head_channels, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(head_channels, head_channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(head_channels, 1, 3, padding=1),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """``(B, C, H, W)`` to logits ``(B, 1, H, W)``."""
        first, second, third, fourth = self.encoder(pad_to_multiple(frames, STRIDE))
        feature = self.decoder4(self.context(fourth)) + third
        feature = self.decoder3(feature) + second
        feature = self.decoder2(feature) + first
        return crop(self.head(self.decoder1(feature)), frames)
