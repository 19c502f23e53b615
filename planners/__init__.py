"""What to decide: one planner for each network, found by name through ``gwunet.planning.PLANNERS``."""

from gwunet.planners.base import Planner
from gwunet.planners.fganet import FGANetPlanner
from gwunet.planners.linknet import LinkNetPlanner

__all__ = ["FGANetPlanner", "LinkNetPlanner", "Planner"]
