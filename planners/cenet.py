"""The plan of CE-Net."""

from gwunet.planners.compared import ComparedPlanner
from gwunet.planning import PLANNERS
from gwunet.plans import Spec


@PLANNERS.register("CENetPlanner")
class CENetPlanner(ComparedPlanner):
    """CE-Net with ResNet-34 on a GPU and a narrow ResNet-18 on a CPU."""

    name = "CENetPlanner"
    configuration_name = "cenet"
    trainer = "CENetTrainer"
    gpu_network = Spec(name="CENet", arguments={"in_channels": 1, "encoder": "resnet34", "width": 64})
    gpu_reason = "the encoder of its paper, ResNet-34"
    cpu_network = Spec(name="CENet", arguments={"in_channels": 1, "encoder": "resnet18", "width": 32})
    cpu_reason = "ResNet-18 of half the width"
