"""Time and memory of a network: what is run, what is reported, and what becomes of one that fails."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gwunet.benchmark import Candidate, Conditions, measure, named_candidates
from gwunet.benchmark.alone import collect
from gwunet.errors import UsageError
from gwunet.networks import NETWORKS, FGANet
from gwunet.networks.cost import count_cost
from gwunet.plans import Spec


class Spy(nn.Module):
    """Two outputs in training; notes every call, those of copies too, and takes 5 ms."""

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(in_channels, 1, 3, padding=1)
        instances.append(self)

    def forward(self, frames: Tensor) -> Any:
        time.sleep(0.005)
        logits = self.convolution(frames)
        calls.append((self.training, torch.is_inference_mode_enabled(), tuple(frames.shape), logits.dtype))
        return (logits, logits[..., ::2, ::2]) if self.training else logits


instances: list[Spy] = []
calls: list[tuple[bool, bool, tuple[int, ...], torch.dtype]] = []


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Spy]]:
    NETWORKS.names()
    monkeypatch.setitem(NETWORKS._entries, "Spy", Spy)
    instances.clear()
    calls.clear()
    yield instances
    torch.set_num_threads(1)


@pytest.fixture
def candidate() -> Candidate:
    return Candidate(
        label="spy",
        network=Spec(name="Spy", arguments={"in_channels": 1}),
        loss=Spec(name="HybridLoss", arguments={"cldice_weight": 0.0}),
        loss_weights=None,
        frame_size=(16, 32),
        batch_size=3,
        patch_size=(24, 40),
        training_batch_size=2,
    )


@pytest.mark.usefixtures("spy")
def test_forward_and_training_run_as_asked(candidate: Candidate) -> None:
    timings = dict(measure(candidate, Conditions(device="cpu", repeats=4)))
    probe, *forward = [call for call in calls if not call[0]]
    training = [call for call in calls if call[0]]
    assert probe[2][0] == 1  # by which batch norms to fold are found
    assert forward == [(False, True, (3, 1, 16, 32), torch.float32)] * (2 + 4)
    # One more to see how many outputs there are.
    assert training == [(True, False, (2, 1, 24, 40), torch.float32)] * (1 + 2 + 4)
    assert list(timings) == ["forward", "training"]
    timing = timings["forward"]
    assert (timing.size, timing.batch_size) == ((16, 32), 3)
    assert 5 <= timing.min_ms <= timing.median_ms <= timing.max_ms
    assert timing.frame_ms == pytest.approx(timing.median_ms / 3)
    assert timing.frames_per_second == pytest.approx(1000 / timing.frame_ms)
    assert (timings["training"].size, timings["training"].batch_size) == ((24, 40), 2)


def test_a_training_step_changes_the_weights(candidate: Candidate, spy: list[Spy]) -> None:
    measuring = measure(candidate, Conditions(device="cpu", repeats=1))
    next(measuring)
    before = [each.detach().clone() for each in spy[0].parameters()]
    next(measuring)
    assert not any(torch.equal(old, new) for old, new in zip(before, spy[0].parameters(), strict=True))


@pytest.mark.usefixtures("spy")
def test_training_threads_and_precision_can_be_chosen(candidate: Candidate) -> None:
    conditions = Conditions(device="cpu", repeats=1, precision="bf16", threads=2, training=False)
    assert list(dict(measure(candidate, conditions))) == ["forward"]
    assert torch.get_num_threads() == 2
    assert {call[3] for call in calls[1:]} == {torch.bfloat16}


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_step_in_lower_precision(candidate: Candidate, spy: list[Spy], precision: Any) -> None:
    timings = dict(measure(candidate, Conditions(device="cpu", repeats=1, precision=precision)))
    assert "training" in timings
    assert all(bool(each.isfinite().all()) for each in spy[0].parameters())


@pytest.mark.parametrize("flag", ["repeats", "threads"])
def test_numbers_below_one_are_refused(flag: str) -> None:
    with pytest.raises(UsageError, match=f"--{flag} 0"):
        Conditions(device="cpu", **{flag: 0})


def test_a_process_that_dies_is_a_failure() -> None:
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=os.abort, daemon=True)
    process.start()
    sending.close()
    assert collect(process, receiving) == ({}, "the process was ended by SIGABRT")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_memory_on_cuda_is_that_of_weights_gradients_and_moments(precision: Any) -> None:
    (chosen,) = named_candidates(["FGANet"], size=(128, 128), batch_size=2)
    timings = dict(measure(chosen, Conditions(device="cuda", precision=precision, repeats=1)))
    weights_mib = 4 * count_cost(FGANet(), (1, 128, 128)).parameters / (1 << 20)
    forward, training = (timings[phase].peak_memory_mib for phase in ("forward", "training"))
    assert forward is not None
    assert training is not None
    assert weights_mib < forward < training
    assert training > 4 * weights_mib
