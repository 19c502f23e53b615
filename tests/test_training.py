"""What reaches a trainer."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gwunet import planning, training
from gwunet.dataset import Dataset
from gwunet.planning import plan_dataset
from gwunet.plans import Configuration, Target
from gwunet.training import TrainConfig, TrainingTask, train


def test_fold_all_has_the_cases_that_came_after_the_folds(
    make_raw_dataset: Callable[..., Dataset],
    make_configuration: Callable[..., Configuration],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    class Planner:
        configuration_name = "fganet"
        by_default = True

        def plan(self, fingerprint: Any, target: Target) -> Configuration:
            del fingerprint, target
            return dataclasses.replace(make_configuration(), trainer="Recording")

    tasks: list[TrainingTask] = []

    class Recording:
        def __init__(self, task: TrainingTask) -> None:
            tasks.append(task)

        def fit(self, resume: bool) -> None:
            assert not resume

    monkeypatch.setattr(planning, "planners_for", lambda *_: [Planner()])
    monkeypatch.setattr(training.TRAINERS, "get", lambda _: Recording)
    rng = np.random.default_rng(0)
    mask = np.zeros((48, 48), np.uint8)
    mask[20, 5:40] = 255

    def frame() -> np.ndarray:
        return rng.integers(80, 200, (48, 48), np.uint8)

    raw = make_raw_dataset({f"p{index}_f0": (frame(), mask) for index in range(5)})
    target = Target(device="cpu", memory_gb=2.0)
    plan_dataset(raw.name, workspace=tmp_path, target=target, preprocess=True)
    Image.fromarray(frame()).save(raw.folder / "imagesTr" / "p5_f0.png")
    Image.fromarray(mask).save(raw.folder / "labelsTr" / "p5_f0.png")
    plan_dataset(raw.name, workspace=tmp_path, target=target, preprocess=True)
    assert train(raw.name, "all", workspace=tmp_path, options=TrainConfig(device="cpu")) is None
    assert tasks[0].fold.train == tuple(f"p{index}_f0" for index in range(6))
    assert "p5_f0" in tasks[0].groups
