"""The networks: ``(B, C, H, W) -> logits (B, 1, H, W)``; with deep supervision in training a tuple of logits."""

from gwunet.networks.attention_unet import AttentionUNet
from gwunet.networks.build import build_network
from gwunet.networks.cenet import CENet
from gwunet.networks.deeplabv3plus import DeepLabV3Plus
from gwunet.networks.fganet import FGANet
from gwunet.networks.linknet import LinkNet
from gwunet.networks.registry import NETWORKS
from gwunet.networks.unet import UNet
from gwunet.networks.unetplusplus import UNetPlusPlus

__all__ = [
    "NETWORKS",
    "AttentionUNet",
    "CENet",
    "DeepLabV3Plus",
    "FGANet",
    "LinkNet",
    "UNet",
    "UNetPlusPlus",
    "build_network",
]
