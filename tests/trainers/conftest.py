"""A trainer whose every part is so small that a run takes a fraction of a second, and that has dropout."""

import types
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gwunet.data.batches import Batch
from gwunet.data.store import Sample
from gwunet.losses import BalancedBCELoss, DeepSupervision
from gwunet.plans import Configuration, Preprocessing
from gwunet.splits import Fold
from gwunet.trainers.base import Trainer
from gwunet.training import TrainConfig, TrainingTask

SIZE = 8


def made_frame(seed: int) -> tuple[Tensor, Tensor]:
    """``(1, 8, 8)`` float32 noise in which a bright row is wire, and its uint8 target."""
    rng = np.random.default_rng(seed)
    frame = rng.standard_normal((1, SIZE, SIZE)).astype(np.float32)
    target = np.zeros((1, SIZE, SIZE), np.uint8)
    target[:, seed % SIZE] = 1
    return torch.from_numpy(frame + 2 * target), torch.from_numpy(target)


class MadeBatches:
    """Batch ``i`` depends on ``i`` alone."""

    def __init__(self, size: int) -> None:
        self._size = size

    def __len__(self) -> int:
        return 10_000

    def __getitem__(self, iteration: int) -> Batch:
        frames = [made_frame(iteration * self._size + index) for index in range(self._size)]
        return torch.stack([frame for frame, _ in frames]), torch.stack([target for _, target in frames])


class MadeStore:
    """The frame of a case is made from its name; those of ``empty`` cases show no wire."""

    def __init__(self, empty: Collection[str] = ()) -> None:
        self._empty = empty

    def digest(self, cases: Iterable[str]) -> str:
        return " ".join(f"{case}{'-' * (case in self._empty)}" for case in sorted(cases))

    def read(self, case: str) -> Sample:
        frame, target = made_frame(int(case.removeprefix("case")))
        shown = target[0].numpy() * np.uint8(case not in self._empty)
        return Sample(frame[0].numpy(), shown, np.ones((SIZE, SIZE), bool))

    def entry(self, case: str) -> Any:
        return types.SimpleNamespace(wire_pixels=int(self.read(case).wire.sum()))


class MadeTrainer(Trainer):
    """Two convolutions with dropout; the loss is a mean over pixels."""

    name = "MadeTrainer"

    def build_network(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(3, 1, 3, padding=1))

    def build_loss(self) -> DeepSupervision:
        return DeepSupervision(BalancedBCELoss(alpha=7.0), (1.0,))

    def build_batches(self) -> Any:
        return MadeBatches(self.configuration.batch_size)


@pytest.fixture
def made_trainer() -> type[Trainer]:
    return MadeTrainer


@pytest.fixture
def make_task(make_configuration: Callable[..., Configuration], tmp_path: Path) -> Callable[..., TrainingTask]:
    """A task by the name of its folder, the frames without wire and its options.

    Six frames of three patients train, two validate.
    """

    def make(
        folder: str = "run", fold: Fold | None = None, empty: Collection[str] = (), **options: Any
    ) -> TrainingTask:
        store: Any = MadeStore(empty)
        fold = fold or Fold(train=tuple(f"case{index}" for index in range(6)), val=("case6", "case7"))
        return TrainingTask(
            dataset="Dataset001_Made",
            configuration=make_configuration(batch_size=4),
            preprocessing=Preprocessing(borders={}),
            store=store,
            fold=fold,
            folder=tmp_path / folder,
            options=TrainConfig(**{"device": "cpu", "epochs": 3, "iterations": 4} | options),
            groups={case: f"patient{index // 2}" for index, case in enumerate(fold.train)},
        )

    return make
