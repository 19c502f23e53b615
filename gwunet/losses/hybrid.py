"""The FGA-Net loss (BCE, soft Dice and soft clDice together) and its ablation without clDice.

Reference: FGA-Net paper, section "Loss"; table 2, rows BSC and BD.
"""

from torch import Tensor, nn

from gwunet.losses.cldice import soft_cldice
from gwunet.losses.cross_entropy import bce
from gwunet.losses.dice import soft_dice
from gwunet.losses.registry import LOSSES
from gwunet.losses.target import split_target


@LOSSES.register("HybridLoss")
class HybridLoss(nn.Module):
    """``bce_weight BCE + (1 - a)(1 - soft Dice) + a (1 - soft clDice)``.

    Args:
        cldice_weight: ``a`` in [0, 1]; 0 is BCE + Dice and costs no skeletons.
        skeleton_iterations: half the width of the widest wire in pixels, rounded up, plus one.
        bce_weight: 1 in the paper's text, 0.5 in its authors' code.
        smooth: see ``soft_dice``.
    """

    def __init__(
        self,
        cldice_weight: float = 0.25,
        skeleton_iterations: int = 10,
        bce_weight: float = 1.0,
        smooth: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= cldice_weight <= 1:
            raise ValueError(f"cldice_weight is {cldice_weight}, it must lie in [0, 1]")
        self.cldice_weight = cldice_weight
        self.skeleton_iterations = skeleton_iterations
        self.bce_weight = bce_weight
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``(..., B, 1, H, W)`` and target ``(B, 1, H, W)`` to values ``(...)``."""
        logits, wire, counted = split_target(logits, target)
        probability = logits.sigmoid()
        value = (1 - self.cldice_weight) * (1 - soft_dice(probability, wire, self.smooth))
        if self.cldice_weight:
            cldice = soft_cldice(probability, wire, self.skeleton_iterations, self.smooth)
            value = value + self.cldice_weight * (1 - cldice)
        return value + self.bce_weight * bce(logits, wire, counted)


@LOSSES.register("BCEDiceLoss")
class BCEDiceLoss(HybridLoss):
    """``bce_weight BCE + (1 - soft Dice)``: no skeletons, and what most networks are trained with."""

    def __init__(self, bce_weight: float = 1.0, smooth: float = 1.0) -> None:
        super().__init__(cldice_weight=0.0, skeleton_iterations=0, bce_weight=bce_weight, smooth=smooth)
