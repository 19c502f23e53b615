"""The losses: ``forward(logits, target) -> scalar`` on logits, computed in float32."""

from gwunet.losses.build import build_loss
from gwunet.losses.cldice import SoftClDiceLoss
from gwunet.losses.deep_supervision import DeepSupervision
from gwunet.losses.dice import SoftDiceLoss
from gwunet.losses.focal import ModifiedFocalLoss
from gwunet.losses.hybrid import HybridLoss
from gwunet.losses.registry import LOSSES

__all__ = [
    "LOSSES",
    "DeepSupervision",
    "HybridLoss",
    "ModifiedFocalLoss",
    "SoftClDiceLoss",
    "SoftDiceLoss",
    "build_loss",
]
