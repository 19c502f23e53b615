"""The modified focal loss of the LinkNet paper."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.losses.registry import LOSSES
from gwunet.losses.target import OVER, split_target


@LOSSES.register("ModifiedFocalLoss")
class ModifiedFocalLoss(nn.Module):
    """``-alpha (1 - p)^gamma log p`` on wire pixels, ``-p^gamma log(1 - p)`` elsewhere.

    Unlike the focal loss of Lin et al., alpha weighs the wire alone and may exceed 1: near a tenth of the
    background-to-wire ratio it measured best. ``gamma=0`` is the alpha-balanced BCE of equation 2.

    Reference: LinkNet paper, section II-C, equation 1; tables I and II for alpha and gamma.
    """

    def __init__(self, alpha: float = 100.0, gamma: float = 2.5, reduction: Literal["mean", "sum"] = "mean") -> None:
        """``reduction``: the mean over valid pixels, or the sum over them as the paper's text has it."""
        super().__init__()
        if alpha < 0 or gamma < 0:
            raise ValueError(f"alpha is {alpha} and gamma {gamma}, both must be at least 0")
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction is {reduction!r}, needed 'mean' or 'sum'")
        self.alpha = alpha
        self.gamma = gamma
        self.reduction = reduction
        self.sums = reduction == "sum"

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``(..., B, 1, H, W)`` and target ``(B, 1, H, W)`` to values ``(...)``."""
        logits, wire, counted = split_target(logits, target)
        # log(1 - p) is logsigmoid(-z), and p^gamma is exp(gamma logsigmoid(z)): finite for any logit.
        log_p, log_not_p = F.logsigmoid(logits), F.logsigmoid(-logits)
        on_wire = -self.alpha * (self.gamma * log_not_p).exp() * log_p
        elsewhere = -(self.gamma * log_p).exp() * log_not_p
        total = (wire * on_wire + (1 - wire) * elsewhere).sum(OVER)
        return total if self.reduction == "sum" else total / counted
