"""What the trainer counts on validation frames, and what timing leaves behind."""

import dataclasses
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gwunet.data.store import Sample
from gwunet.dataset import CENTRELINE, IGNORE
from gwunet.plans import Configuration, Duration, Preprocessing, Spec
from gwunet.splits import Fold
from gwunet.trainers.base import Trainer
from gwunet.trainers.loop import Run
from gwunet.training import TrainConfig, TrainingTask


class Echo(nn.Module):
    """Gives its input as logits."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))

    def forward(self, frames: Tensor) -> Tensor:
        return frames * self.factor


class EchoTrainer(Trainer):
    name = "EchoTrainer"

    def build_network(self) -> nn.Module:
        return Echo()

    def build_batches(self) -> Any:
        return [None] * 40


@pytest.fixture
def task(make_configuration: Callable[..., Configuration], tmp_path: Path) -> TrainingTask:
    store: Any = types.SimpleNamespace(
        entry=lambda _: types.SimpleNamespace(wire_pixels=1), digest=lambda _: "of the frames"
    )
    return TrainingTask(
        dataset="Dataset001_Made",
        configuration=make_configuration(loss=Spec(name="SoftDiceLoss", arguments={}), deep_supervision_weights=(1.0,)),
        preprocessing=Preprocessing(borders={}),
        store=store,
        fold=Fold(train=("a",), val=("b",)),
        folder=tmp_path,
        options=TrainConfig(device="cpu"),
    )


@pytest.fixture
def trainer(task: TrainingTask) -> EchoTrainer:
    return EchoTrainer(task)


def test_centreline_counts_as_wire_and_ignored_or_dark_pixels_do_not(trainer: EchoTrainer) -> None:
    target = np.array([[0, 1, CENTRELINE, IGNORE, 0], [0, 1, CENTRELINE, IGNORE, 0]], np.uint8)
    logits = np.array([[9, 9, 9, 9, 9], [-9, -9, -9, -9, -9]], np.float32)
    field = np.ones((2, 5), bool)
    field[:, 4] = False
    loss, counts = trainer.validation_step(Sample(logits, target, field))
    assert counts.tolist() == [2, 1, 2]  # hits, false, missed
    # The dark pixel counts in the loss: 2 hits of 4 found and 4 wire pixels.
    assert loss == pytest.approx(1 - (2 * 2 + 1) / (4 + 4 + 1), abs=1e-3)


class OverflowingTrainer(EchoTrainer):
    """Its first step's gradients are not finite in half precision, so that the scaler halves its factor."""

    name = "OverflowingTrainer"

    def build_batches(self) -> Any:
        return [torch.zeros(1)] * 1000

    def train_step(self, batch: Any, iteration: int) -> float:
        del batch, iteration
        infinite = self.precision.scaler.scale(self.network.factor * float("inf"))
        infinite.backward()
        self.precision.scaler.step(self.optimizer)
        self.precision.scaler.update()
        return 0.0


def test_timing_leaves_no_trace_in_the_scale_of_the_gradients(task: TrainingTask) -> None:
    options = TrainConfig(device="cpu", precision="fp16", minutes=0.001)
    task = dataclasses.replace(task, options=options, fold=Fold(train=("a",), val=()))
    trainer, fresh = OverflowingTrainer(task), OverflowingTrainer(task)
    scale = fresh.precision.scaler.get_scale()
    Run(trainer)._begin()
    assert isinstance(trainer.configuration.duration, Duration)
    assert trainer.precision.scaler.get_scale() == scale
    trainer.train_step(None, 0)
    assert trainer.precision.scaler.get_scale() == scale / 2  # the steps of the timing would have halved it too


class Levelling(nn.Module):
    """Each input as far as it is above its own mean: what is found depends on how much is seen at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.ones(()))
        self.seen: list[tuple[int, ...]] = []

    def forward(self, frames: Tensor) -> Tensor:
        self.seen.append(tuple(frames.shape))
        levelled: Tensor = (frames - frames.mean((-2, -1), keepdim=True)) * self.factor
        return levelled


class LevellingTrainer(EchoTrainer):
    name = "LevellingTrainer"

    def build_network(self) -> nn.Module:
        return Levelling()


def test_frames_are_validated_in_the_planned_tiles(task: TrainingTask) -> None:
    """Four tiles that do not overlap, each by itself, and no more pixels at a time than a training step has."""
    inference = dataclasses.replace(task.configuration.inference, tile_size=(4, 6), step=1.0, mirror=True)
    configuration = dataclasses.replace(task.configuration, inference=inference, patch_size=(8, 6), batch_size=1)
    options = TrainConfig(device="cpu", precision="fp32")
    trainer = LevellingTrainer(dataclasses.replace(task, configuration=configuration, options=options))
    frame = np.random.default_rng(0).normal(size=(8, 12)).astype(np.float32)
    found = trainer.logits(Sample(frame, np.zeros((8, 12), np.uint8), np.ones((8, 12), bool)))
    tiles = frame.reshape(2, 4, 2, 6)
    expected = (tiles - tiles.mean((1, 3), keepdims=True)).reshape(8, 12)
    assert found.shape == (1, 1, 8, 12)
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=1e-4)
    assert isinstance(trainer.network, Levelling)
    assert trainer.network.seen == [(2, 1, 4, 6), (2, 1, 4, 6)]


def test_the_loss_of_a_frame_in_tiles_is_that_of_its_logits(task: TrainingTask) -> None:
    """To logits of 15, beyond which a probability in float32 says no more."""
    configuration = dataclasses.replace(task.configuration, loss=Spec(name="BalancedBCELoss", arguments={"alpha": 3.0}))
    options = TrainConfig(device="cpu", precision="fp32")
    trainer = EchoTrainer(dataclasses.replace(task, configuration=configuration, options=options))
    logits = np.linspace(-15, 12, 60, dtype=np.float32).reshape(6, 10)
    target = (np.arange(60).reshape(6, 10) % 7 == 0).astype(np.uint8)
    loss, _ = trainer.validation_step(Sample(logits, target, np.ones((6, 10), bool)))
    expected = trainer.loss.on_final(torch.from_numpy(logits)[None, None], torch.from_numpy(target)[None, None])
    assert loss == pytest.approx(float(expected), rel=1e-4)
