"""What reaches a trainer, and when it is not asked at all."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gwunet import planning, training
from gwunet.dataset import Dataset
from gwunet.errors import SplitError
from gwunet.planning import plan_dataset
from gwunet.plans import Configuration, Target
from gwunet.training import TrainConfig, TrainingTask, train

TARGET = Target(device="cpu", memory_gb=2.0)
CPU = TrainConfig(device="cpu")


@pytest.fixture
def tasks(make_configuration: Callable[..., Configuration], monkeypatch: pytest.MonkeyPatch) -> list[TrainingTask]:
    """Those that the trainer was asked for; the only one there is trains nothing."""

    class Planner:
        configuration_name = "fganet"
        by_default = True
        keeps_rate = False

        def plan(self, fingerprint: Any, target: Target) -> Configuration:
            del fingerprint, target
            return dataclasses.replace(make_configuration(), trainer="Recording")

    tasks: list[TrainingTask] = []

    class Recording:
        def __init__(self, task: TrainingTask) -> None:
            tasks.append(task)

        def fit(self, resume: bool) -> None:
            del resume

    monkeypatch.setattr(planning, "planners_for", lambda *_: [Planner()])
    monkeypatch.setattr(training.TRAINERS, "get", lambda _: Recording)
    return tasks


def drawn(rng: np.random.Generator, shows_wire: bool = True) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((48, 48), np.uint8)
    mask[20, 5:40] = 255 * shows_wire
    return rng.integers(80, 200, (48, 48), np.uint8), mask


def test_fold_all_has_the_cases_that_came_after_the_folds(
    make_raw_dataset: Callable[..., Dataset], tasks: list[TrainingTask], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    raw = make_raw_dataset({f"p{index}_f0": drawn(rng) for index in range(5)})
    plan_dataset(raw.name, workspace=tmp_path, target=TARGET, preprocess=True)
    frame, mask = drawn(rng)
    Image.fromarray(frame).save(raw.folder / "imagesTr" / "p5_f0.png")
    Image.fromarray(mask).save(raw.folder / "labelsTr" / "p5_f0.png")
    plan_dataset(raw.name, workspace=tmp_path, target=TARGET, preprocess=True)
    assert train(raw.name, "all", workspace=tmp_path, options=CPU) is None
    assert tasks[0].fold.train == tuple(f"p{index}_f0" for index in range(6))
    assert "p5_f0" in tasks[0].groups


def test_a_fold_without_wire_to_train_on_is_refused(
    make_raw_dataset: Callable[..., Dataset], tasks: list[TrainingTask], tmp_path: Path
) -> None:
    """Only one patient's frames show a wire, and it is validated in one fold."""
    rng = np.random.default_rng(0)
    raw = make_raw_dataset(
        {f"p{index}_f{frame}": drawn(rng, index == 2) for index in range(5) for frame in range(2)},
        grouping=r"(?P<patient>p\d+)_f(?P<frame>\d+)",
    )
    plan_dataset(raw.name, workspace=tmp_path, target=TARGET, preprocess=True)
    folds = json.loads((tmp_path / "preprocessed" / raw.name / "splits.json").read_text())["folds"]
    (without,) = [number for number, fold in enumerate(folds) if "p2_f0" in fold["val"]]
    with pytest.raises(SplitError, match=r"found no wire pixel in the 8 frames to train on.*splits\.json of your own"):
        train(raw.name, without, workspace=tmp_path, options=CPU)
    assert tasks == []
    assert not (tmp_path / "results").exists()
    train(raw.name, "all", workspace=tmp_path, options=CPU)
    assert len(tasks) == 1


@pytest.mark.parametrize(("patients", "expected"), [(1, {"r0", "r1", "r2"}), (2, {"p0", "p1"})])
def test_what_is_set_aside_of_one_patient_is_a_sequence(
    make_raw_dataset: Callable[..., Dataset],
    tasks: list[TrainingTask],
    tmp_path: Path,
    patients: int,
    expected: set[str],
) -> None:
    rng = np.random.default_rng(0)
    names = [f"p{patient}_r{run}_f{f}" for patient in range(patients) for run in range(3) for f in range(2)]
    raw = make_raw_dataset(
        {name: drawn(rng) for name in names}, grouping=r"(?P<patient>p\d+)_(?P<sequence>r\d+)_f(?P<frame>\d+)"
    )
    plan_dataset(raw.name, workspace=tmp_path, target=TARGET, preprocess=True)
    train(raw.name, "all", workspace=tmp_path, options=CPU)
    assert {group.rpartition("_")[2] for group in tasks[0].groups.values()} == expected


def test_a_run_that_goes_on_leaves_the_plans_it_began_with_beside_it(
    make_raw_dataset: Callable[..., Dataset], tasks: list[TrainingTask], tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    raw = make_raw_dataset({f"p{index}_f0": drawn(rng) for index in range(5)})
    plan_dataset(raw.name, workspace=tmp_path, target=TARGET, preprocess=True)
    train(raw.name, "all", workspace=tmp_path, options=CPU)
    kept = tasks[0].folder.parent / "plans.json"
    began = kept.read_text()
    (tasks[0].folder / "checkpoint_latest.pt").touch()
    path = tmp_path / "preprocessed" / raw.name / "plans.json"
    plans = json.loads(path.read_text())
    plans["configurations"]["fganet"]["batch_size"] = 3
    path.write_text(json.dumps(plans))
    train(raw.name, "all", workspace=tmp_path, options=CPU, resume=True)
    assert kept.read_text() == began
    train(raw.name, "all", workspace=tmp_path, options=CPU, overwrite=True)
    assert json.loads(kept.read_text())["configurations"]["fganet"]["batch_size"] == 3
