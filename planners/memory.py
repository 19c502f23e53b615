"""How much memory a training step takes, counted without running it."""

import torch
from torch import Tensor, nn

BYTES_PER_PARAMETER = 16
"""Weights, gradients and two moments in float32."""
WORKSPACE_SHARE = 1.25
"""On top of what is counted: buffers of the convolutions and the allocator's rounding."""
GIB = 1024**3


def saved_bytes_per_patch(network: nn.Module, patch_size: tuple[int, int], channels: int = 1) -> int:
    """Bytes that autograd keeps for the backward pass of one patch, in float32.

    The network runs on the meta device, where tensors have shapes but no memory, so any size can be counted. Under
    mixed precision it is an upper bound.
    """
    seen: dict[int, int] = {}
    kept: list[Tensor] = []  # so that no storage's address is used twice

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        seen[storage._cdata] = storage.nbytes()
        kept.append(tensor)
        return tensor

    network = network.to("meta").train()
    frames = torch.empty(2, channels, *patch_size, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        network(frames)
    parameters = sum(p.numel() * p.element_size() for p in network.parameters())
    return max(0, sum(seen.values()) - parameters) // 2


def largest_batch(network: nn.Module, patch_size: tuple[int, int], memory_gb: float) -> int:
    """How many patches fit a training step into ``memory_gb`` GiB; 0 where not even one does."""
    parameters = sum(p.numel() for p in network.parameters())
    left = memory_gb * GIB / WORKSPACE_SHARE - parameters * BYTES_PER_PARAMETER
    return max(0, int(left // max(1, saved_bytes_per_patch(network, patch_size))))
