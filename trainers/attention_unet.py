"""The trainer of Attention U-Net: the base loop as it is."""

from gwunet.trainers.base import Trainer
from gwunet.training import TRAINERS


@TRAINERS.register("AttentionUNetTrainer")
class AttentionUNetTrainer(Trainer):
    """BCE + Dice on one output, as planned."""

    name = "AttentionUNetTrainer"
