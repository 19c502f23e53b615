"""FGA-Net: shapes, switches, and the cost that the paper's table tells."""

from typing import Any

import pytest
import torch
from torch import nn

from gwunet.networks.bga import BGA
from gwunet.networks.deformable import DeformableConv2d
from gwunet.networks.fganet import FGANet
from gwunet.networks.sda import SDA

SMALL: dict[str, Any] = {"features": (4, 6, 8, 10, 12, 14), "decoder_features": (12, 10, 8, 6, 4)}
TABLE: dict[str, Any] = {
    "in_channels": 3,
    "features": (32, 64, 128, 256, 512, 512),
    "decoder_features": (256, 128, 64, 32, 32),
    "decoder_middle": "in",
    "fusion_kernel_size": 3,
}


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (33, 100), (71, 127)])
def test_outputs_for_any_size(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = FGANet(**SMALL)
    frames = torch.randn(2, 1, *size)
    outputs = network(frames)
    expected = [size]
    for _ in range(5):
        expected.append(tuple((edge + 1) // 2 for edge in expected[-1]))
    assert isinstance(outputs, tuple)
    assert [tuple(each.shape) for each in outputs] == [(2, 1, *each) for each in expected]
    assert network.eval()(frames).shape == (2, 1, *size)
    plain = FGANet(**SMALL, deep_supervision=False)(frames)
    assert isinstance(plain, torch.Tensor)
    assert plain.shape == (2, 1, *size)


@pytest.mark.parametrize("size", [(32, 32), (17, 30), (1, 1)])
def test_frames_that_shrink_to_one_pixel(size: tuple[int, int]) -> None:
    with torch.inference_mode():
        assert FGANet(**SMALL).eval()(torch.randn(1, 1, *size)).shape == (1, 1, *size)


def multiply_accumulates(network: nn.Module, channels: int, size: int = 512) -> tuple[float, float]:
    """Output elements times kernel times input channels, in units of 10^9: plain convolutions, deformable ones.

    The convolutions that predict offsets and modulation are plain ones.
    """
    counted = {nn.Conv2d: 0, DeformableConv2d: 0}

    def count(module: Any, _: Any, output: torch.Tensor) -> None:
        counted[type(module)] += output[0].numel() * module.weight[0].numel()

    for module in network.modules():
        if type(module) in counted:
            module.register_forward_hook(count)
    network(torch.empty(1, channels, size, size, device="meta"))
    return counted[nn.Conv2d] / 1e9, counted[DeformableConv2d] / 1e9


def test_the_cost_of_the_papers_table() -> None:
    """Table 1 says 75.36 G; with the deformable convolutions it would be 106."""
    with torch.device("meta"):
        network = FGANet(**TABLE).eval()
    plain, deformable = multiply_accumulates(network, 3)
    assert 74.7 <= plain <= 75.5
    assert plain + deformable == pytest.approx(106, abs=1)


def test_the_cost_of_the_papers_text() -> None:
    """About 91 G, or 159 with the deformable convolutions."""
    with torch.device("meta"):
        network = FGANet().eval()
    plain, deformable = multiply_accumulates(network, 1)
    assert plain == pytest.approx(91, abs=1.5)
    assert plain + deformable == pytest.approx(159, abs=1.5)


def test_where_the_modules_stand() -> None:
    """SDA before the last four encoder and the first three decoder stages, BGA at each skip connection."""
    network = FGANet(**SMALL)
    gated = [isinstance(next(stage.children()), SDA) for stage in network.encoder]
    assert gated == [False, False, True, True, True, True]
    assert [isinstance(next(stage.stage.children()), SDA) for stage in network.decoder] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert sum(isinstance(module, BGA) for module in network.modules()) == 5


@pytest.mark.parametrize(("use_bga", "use_sda"), [(False, True), (True, False), (False, False)])
def test_the_ablations_leave_their_modules_out(use_bga: bool, use_sda: bool) -> None:
    network = FGANet(**SMALL, use_bga=use_bga, use_sda=use_sda)
    kinds = {type(module) for module in network.modules()}
    assert (BGA in kinds, SDA in kinds) == (use_bga, use_sda)
    outputs = network(torch.randn(2, 1, 64, 70))
    assert len(outputs) == 6
    assert outputs[0].shape == (2, 1, 64, 70)


def test_the_baseline_is_a_plain_unet() -> None:
    """Two convolutions in each of eleven stages and six heads, nothing else with weights but batch norms."""
    network = FGANet(**SMALL, use_bga=False, use_sda=False)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 2 * 11 + 6
    assert sum(isinstance(module, nn.LeakyReLU) for module in network.modules()) == 22


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decoder_features": (6, 4)}, "decoder_features has 2 entries, needed 5"),
        ({"decoder_middle": "inside"}, "decoder_middle is 'inside', needed 'out' or 'in'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FGANet(**SMALL | arguments)


def test_an_even_fusion_kernel_is_refused() -> None:
    with pytest.raises(ValueError, match="fusion_kernel_size"):
        FGANet(**SMALL, fusion_kernel_size=2)
