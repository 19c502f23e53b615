"""The trainer with the recipe of the FGA-Net paper."""

from gwunet.plans import Configuration
from gwunet.published import FGANET
from gwunet.trainers.base import Trainer
from gwunet.training import TRAINERS


@TRAINERS.register("FGANetPaper")
class FGANetPaper(Trainer):
    """A plan made for it as planned; any other network's with the published loss, optimiser and augmentation."""

    name = "FGANetPaper"

    def defaults(self, configuration: Configuration) -> Configuration:
        """The published recipe, unless the plan holds it already and may have been edited."""
        return configuration if configuration.trainer == self.name else FGANET.applied_to(configuration)
