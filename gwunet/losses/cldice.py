"""Soft clDice: how much of each centreline lies inside the other mask, differentiably.

Reference: Shit et al., clDice, CVPR 2021, algorithm 1; FGA-Net paper, section "Loss".
"""

import torch
from torch import Tensor, nn

from gwunet.losses.registry import LOSSES
from gwunet.losses.soft_skeleton import soft_skeleton
from gwunet.losses.target import OVER, split_target


def soft_cldice(probability: Tensor, wire: Tensor, iterations: int, smooth: float = 1.0) -> Tensor:
    """Harmonic mean of topological precision and sensitivity over the whole batch, in (0, 1].

    Args:
        probability: ``(..., B, 1, H, W)``, 0 at ignored pixels; all leading indices are skeletonised together.
        wire: ``(B, 1, H, W)``, 0 or 1; its skeleton is found once.
        iterations: of the soft skeleton.
        smooth: in pixels of skeleton.

    Returns:
        ``(...)``: one value for each leading index.
    """
    predicted_skeleton = soft_skeleton(probability, iterations)
    with torch.no_grad():
        wire_skeleton = soft_skeleton(wire, iterations)
    precision = ((predicted_skeleton * wire).sum(OVER) + smooth) / (predicted_skeleton.sum(OVER) + smooth)
    sensitivity = ((wire_skeleton * probability).sum(OVER) + smooth) / (wire_skeleton.sum() + smooth)
    return 2 * precision * sensitivity / (precision + sensitivity)


@LOSSES.register("SoftClDiceLoss")
class SoftClDiceLoss(nn.Module):
    """One minus soft clDice."""

    def __init__(self, iterations: int = 10, smooth: float = 1.0) -> None:
        """``iterations``: half the width of the widest wire in pixels, rounded up, plus one."""
        super().__init__()
        self.iterations = iterations
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``(..., B, 1, H, W)`` and target ``(B, 1, H, W)`` to values ``(...)`` in [0, 1)."""
        logits, wire, _ = split_target(logits, target)
        return 1 - soft_cldice(logits.sigmoid(), wire, self.iterations, self.smooth)
