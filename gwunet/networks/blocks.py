"""What several of the networks are made of."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn


class ConvNormReLU(nn.Sequential):
    """A convolution that keeps height and width, batch norm and ReLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, *, dilation: int = 1, groups: int = 1
    ) -> None:
        super().__init__(
            nn.Conv2d(
                in_channels,
                out_channels,
                kernel_size,
                padding=dilation * (kernel_size // 2),
                dilation=dilation,
                groups=groups,
                bias=False,
            ),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class DoubleConvolution(nn.Sequential):
    """Two 3x3 convolutions, each with batch norm and ReLU: a stage of the U-shaped networks."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(ConvNormReLU(in_channels, out_channels), ConvNormReLU(out_channels, out_channels))


class NarrowUpsampling(nn.Sequential):
    """1x1 to a quarter of the channels, transposed convolution of stride 2, 1x1 to ``out_channels``.

    The decoder block of LinkNet (kernel 4) and, after it, of CE-Net (kernel 3). Height and width are doubled.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: Literal[3, 4]) -> None:
        quarter = in_channels // 4
        super().__init__(
            nn.Conv2d(in_channels, quarter, 1, bias=False),
            nn.BatchNorm2d(quarter),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(
                quarter, quarter, kernel_size, stride=2, padding=1, output_padding=4 - kernel_size, bias=False
            ),
            nn.BatchNorm2d(quarter),
            nn.ReLU(inplace=True),
            nn.Conv2d(quarter, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


def resize(features: Tensor, like: Tensor) -> Tensor:
    """Bilinear upsampling to the height and width of ``like``."""
    return F.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=False)


def pad_to_multiple(frames: Tensor, multiple: int) -> Tensor:
    """Zeros below and on the right, so that height and width are multiples of ``multiple``; ``crop`` takes them off."""
    height, width = frames.shape[-2:]
    return F.pad(frames, (0, -width % multiple, 0, -height % multiple))


def crop(features: Tensor, like: Tensor) -> Tensor:
    """The upper left part of ``features``, as large as ``like``.

    Pooling rounds up, so what is doubled again may be a row and a column too large; padded frames are larger, too.
    """
    return features[..., : like.shape[-2], : like.shape[-1]]


def require_at_least(least: int, **values: int) -> None:
    """Refuse arguments that are too small.

    Raises:
        ValueError: one is below ``least``; the message names it.
    """
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name} is {value}, needed at least {least}")


def require_features(features: tuple[int, ...]) -> None:
    """Refuse channels of the stages of a U-shaped network that do not make one.

    Raises:
        ValueError: there are less than two stages, or one without channels.
    """
    if len(features) < 2 or min(features) < 1:
        raise ValueError(f"features is {features}, needed at least two stages of at least 1 channel each")
