"""FGA-Net: shapes, switches, and the cost that the paper's table tells."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.networks.bga import BGA
from gwunet.networks.cost import count_cost
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


@pytest.mark.parametrize("size", [(64, 64), (65, 97), (33, 100)])
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


def gate(channels: int, pixels: int) -> int:
    """SDA: a 1x1 convolution, and 3x3 ones that predict 18 offsets and 9 modulations."""
    return pixels * (channels * channels + 27 * 9 * channels)


def stage(pixels: int, *channels: int) -> int:
    """3x3 convolutions from channels to channels."""
    return sum(pixels * 9 * before * after for before, after in itertools.pairwise(channels))


def fusion(low: int, high: int, pixels: int, kernel: int) -> int:
    """BGA: depthwise 3x3 and 1x1 on both features, 3x3 to the low's channels at a quarter of the pixels, the fusion."""
    at_low = pixels * (9 * low + low * low + kernel * kernel * low * low)
    at_high = pixels // 4 * (9 * high + high * low + 9 * high * low + 9 * low * low)
    return at_low + at_high


def test_the_cost_of_the_papers_table() -> None:
    """Table 1 says 75.36 G; with the deformable convolutions it would be 106. Counted by hand from figure 4."""
    with torch.device("meta"):
        network = FGANet(**TABLE)
    cost = count_cost(network, (3, 512, 512))
    p = [(512 >> depth) ** 2 for depth in range(6)]
    encoder = stage(p[0], 3, 32, 32) + stage(p[1], 32, 64, 64)
    encoder += gate(64, p[2]) + stage(p[2], 64, 128, 128) + gate(128, p[3]) + stage(p[3], 128, 256, 256)
    encoder += gate(256, p[4]) + stage(p[4], 256, 512, 512) + gate(512, p[5]) + stage(p[5], 512, 512, 512)
    decoder = gate(1024, p[4]) + stage(p[4], 1024, 512, 256) + gate(512, p[3]) + stage(p[3], 512, 256, 128)
    decoder += gate(256, p[2]) + stage(p[2], 256, 128, 64) + stage(p[1], 128, 64, 32) + stage(p[0], 64, 32, 32)
    fusions = fusion(512, 512, p[4], 3) + fusion(256, 256, p[3], 3) + fusion(128, 128, p[2], 3)
    fusions += fusion(64, 64, p[1], 3) + fusion(32, 32, p[0], 3)
    assert cost.plain == cost.paper == encoder + decoder + fusions + p[0] * 32  # and the head of the full resolution
    gated = ((64, 2), (128, 3), (256, 4), (512, 5), (1024, 4), (512, 3), (256, 2))
    assert cost.deformable == sum(9 * channels * channels * p[depth] for channels, depth in gated)
    assert 74.7 <= cost.plain / 1e9 <= 75.5
    assert cost.total / 1e9 == pytest.approx(106, abs=1)


def test_the_cost_of_the_papers_text() -> None:
    """About 91 G, or 159 with the deformable convolutions."""
    with torch.device("meta"):
        network = FGANet()
    cost = count_cost(network, (1, 512, 512))
    assert cost.plain / 1e9 == pytest.approx(91, abs=1.5)
    assert cost.total / 1e9 == pytest.approx(159, abs=1.5)


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


def test_the_network_of_the_papers_text() -> None:
    """Its channels, seven SDA, five BGA and six heads; what comes out in training."""
    with torch.device("meta"):
        network = FGANet()
    widths = (32, 64, 128, 256, 512, 1024)
    kernels = [[layer for layer in stage if isinstance(layer, nn.Conv2d)] for stage in network.encoder]
    assert [[(each.in_channels, each.out_channels) for each in pair] for pair in kernels] == [
        [(before, after), (after, after)] for before, after in itertools.pairwise((1, *widths))
    ]
    kernels = [[layer for layer in stage.stage if isinstance(layer, nn.Conv2d)] for stage in network.decoder]
    assert [[(each.in_channels, each.out_channels) for each in pair] for pair in kernels] == [
        [(width + 2 * width, width), (width, width)] for width in (512, 256, 128, 64, 32)
    ]
    kinds = [type(module) for module in network.modules()]
    assert (kinds.count(SDA), kinds.count(BGA), len(network.heads)) == (7, 5, 6)
    assert [head.in_channels for head in network.heads] == [1024, 512, 256, 128, 64, 32]
    outputs = network(torch.empty(2, 1, 512, 512, device="meta"))
    assert [tuple(each.shape) for each in outputs] == [(2, 1, 512 >> depth, 512 >> depth) for depth in range(6)]


@pytest.mark.parametrize(("use_bga", "use_sda"), [(True, True), (False, True), (True, False)])
def test_it_is_its_figure(
    use_bga: bool,
    use_sda: bool,
    make: Callable[..., nn.Module],
    as_trained: Callable[..., nn.Module],
    plain_layers: Callable[..., Any],
) -> None:
    """Figure 4 written out, its six outputs; SDA and BGA are tested by themselves."""
    network = as_trained(make("FGANet", **SMALL, use_bga=use_bga, use_sda=use_sda))
    assert isinstance(network, FGANet)
    layers, frames = plain_layers(network), torch.randn(2, 1, 75, 100)

    def stage(name: str, gate: nn.Module | None, feature: Tensor) -> Tensor:
        feature, start = (feature, 0) if gate is None else (gate(feature), 1)
        for index in (start, start + 3):
            feature = layers.convolution(f"{name}.{index}", feature, padding=1)
            feature = F.leaky_relu(layers.norm(f"{name}.{index + 1}", feature), 0.01)
        return feature

    with torch.inference_mode():
        feature, features = frames, []
        for depth in range(6):
            pooled = F.max_pool2d(feature, 2, ceil_mode=True) if depth else feature
            gate = network.encoder[depth][0] if use_sda and depth >= 2 else None  # type: ignore[index]
            feature = stage(f"encoder.{depth}", gate, pooled)
            features.append(feature)
        below = [features.pop()]
        for depth in range(5):
            low, high = features.pop(), below[-1]
            fused = network.decoder[depth].fusion(low, high) if use_bga else low  # type: ignore[operator]
            joined = torch.cat((fused, F.interpolate(high, low.shape[2:], mode="bilinear")), dim=1)
            gate = network.decoder[depth].stage[0] if use_sda and depth < 3 else None  # type: ignore[index]
            below.append(stage(f"decoder.{depth}.stage", gate, joined))
        expected = [layers.convolution(f"heads.{index}", each) for index, each in enumerate(below)][::-1]
        assert expected[0].std() > 0.1
        torch.testing.assert_close(network(frames), expected[0], atol=1e-4, rtol=0)
        network.training = True  # its own switch, not that of its batch norms
        torch.testing.assert_close(network(frames), tuple(expected), atol=1e-4, rtol=0)


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
