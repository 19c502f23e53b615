"""LinkNet and its ResNet encoders, which must take torchvision's weights."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from gwunet.networks.linknet import LinkNet
from gwunet.networks.resnet import ResNet

PARAMETERS = {"resnet18": 11_176_512, "resnet34": 21_284_672, "resnet50": 23_508_032}
"""Of torchvision's networks for three channels, without ``fc``."""
ENTRIES = {"resnet18": 120, "resnet34": 216, "resnet50": 318}
"""In torchvision's state dicts, without ``fc``."""
KNOWN = {
    "resnet18": {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_mean": (64,),
        "layer1.1.conv2.weight": (64, 64, 3, 3),
        "layer2.0.conv1.weight": (128, 64, 3, 3),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1),
        "layer4.1.bn2.bias": (512,),
    },
    "resnet34": {
        "layer1.2.conv1.weight": (64, 64, 3, 3),
        "layer3.5.conv2.weight": (256, 256, 3, 3),
        "layer4.0.downsample.1.running_var": (512,),
        "layer4.2.bn2.num_batches_tracked": (),
    },
    "resnet50": {
        "layer1.0.conv3.weight": (256, 64, 1, 1),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer2.0.conv1.weight": (128, 256, 1, 1),
        "layer2.0.downsample.1.weight": (512,),
        "layer3.5.conv1.weight": (256, 1024, 1, 1),
        "layer4.2.bn3.weight": (2048,),
    },
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_encoders_have_the_parameters_of_torchvision(name: str) -> None:
    with torch.device("meta"):
        encoder = ResNet(name, in_channels=3)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == PARAMETERS[name]
    state = encoder.state_dict()
    assert len(state) == ENTRIES[name]
    assert {key: tuple(state[key].shape) for key in KNOWN[name]} == KNOWN[name]
    features = encoder(torch.empty(1, 3, 224, 224, device="meta"))
    assert [each.shape[-1] for each in features] == [56, 28, 14, 7]
    assert tuple(each.shape[1] for each in features) == encoder.out_channels


def test_the_stride_of_a_bottleneck_stands_on_its_3x3_convolution() -> None:
    """As in the network whose weights are public; its authors' first version had it on the 1x1."""
    with torch.device("meta"):
        block = ResNet("resnet50").layer2[0]
    assert (block.conv1.stride, block.conv2.stride) == ((1, 1), (2, 2))


@pytest.mark.parametrize("encoder", ["resnet18", "resnet50"])
def test_the_logits_are_as_large_as_the_frame(encoder: str) -> None:
    network = LinkNet(encoder=encoder, width=4, head_channels=4).eval()
    with torch.inference_mode():
        for size in [(1, 1), (31, 33), (32, 64), (63, 65), (95, 64), (100, 37), (129, 47)]:
            assert network(torch.randn(1, 1, *size)).shape == (1, 1, *size)


def test_the_logits_stand_where_the_frame_has_its_pixels() -> None:
    """A change of one input pixel is felt around that pixel, not beside it."""
    torch.manual_seed(0)
    network = LinkNet(encoder="resnet18", width=8).eval()
    frame = torch.randn(1, 1, 64, 96, requires_grad=True)
    network(frame)[0, 0, 40, 60].backward()
    assert frame.grad is not None
    weight = frame.grad[0, 0].abs()
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    assert (rows * weight).sum() / weight.sum() == pytest.approx(40, abs=8)
    assert (columns * weight).sum() / weight.sum() == pytest.approx(60, abs=8)


def test_the_decoder_is_the_papers() -> None:
    """1x1 to a quarter, transposed 4x4 of stride 2, 1x1; at the end 3x3 of stride 2, 3x3 and 2x2."""
    with torch.device("meta"):
        network = LinkNet()
    for block, (channels, out) in {
        network.decoder4: (2048, 1024),
        network.decoder3: (1024, 512),
        network.decoder2: (512, 256),
        network.decoder1: (256, 64),
    }.items():
        first, up, last = (each for each in block if hasattr(each, "kernel_size"))
        assert (first.in_channels, first.out_channels, first.kernel_size) == (channels, channels // 4, (1, 1))
        assert isinstance(up, torch.nn.ConvTranspose2d)
        assert (up.kernel_size, up.stride, up.out_channels) == ((4, 4), (2, 2), channels // 4)
        assert (last.out_channels, last.kernel_size) == (out, (1, 1))
    up, middle, last = (each for each in network.head if hasattr(each, "kernel_size"))
    assert isinstance(up, torch.nn.ConvTranspose2d)
    assert [each.kernel_size for each in (up, middle, last)] == [(3, 3), (3, 3), (2, 2)]


def test_an_unknown_encoder_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown encoder 'resnet19', known are resnet18, resnet34, resnet50"):
        LinkNet(encoder="resnet19")


@pytest.mark.parametrize("encoder", ["resnet18", "resnet50"])
def test_linknet_is_its_figure(
    encoder: str,
    make: Callable[..., nn.Module],
    as_trained: Callable[..., nn.Module],
    plain_layers: Callable[..., Any],
) -> None:
    """A padded frame, four blocks to each but the last of which an encoder feature is added, the head, cropped."""
    network = as_trained(make("LinkNet", encoder=encoder))
    layers, frames = plain_layers(network), torch.randn(2, 1, 45, 70)
    padded = torch.zeros(2, 1, 64, 96)
    padded[..., :45, :70] = frames
    with torch.inference_mode():
        first, second, third, fourth = layers.resnet(padded)
        feature = layers.upsampling_block("decoder4", fourth, 0) + third
        feature = layers.upsampling_block("decoder3", feature, 0) + second
        feature = layers.upsampling_block("decoder2", feature, 0) + first
        feature = layers.upsampling_block("decoder1", feature, 0)
        feature = layers.transposed("head.0", feature, stride=2).clamp(min=0)
        feature = layers.convolution("head.2", feature).clamp(min=0)
        expected = layers.convolution("head.4", feature, padding=1)[..., :45, :70]
        assert expected.std() > 0.1
        torch.testing.assert_close(network(frames), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 3}, "width is 3, needed at least 4"),
        ({"in_channels": 0}, "in_channels is 0, needed at least 1"),
        ({"head_channels": 0}, "head_channels is 0, needed at least 1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LinkNet(encoder="resnet18", **arguments)  # type: ignore[arg-type]
