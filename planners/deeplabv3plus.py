"""The plan of DeepLabV3+."""

from gwunet.planners.compared import ComparedPlanner
from gwunet.planning import PLANNERS
from gwunet.plans import Spec


@PLANNERS.register("DeepLabV3PlusPlanner")
class DeepLabV3PlusPlanner(ComparedPlanner):
    """DeepLabV3+ with ResNet-101 on a GPU and a narrow ResNet-18 on a CPU."""

    name = "DeepLabV3PlusPlanner"
    configuration_name = "deeplabv3plus"
    trainer = "DeepLabV3PlusTrainer"
    cpu_batch = 4
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
    cpu_reason = "ResNet-18 of half the width, so that a training step takes a tenth of a second on a CPU"
