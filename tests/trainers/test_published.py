"""The published recipes train from end to end, and go on after a break to the same weights."""

import dataclasses
import itertools
import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gwunet
from gwunet import planning
from gwunet.checkpoint import load_checkpoint
from gwunet.dataset import Dataset
from gwunet.planners import FGANetPaperPlanner, LinkNetPaperPlanner, Planner
from gwunet.planners.memory import StepMemory
from gwunet.plans import Configuration, Duration, Spec, Target
from gwunet.trainers import history, loop
from gwunet.trainers.base import Trainer
from gwunet.trainers.fganet_paper import FGANetPaper
from gwunet.trainers.linknet_paper import LinkNetPaper
from gwunet.training import TrainConfig, TrainingTask

NAME = "Dataset001_Made"
EPOCHS, ITERATIONS = 6, 2
MINIATURES: dict[str, tuple[Spec, dict[str, Any]]] = {
    "fganet_paper": (
        Spec(
            name="FGANet",
            arguments={"features": [2, 2, 4, 4, 4, 8], "decoder_features": [4, 4, 4, 2, 2], "fusion_kernel_size": 1},
        ),
        {"learning_rate": 1e-3, "annealing_epochs": 2},
    ),
    "linknet_paper": (
        Spec(name="LinkNet", arguments={"encoder": "resnet18", "width": 4}),
        {"learning_rate": 1e-3, "plateau_patience": 0, "gradient_clip": None},
    ),
}
"""Network, and what of the recipe changes so that its schedule has something to do in a few epochs."""


class StopError(Exception):
    """The break."""


def in_miniature(planner: Planner, plan: Callable[..., Configuration]) -> Callable[..., Configuration]:
    network, changes = MINIATURES[planner.configuration_name]

    def made(*arguments: Any) -> Configuration:
        whole = plan(*arguments)
        return dataclasses.replace(
            whole,
            network=network,
            patch_size=(64, 32),
            batch_size=2,
            optimiser=dataclasses.replace(whole.optimiser, **changes),
            duration=Duration(epochs=EPOCHS, iterations_per_epoch=ITERATIONS, minutes=None),
        )

    return made


@pytest.fixture
def workspace(make_raw_dataset: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six patients with two frames each, and the published plans but for their size."""
    rng = np.random.default_rng(0)
    pairs = {}
    for patient, frame in itertools.product(range(6), range(2)):
        mask = np.zeros((40, 44), np.uint8)
        mask[8 + 3 * patient : 10 + 3 * patient, 4 : 30 + 2 * frame] = 1
        noise = rng.integers(90, 160, mask.shape).astype(np.uint8)
        pairs[f"p{patient}_f{frame}"] = (noise - 60 * mask, mask)
    make_raw_dataset(pairs, grouping=r"(?P<patient>p\d+)_f(?P<frame>\d+)")
    monkeypatch.setattr(history, "draw_progress", lambda *_: None)  # most of the time, and looked at nowhere here
    monkeypatch.setattr(loop, "draw_validation", lambda *_: None)
    planners = [FGANetPaperPlanner(), LinkNetPaperPlanner()]
    monkeypatch.setattr(Planner, "_step_memory", lambda *_: StepMemory(fixed=0.0, per_patch=1.0))
    for planner in planners:
        monkeypatch.setattr(planner, "plan", in_miniature(planner, planner.plan))
    monkeypatch.setattr(planning, "planners_for", lambda *_: planners)
    gwunet.plan_dataset(1, workspace=tmp_path, target=Target(device="cpu", memory_gb=4.0))
    gwunet.preprocess_dataset(1, workspace=tmp_path)
    return tmp_path


def train(workspace: Path, configuration: str, **changes: Any) -> None:
    gwunet.train(
        1,
        0,
        configuration=configuration,
        workspace=workspace,
        options=TrainConfig(device="cpu", seed=1),
        **changes,
    )


@pytest.mark.parametrize("configuration", MINIATURES)
def test_a_break_changes_nothing(configuration: str, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither weights nor the schedule; LinkNet's looks at two training patients, who are never trained on."""
    trainer = {"fganet_paper": "FGANetPaper", "linknet_paper": "LinkNetPaper"}[configuration]
    fold = workspace / "results" / NAME / f"{configuration}__{trainer}" / "fold_0"

    def outcome() -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
        epochs = [json.loads(line) for line in (fold / "log.jsonl").read_text().splitlines()[1:]]
        return load_checkpoint(fold / "checkpoint_final.pt").weights, [epoch | {"seconds": 0} for epoch in epochs]

    train(workspace, configuration)
    weights, epochs = outcome()
    step = Trainer.train_step

    def broken(self: Trainer, batch: Any, iteration: int) -> float:
        if iteration == ITERATIONS * EPOCHS // 2 + 1:
            raise StopError
        return step(self, batch, iteration)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "train_step", broken)
        with pytest.raises(StopError):
            train(workspace, configuration, overwrite=True)
    train(workspace, configuration, resume=True)
    again, epochs_again = outcome()
    assert epochs_again == epochs
    assert all(torch.equal(again[name], value) for name, value in weights.items())
    rates = [epoch["learning_rate"] for epoch in epochs]
    if configuration == "fganet_paper":
        assert rates == pytest.approx([1e-3, 5e-4, 0, 5e-4, 1e-3, 5e-4], abs=1e-12)
        assert all(epoch["aside_loss"] is None for epoch in epochs)
    else:
        # Halved before the break and after it, whenever the loss on the frames set aside did not fall.
        losses = [epoch["aside_loss"] for epoch in epochs]
        rose = [loss >= min(losses[:index]) * (1 - 1e-4) for index, loss in enumerate(losses) if index]
        assert rates == pytest.approx([1e-3 * 0.5 ** sum(rose[: max(0, index - 1)]) for index in range(EPOCHS)])

        assert rates[0] > rates[EPOCHS // 2] > rates[-1], losses
        _check_that_two_patients_are_set_aside(fold)


def _check_that_two_patients_are_set_aside(fold: Path) -> None:
    start = json.loads((fold / "log.jsonl").read_text().splitlines()[0])
    parts = [{case.split("_")[0] for case in start[part]} for part in ("train", "aside", "val")]
    assert [len(part) for part in parts] == [sum(map(len, parts)) - 2 - len(parts[2]), 2, len(parts[2])]
    assert set.union(*parts) == {f"p{patient}" for patient in range(6)}
    assert sum(map(len, parts)) == 6
    # What a checkpoint lists as seen includes them: they chose the learning rate.
    assert set(load_checkpoint(fold / "checkpoint_final.pt").cases or ()) == {*start["train"], *start["aside"]}


@pytest.mark.parametrize(("trainer", "epochs", "rate"), [(FGANetPaper, 180, 1e-8), (LinkNetPaper, 300, 1e-3)])
def test_another_networks_plan_gets_the_recipe(
    trainer: type[Trainer],
    epochs: int,
    rate: float,
    make_configuration: Callable[..., Configuration],
    tmp_path: Path,
) -> None:
    planned = make_configuration()
    store: Any = types.SimpleNamespace(entry=lambda _: types.SimpleNamespace(wire_pixels=1))
    task = TrainingTask(
        dataset=NAME,
        configuration=planned,
        preprocessing=gwunet.plans.Preprocessing(borders={}),
        store=store,
        fold=gwunet.splits.Fold(train=("a", "b"), val=()),
        folder=tmp_path,
        options=TrainConfig(device="cpu"),
        groups={"a": "p", "b": "q"},
    )
    given = trainer(task).configuration
    assert (given.duration.epochs, given.duration.minutes) == (epochs, None)
    assert given.optimiser.learning_rate == rate
    assert given.loss.name == {FGANetPaper: "HybridLoss", LinkNetPaper: "ModifiedFocalLoss"}[trainer]
    assert given.deep_supervision_weights == ((1.0, 0.5) if trainer is FGANetPaper else (0.75, 0.25))
    assert (given.network, given.patch_size, given.batch_size) == (planned.network, planned.patch_size, 2)
