"""Soft clDice: how much of each centreline lies inside the other mask, differentiably.

A part of the hybrid loss and no loss of its own: it sees centrelines alone, so masks of any width would do.

Reference: Shit et al., clDice, CVPR 2021, algorithm 1; FGA-Net paper, section "Loss".
"""

import torch
from torch import Tensor

from gwunet.losses.soft_skeleton import soft_skeleton
from gwunet.losses.target import OVER


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
