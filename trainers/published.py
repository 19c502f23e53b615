"""What the trainers with a paper's recipe share."""

from typing import ClassVar

from gwunet.plans import Configuration
from gwunet.published import PublishedRecipe
from gwunet.trainers.base import Trainer


class PublishedTrainer(Trainer):
    """A plan made for it as planned; any other network's with the published loss, optimiser and augmentation."""

    recipe: ClassVar[PublishedRecipe]

    def defaults(self, configuration: Configuration) -> Configuration:
        """The published recipe, unless the plan holds it already and may have been edited."""
        return configuration if configuration.trainer == self.name else self.recipe.applied_to(configuration)
