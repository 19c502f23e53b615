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

aten = torch.ops.aten
FILLS = {aten.normal_.default, aten.uniform_.default}
"""Fresh weights, which have no content here."""
_known: dict[Any, list[dict[str, Any] | None]] = {}
"""Size, stride and dtype of what operations gave, by the layouts of their arguments; None for what they left out."""


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
    """Adds up the bytes of all storages that are alive.

    Torch finds the shapes of some operations in Python, a batch norm's in more than a millisecond. Networks repeat
    theirs, so what an operation gave for tensors of the same layout is remembered and made anew without it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._now = 0
        self._sizes: dict[int, int] = {}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No compiler is at work here, and guarding against one costs with every operation."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        kwargs = kwargs or {}
        if func in FILLS:
            return args[0]
        if not _gives_new_tensors(func):
            return self._meet(func(*args, **kwargs))
        key = (func, _layout(args), *((name, _layout(value)) for name, value in kwargs.items()))
        if key in _known:
            made = tuple(layout and torch.empty_strided(**layout, device="meta") for layout in _known[key])
            return self._meet(made if len(made) > 1 else made[0])
        result = func(*args, **kwargs)
        _known[key] = [
            each if each is None else {"size": each.shape, "stride": each.stride(), "dtype": each.dtype}
            for each in (result if isinstance(result, tuple) else (result,))
        ]
        return self._meet(result)

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


@functools.cache
def _gives_new_tensors(func: Any) -> bool:
    """Whether no result shares its storage with an argument."""
    aliases = any(each.alias_info is not None for each in (*func._schema.arguments, *func._schema.returns))
    return not aliases and func is not aten._unsafe_view.default


def _layout(value: Any) -> Any:
    """A tensor's shape, strides and type, inside tuples and lists too; anything else with its type, 1 not being 1.0."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype
    return tuple(map(_layout, value)) if isinstance(value, tuple | list) else (type(value), value)


def warm_up() -> None:
    """Count a step of next to nothing: torch imports for seconds what only its shape functions need."""
    count_step_memory(
        lambda: nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1)), _Mean(), (1.0,), (8, 8), "cpu"
    )


class _Mean(nn.Module):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return (logits * target).mean(dim=(-4, -3, -2, -1))
