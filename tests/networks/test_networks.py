"""One tester that every registered network goes through."""

import io
from collections.abc import Callable
from typing import Any

import onnxruntime
import pytest
import torch
from torch import nn

import gwunet.networks
from gwunet.errors import SchemaError
from gwunet.fingerprint import Fingerprint
from gwunet.losses import LOSSES, DeepSupervision
from gwunet.networks import NETWORKS, build_network
from gwunet.planning import PLANNERS
from gwunet.plans import Configuration, Spec, Target

LEARNING: dict[str, dict[str, Any]] = {
    "AttentionUNet": {"features": (8, 8, 16, 32)},
    "CENet": {"width": 8, "head_channels": 8},
    "DeepLabV3Plus": {"width": 8, "decoder_channels": 16, "low_level_channels": 8},
    "FGANet": {"features": (8, 8, 8, 16, 16), "decoder_features": (16, 8, 8, 8)},
    "LinkNet": {"width": 8, "head_channels": 8},
    "UNet": {"features": (8, 8, 16, 32)},
    "UNetPlusPlus": {"features": (8, 8, 16, 32)},
}
"""On top of the small ones, where a network has to learn something."""

MakeNetwork = Callable[..., nn.Module]
AsTrained = Callable[..., nn.Module]
every_network = pytest.mark.parametrize("name", NETWORKS.names())


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
@pytest.mark.parametrize(("channels", "size"), [(1, (64, 64)), (1, (47, 70)), (3, (33, 65))])
def test_the_logits_are_as_large_as_the_frame(
    name: str, channels: int, size: tuple[int, int], make: MakeNetwork
) -> None:
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
def test_the_logits_are_no_probabilities(name: str, make: MakeNetwork) -> None:
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
def test_every_parameter_learns(name: str, make: MakeNetwork) -> None:
    network = make(name)
    loss = sum(output.square().mean() for output in outputs_of(network, torch.randn(2, 1, 64, 64)))
    loss.backward()
    gradients = {key: parameter.grad for key, parameter in network.named_parameters()}
    assert [key for key, gradient in gradients.items() if gradient is None or not gradient.abs().max() > 0] == []
    assert all(bool(gradient.isfinite().all()) for gradient in gradients.values())


@every_network
def test_a_frame_is_predicted_alone_as_in_a_batch(name: str, make: MakeNetwork, as_trained: AsTrained) -> None:
    network = as_trained(make(name))
    frames = torch.randn(3, 1, 48, 64)
    with torch.inference_mode():
        together, alone = network(frames), torch.cat([network(frame[None]) for frame in frames])
        assert together.std() > 0.1
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=0)
        assert torch.equal(network(frames), together)


@every_network
def test_weights_are_saved_and_loaded(name: str, make: MakeNetwork, as_trained: AsTrained) -> None:
    first, second = as_trained(make(name)), make(name).eval()
    frames = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        assert not torch.allclose(first(frames), second(frames), atol=0.1)
        second.load_state_dict(first.state_dict())
        assert torch.equal(first(frames), second(frames))


@every_network
def test_it_learns_a_wire_by_heart(
    name: str,
    make: MakeNetwork,
    make_fingerprint: Callable[..., Fingerprint],
    wire_of_5_px: Callable[[int], torch.Tensor],
) -> None:
    """A dark wire in noise, with the loss of the network's plan: Dice 0.9 within 100 steps."""
    wire = wire_of_5_px(128)
    fingerprint = make_fingerprint(widest_px=5.0, background_to_wire=float((1 - wire).sum() / wire.sum()))
    spec, _ = PLANNERS.get(f"{name}Planner")().loss(fingerprint, (128, 128), Target(device="cpu", memory_gb=8.0), [])
    network = make(name, **LEARNING[name])
    frame = 0.5 * torch.randn(1, 1, 128, 128) - wire
    weights = [0.5**index for index in range(len(outputs_of(network, frame)))]
    loss = DeepSupervision(LOSSES.get(spec.name)(**spec.arguments), weights)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-2)
    for step in range(100):
        outputs = outputs_of(network, frame)
        if step % 5 == 0 and dice(outputs[0] > 0, wire) >= 0.9:
            return
        optimiser.zero_grad()
        loss(outputs, wire).backward()
        optimiser.step()
    assert dice(outputs_of(network, frame)[0] > 0, wire) >= 0.9


def dice(found: torch.Tensor, wire: torch.Tensor) -> float:
    return float(2 * (found * wire).sum() / (found.sum() + wire.sum()))


@pytest.mark.filterwarnings(
    "ignore:You are using the legacy TorchScript-based ONNX export:DeprecationWarning",
    "ignore:The feature will be removed:DeprecationWarning",  # inside that exporter
    "ignore:Constant folding - Only steps=1:UserWarning",
    "ignore:Converting a tensor to a Python boolean:torch.jit.TracerWarning",  # FGANet looks at the frame's size
)
def test_torchs_own_onnx_export_gives_the_same(make: MakeNetwork, as_trained: AsTrained) -> None:
    """Of deformable convolutions in plain operators; what gw_export makes of every network is tested there."""
    network = as_trained(make("FGANet"))
    frame, file = torch.randn(1, 1, 65, 97), io.BytesIO()
    torch.onnx.export(network, (frame,), file, input_names=["frame"], dynamo=False)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"frame": frame.numpy()})
    with torch.inference_mode():
        expected = network(frame)
    assert expected.std() > 0.1
    torch.testing.assert_close(torch.from_numpy(logits), expected, atol=1e-4, rtol=0)


@every_network
def test_mixed_precision_is_finite(name: str, make: MakeNetwork) -> None:
    network = make(name)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = outputs_of(network, torch.randn(2, 1, 64, 64))
        sum(output.float().square().mean() for output in outputs).backward()
    assert all(bool(output.isfinite().all()) for output in outputs)
    assert all(bool(parameter.grad.isfinite().all()) for parameter in network.parameters())


@every_network
def test_a_configuration_builds_it(
    name: str, small_arguments: dict[str, dict[str, Any]], make_configuration: Callable[..., Configuration]
) -> None:
    """JSON gives lists where the signature has tuples."""
    arguments = {
        key: list(value) if isinstance(value, tuple) else value for key, value in small_arguments[name].items()
    }
    network = build_network(make_configuration(network=Spec(name=name, arguments=arguments)))
    assert type(network) is NETWORKS.get(name)
    wrong = make_configuration(network=Spec(name=name, arguments={"depht": 3}))
    with pytest.raises(SchemaError, match=r"configurations\.fganet\.network\.arguments: .*depht"):
        build_network(wrong)


@every_network
@pytest.mark.slow
def test_the_papers_size(name: str) -> None:
    """A forward pass and a training step of the default arguments on a frame of 512x512."""
    torch.manual_seed(0)
    network = NETWORKS.get(name)()
    frame, target = torch.randn(1, 1, 512, 512), (torch.rand(1, 1, 512, 512) > 0.98).to(torch.uint8)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    outputs = outputs_of(network, frame)
    assert outputs[0].shape == (1, 1, 512, 512)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    loss = DeepSupervision(LOSSES.get("BCEDiceLoss")(), [1.0] * len(outputs))(outputs, target)
    assert loss.isfinite()
    loss.backward()
    optimiser.step()
    for parameter, old in zip(network.parameters(), before, strict=True):
        assert bool(parameter.isfinite().all())
        assert not torch.equal(parameter, old)
    with torch.inference_mode():
        logits = network.eval()(frame)
    assert logits.shape == (1, 1, 512, 512)
    assert bool(logits.isfinite().all())


def test_an_unknown_network_gets_a_suggestion(make_configuration: Callable[..., Configuration]) -> None:
    with pytest.raises(SchemaError, match=r"network\.name: unknown network 'FGAnet': did you mean 'FGANet'"):
        build_network(make_configuration(network=Spec(name="FGAnet", arguments={})))
