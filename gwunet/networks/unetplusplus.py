"""U-Net++: a U-Net whose skip connections are dense rows of convolution nodes.

Reference: Zhou et al., UNet++: A Nested U-Net Architecture, DLMIA 2018, section 3, figure 1, equation 1. Upsampling is
bilinear, since that is what the cost in the FGA-Net paper's Table 1 fits.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.networks.blocks import DoubleConvolution, require_at_least, require_features, resize
from gwunet.networks.registry import NETWORKS


@NETWORKS.register("UNetPlusPlus")
class UNetPlusPlus(nn.Module):
    """U-Net++ for any frame size.

    ``nodes[i][j]`` is the paper's ``X^{i,j}``: level ``i`` has the frame's size divided by ``2^i``, column 0 is the
    encoder.

    Args:
        in_channels: channels of the frame.
        features: channels of the levels, the deepest last; each halves the resolution.
        deep_supervision: in training return the logits of every node of level 0 but the encoder's.
    """

    def __init__(
        self,
        in_channels: int = 1,
        features: Sequence[int] = (32, 64, 128, 256, 512),
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        require_at_least(1, in_channels=in_channels)
        require_features(tuple(features))
        self.deep_supervision = deep_supervision
        self.nodes = nn.ModuleList()
        channels = in_channels
        for level, width in enumerate(features):
            row = nn.ModuleList([DoubleConvolution(channels, width)])
            for column in range(1, len(features) - level):
                row.append(DoubleConvolution(column * width + features[level + 1], width))
            self.nodes.append(row)
            channels = width
        outputs = len(features) - 1 if deep_supervision else 1
        self.heads = nn.ModuleList([nn.Conv2d(features[0], 1, 1) for _ in range(outputs)])

    def forward(self, frames: Tensor) -> Tensor | tuple[Tensor, ...]:
        """``(B, C, H, W)`` to logits ``(B, 1, H, W)``.

        In training with deep supervision: a tuple of such, the last column's first.
        """
        rows: list[list[Tensor]] = []
        feature = frames
        for level, row in enumerate(self.nodes):
            assert isinstance(row, nn.ModuleList)
            feature = row[0](F.max_pool2d(feature, 2, ceil_mode=True) if level else feature)
            rows.append([feature])
            # The diagonal that this level completes: X^{level-1,1}, X^{level-2,2}, up to X^{0,level}.
            for upper in range(level - 1, -1, -1):
                before = rows[upper]
                joined = torch.cat((*before, resize(rows[upper + 1][-1], before[0])), dim=1)
                before.append(self._node(upper, len(before))(joined))
        last_first = rows[0][:0:-1]
        if self.training and self.deep_supervision:
            return tuple(head(feature) for head, feature in zip(self.heads, last_first, strict=True))
        logits: Tensor = self.heads[0](last_first[0])
        return logits

    def _node(self, level: int, column: int) -> nn.Module:
        row = self.nodes[level]
        assert isinstance(row, nn.ModuleList)
        return row[column]
