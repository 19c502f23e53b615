"""The trainer with the recipe of the LinkNet paper."""

from gwunet.published import LINKNET
from gwunet.trainers.published import PublishedTrainer
from gwunet.training import TRAINERS


@TRAINERS.register("LinkNetPaper")
class LinkNetPaper(PublishedTrainer):
    """The recipe of the LinkNet paper on any network."""

    name = "LinkNetPaper"
    recipe = LINKNET
