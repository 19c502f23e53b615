"""What several of the compared networks are made of."""

from torch import Tensor, nn


class Convolution(nn.Sequential):
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
        super().__init__(Convolution(in_channels, out_channels), Convolution(out_channels, out_channels))


def crop(features: Tensor, like: Tensor) -> Tensor:
    """The upper left part of ``features``, as large as ``like``.

    Pooling rounds up, so what is doubled again may be a row and a column too large.
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
