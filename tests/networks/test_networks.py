"""One tester that every registered network goes through."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import gwunet.networks
from gwunet.errors import SchemaError
from gwunet.networks import NETWORKS, build_network
from gwunet.plans import Configuration, Spec

SMALL: dict[str, dict[str, Any]] = {
    "FGANet": {"features": (4, 6, 8, 10), "decoder_features": (8, 6, 4)},
    "LinkNet": {"encoder": "resnet18", "width": 4, "head_channels": 4},
}
"""Arguments that make each network small; every registered one needs an entry."""

every_network = pytest.mark.parametrize("name", NETWORKS.names())


def make(name: str, **arguments: Any) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS.get(name)(**SMALL[name] | arguments)


def outputs_of(network: nn.Module, frames: torch.Tensor) -> tuple[torch.Tensor, ...]:
    outputs = network(frames)
    return outputs if isinstance(outputs, tuple) else (outputs,)


@every_network
def test_it_is_importable_by_name_and_has_the_papers_defaults(name: str) -> None:
    network_class = getattr(gwunet.networks, name)
    assert network_class is NETWORKS.get(name)
    assert name in gwunet.networks.__all__
    with torch.device("meta"):
        network = network_class(in_channels=1).eval()
    assert network(torch.empty(1, 1, 256, 256, device="meta")).shape == (1, 1, 256, 256)


@every_network
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(64, 64), (47, 70), (33, 65)])
def test_the_logits_are_as_large_as_the_frame(name: str, channels: int, size: tuple[int, int]) -> None:
    network = make(name, in_channels=channels)
    frames = torch.randn(2, channels, *size)
    trained = outputs_of(network, frames)
    assert trained[0].shape == (2, 1, *size)
    assert all(each.shape[:2] == (2, 1) for each in trained)
    with torch.inference_mode():
        logits = network.eval()(frames)
    assert isinstance(logits, torch.Tensor)
    assert logits.shape == (2, 1, *size)
    assert logits.dtype == torch.float32


@every_network
def test_the_logits_are_no_probabilities(name: str) -> None:
    """A sigmoid inside would keep a strongly scaled last layer within 0 and 1."""
    network = make(name).eval()
    with torch.inference_mode():
        *_, last = (
            module for module in network.modules() if isinstance(module, nn.Conv2d) and module.out_channels == 1
        )
        last.weight *= 1000
        logits = network(torch.randn(2, 1, 64, 64))
    assert logits.max() > 1 or logits.min() < 0


@every_network
def test_every_parameter_learns(name: str) -> None:
    network = make(name)
    loss = sum(output.square().mean() for output in outputs_of(network, torch.randn(2, 1, 64, 64)))
    loss.backward()
    without = [key for key, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []
    assert all(bool(parameter.grad.isfinite().all()) for parameter in network.parameters())


@every_network
def test_a_frame_is_predicted_alone_as_in_a_batch(name: str) -> None:
    network = make(name).eval()
    frames = torch.randn(3, 1, 48, 64)
    with torch.inference_mode():
        together, alone = network(frames), torch.cat([network(frame[None]) for frame in frames])
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-3)
        assert torch.equal(network(frames), together)


@every_network
def test_weights_are_saved_and_loaded(name: str) -> None:
    first, second = make(name).eval(), NETWORKS.get(name)(**SMALL[name]).eval()
    second.load_state_dict(first.state_dict())
    frames = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(first(frames), second(frames))


@every_network
def test_it_fits_a_wire_in_a_few_steps(name: str) -> None:
    """Training reaches the weights: a bright line is told from the background."""
    network = make(name)
    frames, wire = torch.randn(2, 1, 48, 48), torch.zeros(2, 1, 48, 48)
    wire[:, :, 22:25] = 1
    frames += 4 * wire
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2)
    losses = []
    for _ in range(12):
        optimiser.zero_grad()
        logits = outputs_of(network, frames)[0]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, wire)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


@every_network
def test_mixed_precision_is_finite(name: str) -> None:
    network = make(name)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = outputs_of(network, torch.randn(2, 1, 64, 64))
        sum(output.float().square().mean() for output in outputs).backward()
    assert all(bool(output.isfinite().all()) for output in outputs)
    assert all(bool(parameter.grad.isfinite().all()) for parameter in network.parameters())


@every_network
def test_a_configuration_builds_it(name: str, make_configuration: Callable[..., Configuration]) -> None:
    """JSON gives lists where the signature has tuples."""
    arguments = {key: list(value) if isinstance(value, tuple) else value for key, value in SMALL[name].items()}
    network = build_network(make_configuration(network=Spec(name=name, arguments=arguments)))
    assert type(network) is NETWORKS.get(name)
    wrong = make_configuration(network=Spec(name=name, arguments={"depht": 3}))
    with pytest.raises(SchemaError, match=r"configurations\.fganet\.network\.arguments: .*depht"):
        build_network(wrong)


def test_an_unknown_network_gets_a_suggestion(make_configuration: Callable[..., Configuration]) -> None:
    with pytest.raises(SchemaError, match=r"network\.name: unknown network 'FGAnet': did you mean 'FGANet'"):
        build_network(make_configuration(network=Spec(name="FGAnet", arguments={})))
