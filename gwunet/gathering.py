"""Tensors of several processes joined, in a way that gradients come through (see ``World.gather``)."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class Gather(torch.autograd.Function):
    """``apply(own, rank, size)``: ``(B, ...)`` of every process to ``(size * B, ...)``.

    All processes go on to the same loss, so the gradient of a process's own part is there already and nothing needs to
    be sent back.
    """

    @staticmethod
    def forward(context: Any, own: Tensor, rank: int, size: int) -> Tensor:
        """Join."""
        context.own = slice(rank * len(own), (rank + 1) * len(own))
        context.size = size
        parts = [torch.empty_like(own, memory_format=torch.contiguous_format) for _ in range(size)]
        dist.all_gather(parts, own.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Any:
        """Cut out."""
        return gradients[0][context.own] * context.size, None, None
