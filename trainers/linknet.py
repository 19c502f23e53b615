"""The trainer of LinkNet: the base loop as it is."""

from gwunet.trainers.base import Trainer
from gwunet.training import TRAINERS


@TRAINERS.register("LinkNetTrainer")
class LinkNetTrainer(Trainer):
    """Modified focal loss on one output, as planned."""

    name = "LinkNetTrainer"
