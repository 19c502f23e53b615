"""The soft skeleton: the ridge of a probability map, differentiably and cheaply.

Reference: Shit et al., clDice, CVPR 2021, algorithm 1.

Pooling through ``max_pool2d`` takes most of the time of a loss with clDice. Here an erosion or dilation is a handful of
elementwise minima or maxima between the map and the map moved by a pixel, and the way back knows of each whether the
neighbour was taken: one byte instead of an index of eight.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Index = tuple[Any, ...]
Move = tuple[Index, Index]
"""Where pixels stand that have a certain neighbour, and where that neighbour stands."""

_FROM_1, _TO_LAST, _ALL = slice(1, None), slice(None, -1), slice(None)
ROWS: tuple[Move, ...] = (
    ((..., _FROM_1, _ALL), (..., _TO_LAST, _ALL)),
    ((..., _TO_LAST, _ALL), (..., _FROM_1, _ALL)),
)
COLUMNS: tuple[Move, ...] = (((..., _FROM_1), (..., _TO_LAST)), ((..., _TO_LAST), (..., _FROM_1)))
CROSS = ROWS + COLUMNS


def soft_skeleton(image: Tensor, iterations: int) -> Tensor:
    """The ridge that ``iterations`` erosions leave.

    Half the widest structure's width in iterations, plus one, is enough; more change nothing and cost time.

    Args:
        image: ``(..., H, W)`` values in [0, 1].
        iterations: at least 0.

    Returns:
        ``(..., H, W)`` in [0, 1]. Where neighbours are equal, the gradient goes to the first in the order of
        ``CROSS``. It can be differentiated once.
    """
    skeleton: Tensor = _SoftSkeleton.apply(image, iterations)  # type: ignore[no-untyped-call]
    return skeleton


class _SoftSkeleton(torch.autograd.Function):
    """``S = d_0``, then ``S += (1 - S) d_i`` with ``d_i = relu(I_i - open(I_i))`` and ``I_(i+1) = erode(I_i)``."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, iterations: int) -> Tensor:
        ctx.layers = []
        skeleton = torch.zeros_like(image)
        for _ in range(iterations + 1):
            eroded, from_cross = _extreme(image, CROSS, torch.lt, torch.minimum)
            in_rows, from_rows = _extreme(eroded, ROWS, torch.gt, torch.maximum)
            opened, from_columns = _extreme(in_rows, COLUMNS, torch.gt, torch.maximum)
            detail, rest = torch.sub(image, opened, out=opened).relu_(), 1 - skeleton
            if ctx.needs_input_grad[0]:
                ctx.layers.append((from_cross, from_rows, from_columns, detail, rest))
            skeleton = torch.addcmul(skeleton, rest, detail)
            image = eroded
        return skeleton

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        of_image = torch.zeros_like(gradient)
        for from_cross, from_rows, from_columns, detail, rest in reversed(ctx.layers):
            of_detail = gradient * rest * (detail > 0)
            gradient = torch.addcmul(gradient, gradient, detail, value=-1)
            of_rows = _send_back(-of_detail, COLUMNS, from_columns)
            of_eroded = of_image + _send_back(of_rows, ROWS, from_rows)
            of_image = of_detail + _send_back(of_eroded, CROSS, from_cross)
        return of_image, None


def _extreme(
    image: Tensor, moves: Sequence[Move], better: Callable[..., Tensor], extreme: Callable[..., Tensor]
) -> tuple[Tensor, list[Tensor]]:
    """The extreme value of each pixel and its neighbours, and for each move where the neighbour was taken."""
    values = image.clone()
    taken = []
    for here, there in moves:
        ours, theirs = values[here], image[there]
        taken.append(better(theirs, ours))
        extreme(ours, theirs, out=ours)
    return values, taken


def _send_back(gradient: Tensor, moves: Sequence[Move], taken: Sequence[Tensor]) -> Tensor:
    """The gradient of ``_extreme``'s image from that of its values; overwrites ``gradient``."""
    moved = torch.zeros_like(gradient)
    # Backwards: the last move that took a neighbour has the say.
    for (here, there), taking in zip(reversed(moves), reversed(taken), strict=True):
        ours = gradient[here]
        theirs = ours * taking
        ours -= theirs
        moved[there] += theirs
    return moved.add_(gradient)
