"""The trainer with the recipe of the LinkNet paper."""

from gwunet.plans import Configuration
from gwunet.published import LINKNET
from gwunet.trainers.base import Trainer
from gwunet.training import TRAINERS


@TRAINERS.register("LinkNetPaper")
class LinkNetPaper(Trainer):
    """A plan made for it as planned; any other network's with the published loss, optimiser and augmentation."""

    name = "LinkNetPaper"

    def defaults(self, configuration: Configuration) -> Configuration:
        """The published recipe, unless the plan holds it already and may have been edited."""
        return configuration if configuration.trainer == self.name else LINKNET.applied_to(configuration)
