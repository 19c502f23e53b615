"""How to learn: the training loop and its variants, found by name through ``gwunet.training.TRAINERS``."""

from gwunet.trainers.attention_unet import AttentionUNetTrainer
from gwunet.trainers.base import Trainer
from gwunet.trainers.cenet import CENetTrainer
from gwunet.trainers.deeplabv3plus import DeepLabV3PlusTrainer
from gwunet.trainers.fganet import FGANetTrainer
from gwunet.trainers.fganet_paper import FGANetPaper
from gwunet.trainers.linknet import LinkNetTrainer
from gwunet.trainers.linknet_paper import LinkNetPaper
from gwunet.trainers.unet import UNetTrainer
from gwunet.trainers.unetplusplus import UNetPlusPlusTrainer

__all__ = [
    "AttentionUNetTrainer",
    "CENetTrainer",
    "DeepLabV3PlusTrainer",
    "FGANetPaper",
    "FGANetTrainer",
    "LinkNetPaper",
    "LinkNetTrainer",
    "Trainer",
    "UNetPlusPlusTrainer",
    "UNetTrainer",
]
