"""Batch norms folded away: the same logits, and no batch norm left that could be folded."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from gwunet.networks import NETWORKS, LinkNet
from gwunet.networks.folding import fold_batch_norms

MakeNetwork = Callable[..., nn.Module]
AsTrained = Callable[..., nn.Module]


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("name", NETWORKS.names())
def test_the_logits_stay(name: str, make: MakeNetwork, as_trained: AsTrained) -> None:
    the_logits_stay(as_trained(make(name, in_channels=3), 3), 3)


def test_the_logits_of_a_deeper_encoder_stay(make: MakeNetwork, as_trained: AsTrained) -> None:
    the_logits_stay(as_trained(make("LinkNet", encoder="resnet50")), 1)


def the_logits_stay(network: nn.Module, channels: int) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold_batch_norms(network, channels)
    assert norms(folded) == 0
    assert not folded.training
    frames = torch.randn(2, channels, 47, 70)
    with torch.inference_mode():
        expected = network(frames)
        assert expected.std() > 0.1
        # The rounding of fifty convolutions adds up to some 1e-4.
        torch.testing.assert_close(folded(frames), expected, atol=5e-4, rtol=0)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_channels_last_weights_stay_so() -> None:
    network = LinkNet(encoder="resnet18", width=4, head_channels=4).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    folded = fold_batch_norms(network)
    assert folded.encoder.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)


class Shared(nn.Module):
    """A batch norm after an activation, and a convolution that is called again elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.shared = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1)
        self.norm, self.other = nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, frames: Tensor) -> Tensor:
        features = self.norm(self.first(frames).relu())
        out: Tensor = self.shared(features) + self.other(self.shared(features))
        return out


class Part(nn.Module):
    """One convolution and two batch norms, put together in a subclass."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.norm, self.other = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)


class InPlace(Part):
    """An activation that gives back the convolution's own tensor."""

    def forward(self, frames: Tensor) -> Tensor:
        out: Tensor = self.other(self.norm(self.convolution(frames).relu_()).relu())
        return out


class Skipped(Part):
    """What the convolution gives goes past the batch norm as well, in a list of tensors."""

    def forward(self, frames: Tensor) -> Tensor:
        features = self.convolution(frames)
        return torch.cat((self.norm(features), self.other(features.relu()), features), dim=1)


class Returned(Part):
    """What the convolution gives is given back as well."""

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        features = self.convolution(frames)
        return features, self.other(self.norm(features).relu())


class NormedTwice(Part):
    """Two batch norms of one convolution."""

    def forward(self, frames: Tensor) -> Tensor:
        features = self.convolution(frames)
        out: Tensor = self.norm(features) - self.other(features)
        return out


class NormShared(Part):
    """A batch norm that serves a convolution and something else."""

    def forward(self, frames: Tensor) -> Tensor:
        out: Tensor = self.other(self.norm(self.norm(self.convolution(frames)).relu()).relu())
        return out


@pytest.mark.parametrize("network_class", [Shared, InPlace, Skipped, Returned, NormedTwice, NormShared])
def test_a_batch_norm_that_cannot_be_folded_stays(network_class: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = network_class().eval()
    for norm in (network.norm, network.other):
        nn.init.uniform_(norm.running_mean, 0.5, 1.5)
        nn.init.uniform_(norm.bias, 0.5, 1.5)
    folded = fold_batch_norms(network)
    frames = torch.randn(1, 1, 8, 8)
    torch.testing.assert_close(folded(frames), network(frames))
    assert norms(folded) == 2
