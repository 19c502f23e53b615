"""The plan of DeepLabV3+."""

from gwunet.planners.compared import ComparedPlanner
from gwunet.planning import PLANNERS
from gwunet.plans import Spec


@PLANNERS.register("DeepLabV3PlusPlanner")
class DeepLabV3PlusPlanner(ComparedPlanner):
    """DeepLabV3+ with ResNet-101 on a GPU and a narrow ResNet-18 on a CPU.

    Its 3x3 convolutions are ordinary ones, which come nearer to the cost in the FGA-Net paper than separable ones.
    """

    name = "DeepLabV3PlusPlanner"
    configuration_name = "deeplabv3plus"
    trainer = "DeepLabV3PlusTrainer"
    gpu_network = Spec(name="DeepLabV3Plus", arguments={"in_channels": 1, "encoder": "resnet101", "width": 64})
    gpu_reason = "ResNet-101, the one of its paper's encoders whose public weights fit"
    cpu_network = Spec(
        name="DeepLabV3Plus",
        arguments={
            "in_channels": 1,
            "encoder": "resnet18",
            "width": 32,
            "decoder_channels": 64,
            "low_level_channels": 16,
        },
    )
    cpu_reason = "ResNet-18 of half the width and a quarter of the decoder's"
