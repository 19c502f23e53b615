"""How much memory a training step takes, counted without running it."""

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from gwunet.losses import DeepSupervision
from gwunet.planners.memory import StepMemory
from gwunet.planners.shapes import rule_for

BYTES_OF_PARAMETER = 12
"""A weight and its two moments in float32. Gradients come and go with the backward pass, as activations do."""
SHARE_ABOVE_TENSORS = {"cpu": 1.35, "cuda": 1.2}
"""Memory taken over the bytes of tensors: buffers inside convolutions and gaps between freed blocks. The first is
measured (``benchmarks/step_memory.py``), the second is not."""
BYTES_OF_PROCESS = {"cpu": 20 << 20, "cuda": 512 << 20}
"""Whatever the network, on top: thread pools and code loaded late, on a GPU CUDA's context, kernels and workspaces.
The first is measured, the second is not."""
COUNTED_BATCH = 2
"""The least that batch norm takes on a bottleneck of one pixel."""


def count_step_memory(
    build: Callable[[], nn.Module],
    loss: nn.Module,
    weights: Sequence[float],
    patch_size: tuple[int, int],
    device: Literal["cpu", "cuda"],
) -> StepMemory:
    """Count the memory of a training step in float32: forward pass, loss on every output, backward pass, optimiser.

    The step runs on the meta device, where tensors have shapes but no memory, so any size can be counted. Every tensor
    is followed from its making to its end, those of the backward pass too; the peak of their sum counts. Under mixed
    precision it is an upper bound.

    Args:
        build: makes the network.
        loss: of one output.
        weights: of deep supervision.
        patch_size: rows and columns.
        device: whose overheads to add.
    """
    with torch.device("meta"), _LivingBytes() as living:
        network = build().train()
        frames = torch.empty(COUNTED_BATCH, 1, *patch_size)
        target = torch.empty(COUNTED_BATCH, 1, *patch_size, dtype=torch.uint8)
        DeepSupervision(loss, weights)(network(frames), target).backward()
    parameters = [parameter.numel() * parameter.element_size() for parameter in network.parameters()]
    kept = sum(parameters) * BYTES_OF_PARAMETER / 4
    share = SHARE_ABOVE_TENSORS[device]
    return StepMemory(
        fixed=share * kept + BYTES_OF_PROCESS[device],
        per_patch=share * (living.peak - sum(parameters)) / COUNTED_BATCH,
    )


class _LivingBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of all storages that are alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._sizes: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No compiler is at work here: importing it to keep it out takes a second, and guarding costs each time."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        kwargs = kwargs or {}
        rule = rule_for(func)
        return self._meet(func(*args, **kwargs) if rule is None else rule(*args, **kwargs))

    def _meet(self, result: Any) -> Any:
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, Tensor):
                self._follow(tensor)
        return result

    def _follow(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._sizes:
            self._sizes[key] = storage.nbytes()
            self._now += storage.nbytes()
            self.peak = max(self.peak, self._now)
            weakref.finalize(storage, functools.partial(self._leave, key))

    def _leave(self, key: int) -> None:
        self._now -= self._sizes.pop(key)
