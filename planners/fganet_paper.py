"""The plan of FGA-Net as published."""

from gwunet.planners.published import PublishedPlanner
from gwunet.planning import PLANNERS
from gwunet.plans import Spec, Target
from gwunet.published import FGANET


@PLANNERS.register("FGANetPaperPlanner")
class FGANetPaperPlanner(PublishedPlanner):
    """The network of the paper's text with the paper's recipe.

    Reference: FGA-Net paper, sections "Model architecture" and "Implementation details".
    """

    name = "FGANetPaperPlanner"
    configuration_name = "fganet_paper"
    trainer = "FGANetPaper"
    recipe = FGANET
    max_batch = cpu_batch = FGANET.batch_size
    published_network = Spec(
        name="FGANet",
        arguments={
            "in_channels": 1,
            "features": [32, 64, 128, 256, 512, 1024],
            "decoder_features": [512, 256, 128, 64, 32],
            "fusion_kernel_size": 1,
        },
    )
    outputs = 6
    patch_source = (
        "the frames' size in the paper, which trains and predicts by patches and gives no size for them: whole frames "
        "are this program's reading"
    )
    loss_source = (
        "the published sum of BCE, Dice and clDice; weights and iterations, which the text leaves open, from its "
        "authors' code, as the outputs' weights 1/32 (bottleneck) to 1/2 and 1"
    )
    optimiser_source = (
        "as published, momentum not being named; that 1e-8 learns within 180 epochs is not confirmed here"
    )
    augmentation_value = "none"
    augmentation_source = "the paper names none"

    def network_reason(self, target: Target) -> str:
        """Why these widths."""
        del target
        return "the paper's text: six stages from 32 to 1024 features, 1x1 fusion; fresh weights"
