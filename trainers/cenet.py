"""The trainer of CE-Net: the base loop as it is."""

from gwunet.trainers.base import Trainer
from gwunet.training import TRAINERS


@TRAINERS.register("CENetTrainer")
class CENetTrainer(Trainer):
    """BCE + Dice on one output, as planned."""

    name = "CENetTrainer"
