"""DeepLabV3+: parallel dilated convolutions at the end of a ResNet, and a small decoder.

Reference: Chen et al., Encoder-Decoder with Atrous Separable Convolution, ECCV 2018, section 3.1, figure 2; its
variant with ResNet-101 (section 4.2), whose 3x3 convolutions are ordinary ones, fits the cost in the FGA-Net paper's
Table 1. ASPP: Chen et al., Rethinking Atrous Convolution, 2017, section 3.3.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.networks.blocks import ConvNormReLU, require_at_least
from gwunet.networks.pretrained import load_pretrained
from gwunet.networks.registry import NETWORKS
from gwunet.networks.resnet import ResNet

OUTPUT_STRIDE = 16
LOW_LEVEL_STRIDE = 4
RATES = (6, 12, 18)
"""Dilations of ASPP that belong to ``OUTPUT_STRIDE``."""


def spatial_convolution(in_channels: int, out_channels: int, dilation: int = 1, *, separable: bool) -> nn.Sequential:
    """3x3 with batch norm and ReLU, or depthwise 3x3 and 1x1, each with both."""
    if not separable:
        return ConvNormReLU(in_channels, out_channels, dilation=dilation)
    return nn.Sequential(
        ConvNormReLU(in_channels, in_channels, dilation=dilation, groups=in_channels),
        ConvNormReLU(in_channels, out_channels, 1),
    )


def enlarge(features: Tensor, times: int, size: Sequence[int]) -> Tensor:
    """Bilinear upsampling of features whose pixel ``i`` stands at pixel ``times * i`` of the result.

    So it does after convolutions of stride 2 with symmetric padding; taking it for the middle of ``times`` pixels would
    shift a wire by a part of its width.

    Args:
        features: ``(B, C, h, w)``.
        times: the factor.
        size: rows and columns of the result; its last ``times - 1`` at most repeat the border.
    """
    rows, columns = ((edge - 1) * times + 1 for edge in features.shape[-2:])
    larger = F.interpolate(features, size=(rows, columns), mode="bilinear", align_corners=True)
    return F.pad(larger, (0, size[1] - columns, 0, size[0] - rows), mode="replicate")


class FrameContext(nn.Module):
    """The image-level branch of ASPP: the mean over the frame, 1x1, batch norm and ReLU, at every pixel."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, D, H, W)``.

        A frame has a single value for each channel here, so a batch of one has no variance to train with: its norm is
        that of the running statistics.
        """
        mean = self.pointwise(features.mean((2, 3), keepdim=True))
        if self.training and len(mean) == 1:
            norm = self.norm
            mean = F.batch_norm(mean, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        else:
            mean = self.norm(mean)
        return F.relu(mean).expand(-1, -1, *features.shape[-2:])


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, three dilated 3x3 and the frame's mean, joined by a 1x1 convolution."""

    def __init__(self, in_channels: int, out_channels: int, separable: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                ConvNormReLU(in_channels, out_channels, 1),
                *(spatial_convolution(in_channels, out_channels, rate, separable=separable) for rate in RATES),
                FrameContext(in_channels, out_channels),
            ]
        )
        self.project = ConvNormReLU(len(self.branches) * out_channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, D, H, W)``."""
        output: Tensor = self.project(torch.cat([branch(features) for branch in self.branches], dim=1))
        return output


@NETWORKS.register("DeepLabV3Plus")
class DeepLabV3Plus(nn.Module):
    """DeepLabV3+ at output stride 16, for any frame size.

    Args:
        in_channels: channels of the frame.
        encoder: a ResNet by name; the paper's are ``"resnet101"`` and an Xception.
        pretrained: weights the encoder starts from: ``"imagenet"`` (as in the paper; fetched), a file with those
            weights, or None. They are for ``width`` 64; several channels are folded into one.
        width: channels of the encoder's first convolution; 64 in the paper, less for a CPU.
        decoder_channels: of ASPP and the decoder.
        low_level_channels: to which the encoder's first feature is reduced before it joins the decoder.
        separable: depthwise separable 3x3 convolutions in ASPP and decoder, as the paper has with its Xception; a third
            of all work less with ResNet-101.
    """

    def __init__(
        self,
        in_channels: int = 1,
        encoder: str = "resnet101",
        pretrained: str | None = None,
        width: int = 64,
        decoder_channels: int = 256,
        low_level_channels: int = 48,
        separable: bool = False,
    ) -> None:
        super().__init__()
        require_at_least(
            1,
            in_channels=in_channels,
            width=width,
            decoder_channels=decoder_channels,
            low_level_channels=low_level_channels,
        )
        self.encoder = ResNet(encoder, in_channels, width, output_stride=OUTPUT_STRIDE)
        load_pretrained(self.encoder, pretrained)
        first, _, _, fourth = self.encoder.out_channels
        self.aspp = ASPP(fourth, decoder_channels, separable)
        self.low_level = ConvNormReLU(first, low_level_channels, 1)
        self.decoder = nn.Sequential(
            spatial_convolution(decoder_channels + low_level_channels, decoder_channels, separable=separable),
            spatial_convolution(decoder_channels, decoder_channels, separable=separable),
        )
        self.head = nn.Conv2d(decoder_channels, 1, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """``(B, C, H, W)`` to logits ``(B, 1, H, W)``."""
        first, _, _, fourth = self.encoder(frames)
        context = enlarge(self.aspp(fourth), OUTPUT_STRIDE // LOW_LEVEL_STRIDE, first.shape[-2:])
        logits = self.head(self.decoder(torch.cat((context, self.low_level(first)), dim=1)))
        return enlarge(logits, LOW_LEVEL_STRIDE, frames.shape[-2:])
