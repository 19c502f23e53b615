"""Run by ``test_world.py``: becomes processes 0 and 1 of 2, and notes what each of them sees.

python tests/world_of_two.py FOLDER    (with configuration.json in it, MASTER_ADDR and MASTER_PORT set)
"""

import dataclasses
import json
import multiprocessing
import os
import sys
import time
import types
from collections.abc import Iterable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo
from torch import Tensor, nn

from gwunet.data.batches import Batch
from gwunet.data.store import Sample
from gwunet.jsonio import from_json
from gwunet.losses import BCEDiceLoss, DeepSupervision
from gwunet.plans import Configuration, Preprocessing
from gwunet.splits import Fold
from gwunet.trainers.base import Trainer
from gwunet.training import TrainConfig, TrainingTask
from gwunet.world import ALONE, World, joined

BATCH = 4


class PooledDice(nn.Module):
    """In float64 and over the whole batch: the mean of the processes' own losses is another number."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        found, wire = logits.sigmoid(), target.double()
        return 1 - (2 * (found * wire).sum() + 1) / (found.square().sum() + wire.sum() + 1)

    def on_final(self, logits: Tensor, target: Tensor) -> Tensor:
        return self(logits, target)


class Batches:
    """Batch ``i`` depends on ``i`` alone; a process has its share. Frames differ much, so that shares do too."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, iteration: int) -> Batch:
        rng = np.random.default_rng(iteration)
        frames = rng.standard_normal((BATCH, 1, 8, 8)) * np.arange(1, BATCH + 1)[:, None, None, None]
        targets = (rng.random((BATCH, 1, 8, 8)) < np.linspace(0.05, 0.6, BATCH)[:, None, None, None]).astype(np.uint8)
        mine = list(self._world.share(range(BATCH)))
        return torch.from_numpy(frames[mine]), torch.from_numpy(targets[mine])


class Store:
    """The frame of a case is made from its number."""

    def read(self, case: str) -> Sample:
        frames, targets = Batches(ALONE)[100 + int(case)]
        return Sample(frames[0, 0].numpy(), targets[0, 0].numpy(), np.ones((8, 8), bool))

    def entry(self, case: str) -> Any:
        return types.SimpleNamespace(wire_pixels=int(self.read(case).wire.sum()))

    def digest(self, cases: Iterable[str]) -> str:
        return " ".join(sorted(cases))


class SmallTrainer(Trainer):
    """Two convolutions in float64."""

    name = "SmallTrainer"

    def build_network(self) -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 1, 3, padding=1)).double()

    def build_loss(self) -> Any:
        return PooledDice()

    def build_batches(self) -> Any:
        return Batches(self.world)


def task(folder: Path, world: World, **options: Any) -> TrainingTask:
    configuration = from_json(Configuration, json.loads((folder / "configuration.json").read_text()), "configuration")
    store: Any = Store()
    return TrainingTask(
        dataset="Dataset001_Made",
        configuration=dataclasses.replace(configuration, batch_size=BATCH),
        preprocessing=Preprocessing(borders={}),
        store=store,
        fold=Fold(train=("0", "1", "2", "3"), val=("4", "5", "6")),
        folder=folder / f"run_of_{world.size}",
        options=TrainConfig(**{"device": "cpu", "epochs": 2, "iterations": 3} | options),
        world=world,
    )


def first_step(folder: Path, world: World, accumulate: int) -> dict[str, Any]:
    """Loss and gradients of the first step."""
    trainer = SmallTrainer(task(folder, world, accumulate=accumulate))
    loss = trainer.train_step(trainer.batches[0], 0)
    gradients = [parameter.grad for parameter in trainer.network.parameters()]
    return {"loss": loss, "gradients": gradients}


class WithIdleHead(nn.Module):
    """Two outputs, of which the second counts nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        return self.first(frames), self.second(frames)


class IdleHeadTrainer(SmallTrainer):
    """Of two outputs the second has the deep-supervision weight 0."""

    name = "IdleHeadTrainer"

    def build_network(self) -> nn.Module:
        return WithIdleHead().double()

    def build_loss(self) -> Any:
        return DeepSupervision(BCEDiceLoss(), (1.0, 0.0))


def steps_with_idle_head(folder: Path, world: World) -> list[float]:
    """Losses of three steps: the second is the first that would find the processes waiting."""
    trainer = IdleHeadTrainer(task(folder, world))
    return [trainer.train_step(trainer.batches[step], step) for step in range(3)]


def refusal(folder: Path, world: World) -> str:
    """Four patches in three parts on each of two processes."""
    try:
        SmallTrainer(task(folder, world, accumulate=3)).fit()
    except Exception as problem:
        return f"{type(problem).__name__}: {problem}"
    return "none"


def see(folder: Path, rank: int) -> None:
    os.environ |= {"WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)}
    seen: dict[str, Any] = {}
    with joined("cpu") as world:
        seen["sum"] = world.sum(np.array([1.0 + world.rank, 10.0])).tolist()
        seen["any"] = [world.any(world.rank == 1), world.any(False)]
        seen["first"] = world.first(7.0 + world.rank)
        seen["share"] = list(world.share("abcde"))
        seen["collect"] = sorted(world.collect(world.share("abcde")))
        seen["gather"] = world.gather(torch.full((2, 1), float(world.rank))).flatten().tolist()
        seen["step"] = [first_step(folder, world, accumulate) for accumulate in (1, 2)]
        seen["idle"] = steps_with_idle_head(folder, world)
        seen["refusal"] = refusal(folder, world)
        SmallTrainer(task(folder, world, ema=0.5)).fit()
        # As of several folds, where one process is late to leave the first.
        for _ in range(3):
            with joined("cpu") as again:
                again.any(False)
                time.sleep(0.3 * (again.rank == 0))
        if world.rank == 0:
            seen["alone"] = first_step(folder, ALONE, 1)
            seen["idle_alone"] = steps_with_idle_head(folder, ALONE)
            SmallTrainer(task(folder, ALONE, ema=0.5)).fit()
        world.wait()
    torch.save(seen, folder / f"seen_{world.rank}.pt")


def main() -> None:
    """Fork, so that what both import is imported once; torch's optimisers import ``torch._dynamo`` at their first use.

    The first that fails ends the other, which may wait for it for ever.
    """
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=see, args=(Path(sys.argv[1]), rank)) for rank in range(2)]
    for process in processes:
        process.start()
    running = list(processes)
    while running:
        wait([process.sentinel for process in running])
        for process in running:
            process.join(0)
        if any(process.exitcode for process in processes):
            for process in processes:
                process.kill()
            raise SystemExit(1)
        running = [process for process in running if process.exitcode is None]


if __name__ == "__main__":
    main()
