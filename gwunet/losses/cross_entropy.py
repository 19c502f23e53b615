"""Binary cross-entropy on logits, plain and alpha-balanced."""

import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.losses.registry import LOSSES
from gwunet.losses.target import OVER, split_target


def bce(logits: Tensor, wire: Tensor, counted: Tensor) -> Tensor:
    """``-log p`` on wire, ``-log(1 - p)`` elsewhere, as a mean over the ``counted`` pixels of each leading index.

    Arguments as ``split_target`` gives them.
    """
    return _surprise(logits, wire).sum(OVER) / counted


def _surprise(logits: Tensor, wire: Tensor) -> Tensor:
    """``-log`` of the probability of what is there: ``softplus(-z)`` on wire, ``softplus(z)`` elsewhere."""
    return F.softplus(logits * (1 - 2 * wire))


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
        return (_surprise(logits, wire) * (1 + (self.alpha - 1) * wire)).sum(OVER) / counted
