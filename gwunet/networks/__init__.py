"""The networks: ``(B, C, H, W) -> logits (B, 1, H, W)``; with deep supervision in training a tuple of logits."""

from gwunet.networks.build import build_network
from gwunet.networks.fganet import FGANet
from gwunet.networks.linknet import LinkNet
from gwunet.networks.registry import NETWORKS

__all__ = ["NETWORKS", "FGANet", "LinkNet", "build_network"]
