"""The trainer with the recipe of the FGA-Net paper."""

from gwunet.published import FGANET
from gwunet.trainers.published import PublishedTrainer
from gwunet.training import TRAINERS


@TRAINERS.register("FGANetPaper")
class FGANetPaper(PublishedTrainer):
    """The recipe of the FGA-Net paper on any network."""

    name = "FGANetPaper"
    recipe = FGANET
