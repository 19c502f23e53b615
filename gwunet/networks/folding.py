"""Batch norms folded into the convolutions before them: the same outputs in fewer passes over memory.

For prediction only: a batch norm in eval mode scales and shifts each channel, which a convolution can do by itself.
"""

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Foldable = nn.Conv2d | nn.ConvTranspose2d
PROBE_EDGE = 64
"""Edge of the frame that shows which batch norm follows which convolution."""


def fold_batch_norms(network: nn.Module, in_channels: int = 1) -> nn.Module:
    """A copy for prediction, in eval mode, with every batch norm that directly follows a convolution folded into it.

    Args:
        network: left as it is. A batch norm stays where it or its convolution is called more than once in a forward
            pass, or where what the convolution gives is used elsewhere as well.
        in_channels: of the frames it takes.

    Returns:
        The copy; its outputs are those of ``network.eval()`` but for rounding.
    """
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    for name, convolution in _pairs(folded, in_channels).items():
        norm = folded.get_submodule(name)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        layout = _memory_format(convolution.weight)
        weight, bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
            transpose=isinstance(convolution, nn.ConvTranspose2d),
        )
        convolution.weight = nn.Parameter(weight.contiguous(memory_format=layout), requires_grad=False)
        convolution.bias = nn.Parameter(bias, requires_grad=False)
        parent, _, child = name.rpartition(".")
        setattr(folded.get_submodule(parent), child, nn.Identity())
    return folded


def _pairs(network: nn.Module, in_channels: int) -> dict[str, Foldable]:
    """Names of batch norms, each with the convolution whose output it takes, seen in a forward pass.

    Both are called once, and nothing else has the convolution's output: neither another operation, which may want it
    without the batch norm or have changed it in place before, nor the caller.
    """
    made_by: dict[int, Foldable] = {}
    calls: Counter[nn.Module] = Counter()
    takers: Counter[int] = Counter()
    pairs: dict[str, tuple[Foldable, int]] = {}
    kept: list[Tensor] = []  # so that no output's id is used twice
    operands = _Operands()

    def after(module: nn.Module, _: Any, output: Tensor) -> None:
        assert isinstance(module, Foldable)
        calls[module] += 1
        made_by[id(output)] = module
        operands.count[id(output)] = 0
        kept.append(output)

    def before(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            calls[module] += 1
            operands.paused = True
            taken = id(inputs[0])
            if taken in made_by:
                takers[taken] += 1
                pairs[name] = made_by[taken], taken

        return look

    def resume(*_: Any) -> None:
        operands.paused = False

    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, Foldable):
            hooks.append(module.register_forward_hook(after))
        elif isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            hooks += [module.register_forward_pre_hook(before(name)), module.register_forward_hook(resume)]
    place = next(network.parameters()).device
    with torch.inference_mode(), operands:
        outputs = network(torch.zeros(1, in_channels, PROBE_EDGE, PROBE_EDGE, device=place))
    operands.add(outputs)
    for hook in hooks:
        hook.remove()
    return {
        name: convolution
        for name, (convolution, taken) in pairs.items()
        if calls[convolution] == calls[network.get_submodule(name)] == takers[taken] == 1 and not operands.count[taken]
    }


class _Operands(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types there
    """Counts how often each tensor is an operand, by its id, but while ``paused``: inside of batch norms."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count: Counter[int] = Counter()
        self.paused = False

    def add(self, values: Any) -> None:
        """Count every tensor in nested tuples, lists and dicts."""
        self.count.update(id(each) for each in tree_leaves(values) if isinstance(each, Tensor))

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Torch would import its compiler to keep it from this code, which no compiler sees: seconds at every start.
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if not self.paused:
            self.add((args, kwargs))
        return func(*args, **(kwargs or {}))


def _memory_format(weight: Tensor) -> torch.memory_format:
    last = torch.channels_last
    return last if weight.is_contiguous(memory_format=last) else torch.contiguous_format
