"""How to learn: the training loop and its variants, found by name through ``gwunet.training.TRAINERS``."""

from gwunet.trainers.base import Trainer
from gwunet.trainers.fganet import FGANetTrainer
from gwunet.trainers.linknet import LinkNetTrainer

__all__ = ["FGANetTrainer", "LinkNetTrainer", "Trainer"]
