"""The trainer of U-Net: the base loop as it is."""

from gwunet.trainers.base import Trainer
from gwunet.training import TRAINERS


@TRAINERS.register("UNetTrainer")
class UNetTrainer(Trainer):
    """BCE + Dice on one output, as planned."""

    name = "UNetTrainer"
