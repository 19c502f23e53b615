"""What every loss does first, and how it sums: float32 logits, a wire target, ignored pixels out of the way."""

import torch
from torch import Tensor

from gwunet.dataset import CENTRELINE, IGNORE

OVER = (-4, -3, -2, -1)
"""A loss sums over batch, channel, rows and columns; axes before these stay (the outputs of deep supervision)."""
SURELY_BACKGROUND = -1e4
"""Logit of ignored pixels: there the probability, the cross-entropy and every gradient are exactly 0."""


def split_target(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, wire and the number of pixels that count.

    Args:
        logits: ``(..., B, 1, H, W)`` of any floating type; leading axes hold several outputs for one target.
        target: ``(B, 1, H, W)`` with 0, 1 (wire), ``CENTRELINE`` (wire too) and ``IGNORE``, of any type.

    Returns:
        Logits ``(..., B, 1, H, W)`` float32, where ignored pixels are surely background; the wire ``(B, 1, H, W)``
        float32, 0 or 1; the number of pixels that are not ignored, a scalar and at least 1.

    Raises:
        ValueError: the shapes differ.
    """
    if logits.shape[-4:] != target.shape:
        raise ValueError(f"logits have the shape {tuple(logits.shape)}, the target {tuple(target.shape)}")
    ignored = target == IGNORE
    wire = ((target == 1) | (target == CENTRELINE)).to(torch.float32)
    counted = (target.numel() - ignored.sum()).clamp(min=1)
    return logits.to(torch.float32).masked_fill(ignored, SURELY_BACKGROUND), wire, counted
