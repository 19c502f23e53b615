"""Soft Dice with the squared denominator of the FGA-Net paper."""

from torch import Tensor, nn

from gwunet.losses.registry import LOSSES
from gwunet.losses.target import OVER, split_target


def soft_dice(probability: Tensor, wire: Tensor, smooth: float = 1.0) -> Tensor:
    """``(2 sum(p g) + smooth) / (sum(p^2) + sum(g^2) + smooth)`` over the whole batch, in (0, 1].

    Over the batch and not per frame: a patch without wire would otherwise swing between 0 and 1. ``smooth`` defines
    the value on an empty target: 1 for an empty prediction.

    Args:
        probability: ``(..., B, 1, H, W)``, 0 at ignored pixels.
        wire: ``(B, 1, H, W)``, 0 or 1.
        smooth: in pixels.

    Returns:
        ``(...)``: one value for each leading index.

    Reference: FGA-Net paper, section "Loss" (denominator as in Milletari et al., V-Net, 2016).
    """
    overlap = (probability * wire).sum(OVER)
    # A wire of 0 and 1 is its own square.
    return (2 * overlap + smooth) / (probability.square().sum(OVER) + wire.sum() + smooth)


@LOSSES.register("SoftDiceLoss")
class SoftDiceLoss(nn.Module):
    """One minus soft Dice."""

    def __init__(self, smooth: float = 1.0) -> None:
        super().__init__()
        self.smooth = smooth

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Logits ``(..., B, 1, H, W)`` and target ``(B, 1, H, W)`` to values ``(...)`` in [0, 1)."""
        logits, wire, _ = split_target(logits, target)
        return 1 - soft_dice(logits.sigmoid(), wire, self.smooth)
