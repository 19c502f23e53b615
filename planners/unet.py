"""The plan of U-Net."""

from gwunet.planners.compared import ComparedPlanner
from gwunet.planning import PLANNERS
from gwunet.plans import Spec


@PLANNERS.register("UNetPlanner")
class UNetPlanner(ComparedPlanner):
    """U-Net with five stages."""

    name = "UNetPlanner"
    configuration_name = "unet"
    trainer = "UNetTrainer"
    cpu_batch = 4
    gpu_network = Spec(name="UNet", arguments={"in_channels": 1, "features": [32, 64, 128, 256, 512]})
    gpu_reason = "the widths that the cost in the FGA-Net paper fits"
    cpu_network = Spec(name="UNet", arguments={"in_channels": 1, "features": [16, 32, 64, 128, 256]})
    cpu_reason = "half the widths of the GPU plan, so that a training step takes a fraction of a second on a CPU"
