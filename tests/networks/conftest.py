"""What the network tests share: small networks as after training, and layers applied from a state dict."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


@pytest.fixture
def small_arguments() -> dict[str, dict[str, Any]]:
    """Arguments that make each network small; every registered one needs an entry."""
    return SMALL


@pytest.fixture
def make() -> Callable[..., nn.Module]:
    """``make(name, **arguments)``: a small network with fresh weights, the same each time."""

    def fresh(name: str, **arguments: Any) -> nn.Module:
        torch.manual_seed(0)
        return NETWORKS.get(name)(**SMALL[name] | arguments)

    return fresh


@pytest.fixture
def as_trained() -> Callable[[nn.Module], nn.Module]:
    """Makes of a fresh network what it is after training, in eval mode.

    Batch norms have the statistics of frames, scales and shifts of their own, deformable taps move by about a pixel,
    and the logits differ by about 0.5: fresh ones do next to nothing, and a tolerance would hide all of it.
    """

    def trained(network: nn.Module, in_channels: int = 1) -> nn.Module:
        torch.manual_seed(1)
        frames = torch.randn(8, in_channels, 64, 64)
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
        with torch.no_grad():
            for norm in norms:
                norm.weight.uniform_(0.5, 1.5)
                norm.bias.uniform_(-0.5, 0.5)
                norm.momentum = 1.0  # the statistics of the one batch that follows
            for module in network.modules():
                if isinstance(module, DeformableConv2d):
                    assert module.predictor.bias is not None
                    module.predictor.weight.normal_(0, 0.3 * module.predictor.weight[0].numel() ** -0.5)
                    module.predictor.bias.normal_()
            network.train()(frames)
            for norm in norms:
                norm.momentum = 0.1
            logits = getattr(network, "stem_stride", 1) ** 2
            *_, head = (each for each in network.modules() if getattr(each, "out_channels", 0) == logits)
            head.weight *= 0.5 / network.eval()(frames).std()
        return network

    return trained


class PlainLayers:
    """The layers of a network, each by its name in the state dict, with torch's functions and in eval mode."""

    def __init__(self, network: nn.Module) -> None:
        self.state = network.state_dict()

    def convolution(self, name: str, features: Tensor, **options: int) -> Tensor:
        return F.conv2d(features, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), **options)

    def transposed(self, name: str, features: Tensor, **options: int) -> Tensor:
        return F.conv_transpose2d(features, self.state[f"{name}.weight"], self.state.get(f"{name}.bias"), **options)

    def norm(self, name: str, features: Tensor) -> Tensor:
        mean, variance, scale, shift = (
            self.state[f"{name}.{key}"].view(-1, 1, 1) for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (features - mean) / (variance + 1e-5).sqrt() * scale + shift

    def normed(self, name: str, norm: str, features: Tensor, **options: int) -> Tensor:
        """Convolution, batch norm and ReLU."""
        return self.norm(norm, self.convolution(name, features, **options)).clamp(min=0)

    def double(self, name: str, features: Tensor) -> Tensor:
        """Two 3x3 convolutions, each with batch norm and ReLU."""
        for layer in (f"{name}.0", f"{name}.1"):
            features = self.normed(f"{layer}.0", f"{layer}.1", features, padding=1)
        return features

    def upsampling_block(self, name: str, features: Tensor, output_padding: int) -> Tensor:
        """1x1, transposed of stride 2 and 1x1, each with batch norm and ReLU."""
        features = self.normed(f"{name}.0", f"{name}.1", features)
        features = self.transposed(f"{name}.3", features, stride=2, padding=1, output_padding=output_padding)
        return self.normed(f"{name}.6", f"{name}.7", self.norm(f"{name}.4", features).clamp(min=0))

    def resnet(self, frames: Tensor, output_stride: int = 32) -> list[Tensor]:
        """The four features of ``encoder``."""
        features = self.normed("encoder.conv1", "encoder.bn1", frames, stride=2, padding=3)
        features = F.max_pool2d(features, 3, stride=2, padding=1)
        found = []
        for layer, stride, dilation in (
            (1, 1, 1),
            (2, 2, 1),
            (3, 2, 1),
            (4, *((2, 1) if output_stride == 32 else (1, 2))),
        ):
            block = 0
            while f"encoder.layer{layer}.{block}.conv1.weight" in self.state:
                first = (stride, 1) if block == 0 else (1, dilation)
                features = self._block(f"encoder.layer{layer}.{block}", features, *first, dilation)
                block += 1
            found.append(features)
        return found

    def _block(self, name: str, features: Tensor, stride: int, dilation: int, next_dilation: int) -> Tensor:
        narrow, spatial = f"{name}.conv1", {"stride": stride, "padding": dilation, "dilation": dilation}
        if f"{name}.conv3.weight" in self.state:
            out = self.normed(narrow, f"{name}.bn1", features)
            out = self.normed(f"{name}.conv2", f"{name}.bn2", out, **spatial)
            out = self.norm(f"{name}.bn3", self.convolution(f"{name}.conv3", out))
        else:
            out = self.normed(narrow, f"{name}.bn1", features, **spatial)
            out = self.convolution(f"{name}.conv2", out, padding=next_dilation, dilation=next_dilation)
            out = self.norm(f"{name}.bn2", out)
        if f"{name}.downsample.0.weight" in self.state:
            features = self.convolution(f"{name}.downsample.0", features, stride=stride)
            features = self.norm(f"{name}.downsample.1", features)
        return (out + features).clamp(min=0)


@pytest.fixture
def plain_layers() -> type[PlainLayers]:
    """``plain_layers(network)``: its layers, to be put together once more inside a test."""
    return PlainLayers
