"""What a network costs: parameters and multiply-accumulates, counted without computing anything."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gwunet.networks.deformable import DeformableConv2d

COUNTED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, DeformableConv2d)
"""The modules whose multiply-accumulates are counted; norms, activations, resizing and spatial shifts are
left out, as is usual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Parameters of a network, and multiply-accumulates of one forward pass of one frame."""

    parameters: int
    """Trained numbers, biases and norms included."""
    plain: int
    """Multiply-accumulates of ordinary and transposed convolutions and linear layers. The convolutions that predict
    offsets and modulation are among them."""
    deformable: int
    """Multiply-accumulates of the deformable convolutions' kernels; interpolation is not counted."""
    paper: int
    """``plain`` counted the way of the FGA-Net paper's Table 1: a transposed convolution counts its output elements
    times kernel area times input channels, four times its work at stride 2."""

    @property
    def total(self) -> int:
        """All multiply-accumulates."""
        return self.plain + self.deformable


def count_cost(network: nn.Module, frame_shape: tuple[int, int, int]) -> Cost:
    """Count a network's parameters and the multiply-accumulates of one frame, in eval mode.

    A weightless copy runs on the meta device: it takes a fraction of a second and no memory at any frame size, and the
    network itself is left as it is. A layer counts each time it is called; work outside the modules in ``COUNTED``,
    as in a call of ``F.conv2d``, is not seen.

    Args:
        network: on any device, the meta device included.
        frame_shape: ``(C, H, W)``.
    """
    copied = _weightless_copy(network).eval()
    counted = {"plain": 0, "deformable": 0, "paper": 0}

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        true, paper = _multiply_accumulates(module, inputs[0], output)
        if isinstance(module, DeformableConv2d):
            counted["deformable"] += true
        else:
            counted["plain"] += true
            counted["paper"] += paper

    for module in copied.modules():
        if isinstance(module, COUNTED):
            module.register_forward_hook(count)
    with torch.no_grad():
        copied(torch.empty(1, *frame_shape, device="meta"))
    return Cost(parameters=sum(each.numel() for each in network.parameters()), **counted)


def _weightless_copy(network: nn.Module) -> nn.Module:
    """A copy whose parameters and buffers are on the meta device."""
    on_meta: dict[int, Tensor] = {id(each): each.to("meta") for each in network.buffers()}
    for each in network.parameters():
        on_meta[id(each)] = nn.Parameter(each.detach().to("meta"), requires_grad=False)
    # deepcopy takes what its memo already holds, so no weight is ever copied.
    return copy.deepcopy(network, on_meta)


def _multiply_accumulates(module: nn.Module, features: Tensor, output: Tensor) -> tuple[int, int]:
    """Of one call: truly, and counted the paper's way."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    if isinstance(module, nn.ConvTranspose2d):
        # The weight is (in, out / groups, kernel, kernel): each input element meets out / groups * kernel area of it.
        area = weight[0, 0].numel()
        return features.numel() * weight[0].numel(), output.numel() * area * weight.shape[0] // module.groups
    # (out, in / groups, kernel, kernel) or (out, in): each output element meets one row of it.
    each = output.numel() * weight[0].numel()
    return each, each
