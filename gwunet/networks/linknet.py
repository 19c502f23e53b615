"""LinkNet with a ResNet encoder, for two guidewires in a frame.

Reference: Zhou et al., Fully Automatic Dual-Guidewire Segmentation, section II-B, figures 2 and 3.
"""

from torch import Tensor, nn

from gwunet.networks.blocks import NarrowUpsampling, crop, pad_to_multiple, require_at_least
from gwunet.networks.pretrained import load_pretrained
from gwunet.networks.registry import NETWORKS
from gwunet.networks.resnet import STRIDE, ResNet


@NETWORKS.register("LinkNet")
class LinkNet(nn.Module):
    """LinkNet for any frame size; the logits are exactly as large as the frame.

    Args:
        in_channels: channels of the frame.
        encoder: ``"resnet18"``, ``"resnet34"``, ``"resnet50"`` (the paper's) or ``"resnet101"``.
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
        require_at_least(1, in_channels=in_channels, head_channels=head_channels)
        require_at_least(4, width=width)  # a decoder block has a quarter of it
        self.encoder = ResNet(encoder, in_channels, width)
        load_pretrained(self.encoder, pretrained)
        first, second, third, fourth = self.encoder.out_channels
        self.decoder4 = NarrowUpsampling(fourth, third, 4)
        self.decoder3 = NarrowUpsampling(third, second, 4)
        self.decoder2 = NarrowUpsampling(second, first, 4)
        self.decoder1 = NarrowUpsampling(first, width, 4)
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
        first, second, third, fourth = self.encoder(pad_to_multiple(frames, STRIDE))
        feature = self.decoder4(fourth) + third
        feature = self.decoder3(feature) + second
        feature = self.decoder2(feature) + first
        return crop(self.head(self.decoder1(feature)), frames)
