"""The losses, on logits and computed in float32.

``forward(logits, target)``: logits ``(..., B, 1, H, W)`` and target ``(B, 1, H, W)`` to values ``(...)``: a scalar for
one output, and leading axes where there are several (deep supervision). A loss that is a sum over pixels and not a mean
says so by an attribute ``sums`` that is True: gradients of a batch in parts (``--accumulate``) are put together by it.
"""

from gwunet.losses.build import build_loss
from gwunet.losses.cross_entropy import BalancedBCELoss
from gwunet.losses.deep_supervision import DeepSupervision
from gwunet.losses.dice import SoftDiceLoss
from gwunet.losses.focal import ModifiedFocalLoss
from gwunet.losses.hybrid import BCEDiceLoss, HybridLoss
from gwunet.losses.registry import LOSSES
from gwunet.losses.skeleton_recall import SkeletonRecallLoss

__all__ = [
    "LOSSES",
    "BCEDiceLoss",
    "BalancedBCELoss",
    "DeepSupervision",
    "HybridLoss",
    "ModifiedFocalLoss",
    "SkeletonRecallLoss",
    "SoftDiceLoss",
    "build_loss",
]
