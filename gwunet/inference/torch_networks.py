"""Trained networks as prediction calls them: batch norms folded, in the wanted numbers, compiled if asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from gwunet.checkpoint import Checkpoint, load_weights
from gwunet.device import computes_bf16
from gwunet.errors import ModelError, SchemaError
from gwunet.networks import build_network
from gwunet.networks.folding import fold_batch_norms

Network = Callable[[Tensor], Tensor]
"""From tiles ``(B, 1, h, w)`` float32 to logits ``(B, 1, h, w)``."""
PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]


def autocast_type(precision: PrecisionName, device: torch.device) -> torch.dtype | None:
    """What autocast computes in; None for float32."""
    if precision != "auto":
        return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if computes_bf16(device) else None


def network_of(checkpoint: Checkpoint) -> nn.Module:
    """The network of a checkpoint with its weights, on the CPU.

    Raises:
        ModelError: there is no such network here, or the weights are not its.
    """
    try:
        network = build_network(checkpoint.configuration)
    except SchemaError as problem:
        raise ModelError(f"{checkpoint.where}: {problem}") from problem
    load_weights(network, checkpoint, Path(checkpoint.where))
    return network


def torch_network(
    checkpoint: Checkpoint, device: torch.device, autocast: torch.dtype | None, *, compiled: bool
) -> Network:
    """The network of a checkpoint as prediction calls it; errors as ``network_of``."""
    network = fold_batch_norms(network_of(checkpoint)).to(device)
    call: Network = network
    if compiled:
        call = torch.compile(network, mode="reduce-overhead" if device.type == "cuda" else "default")
    if autocast is None:
        return call

    def lower(tiles: Tensor) -> Tensor:
        with torch.autocast(device.type, autocast):
            return call(tiles.to(memory_format=torch.channels_last))

    return lower
