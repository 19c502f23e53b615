"""The trainer of FGA-Net: the base loop as it is."""

from gwunet.trainers.base import Trainer
from gwunet.training import TRAINERS


@TRAINERS.register("FGANetTrainer")
class FGANetTrainer(Trainer):
    """Hybrid loss with deep supervision, as planned."""

    name = "FGANetTrainer"
