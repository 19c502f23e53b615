"""What to decide: one planner for each configuration, found by name through ``gwunet.planning.PLANNERS``."""

from gwunet.planners.ablation import (
    FGANetBaselinePlanner,
    FGANetBDPlanner,
    FGANetBGAPlanner,
    FGANetBSCPlanner,
    FGANetSDAPlanner,
)
from gwunet.planners.attention_unet import AttentionUNetPlanner
from gwunet.planners.base import Planner
from gwunet.planners.cenet import CENetPlanner
from gwunet.planners.deeplabv3plus import DeepLabV3PlusPlanner
from gwunet.planners.fganet import FGANetPlanner
from gwunet.planners.fganet_paper import FGANetPaperPlanner
from gwunet.planners.linknet import LinkNetPlanner
from gwunet.planners.linknet_paper import LinkNetPaperPlanner
from gwunet.planners.realtime import FGANetRealtimePlanner
from gwunet.planners.unet import UNetPlanner
from gwunet.planners.unetplusplus import UNetPlusPlusPlanner

__all__ = [
    "AttentionUNetPlanner",
    "CENetPlanner",
    "DeepLabV3PlusPlanner",
    "FGANetBDPlanner",
    "FGANetBGAPlanner",
    "FGANetBSCPlanner",
    "FGANetBaselinePlanner",
    "FGANetPaperPlanner",
    "FGANetPlanner",
    "FGANetRealtimePlanner",
    "FGANetSDAPlanner",
    "LinkNetPaperPlanner",
    "LinkNetPlanner",
    "Planner",
    "UNetPlanner",
    "UNetPlusPlusPlanner",
]
