"""ResNet encoders with torchvision's parameter names, so that its public weights fit.

Reference: He et al., Deep Residual Learning, CVPR 2016; the stride of a bottleneck stands on its 3x3 convolution, as
in torchvision.
"""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut."""

    expansion: ClassVar[int] = 1

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, width, H / stride, W / stride)``."""
        out = F.relu(self.bn1(self.conv1(features)))
        return F.relu(self.bn2(self.conv2(out)) + self.downsample(features))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut; four times as wide outside as inside."""

    expansion: ClassVar[int] = 4

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
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
    block: type[BasicBlock] | type[Bottleneck], in_channels: int, width: int, depth: int, stride: int
) -> nn.Sequential:
    """``depth`` blocks, the first of which changes size and channels."""
    others = (block(width * block.expansion, width) for _ in range(depth - 1))
    return nn.Sequential(block(in_channels, width, stride), *others)


LAYOUTS: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}
"""Name: block and number of blocks in each of the four layers."""


class ResNet(nn.Module):
    """A ResNet without pooling and classifier, giving the features of its four layers."""

    def __init__(self, name: str = "resnet50", in_channels: int = 1, width: int = 64) -> None:
        """``width``: channels of the first convolution, 64 in the paper; each layer doubles it."""
        super().__init__()
        if name not in LAYOUTS:
            raise ValueError(f"unknown encoder {name!r}, known are {', '.join(LAYOUTS)}")
        block, depths = LAYOUTS[name]
        self.conv1 = nn.Conv2d(in_channels, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.out_channels = tuple((width << index) * block.expansion for index in range(4))
        first, second, third, _ = self.out_channels
        self.layer1 = _layer(block, width, width, depths[0], stride=1)
        self.layer2 = _layer(block, first, width * 2, depths[1], stride=2)
        self.layer3 = _layer(block, second, width * 4, depths[2], stride=2)
        self.layer4 = _layer(block, third, width * 8, depths[3], stride=2)
        _initialise(self)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``(B, C, H, W)`` to features at strides 4, 8, 16 and 32."""
        stem = F.max_pool2d(F.relu(self.bn1(self.conv1(frames))), 3, stride=2, padding=1)
        first = self.layer1(stem)
        second = self.layer2(first)
        third = self.layer3(second)
        return first, second, third, self.layer4(third)


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
