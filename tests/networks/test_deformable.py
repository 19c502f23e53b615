"""Deformable convolution against a loop over pixels, channels and taps in float64."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gwunet.networks.deformable import DeformableConv2d, deformable_conv2d


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


@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 2, 6, 4), (1, 1, 1, 3), (1, 2, 1, 1)])
@pytest.mark.parametrize("spread", [0.3, 4.0])
def test_it_is_the_sum_of_its_definition(shape: tuple[int, int, int, int], spread: float) -> None:
    """With offsets that leave the image, too."""
    given = inputs(shape, 4, spread)
    np.testing.assert_allclose(deformable_conv2d(*given).numpy(), loop(*(each.numpy() for each in given)), atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_offsets_it_is_a_convolution(dtype: torch.dtype) -> None:
    features, offsets, modulation, weight = (each.to(dtype) for each in inputs((2, 3, 33, 46), 5, 1.0))
    found = deformable_conv2d(features, torch.zeros_like(offsets), torch.ones_like(modulation), weight)
    torch.testing.assert_close(found, F.conv2d(features, weight, padding=1), atol=1e-4, rtol=1e-4)


def test_gradients_of_all_four_inputs() -> None:
    """Offsets keep away from whole pixels, where bilinear sampling has a kink."""
    features, offsets, modulation, weight = inputs((1, 2, 4, 3), 2, 1.0)
    offsets = offsets.floor() + 0.2 + 0.6 * (offsets - offsets.floor())
    given = tuple(each.requires_grad_() for each in (features, offsets, modulation, weight))
    assert torch.autograd.gradcheck(deformable_conv2d, given)


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


def test_sampling_stays_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    layer = DeformableConv2d(4, 4).requires_grad_(False)
    layer.predictor.bias += torch.linspace(-1, 1, 27)
    features = torch.randn(1, 4, 40, 300)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = layer(features)
    assert (mixed.float() - layer(features)).abs().max() < 0.1
