"""What every loss does first: float32 logits, a wire target, and a mask of the pixels that count."""

import torch
from torch import Tensor

from gwunet.dataset import IGNORE


def split_target(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, wire and validity, all ``(B, 1, H, W)`` float32.

    Args:
        logits: ``(B, 1, H, W)`` of any floating type.
        target: ``(B, 1, H, W)`` with 0, 1 (wire) and ``IGNORE``, of any type.

    Raises:
        ValueError: the shapes differ.
    """
    if logits.shape != target.shape:
        raise ValueError(f"logits have the shape {tuple(logits.shape)}, the target {tuple(target.shape)}")
    valid = (target != IGNORE).to(torch.float32)
    wire = (target == 1).to(torch.float32)
    return logits.to(torch.float32), wire, valid


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of ``values`` where ``valid`` is 1; 0 where nothing is valid."""
    return (values * valid).sum() / valid.sum().clamp(min=1.0)
