"""Soft clDice: how much of each centreline lies inside the other mask, differentiably.

Reference: Shit et al., clDice, CVPR 2021, algorithm 1; FGA-Net paper, section "Loss".
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.losses.registry import LOSSES
from gwunet.losses.target import split_target


def soft_erode(image: Tensor) -> Tensor:
    """Minimum over the cross of a pixel and its four neighbours, ``(B, 1, H, W)``."""
    rows = -F.max_pool2d(-image, (3, 1), stride=1, padding=(1, 0))
    columns = -F.max_pool2d(-image, (1, 3), stride=1, padding=(0, 1))
    return torch.min(rows, columns)


def soft_open(image: Tensor) -> Tensor:
    """Soft erosion, then the maximum over 3x3."""
    return F.max_pool2d(soft_erode(image), 3, stride=1, padding=1)


def soft_skeleton(image: Tensor, iterations: int) -> Tensor:
    """The ridge that ``iterations`` erosions leave of ``(B, 1, H, W)`` values in [0, 1].

    Half the widest structure's width in iterations, plus one, is enough; more change nothing and cost time.
    """
    skeleton = F.relu(image - soft_open(image))
    for _ in range(iterations):
        image = soft_erode(image)
        detail = F.relu(image - soft_open(image))
        skeleton = skeleton + F.relu(detail - skeleton * detail)
    return skeleton


def soft_cldice(probability: Tensor, wire: Tensor, iterations: int, smooth: float = 1.0) -> Tensor:
    """Harmonic mean of topological precision and sensitivity over the whole batch, a scalar in (0, 1]."""
    predicted_skeleton = soft_skeleton(probability, iterations)
    with torch.no_grad():
        wire_skeleton = soft_skeleton(wire, iterations)
    precision = ((predicted_skeleton * wire).sum() + smooth) / (predicted_skeleton.sum() + smooth)
    sensitivity = ((wire_skeleton * probability).sum() + smooth) / (wire_skeleton.sum() + smooth)
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
        """Logits and target ``(B, 1, H, W)`` to a scalar in [0, 1)."""
        logits, wire, valid = split_target(logits, target)
        return 1 - soft_cldice(logits.sigmoid() * valid, wire, self.iterations, self.smooth)
