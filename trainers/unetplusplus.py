"""The trainer of U-Net++: the base loop as it is."""

from gwunet.trainers.base import Trainer
from gwunet.training import TRAINERS


@TRAINERS.register("UNetPlusPlusTrainer")
class UNetPlusPlusTrainer(Trainer):
    """BCE + Dice on one output, as planned."""

    name = "UNetPlusPlusTrainer"
