"""The trainer of DeepLabV3+: the base loop as it is."""

from gwunet.trainers.base import Trainer
from gwunet.training import TRAINERS


@TRAINERS.register("DeepLabV3PlusTrainer")
class DeepLabV3PlusTrainer(Trainer):
    """BCE + Dice on one output, as planned."""

    name = "DeepLabV3PlusTrainer"
