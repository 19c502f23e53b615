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
    gpu_network = Spec(name="UNet", arguments={"in_channels": 1, "features": [32, 64, 128, 256, 512]})
    cpu_network = Spec(name="UNet", arguments={"in_channels": 1, "features": [16, 32, 64, 128, 256]})
    cpu_reason = "half the GPU plan's widths"
