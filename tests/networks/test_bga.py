"""BGA against its formula written out."""

import pytest
import torch
import torch.nn.functional as F

from gwunet.networks.bga import BGA


def evaluate(module: torch.nn.Module, features: torch.Tensor) -> torch.Tensor:
    """A sequence of convolutions and batch norms in eval mode, by hand."""
    for layer in module:  # type: ignore[attr-defined]
        if isinstance(layer, torch.nn.Conv2d):
            features = F.conv2d(features, layer.weight, layer.bias, layer.stride, layer.padding, groups=layer.groups)
        else:
            scale = layer.weight / (layer.running_var + layer.eps).sqrt()
            features = (features - layer.running_mean[:, None, None]) * scale[:, None, None]
            features = features + layer.bias[:, None, None]
    return features


def randomised(low: int, high: int, kernel: int) -> BGA:
    torch.manual_seed(0)
    module = BGA(low, high, kernel).eval().requires_grad_(False)
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5) if name.endswith("running_var") else value.normal_(0, 0.5)
    return module


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("size", [(8, 12), (9, 7), (1, 2)])
def test_it_is_the_two_way_gate_of_the_paper(kernel: int, size: tuple[int, int]) -> None:
    module = randomised(6, 10, kernel)
    low = torch.randn(2, 6, *size)
    high = torch.randn(2, 10, (size[0] + 1) // 2, (size[1] + 1) // 2)

    def up(features: torch.Tensor) -> torch.Tensor:
        return F.interpolate(features, size=size, mode="bilinear", align_corners=False)

    a, b = evaluate(module.low_detail, low), evaluate(module.low_reduced, low)
    c, d = evaluate(module.high_expanded, high), evaluate(module.high_meaning, high)
    expected = evaluate(module.fusion, a * up(c).sigmoid() + up(b * d.sigmoid()))
    torch.testing.assert_close(module(low, high), expected, atol=1e-5, rtol=1e-4)


def test_its_convolutions_are_those_of_the_text() -> None:
    """Kernel, stride and groups of (a), (b), (c), (d) and the fusion."""
    module = BGA(6, 10, 3)

    def described(part: torch.nn.Module) -> list[tuple[int, int, int, int, int]]:
        return [
            (each.in_channels, each.out_channels, each.kernel_size[0], each.stride[0], each.groups)
            for each in part.modules()
            if isinstance(each, torch.nn.Conv2d)
        ]

    assert described(module.low_detail) == [(6, 6, 3, 1, 6), (6, 6, 1, 1, 1)]
    assert described(module.low_reduced) == [(6, 6, 3, 2, 1)]
    assert described(module.high_expanded) == [(10, 6, 3, 1, 1)]
    assert described(module.high_meaning) == [(10, 10, 3, 1, 10), (10, 6, 1, 1, 1)]
    assert described(module.fusion) == [(6, 6, 3, 1, 1)]


def test_both_inputs_gate_each_other() -> None:
    module = randomised(6, 10, 1)
    low, high = torch.randn(1, 6, 8, 8, requires_grad=True), torch.randn(1, 10, 4, 4, requires_grad=True)
    module(low, high)[:, :, 4, 4].sum().backward()
    assert low.grad is not None
    assert high.grad is not None
    assert low.grad[..., 4, 4].abs().max() > 0
    assert high.grad[..., 2, 2].abs().max() > 0
