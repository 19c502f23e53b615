"""Skeleton recall: how much of the wire's skeleton the prediction covers, beside cross-entropy and soft Dice.

Reference: Kirchhoff et al., Skeleton Recall Loss, ECCV 2024. Unlike soft clDice it takes the skeleton of the target
alone, which preprocessing found once (``gwunet.data.centreline``), so it costs a product and a sum.
"""

from torch import Tensor, nn

from gwunet.dataset import CENTRELINE
from gwunet.losses.cross_entropy import bce
from gwunet.losses.dice import soft_dice
from gwunet.losses.registry import LOSSES
from gwunet.losses.target import OVER, split_target


def skeleton_recall(probability: Tensor, skeleton: Tensor, smooth: float = 1.0) -> Tensor:
    """``(sum(p s) + smooth) / (sum(s) + smooth)`` over the whole batch, in (0, 1].

    Args:
        probability: ``(..., B, 1, H, W)``.
        skeleton: ``(B, 1, H, W)``, 0 or 1. An empty one is recalled whole: the value is 1.
        smooth: in pixels of skeleton.

    Returns:
        ``(...)``: one value for each leading index.
    """
    return ((probability * skeleton).sum(OVER) + smooth) / (skeleton.sum() + smooth)


@LOSSES.register("SkeletonRecallLoss")
class SkeletonRecallLoss(nn.Module):
    """``bce_weight BCE + (1 - soft Dice) + weight (1 - skeleton recall)``.

    For wires that break: recall alone rewards covering everything, so cross-entropy and Dice stay beside it. The
    skeleton is what the target marks as ``CENTRELINE``. Targets from elsewhere without that code (plain masks of 0 and
    1) have an empty skeleton, and the loss is BCE + Dice.

    Args:
        weight: of one minus skeleton recall; 1 as published.
        bce_weight: of the cross-entropy.
        smooth: see ``soft_dice`` and ``skeleton_recall``.
    """

    def __init__(self, weight: float = 1.0, bce_weight: float = 1.0, smooth: float = 1.0) -> None:
        super().__init__()
        if weight < 0:
            raise ValueError(f"weight is {weight}, it must be at least 0")
        self.weight = weight
        self.bce_weight = bce_weight
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``(..., B, 1, H, W)`` and target ``(B, 1, H, W)`` to values ``(...)``."""
        logits, wire, counted = split_target(logits, target)
        probability = logits.sigmoid()
        skeleton = (target == CENTRELINE).to(probability.dtype)
        missed = 1 - skeleton_recall(probability, skeleton, self.smooth)
        return (
            self.bce_weight * bce(logits, wire, counted)
            + 1
            - soft_dice(probability, wire, self.smooth)
            + (self.weight * missed)
        )
