"""The plan of Attention U-Net."""

from gwunet.planners.compared import ComparedPlanner
from gwunet.planning import PLANNERS
from gwunet.plans import Spec


@PLANNERS.register("AttentionUNetPlanner")
class AttentionUNetPlanner(ComparedPlanner):
    """Attention U-Net with five stages."""

    name = "AttentionUNetPlanner"
    configuration_name = "attention_unet"
    trainer = "AttentionUNetTrainer"
    gpu_network = Spec(name="AttentionUNet", arguments={"in_channels": 1, "features": [64, 128, 256, 512, 1024]})
    cpu_network = Spec(name="AttentionUNet", arguments={"in_channels": 1, "features": [16, 32, 64, 128, 256]})
    cpu_reason = "a quarter of the GPU plan's widths"
