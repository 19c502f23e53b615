"""What the trainer counts on validation frames, and what timing leaves behind."""

import dataclasses
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
    store: Any = None
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
