"""Batch norms folded away: the same logits, and no batch norm left that could be folded."""

from typing import Any

import pytest
import torch
from torch import nn

from gwunet.networks import FGANet, LinkNet
from gwunet.networks.folding import fold_batch_norms


def trained(network: nn.Module) -> nn.Module:
    """With batch norms as they are after training: nothing is 0 or 1."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    ("network_class", "arguments"),
    [
        (FGANet, {"features": (4, 6, 8, 10), "decoder_features": (8, 6, 4)}),
        (LinkNet, {"encoder": "resnet18", "width": 4, "head_channels": 4}),
        (LinkNet, {"encoder": "resnet50", "width": 4, "head_channels": 4}),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_logits_stay(network_class: type[nn.Module], arguments: dict[str, Any], channels: int) -> None:
    network = trained(network_class(in_channels=channels, **arguments))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold_batch_norms(network, channels)
    assert norms(folded) == 0
    assert not folded.training
    frames = torch.randn(2, channels, 47, 70)
    with torch.inference_mode():
        expected = network.eval()(frames)
        torch.testing.assert_close(folded(frames), expected, atol=1e-4 * float(expected.abs().max()), rtol=1e-3)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_channels_last_weights_stay_so() -> None:
    network = LinkNet(encoder="resnet18", width=4, head_channels=4).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    folded = fold_batch_norms(network)
    assert folded.encoder.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_batch_norm_after_anything_else_stays() -> None:
    """After an activation, or after a convolution that is called again elsewhere, folding would change the outputs."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.shared = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1)
            self.norm, self.other = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            features = self.norm(self.first(frames).relu())
            out: torch.Tensor = self.shared(features) + self.other(self.shared(features))
            return out

    network = trained(Twice())
    folded = fold_batch_norms(network)
    assert norms(folded) == 2
    frames = torch.randn(1, 1, 8, 8)
    torch.testing.assert_close(folded(frames), network.eval()(frames))
