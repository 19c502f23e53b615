"""SDA against its sequence of operations written out."""

import pytest
import torch
import torch.nn.functional as F

from gwunet.networks.deformable import deformable_conv2d
from gwunet.networks.sda import SDA
from gwunet.networks.spatial_shift import DIRECTIONS


def randomised(channels: int) -> SDA:
    torch.manual_seed(0)
    module = SDA(channels)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.5)
    return module


def shift_by_hand(features: torch.Tensor) -> torch.Tensor:
    """Twelve channels are groups of 2, 2, 2, 2, 1, 1, 1 and 1; what leaves does not come in on the other side."""
    height, width = features.shape[-2:]
    shifted = torch.zeros_like(features)
    for channel, group in enumerate((0, 0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7)):
        down, right = DIRECTIONS[group]
        moved = torch.roll(features[:, channel], (down, right), dims=(1, 2))
        rows, columns = torch.arange(height) - down, torch.arange(width) - right
        inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
        shifted[:, channel] = moved * inside
    return shifted


@pytest.mark.parametrize("training", [True, False])
def test_it_is_the_papers_sequence(training: bool) -> None:
    module = randomised(12).train(training)
    features = torch.randn(2, 12, 9, 7)
    state = module.state_dict()
    mixed = F.conv2d(features, state["pointwise.weight"], state["pointwise.bias"])
    shifted = shift_by_hand(mixed)
    mean, variance = shifted.mean((2, 3), keepdim=True), shifted.var((2, 3), unbiased=False, keepdim=True)
    normed = (shifted - mean) / (variance + 1e-5).sqrt()
    normed = normed * state["instance_norm.weight"][:, None, None] + state["instance_norm.bias"][:, None, None]
    active = normed * 0.5 * (1 + torch.erf(normed / 2**0.5))
    predicted = F.conv2d(active, state["deformable.predictor.weight"], state["deformable.predictor.bias"], padding=1)
    moved = deformable_conv2d(active, predicted[:, :18], predicted[:, 18:].sigmoid(), state["deformable.weight"])
    mean, variance = moved.mean((1, 2, 3), keepdim=True), moved.var((1, 2, 3), unbiased=False, keepdim=True)
    layered = (moved - mean) / (variance + 1e-5).sqrt()
    layered = layered * state["layer_norm.weight"][:, None, None] + state["layer_norm.bias"][:, None, None]
    torch.testing.assert_close(module(features), features * layered.sigmoid(), atol=1e-5, rtol=1e-4)


def test_the_gate_lies_between_zero_and_one_and_differs_by_pixel() -> None:
    gate = randomised(8).gate(torch.randn(2, 8, 16, 16))
    assert gate.shape == (2, 8, 16, 16)
    assert 0 < gate.min() < gate.max() < 1
    assert gate.std((2, 3)).min() > 1e-3
