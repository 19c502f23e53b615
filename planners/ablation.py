"""The plans of the FGA-Net paper's ablation: the network without some of its parts, or with another loss.

Reference: FGA-Net paper, Table 2. They are planned only when named, and differ from each other in nothing else.
"""

from gwunet.planners.fganet import FGANetPlanner
from gwunet.planning import PLANNERS

CLDICE_WEIGHT = 0.25
"""Of BCE + Dice + clDice, the rows "BSC"; the authors' code has it, the paper's text leaves it open."""


class AblationPlanner(FGANetPlanner):
    """FGA-Net as planned, with the hybrid loss, but for the arguments that a row names."""

    by_default = False
    cldice_weight = CLDICE_WEIGHT


@PLANNERS.register("FGANetBaselinePlanner")
class FGANetBaselinePlanner(AblationPlanner):
    """Row "Baseline": neither BGA nor SDA."""

    name = "FGANetBaselinePlanner"
    configuration_name = "fganet_baseline"
    without = ("use_bga", "use_sda")


@PLANNERS.register("FGANetBGAPlanner")
class FGANetBGAPlanner(AblationPlanner):
    """Row "Baseline + BGA"."""

    name = "FGANetBGAPlanner"
    configuration_name = "fganet_bga"
    without = ("use_sda",)


@PLANNERS.register("FGANetSDAPlanner")
class FGANetSDAPlanner(AblationPlanner):
    """Row "Baseline + SDA"."""

    name = "FGANetSDAPlanner"
    configuration_name = "fganet_sda"
    without = ("use_bga",)


@PLANNERS.register("FGANetBDPlanner")
class FGANetBDPlanner(AblationPlanner):
    """Row "BD": the whole network, BCE + Dice."""

    name = "FGANetBDPlanner"
    configuration_name = "fganet_bd"
    cldice_weight = 0.0


@PLANNERS.register("FGANetBSCPlanner")
class FGANetBSCPlanner(AblationPlanner):
    """Row "BSC": the whole network, BCE + Dice + clDice."""

    name = "FGANetBSCPlanner"
    configuration_name = "fganet_bsc"
