"""SDA, the gate of FGA-Net that lets a feature map through where a thin structure may run.

Reference: FGA-Net paper, section "SDA module", equations 1 to 3.
"""

from torch import Tensor, nn

from gwunet.networks.deformable import DeformableConv2d
from gwunet.networks.spatial_shift import SpatialShift


class SDA(nn.Module):
    """Spatial shift and deformable attention: the input times a gate between 0 and 1 of its own shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.shift = SpatialShift(channels)
        # An instance norm is a group norm whose groups are single channels; that one keeps channels_last memory.
        self.instance_norm = nn.GroupNorm(channels, channels)
        self.activation = nn.GELU()
        self.deformable = DeformableConv2d(channels, channels)
        self.layer_norm = nn.GroupNorm(1, channels)

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C, H, W)`` to ``(B, C, H, W)``."""
        return features * self.gate(features)

    def gate(self, features: Tensor) -> Tensor:
        """``(B, C, H, W)`` factors in (0, 1), before they are applied."""
        shifted = self.shift(self.pointwise(features))
        attended = self.deformable(self.activation(self.instance_norm(shifted)))
        gate: Tensor = self.layer_norm(attended).sigmoid()
        return gate
