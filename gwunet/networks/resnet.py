"""ResNet encoders with torchvision's parameter names, so that its public weights fit.

Reference: He et al., Deep Residual Learning, CVPR 2016; the stride of a bottleneck stands on its 3x3 convolution, as
in torchvision.
"""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

STRIDE = 32
"""The whole reduction: frames of a multiple of it give features that fit onto each other when doubled."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, each with its dilation, and a shortcut."""

    expansion: ClassVar[int] = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1, dilations: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        first, second = dilations
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, padding=first, dilation=first, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=second, dilation=second, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, width, H / stride, W / stride)``."""
        out = F.relu(self.bn1(self.conv1(features)))
        return F.relu(self.bn2(self.conv2(out)) + self.downsample(features))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut; four times as wide outside as inside.

    Of the dilations its only 3x3 convolution has the first.
    """

    expansion: ClassVar[int] = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1, dilations: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        first, _ = dilations
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=first, dilation=first, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.downsample = _shortcut(in_channels, width * self.expansion, stride)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, 4 * width, H / stride, W / stride)``."""
        out = F.relu(self.bn1(self.conv1(features)))
        out = F.relu(self.bn2(self.conv2(out)))
        return F.relu(self.bn3(self.conv3(out)) + self.downsample(features))


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
    )


def _layer(
    block: type[BasicBlock] | type[Bottleneck], in_channels: int, width: int, depth: int, stride: int, dilation: int = 1
) -> nn.Sequential:
    """``depth`` blocks, the first of which changes size and channels; what comes after that is dilated."""
    others = (block(width * block.expansion, width, dilations=(dilation, dilation)) for _ in range(depth - 1))
    return nn.Sequential(block(in_channels, width, stride, dilations=(1, dilation)), *others)


LAYOUTS: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}
"""Name: block and number of blocks in each of the four layers."""


class ResNet(nn.Module):
    """A ResNet without pooling and classifier, giving the features of its four layers."""

    def __init__(self, name: str = "resnet50", in_channels: int = 1, width: int = 64, output_stride: int = 32) -> None:
        """A ResNet with fresh weights.

        Args:
            name: a key of ``LAYOUTS``.
            in_channels: channels of the frame.
            width: channels of the first convolution, 64 in the paper; each layer doubles it.
            output_stride: with 16 the last layer keeps the size of the one before and is dilated instead, with the same
                parameters (torchvision's ``replace_stride_with_dilation``).
        """
        super().__init__()
        if name not in LAYOUTS:
            raise ValueError(f"unknown encoder {name!r}, known are {', '.join(LAYOUTS)}")
        if output_stride not in (16, 32):
            raise ValueError(f"output_stride is {output_stride}, needed 16 or 32")
        block, depths = LAYOUTS[name]
        self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.out_channels = tuple((width << index) * block.expansion for index in range(4))
        first, second, third, _ = self.out_channels
        self.layer1 = _layer(block, width, width, depths[0], stride=1)
        self.layer2 = _layer(block, first, width * 2, depths[1], stride=2)
        self.layer3 = _layer(block, second, width * 4, depths[2], stride=2)
        stride, dilation = (2, 1) if output_stride == 32 else (1, 2)
        self.layer4 = _layer(block, third, width * 8, depths[3], stride, dilation)
        _initialise(self)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``(B, C, H, W)`` to features at strides 4, 8, 16 and 32 (or 16 again)."""
        stem = F.max_pool2d(F.relu(self.bn1(self.conv1(frames))), 3, stride=2, padding=1)
        first = self.layer1(stem)
        second = self.layer2(first)
        third = self.layer3(second)
        return first, second, third, self.layer4(third)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
