"""The counted memory of a training step: by hand, by its growth, and beside what a process really takes."""

from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from gwunet.benchmark import Candidate, Conditions, run_alone
from gwunet.losses import LOSSES
from gwunet.networks import NETWORKS
from gwunet.planners import counting
from gwunet.planners.counting import count_step_memory
from gwunet.planners.memory import GIB, StepMemory
from gwunet.plans import Spec

UNET = Spec(name="UNet", arguments={"features": (16, 32, 64, 128, 128)})
LINKNET = Spec(name="LinkNet", arguments={"encoder": "resnet18", "width": 32})
FGANET = Spec(
    name="FGANet", arguments={"features": (16, 16, 32, 64, 128, 128), "decoder_features": (64, 32, 16, 16, 16)}
)


class Mean(nn.Module):
    """A loss that makes no tensors worth counting."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return logits.mean(dim=(-4, -3, -2, -1)) + 0 * target.sum()


def test_living_bytes_follow_storages_and_not_tensors() -> None:
    with torch.device("meta"), counting._LivingBytes() as living:
        first = torch.empty(1000)
        part = first[:10].view(2, 5)
        assert living.peak == 4000
        second = first + first
        assert living.peak == 8000
        del first
        third = part * 1.0  # keeps the storage of the first alive
        assert living.peak == 8040
        del part, second, third
        _ = torch.empty(1500)
        assert living.peak == 8040


def test_a_step_of_one_layer_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A 1x1 convolution to 20 channels, a ReLU, and their mean as logits."""
    monkeypatch.setattr(counting, "SHARE_ABOVE_TENSORS", {"cpu": 1.0})
    monkeypatch.setattr(counting, "BYTES_OF_PROCESS", {"cpu": 0})

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Conv2d(1, 20, 1, bias=False)

        def forward(self, frames: Tensor) -> Any:
            return self.wide(frames).relu().mean(1, keepdim=True)

    step = count_step_memory(Wide, Mean(), (1.0,), (40, 56), "cpu")
    pixels = 40 * 56
    assert step.fixed == 20 * 12
    # In the backward pass: what the ReLU gave, its gradient and that of its input, 20 channels each, beside thin ones.
    assert 60 * 4 * pixels <= step.per_patch <= 66 * 4 * pixels


@pytest.mark.parametrize("spec", [UNET, LINKNET, FGANET], ids=lambda spec: spec.name)
def test_it_grows_with_the_area_and_evenly_with_the_batch(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    def count(edge: int) -> StepMemory:
        return count_step_memory(
            lambda: NETWORKS.get(spec.name)(**spec.arguments),
            LOSSES.get("BCEDiceLoss")(),
            [1.0] * (6 if spec is FGANET else 1),
            (edge, edge),
            "cpu",
        )

    small, large = count(128), count(256)
    assert 3.0 * small.per_patch < large.per_patch <= 4.01 * small.per_patch
    monkeypatch.setattr(counting, "COUNTED_BATCH", 5)
    assert count(256).bytes_of(8) == pytest.approx(large.bytes_of(8), rel=0.05)


def test_cuda_itself_takes_memory_too() -> None:
    """A card's memory does not go to tensors alone."""

    def fixed(device: Literal["cpu", "cuda"]) -> float:
        return count_step_memory(lambda: nn.Conv2d(1, 1, 1, bias=False), Mean(), (1.0,), (8, 8), device).fixed

    assert 0.4 * GIB < fixed("cuda") < GIB
    assert fixed("cpu") < 0.1 * GIB


def test_the_largest_batch_is_what_the_rest_divides_into() -> None:
    step = StepMemory(fixed=0.5 * GIB, per_patch=0.2 * GIB)
    assert [step.largest_batch(gib) for gib in (0.1, 0.6, 1.0, 1.51)] == [0, 0, 2, 5]


@pytest.mark.slow
@pytest.mark.parametrize("spec", [UNET, LINKNET, FGANET], ids=lambda spec: spec.name)
def test_a_real_step_takes_what_is_counted_within_a_fifth(spec: Spec) -> None:
    weights = [0.5**index for index in range(6 if spec is FGANET else 1)]
    loss = Spec(name="BCEDiceLoss", arguments={})
    counted = count_step_memory(
        lambda: NETWORKS.get(spec.name)(**spec.arguments), LOSSES.get(loss.name)(), weights, (128, 128), "cpu"
    ).bytes_of(8)
    candidate = Candidate(
        label=spec.name,
        network=Spec(name=spec.name, arguments={"in_channels": 1, **spec.arguments}),
        loss=loss,
        loss_weights=tuple(weights),
        frame_size=(64, 64),
        batch_size=1,
        patch_size=(128, 128),
        training_batch_size=8,
    )
    timings, failure = run_alone(candidate, Conditions(device="cpu", repeats=2))
    assert failure is None
    peak = timings["training"].peak_memory_mib
    assert peak is not None
    assert counted == pytest.approx(peak * 2**20, rel=0.2)
