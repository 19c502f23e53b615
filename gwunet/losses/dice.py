"""Soft Dice with the squared denominator of the FGA-Net paper."""

from torch import Tensor, nn

from gwunet.losses.registry import LOSSES
from gwunet.losses.target import split_target


def soft_dice(probability: Tensor, wire: Tensor, smooth: float = 1.0) -> Tensor:
    """``(2 sum(p g) + smooth) / (sum(p^2) + sum(g^2) + smooth)`` over the whole batch, a scalar in (0, 1].

    Over the batch and not per frame: a patch without wire would otherwise swing between 0 and 1. ``smooth`` defines
    the value on an empty target: 1 for an empty prediction.

    Reference: FGA-Net paper, section "Loss" (denominator as in Milletari et al., V-Net, 2016).
    """
    overlap = (probability * wire).sum()
    return (2 * overlap + smooth) / (probability.square().sum() + wire.square().sum() + smooth)


@LOSSES.register("SoftDiceLoss")
class SoftDiceLoss(nn.Module):
    """One minus soft Dice."""

    def __init__(self, smooth: float = 1.0) -> None:
        super().__init__()
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits and target ``(B, 1, H, W)`` to a scalar in [0, 1)."""
        logits, wire, valid = split_target(logits, target)
        return 1 - soft_dice(logits.sigmoid() * valid, wire, self.smooth)
