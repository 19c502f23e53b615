"""FGA-Net: a U-shaped network with BGA fusion, SDA gates and deep supervision.

Reference: FGA-Net paper (Wang et al., Quant Imaging Med Surg 2025), section "Model architecture", figure 4.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.networks.bga import BGA
from gwunet.networks.blocks import pad_to_multiple, require_at_least, resize
from gwunet.networks.registry import NETWORKS
from gwunet.networks.sda import SDA

SDA_ENCODER_STAGES = 4
"""So many encoder stages, counted from the deepest, start with SDA."""
SDA_DECODER_STAGES = 3
"""So many decoder stages, counted from the deepest, start with SDA."""


class Stage(nn.Sequential):
    """Optional SDA, then two 3x3 convolutions, each with batch norm and LeakyReLU."""

    def __init__(self, in_channels: int, middle_channels: int, out_channels: int, use_sda: bool) -> None:
        layers: list[nn.Module] = [SDA(in_channels)] if use_sda else []
        for inner, outer in ((in_channels, middle_channels), (middle_channels, out_channels)):
            layers += [
                nn.Conv2d(inner, outer, 3, padding=1, bias=False),
                nn.BatchNorm2d(outer),
                nn.LeakyReLU(0.01, inplace=True),
            ]
        super().__init__(*layers)


class DecoderStage(nn.Module):
    """Upsamples the feature from below, joins it with the (fused) encoder feature, and convolves."""

    def __init__(
        self,
        skip_channels: int,
        below_channels: int,
        out_channels: int,
        *,
        middle_channels: int,
        fusion: BGA | None,
        use_sda: bool,
    ) -> None:
        super().__init__()
        self.fusion = fusion
        self.stage = Stage(skip_channels + below_channels, middle_channels, out_channels, use_sda)

    def forward(self, skip: Tensor, below: Tensor) -> Tensor:
        """``(B, S, H, W)`` and ``(B, D, ceil(H/2), ceil(W/2))`` to ``(B, O, H, W)``."""
        fused = skip if self.fusion is None else self.fusion(skip, below)
        output: Tensor = self.stage(torch.cat((fused, resize(below, skip)), dim=1))
        return output


@NETWORKS.register("FGANet")
class FGANet(nn.Module):
    """FGA-Net for any frame size.

    Args:
        in_channels: channels of the frame.
        features: channels of the encoder stages, the bottleneck last; each halves the resolution. The paper has six.
        decoder_features: channels of the decoder stages, deepest first; one less than ``features``.
        decoder_middle: channels between the two convolutions of a decoder stage: those of its ``"out"`` put, or those
            of the feature that came ``"in"`` from below. The paper's text fits the first, its cost figure the second.
        fusion_kernel_size: of BGA's last convolution; the paper's text says 1, its cost figure fits 3.
        use_bga: False joins the plain encoder feature instead (the ablation's baseline).
        use_sda: False leaves the gates out (the ablation's baseline).
        deep_supervision: in training return the logits of every decoder stage and of the bottleneck.
        stem_stride: blocks of so many pixels squared become the channels of one pixel before the first stage, and the
            heads give such blocks of logits. With 2 every stage has a quarter of the pixels and costs about a quarter,
            at the price of detail: for frames that cannot wait. 1, the paper's network, leaves frames as they are.
    """

    def __init__(
        self,
        in_channels: int = 1,
        features: Sequence[int] = (32, 64, 128, 256, 512, 1024),
        decoder_features: Sequence[int] = (512, 256, 128, 64, 32),
        decoder_middle: Literal["out", "in"] = "out",
        fusion_kernel_size: int = 1,
        use_bga: bool = True,
        use_sda: bool = True,
        deep_supervision: bool = True,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        if len(features) < 2 or len(decoder_features) != len(features) - 1:
            raise ValueError(
                f"decoder_features has {len(decoder_features)} entries, needed {len(features) - 1}, at least 1: "
                f"one for each of the {len(features)} features but the bottleneck"
            )
        if min(features) < 1 or min(decoder_features, default=1) < 1 or fusion_kernel_size % 2 == 0:
            raise ValueError("features and decoder_features must be at least 1, and fusion_kernel_size odd")
        if decoder_middle not in ("out", "in"):
            raise ValueError(f"decoder_middle is {decoder_middle!r}, needed 'out' or 'in'")
        require_at_least(1, stem_stride=stem_stride)
        self.deep_supervision = deep_supervision
        self.stem_stride = stem_stride
        self.stride = stem_stride << (len(features) - 1)
        first_gated = len(features) - SDA_ENCODER_STAGES
        block = stem_stride**2
        self.encoder = nn.ModuleList()
        channels = in_channels * block
        for depth, width in enumerate(features):
            self.encoder.append(Stage(channels, width, width, use_sda and depth >= first_gated and depth > 0))
            channels = width
        self.decoder = nn.ModuleList()
        self.heads = nn.ModuleList([nn.Conv2d(channels, block, 1)])
        for depth, (skip, width) in enumerate(zip(reversed(features[:-1]), decoder_features, strict=True)):
            self.decoder.append(
                DecoderStage(
                    skip,
                    channels,
                    width,
                    middle_channels=width if decoder_middle == "out" else channels,
                    fusion=BGA(skip, channels, fusion_kernel_size) if use_bga else None,
                    use_sda=use_sda and depth < SDA_DECODER_STAGES,
                )
            )
            self.heads.append(nn.Conv2d(width, block, 1))
            channels = width
        self._start_from_edges()

    def _start_from_edges(self) -> None:
        """Give the first convolution kernels that sum to zero.

        Anatomy and exposure vary tens of times as much as a wire stands out. With ordinary kernels the first batch
        norm scales to that variation, and training spends its first thousand steps on finding kernels that do not
        see it.
        """
        first = next(module for module in self.encoder.modules() if isinstance(module, nn.Conv2d))
        with torch.no_grad():
            # The pixels of a block are neighbours: one kernel over all of them sums to zero, not each of its parts.
            kernels = first.weight.view(first.out_channels, -1, self.stem_stride**2, *first.kernel_size)
            kernels -= kernels.mean(dim=(2, 3, 4), keepdim=True)

    def forward(self, frames: Tensor) -> Tensor | tuple[Tensor, ...]:
        """``(B, C, H, W)`` to logits ``(B, 1, H, W)``.

        In training with deep supervision: a tuple, full resolution first, each further one at half the size, the
        bottleneck's last.
        """
        height, width = frames.shape[-2:]
        if max(height, width) <= self.stride:
            # SDA's instance norm needs more than one pixel at the bottleneck.
            if self.training:
                raise ValueError(f"patches are {height} x {width}, one edge must be above {self.stride}")
            frames = F.pad(frames, (0, self.stride + 1 - width, 0, 0))
        skips: list[Tensor] = []
        feature = self._blocks(frames)
        for depth, stage in enumerate(self.encoder):
            if depth:
                skips.append(feature)
                feature = F.max_pool2d(feature, 2, ceil_mode=True)
            feature = stage(feature)
        below = [feature]
        for stage in self.decoder:
            feature = stage(skips.pop(), feature)
            below.append(feature)
        if self.training and self.deep_supervision:
            return tuple(
                self._pixels(head(feature), -(-height // 2**index), -(-width // 2**index))
                for index, (head, feature) in enumerate(zip(reversed(self.heads), reversed(below), strict=True))
            )
        return self._pixels(self.heads[-1](feature), height, width)

    def _blocks(self, frames: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C * S * S, ceil(H / S), ceil(W / S))`` with ``S`` the stem's stride."""
        if self.stem_stride == 1:
            return frames
        return F.pixel_unshuffle(pad_to_multiple(frames, self.stem_stride), self.stem_stride)

    def _pixels(self, logits: Tensor, height: int, width: int) -> Tensor:
        """``(B, S * S, h, w)`` to ``(B, 1, height, width)``, the way back."""
        if self.stem_stride > 1:
            logits = F.pixel_shuffle(logits, self.stem_stride)
        return logits[..., :height, :width]
