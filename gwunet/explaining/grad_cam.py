"""Grad-CAM++: which places of a layer speak for the wire.

Reference: Chattopadhay et al., Grad-CAM++, WACV 2018, equations 10, 11 and 19; for segmentation the score is that of
chosen pixels together, as in Seg-Grad-CAM (Vinogradova et al., 2020). FGA-Net paper, figure 6.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from gwunet.errors import UsageError

USUAL_REDUCTION = 4
"""Without a layer named, the last one at this reduction of the frame: fine enough for a wire, coarse enough to mean
more than edges."""
PADDED_PX = 32
"""Networks pad frames to a multiple of their stride, up to this one."""
NAMES_SHOWN = 30


def grad_cam_plus_plus(activations: Tensor, gradients: Tensor) -> Tensor:
    """The map of a layer.

    With A the activations and g the gradients of the score S in exp(S), a place of a channel counts
    g^2 / (2 g^2 + sum(A) g^3) = 1 / (2 + sum(A) g); a channel's weight is the sum of that times relu(g) over places.

    Args:
        activations: ``(C, h, w)``. Where they are negative (leaky units) they count as 0 in the sum, so that nothing is
            divided by 0.
        gradients: ``(C, h, w)`` of the score by the activations.

    Returns:
        ``(h, w)``, at least 0, in no particular unit.
    """
    rising = gradients.relu()
    total = activations.relu().sum(dim=(1, 2), keepdim=True)
    weights = (rising / (2 + total * rising)).sum(dim=(1, 2), keepdim=True)
    return (weights * activations).sum(dim=0).relu()


def explain_wire(network: nn.Module, layer: str, tile: Tensor, wire: Tensor) -> NDArray[np.float32]:
    """Where ``layer`` speaks for the wire.

    Args:
        network: in eval mode, on the device of ``tile``.
        layer: name of a module of it that gives one feature map.
        tile: ``(1, 1, h, w)`` float32, as for prediction.
        wire: ``(h, w)`` bool, the pixels whose mean logit is explained; at least one.

    Returns:
        ``(h, w)`` float32 in [0, 1], its largest value 1 unless nothing speaks for the wire.

    Raises:
        UsageError: there is no such layer, or it gives no feature map.
    """
    kept: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: object) -> Tensor:
        if not isinstance(output, Tensor) or output.dim() != 4:
            raise UsageError(f"--layer {layer}: gives no feature map (channels, rows, columns); name another one")
        kept.append(output)
        return output.clone()  # what follows may work in place, and must not change what is kept

    handle = _module(network, layer).register_forward_hook(keep)
    try:
        with torch.enable_grad():
            # Its gradient is asked for so that the layer has one although no weight needs any.
            logits = network(tile.clone().requires_grad_())
            if not kept:
                raise UsageError(f"--layer {layer}: takes no part in prediction; name another one")
            (gradients,) = torch.autograd.grad(logits[0, 0][wire].mean(), kept[-1])
    finally:
        handle.remove()
    coarse = grad_cam_plus_plus(kept[-1][0].detach(), gradients[0])
    fine = F.interpolate(coarse[None, None], size=tile.shape[-2:], mode="bilinear", align_corners=False)[0, 0]
    found: NDArray[np.float32] = (fine / fine.max().clamp_min(torch.finfo(fine.dtype).tiny)).cpu().numpy()
    return found


def _module(network: nn.Module, layer: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(network.named_modules())
    if layer in modules:
        return modules[layer]
    names = [name for name in modules if name and name.count(".") <= 1]
    raise UsageError(f"--layer {layer}: unknown; the network has {', '.join(names[:NAMES_SHOWN])} and parts of these")


def usual_layer(network: nn.Module, tile: Tensor) -> str:
    """The last stage of the network that gives a feature map at a quarter of the tile's size.

    Args:
        network: in eval mode, on the device of ``tile``.
        tile: ``(1, 1, h, w)`` float32.

    Raises:
        UsageError: there is none.
    """
    height, width = tile.shape[-2:]
    wanted = (-(-height // USUAL_REDUCTION), -(-width // USUAL_REDUCTION))
    fits: dict[str, bool] = {}
    """Of every module that ran, in the order in which they ended."""

    def note(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            fits[name] = isinstance(output, Tensor) and _is_map_of(output, wanted)

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in network.named_modules() if name]
    try:
        with torch.inference_mode():
            network(tile)
    finally:
        for handle in handles:
            handle.remove()
    # What is inside another one that ran is a step on its way, not a stage of the network.
    stages = [name for name, fitting in fits.items() if fitting and not any(_is_inside(name, other) for other in fits)]
    if not stages:
        raise UsageError(f"the network has no feature map at a {USUAL_REDUCTION}th of the frame; name one with --layer")
    return stages[-1]


def _is_map_of(output: Tensor, wanted: tuple[int, int]) -> bool:
    """Whether it has several channels of that size, or of what padding adds."""
    most = PADDED_PX // USUAL_REDUCTION
    return (
        output.dim() == 4
        and output.shape[1] > 1
        and all(0 <= edge - least <= most for edge, least in zip(output.shape[-2:], wanted, strict=True))
    )


def _is_inside(name: str, other: str) -> bool:
    return name.startswith(f"{other}.")
