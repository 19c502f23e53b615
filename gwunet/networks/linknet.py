"""LinkNet with a ResNet encoder, for two guidewires in a frame.

Reference: Zhou et al., Fully Automatic Dual-Guidewire Segmentation, section II-B, figures 2 and 3.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.networks.pretrained import load_pretrained
from gwunet.networks.registry import NETWORKS
from gwunet.networks.resnet import ResNet

STRIDE = 32
"""The encoder's whole reduction: frames are padded to a multiple of it and the logits cropped back."""


class DecoderBlock(nn.Sequential):
    """1x1 to a quarter of the channels, transposed 4x4 of stride 2, 1x1 to ``out_channels``."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        quarter = in_channels // 4
        super().__init__(
            nn.Conv2d(in_channels, quarter, 1, bias=False),
            nn.BatchNorm2d(quarter),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(quarter, quarter, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(quarter),
            nn.ReLU(inplace=True),
            nn.Conv2d(quarter, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


@NETWORKS.register("LinkNet")
class LinkNet(nn.Module):
    """LinkNet for any frame size; the logits are exactly as large as the frame.

    Args:
        in_channels: channels of the frame.
        encoder: ``"resnet18"``, ``"resnet34"`` or ``"resnet50"`` (the paper's).
        pretrained: weights the encoder starts from: ``"imagenet"`` (as in the paper; fetched), a file with those
            weights, or None. They are for ``width`` 64; several channels are folded into one.
        width: channels of the encoder's first convolution; 64 in the paper, less for a CPU.
        head_channels: channels between the three last convolutions.
    """

    def __init__(
        self,
        in_channels: int = 1,
        encoder: str = "resnet50",
        pretrained: str | None = None,
        width: int = 64,
        head_channels: int = 32,
    ) -> None:
        super().__init__()
        self.encoder = ResNet(encoder, in_channels, width)
        load_pretrained(self.encoder, pretrained)
        first, second, third, fourth = self.encoder.out_channels
        self.decoder4 = DecoderBlock(fourth, third)
        self.decoder3 = DecoderBlock(third, second)
        self.decoder2 = DecoderBlock(second, first)
        self.decoder1 = DecoderBlock(first, width)
        # Sizes: H/2 -> H + 1 -> H - 1 -> H, the published head.
        self.head = nn.Sequential(
            nn.ConvTranspose2d(width, head_channels, 3, stride=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(head_channels, head_channels, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(head_channels, 1, 2, padding=1),
        )

    def forward(self, frames: Tensor) -> Tensor:
        """``(B, C, H, W)`` to logits ``(B, 1, H, W)``."""
        height, width = frames.shape[-2:]
        padded = F.pad(frames, (0, -width % STRIDE, 0, -height % STRIDE))
        first, second, third, fourth = self.encoder(padded)
        feature = self.decoder4(fourth) + third
        feature = self.decoder3(feature) + second
        feature = self.decoder2(feature) + first
        logits: Tensor = self.head(self.decoder1(feature))
        return logits[..., :height, :width]
