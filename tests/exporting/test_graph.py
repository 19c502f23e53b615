"""Every registered network as an ONNX graph, run by the real runtime and compared with torch."""

import functools
from typing import Any

import pytest
import torch
from torch import nn

from gwunet.exporting.graph import averaged, network_graph
from gwunet.exporting.onnx_runtime import OnnxNetwork
from gwunet.networks import NETWORKS
from gwunet.networks.deformable import DeformableConv2d

SMALL: dict[str, dict[str, Any]] = {
    "AttentionUNet": {"features": (4, 6, 8, 10)},
    "CENet": {"encoder": "resnet18", "width": 4, "head_channels": 4},
    "DeepLabV3Plus": {"encoder": "resnet18", "width": 4, "decoder_channels": 8, "low_level_channels": 4},
    "FGANet": {"features": (4, 6, 8, 10), "decoder_features": (8, 6, 4)},
    "LinkNet": {"encoder": "resnet18", "width": 4, "head_channels": 4},
    "UNet": {"features": (4, 6, 8, 10)},
    "UNetPlusPlus": {"features": (4, 6, 8, 10)},
}
SIZES = ((1, 1, 64, 96), (2, 1, 65, 97), (1, 1, 47, 33), (3, 1, 5, 40))
"""Even and odd ones, one of them larger, smaller and flatter than what the exporter sees."""


def make(name: str, seed: int = 0, **arguments: Any) -> nn.Module:
    """A network whose logits differ by about 2 from pixel to pixel; taps of deformable convolutions move."""
    torch.manual_seed(seed)
    network = NETWORKS.get(name)(**SMALL[name] | arguments)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, DeformableConv2d):
                assert module.predictor.bias is not None
                module.predictor.weight.normal_(0, 0.3 * module.predictor.weight[0].numel() ** -0.5)
                module.predictor.bias.normal_()
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        network.train()(torch.randn(8, 1, 64, 64))
        network.eval()
        *_, head = (each for each in network.modules() if isinstance(each, nn.Conv2d))
        head.weight *= 2 / network(torch.randn(1, 1, 64, 64)).std()
    return network


@functools.cache
def fganet() -> tuple[nn.Module, OnnxNetwork, Any]:
    """A network, the same in the runtime, and its graph: exporting takes longest."""
    network = make("FGANet")
    model = network_graph(network)
    return network, OnnxNetwork(model.SerializeToString(), "made here", threads=1), model


@pytest.mark.parametrize("name", NETWORKS.names())
def test_the_graph_gives_torchs_logits_at_any_size(name: str) -> None:
    network = make(name)
    exported = OnnxNetwork(network_graph(network).SerializeToString(), "made here", threads=1)
    for size in SIZES:
        tiles = torch.randn(size)
        with torch.inference_mode():
            expected = network(tiles)
        torch.testing.assert_close(exported(tiles), expected, atol=1e-3, rtol=0)
    assert expected.std() > 0.1


def test_the_smallest_frames_are_padded_as_torch_pads_them() -> None:
    """At most as large as FGANet's stride of 8: its instance norm sees a single pixel at the bottleneck otherwise."""
    network, exported, _ = fganet()
    for size in ((1, 1, 8, 8), (1, 1, 3, 7), (1, 1, 8, 9)):
        tiles = torch.randn(size)
        with torch.inference_mode():
            torch.testing.assert_close(exported(tiles), network(tiles), atol=1e-3, rtol=0)


def test_blocks_of_pixels_as_channels() -> None:
    network = make("FGANet", stem_stride=2)
    exported = OnnxNetwork(network_graph(network).SerializeToString(), "made here", threads=1)
    for size in SIZES:
        tiles = torch.randn(size)
        with torch.inference_mode():
            torch.testing.assert_close(exported(tiles), network(tiles), atol=1e-3, rtol=0)


def test_folds_are_averaged_as_probabilities() -> None:
    networks = [make("UNet", seed) for seed in range(3)]
    model = averaged([network_graph(network) for network in networks])
    exported = OnnxNetwork(model.SerializeToString(), "made here", threads=1)
    tiles = torch.randn(2, 1, 40, 56)
    with torch.inference_mode():
        expected = torch.stack([network(tiles).double().sigmoid() for network in networks]).mean(0)
    torch.testing.assert_close(exported(tiles).double().sigmoid(), expected, atol=1e-5, rtol=0)
    assert expected.std() > 0.1


def test_the_mean_of_certain_folds_is_finite() -> None:
    networks = [make("UNet", seed) for seed in range(2)]
    for network in networks:
        *_, head = (each for each in network.modules() if isinstance(each, nn.Conv2d))
        head.bias.data += 1e4
    model = averaged([network_graph(network) for network in networks])
    logits = OnnxNetwork(model.SerializeToString(), "made here", threads=1)(torch.randn(1, 1, 32, 32))
    assert bool(logits.isfinite().all())
    assert bool((logits > 10).all())


def test_deformable_convolutions_are_one_operator() -> None:
    network, _, model = fganet()
    operators = [node.op_type for node in model.graph.node]
    assert operators.count("DeformConv") == sum(isinstance(each, DeformableConv2d) for each in network.modules()) > 0
    assert "GridSample" not in operators


def test_a_tile_has_the_same_logits_whatever_came_before() -> None:
    _, exported, _ = fganet()
    tiles = torch.randn(1, 1, 32, 64)
    first = exported(tiles)
    for edge in range(32, 32 * 5, 32):  # more sizes than sessions are kept
        exported(torch.randn(1, 1, edge, 32))
    assert torch.equal(exported(tiles), first)
