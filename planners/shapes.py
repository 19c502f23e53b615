"""What operations on the meta device give, for those whose shapes torch finds in Python.

Torch would import its compiler for a second or two to do so, and then take up to a millisecond for each operation.
Rules here give tensors of the same size, strides and type as torch's own (a test compares every one of them, planner
by planner); what no rule is for is left to torch.
"""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

Rule = Callable[..., Any]
"""Called as the operation, gives what it gives: a tensor, or several of which some may be None."""

aten = torch.ops.aten
COMPARISONS = {aten.gt, aten.lt, aten.eq}
ARITHMETIC = {aten.add, aten.sub, aten.rsub, aten.mul, aten.bitwise_or, aten.floor_divide, aten.remainder}
"""What gives its arguments' common type."""


@functools.cache
def rule_for(operation: Any) -> Rule | None:
    """The rule for an operation; None where torch has to say."""
    if operation in RULES:
        return RULES[operation]
    written = [index for index, each in enumerate(operation._schema.arguments) if _is_written(each)]
    if len(written) == 1 and len(operation._schema.returns) == 1:
        return functools.partial(_written, operation._schema.arguments[written[0]].name, written[0])
    if torch.Tag.pointwise in operation.tags and len(operation._schema.returns) == 1:
        return functools.partial(_pointwise, operation)
    return None


def _is_written(argument: Any) -> bool:
    return argument.alias_info is not None and argument.alias_info.is_write


def _written(name: str, index: int, *args: Any, **kwargs: Any) -> Any:
    """An operation in place, or one with ``out``, gives what it writes to."""
    return kwargs[name] if name in kwargs else args[index]


def _pointwise(operation: Any, *args: Any, **kwargs: Any) -> Any:
    tensors = [each for each in args if isinstance(each, Tensor)]
    if operation.overloadpacket in COMPARISONS:
        dtype = torch.bool
    elif all(each.dtype == torch.float32 for each in tensors):
        dtype = torch.float32
    elif operation.overloadpacket in ARITHMETIC:
        dtype = torch.result_type(*args[:2])
    elif operation is aten.div.Tensor:
        dtype = torch.promote_types(torch.result_type(*args), torch.float32)
    else:
        return operation(*args, **kwargs)
    shape = tensors[0].shape if len(tensors) == 1 else np.broadcast_shapes(*(each.shape for each in tensors))
    if kwargs.get("memory_format", torch.preserve_format) == torch.preserve_format:  # copies may be given another
        for each in tensors:
            if each.shape == shape:
                return _like(each, dtype)
    return _empty(shape, dtype)


def _empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def _like(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Without gaps, and with the order of axes that the tensor has in memory."""
    if tensor.is_contiguous():
        return _empty(tensor.shape, dtype)
    strides, step = [0] * tensor.dim(), 1
    for axis in sorted(range(tensor.dim()), key=lambda axis: (tensor.stride(axis), -axis)):
        strides[axis] = step
        step *= tensor.shape[axis]
    return torch.empty_strided(tensor.shape, strides, dtype=dtype, device="meta")


def _wanted(shapes: Iterable[Sequence[int] | None], wanted: Sequence[bool]) -> tuple[Tensor | None, ...]:
    """Gradients of these shapes, None for those that are not wanted."""
    return tuple(
        _empty(shape, torch.float32) if is_wanted and shape is not None else None
        for shape, is_wanted in zip(shapes, wanted, strict=True)
    )


# Making, joining, reducing --------------------------------------------------------------------------------------


def _first(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    del args
    return _like(tensor, kwargs.get("dtype") or tensor.dtype)


def _arange(end: float, dtype: torch.dtype | None = None, **kwargs: Any) -> Tensor:
    del kwargs
    return _empty((math.ceil(end),), dtype or (torch.int64 if isinstance(end, int) else torch.float32))


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    shape = list(tensors[0].shape)
    shape[dim] = sum(each.shape[dim] for each in tensors)
    return _empty(shape, tensors[0].dtype)


def _stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    shape = list(tensors[0].shape)
    shape.insert(dim % (len(shape) + 1), len(tensors))
    return _empty(shape, tensors[0].dtype)


def _reduce(tensor: Tensor, dims: Sequence[int] | None = None, keepdim: bool = False, **kwargs: Any) -> Tensor:
    dtype = kwargs.get("dtype") or (tensor.dtype if tensor.dtype.is_floating_point else torch.int64)
    gone = range(tensor.dim()) if not dims else {dim % tensor.dim() for dim in dims}
    kept = [1 if dim in gone else size for dim, size in enumerate(tensor.shape) if keepdim or dim not in gone]
    return _empty(kept, dtype)


def _select_backward(gradient: Tensor, sizes: Sequence[int], *args: Any) -> Tensor:
    del args
    return _empty(sizes, gradient.dtype)


# Layers ---------------------------------------------------------------------------------------------------------


def _matrix_product(left: Tensor, right: Tensor) -> Tensor:
    return _empty((left.shape[0], right.shape[1]), left.dtype)


def _convolution(
    frames: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor:
    del bias
    taps = [spread * (size - 1) for spread, size in zip(dilation, weight.shape[2:], strict=True)]
    if transposed:
        channels = weight.shape[1] * groups
        edges = [
            (edge - 1) * step - 2 * pad + tap + more + 1
            for edge, step, pad, tap, more in zip(frames.shape[2:], stride, padding, taps, output_padding, strict=True)
        ]
    else:
        channels = weight.shape[0]
        edges = [
            (edge + 2 * pad - tap - 1) // step + 1
            for edge, step, pad, tap in zip(frames.shape[2:], stride, padding, taps, strict=True)
        ]
    return _empty((frames.shape[0], channels, *edges), frames.dtype)


def _convolution_backward(
    gradient: Tensor, frames: Tensor, weight: Tensor, bias_sizes: Sequence[int] | None, *args: Any
) -> tuple[Tensor | None, ...]:
    del gradient
    return _wanted((frames.shape, weight.shape, bias_sizes), args[-1])


def _max_pool(
    frames: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> tuple[Tensor, Tensor]:
    edges = [
        (edge + 2 * pad - spread * (size - 1) - 1 + (step - 1 if ceil_mode else 0)) // step + 1
        for edge, size, step, pad, spread in zip(
            frames.shape[2:], *(_pair(each) for each in (kernel, stride or kernel, padding, dilation)), strict=True
        )
    ]
    shape = (*frames.shape[:2], *edges)
    return _empty(shape, frames.dtype), _empty(shape, torch.int64)


def _pair(values: Sequence[int]) -> tuple[int, int]:
    return values[0], values[-1]


def _max_pool_backward(gradient: Tensor, frames: Tensor, *args: Any) -> Tensor:
    del gradient, args
    return _empty(frames.shape, frames.dtype)


def _batch_norm(frames: Tensor, *args: Any) -> tuple[Tensor, Tensor, Tensor]:
    del args
    statistics = (frames.shape[1],)
    return _first(frames), _empty(statistics, frames.dtype), _empty(statistics, frames.dtype)


def _group_norm(
    frames: Tensor, weight: Any, bias: Any, n: int, channels: int, pixels: int, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    del weight, bias, channels, pixels, eps
    return _first(frames), _empty((n, groups), frames.dtype), _empty((n, groups), frames.dtype)


def _norm_backward(gradient: Tensor, frames: Tensor, *args: Any) -> tuple[Tensor | None, ...]:
    del gradient
    channels = (frames.shape[1],)
    return _wanted((frames.shape, channels, channels), args[-1])


def _upsample(frames: Tensor, size: Sequence[int], *args: Any) -> Tensor:
    del args
    return _empty((*frames.shape[:2], *size), frames.dtype)


def _pixel_shuffle(blocks: Tensor, factor: int) -> Tensor:
    *rest, channels, height, width = blocks.shape
    return _empty_in_order((*rest, channels // factor**2, height * factor, width * factor), blocks)


def _pixel_unshuffle(pixels: Tensor, factor: int) -> Tensor:
    *rest, channels, height, width = pixels.shape
    return _empty_in_order((*rest, channels * factor**2, height // factor, width // factor), pixels)


def _empty_in_order(shape: Sequence[int], like: Tensor) -> Tensor:
    empty, last = _empty(shape, like.dtype), torch.channels_last
    is_last = like.dim() == 4 and not like.is_contiguous() and like.is_contiguous(memory_format=last)
    return empty.contiguous(memory_format=last) if is_last else empty


def _grid_sample(frames: Tensor, grid: Tensor, *args: Any) -> Tensor:
    del args
    return _empty((*frames.shape[:2], *grid.shape[1:-1]), frames.dtype)


def _grid_sample_backward(gradient: Tensor, frames: Tensor, grid: Tensor, *args: Any) -> tuple[Tensor | None, ...]:
    del gradient
    return _wanted((frames.shape, grid.shape), (args[-1][0], True))


def _log_sigmoid(logits: Tensor) -> tuple[Tensor, Tensor]:
    return _first(logits), _first(logits)


RULES: dict[Any, Rule] = {
    aten.arange.default: _arange,
    aten.cat.default: _cat,
    aten.clamp.default: _first,
    aten.convolution.default: _convolution,
    aten.convolution_backward.default: _convolution_backward,
    aten.floor_divide.default: functools.partial(_pointwise, aten.floor_divide.default),
    aten.grid_sampler_2d.default: _grid_sample,
    aten.grid_sampler_2d_backward.default: _grid_sample_backward,
    aten.leaky_relu_backward.default: _first,
    aten.log_sigmoid_backward.default: _first,
    aten.log_sigmoid_forward.default: _log_sigmoid,
    aten.masked_fill.Scalar: _first,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.max_pool2d_with_indices_backward.default: _max_pool_backward,
    aten.mean.dim: _reduce,
    aten.mm.default: _matrix_product,
    aten.native_batch_norm.default: _batch_norm,
    aten.native_batch_norm_backward.default: _norm_backward,
    aten.native_group_norm.default: _group_norm,
    aten.native_group_norm_backward.default: _norm_backward,
    aten.ones_like.default: _first,
    aten.pixel_shuffle.default: _pixel_shuffle,
    aten.pixel_unshuffle.default: _pixel_unshuffle,
    aten.select_backward.default: _select_backward,
    aten.softplus_backward.default: _first,
    aten.stack.default: _stack,
    aten.sum.default: _reduce,
    aten.sum.dim_IntList: _reduce,
    aten.upsample_bilinear2d.default: _upsample,
    aten.zeros_like.default: _first,
}
