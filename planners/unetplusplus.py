"""The plan of U-Net++."""

from gwunet.planners.compared import ComparedPlanner
from gwunet.planning import PLANNERS
from gwunet.plans import Spec


@PLANNERS.register("UNetPlusPlusPlanner")
class UNetPlusPlusPlanner(ComparedPlanner):
    """U-Net++ with five levels.

    Without its deep supervision, so that the compared networks differ in nothing but the network.
    """

    name = "UNetPlusPlusPlanner"
    configuration_name = "unetplusplus"
    trainer = "UNetPlusPlusTrainer"
    cpu_batch = 2  # it costs more than twice a U-Net of its widths
    gpu_network = Spec(name="UNetPlusPlus", arguments={"in_channels": 1, "features": [32, 64, 128, 256, 512]})
    gpu_reason = "the widths of its paper, which the cost in the FGA-Net paper fits"
    cpu_network = Spec(name="UNetPlusPlus", arguments={"in_channels": 1, "features": [16, 32, 64, 128, 256]})
    cpu_reason = "half the GPU plan's widths"
