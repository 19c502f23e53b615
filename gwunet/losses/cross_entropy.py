"""Binary cross-entropy on logits, plain and alpha-balanced."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.losses.registry import LOSSES
from gwunet.losses.target import OVER, split_target


def bce(logits: Tensor, wire: Tensor, counted: Tensor) -> Tensor:
    """``-log p`` on wire, ``-log(1 - p)`` elsewhere, as a mean over the ``counted`` pixels of each leading index.

    Both are ``softplus(z) - z g``; arguments as ``split_target`` gives them.
    """
    return torch.addcmul(F.softplus(logits), logits, wire, value=-1).sum(OVER) / counted


@LOSSES.register("BalancedBCELoss")
class BalancedBCELoss(nn.Module):
    """``-alpha log p`` on wire pixels, ``-log(1 - p)`` elsewhere, as a mean over all pixels.

    It weighs the few wire pixels up but does not focus on hard ones; the modified focal loss with gamma 0.

    Reference: LinkNet paper, section III-A, equation 2, and table I, whose best alpha is 100.
    """

    def __init__(self, alpha: float = 100.0) -> None:
        super().__init__()
        if alpha < 0:
            raise ValueError(f"alpha is {alpha}, it must be at least 0")
        self.alpha = alpha

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``(..., B, 1, H, W)`` and target ``(B, 1, H, W)`` to values ``(...)``."""
        logits, wire, counted = split_target(logits, target)
        softplus = F.softplus(logits)
        # On wire -log p is softplus(z) - z, so alpha times that is what exceeds the softplus that is everywhere.
        return (softplus + wire * ((self.alpha - 1) * softplus - self.alpha * logits)).sum(OVER) / counted
