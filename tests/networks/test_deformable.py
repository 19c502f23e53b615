"""Deformable convolution against a loop over pixels, channels and taps in float64."""

import math
import sys
import types
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gwunet.networks import deformable
from gwunet.networks.deformable import DeformableConv2d, by_grid, by_rows, deformable_conv2d


def bilinear(image: np.ndarray, y: float, x: float) -> float:
    """The value between four pixels; pixels beyond the image are 0."""
    value = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                value += image[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return value


def loop(features: np.ndarray, offsets: np.ndarray, modulation: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Equation 1 of Deformable ConvNets v2, one term at a time."""
    batch, channels, height, width = features.shape
    out = np.zeros((batch, weight.shape[0], height, width))
    for b, row, column, tap in np.ndindex(batch, height, width, 9):
        i, j = divmod(tap, 3)
        y = row + i - 1 + offsets[b, 2 * tap, row, column]
        x = column + j - 1 + offsets[b, 2 * tap + 1, row, column]
        for channel in range(channels):
            sample = bilinear(features[b, channel], y, x) * modulation[b, tap, row, column]
            out[b, :, row, column] += weight[:, channel, i, j] * sample
    return out


def inputs(shape: tuple[int, int, int, int], out: int, spread: float) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    batch, channels, height, width = shape

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    return (
        normal(*shape),
        spread * normal(batch, 18, height, width),
        normal(batch, 9, height, width).sigmoid(),
        normal(out, channels, 3, 3),
    )


every_formulation = pytest.mark.parametrize("formulation", [by_rows, by_grid])
Formulation = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


@every_formulation
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 2, 6, 4), (1, 1, 1, 3), (1, 2, 1, 1)])
@pytest.mark.parametrize("spread", [0.3, 4.0])
def test_it_is_the_sum_of_its_definition(
    formulation: Formulation, shape: tuple[int, int, int, int], spread: float
) -> None:
    """With offsets that leave the image, too."""
    given = inputs(shape, 4, spread)
    np.testing.assert_allclose(formulation(*given).numpy(), loop(*(each.numpy() for each in given)), atol=1e-10)


@every_formulation
def test_offsets_of_whole_pixels_to_the_rim_and_beyond(formulation: Formulation) -> None:
    """Where a place lies exactly on a pixel, or exactly on the first one outside."""
    features, offsets, modulation, weight = inputs((1, 2, 4, 5), 3, 1.0)
    for shift in (-6.0, -5.0, -1.0, 1.0, 2.0, 4.0, 5.0, 1e6, -1e6):
        given = (features, torch.full_like(offsets, shift), modulation, weight)
        np.testing.assert_allclose(formulation(*given).numpy(), loop(*(each.numpy() for each in given)), atol=1e-10)


@every_formulation
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_offsets_it_is_a_convolution(formulation: Formulation, dtype: torch.dtype) -> None:
    features, offsets, modulation, weight = (each.to(dtype) for each in inputs((2, 3, 33, 46), 5, 1.0))
    found = formulation(features, torch.zeros_like(offsets), torch.ones_like(modulation), weight)
    torch.testing.assert_close(found, F.conv2d(features, weight, padding=1), atol=1e-4, rtol=1e-4)


@every_formulation
def test_gradients_of_all_four_inputs(formulation: Formulation) -> None:
    """Offsets keep away from whole pixels, where bilinear sampling has a kink."""
    features, offsets, modulation, weight = inputs((1, 2, 4, 3), 2, 1.0)
    offsets = offsets.floor() + 0.2 + 0.6 * (offsets - offsets.floor())
    given = tuple(each.requires_grad_() for each in (features, offsets, modulation, weight))
    assert torch.autograd.gradcheck(formulation, given)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_formulations_agree_in_values_and_gradients(layout: torch.memory_format) -> None:
    results = []
    for formulation in (by_rows, by_grid):
        given = [each.float() for each in inputs((2, 20, 17, 13), 7, 3.0)]
        given = [each.contiguous(memory_format=layout).requires_grad_() for each in given]
        out = formulation(*given)
        out.square().sum().backward()
        results.append([out, *(each.grad for each in given)])
    for first, second in zip(*results, strict=True):
        torch.testing.assert_close(first, second, atol=2e-3, rtol=1e-3)


def test_large_frames_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    given = inputs((2, 3, 9, 8), 4, 2.0)
    whole = by_rows(*given)
    monkeypatch.setattr(deformable, "CHUNK_VALUES", 300)
    torch.testing.assert_close(by_rows(*given), whole)


def test_offsets_that_are_not_finite_give_values_that_are_not_finite() -> None:
    """Training then stops at the loss and says so; a place in memory must not be made of a NaN."""
    features, offsets, modulation, weight = inputs((1, 2, 6, 4), 3, 1.0)
    offsets[0, 4, 2, 1] = math.nan
    found = by_rows(features, offsets, modulation, weight)
    assert not found[0, :, 2, 1].isfinite().any()
    assert found.isfinite().sum() == found.numel() - 3
    assert by_rows(features, offsets + math.inf, modulation, weight).isnan().any()


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_it_compiles_into_one_graph(backend: str) -> None:
    torch.manual_seed(0)
    torch.compiler.reset()
    layer = DeformableConv2d(6, 4)
    nn.init.normal_(layer.predictor.weight, std=0.2)
    features = torch.randn(2, 6, 9, 11)
    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    results = []
    for form in (layer, compiled):
        layer.zero_grad()
        out = form(features)
        out.square().sum().backward()
        results.append([out, *(parameter.grad for parameter in layer.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


class FakeTorchvision:
    """Stands in for torchvision, whose operator has another order of arguments."""

    def __init__(self, factor: float = 1.0, fails: bool = False) -> None:
        self.factor, self.fails = factor, fails

    def deform_conv2d(
        self, features: torch.Tensor, offsets: torch.Tensor, weight: torch.Tensor, *, padding: int, mask: torch.Tensor
    ) -> torch.Tensor:
        if self.fails:
            raise NotImplementedError("no kernel for this device")
        assert padding == 1
        return self.factor * by_grid(features, offsets, mask, weight)


@pytest.mark.parametrize(
    ("torchvision", "used"),
    [(FakeTorchvision(), True), (FakeTorchvision(1.01), False), (FakeTorchvision(fails=True), False), (None, False)],
)
def test_torchvisions_operator_is_used_where_it_agrees(
    torchvision: FakeTorchvision | None, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", torchvision and types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.ops", torchvision)
    deformable.torchvision_operator.cache_clear()
    operator = deformable.torchvision_operator("cpu")
    deformable.torchvision_operator.cache_clear()
    assert (operator is not None) == used
    if operator is not None:
        given = inputs((2, 3, 5, 7), 4, 1.0)
        torch.testing.assert_close(operator(*given), by_rows(*given))


@pytest.mark.gpu
def test_a_gpu_gives_what_a_cpu_gives() -> None:
    given = [each.float() for each in inputs((2, 8, 33, 46), 5, 2.0)]
    found = deformable_conv2d(*(each.cuda() for each in given))
    torch.testing.assert_close(found.cpu(), deformable_conv2d(*given), atol=1e-3, rtol=1e-3)


def test_the_layer_starts_as_half_a_convolution_and_learns_its_offsets() -> None:
    torch.manual_seed(0)
    layer = DeformableConv2d(4, 6)
    features = torch.randn(2, 4, 9, 11)
    out = layer(features)
    torch.testing.assert_close(out, 0.5 * F.conv2d(features, layer.weight, padding=1), atol=1e-5, rtol=1e-4)
    (out**2).sum().backward()
    gradient = layer.predictor.weight.grad
    assert gradient is not None
    assert (gradient.flatten(1).abs().sum(1) > 0).all()  # each of 18 offsets and 9 modulations


def test_without_gradients_bf16_rounds_values_and_not_places() -> None:
    """Against the same on values rounded before, in float64: what is left is the rounding of factors and of sums."""
    given = inputs((1, 16, 20, 300), 8, 2.0)
    features, offsets, modulation, weight = given
    rounded = [values.to(torch.bfloat16).double() for values in (features, weight)]
    expected = by_rows(rounded[0], offsets, modulation, rounded[1])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = by_rows(*(values.float() for values in given))
    assert found.dtype == torch.bfloat16
    assert (found.double() - expected).abs().max() < 0.01 * expected.abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        with_gradients = by_rows(*(values.float() for values in given))
    assert (found.double() - with_gradients.double()).abs().max() < 0.01 * expected.abs().max()


def test_sampling_stays_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    layer = DeformableConv2d(4, 4).requires_grad_(False)
    layer.predictor.bias += torch.linspace(-1, 1, 27)
    features = torch.randn(1, 4, 40, 300)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(features)
    assert (mixed.float() - layer(features)).abs().max() < 0.1
