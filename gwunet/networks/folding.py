"""Batch norms folded into the convolutions before them: the same outputs in fewer passes over memory.

For prediction only: a batch norm in eval mode scales and shifts each channel, which a convolution can do by itself.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

Convolution = nn.Conv2d | nn.ConvTranspose2d
PROBE_EDGE = 64
"""Edge of the frame that shows which batch norm follows which convolution."""


def fold_batch_norms(network: nn.Module, in_channels: int = 1) -> nn.Module:
    """A copy for prediction, in eval mode, with every batch norm that directly follows a convolution folded into it.

    Args:
        network: left as it is. A convolution that is called more than once in a forward pass keeps its batch norms.
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


def _pairs(network: nn.Module, in_channels: int) -> dict[str, Convolution]:
    """Names of batch norms, each with the convolution whose output it takes, seen in a forward pass."""
    made_by: dict[int, Convolution] = {}
    calls: dict[Convolution, int] = {}
    pairs: dict[str, Convolution] = {}
    kept: list[Tensor] = []  # so that no output's id is used twice

    def after(module: nn.Module, _: Any, output: Tensor) -> None:
        assert isinstance(module, Convolution)
        calls[module] = calls.get(module, 0) + 1
        made_by[id(output)] = module
        kept.append(output)

    def before(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def look(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            convolution = made_by.get(id(inputs[0]))
            if convolution is not None:
                pairs[name] = convolution

        return look

    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, Convolution):
            hooks.append(module.register_forward_hook(after))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(before(name)))
    place = next(network.parameters()).device
    with torch.inference_mode():
        network(torch.zeros(1, in_channels, PROBE_EDGE, PROBE_EDGE, device=place))
    for hook in hooks:
        hook.remove()
    return {name: convolution for name, convolution in pairs.items() if calls[convolution] == 1}


def _memory_format(weight: Tensor) -> torch.memory_format:
    last = torch.channels_last
    return last if weight.is_contiguous(memory_format=last) else torch.contiguous_format
