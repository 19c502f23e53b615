"""The FGA-Net loss: BCE, soft Dice and soft clDice together.

Reference: FGA-Net paper, section "Loss".
"""

import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.losses.cldice import soft_cldice
from gwunet.losses.dice import soft_dice
from gwunet.losses.registry import LOSSES
from gwunet.losses.target import masked_mean, split_target


@LOSSES.register("HybridLoss")
class HybridLoss(nn.Module):
    """``bce_weight BCE + (1 - a)(1 - soft Dice) + a (1 - soft clDice)``.

    Args:
        cldice_weight: ``a`` in [0, 1]; 0 is BCE + Dice, the ablation's BD row, and costs no skeletons.
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
        """Logits and target ``(B, 1, H, W)`` to a scalar."""
        logits, wire, valid = split_target(logits, target)
        bce = masked_mean(F.binary_cross_entropy_with_logits(logits, wire, reduction="none"), valid)
        probability = logits.sigmoid() * valid
        region = (1 - self.cldice_weight) * (1 - soft_dice(probability, wire, self.smooth))
        if self.cldice_weight:
            cldice = soft_cldice(probability, wire, self.skeleton_iterations, self.smooth)
            region = region + self.cldice_weight * (1 - cldice)
        return self.bce_weight * bce + region
