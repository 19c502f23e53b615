"""The plan of the focal-loss LinkNet as published."""

from gwunet.planners.published import PublishedPlanner
from gwunet.planning import PLANNERS
from gwunet.plans import Spec, Target
from gwunet.published import LINKNET


@PLANNERS.register("LinkNetPaperPlanner")
class LinkNetPaperPlanner(PublishedPlanner):
    """LinkNet on ResNet-50 with the paper's recipe.

    It starts from fresh weights, since a plan has to work where there is no internet; the paper's start from ImageNet.

    Reference: LinkNet paper, sections II-A, II-B and II-D.
    """

    name = "LinkNetPaperPlanner"
    configuration_name = "linknet_paper"
    trainer = "LinkNetPaper"
    recipe = LINKNET
    max_batch = cpu_batch = LINKNET.batch_size
    published_network = Spec(name="LinkNet", arguments={"in_channels": 1, "encoder": "resnet50", "width": 64})
    patch_source = "the input that the paper gives its network, there a whole frame"
    loss_source = "as published: the sum over all pixels, alpha 100 and gamma 2.5, whatever the wire's share of a frame"
    optimiser_source = (
        "as published, but gradients are clipped to a norm of 5, since from fresh weights the summed loss was not "
        "finite without; the plateau is of the loss on two training groups set aside, where the paper halves the rate "
        "once their accuracy is saturated, and its length torch's default"
    )
    augmentation_value = "full circle, flips"
    augmentation_source = "as published: any angle, both axes, nothing else"

    def network_reason(self, target: Target) -> str:
        """Why this encoder."""
        del target
        return "as published but for its start: the paper's ResNet-50 was trained on ImageNet before, this one is fresh"

    def network_change(self, target: Target) -> str:
        """How to start as the paper did."""
        del target
        return "--pretrained_weights resnet50.pth (ImageNet) starts as published"
