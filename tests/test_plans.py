"""Plans written by earlier versions are read, and values that cannot be are refused."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gwunet.jsonio import read_json
from gwunet.plans import Configuration, Decision, Duration, Plans, Target

VERSION_1_OF_0_1 = """{
  "schema_version": 1,
  "dataset": "Dataset001_Made",
  "preprocessing": {"borders": {"uint8": {"level": 15.0, "threshold": 20.0, "spread": 2.0}}},
  "configurations": {
    "linknet": {
      "name": "linknet",
      "planner": "LinkNetPlanner",
      "trainer": "LinkNetTrainer",
      "target": {"device": "cpu", "memory_gb": 8.0},
      "network": {"name": "LinkNet", "arguments": {"in_channels": 1, "encoder": "resnet18", "width": 32}},
      "loss": {"name": "ModifiedFocalLoss", "arguments": {"alpha": 40.0, "gamma": 2.5}},
      "deep_supervision_weights": [1.0],
      "patch_size": [128, 112],
      "batch_size": 4,
      "foreground_oversampling": 0.67,
      "augmentation": {
        "rotation_deg": 180.0,
        "scale": [0.8, 1.25],
        "spatial_probability": 0.8,
        "flip": true,
        "brightness_probability": 0.15,
        "contrast_probability": 0.15,
        "gamma_probability": 0.3,
        "noise_probability": 0.0,
        "blur_probability": 0.0
      },
      "optimiser": {
        "name": "sgd",
        "learning_rate": 0.01,
        "weight_decay": 0.0001,
        "momentum": 0.9,
        "schedule": "poly",
        "warmup_share": 0.05,
        "gradient_clip": 5.0
      },
      "duration": {"epochs": 100, "iterations_per_epoch": 50, "minutes": 8.0},
      "inference": {"tile_size": [512, 512], "step": 0.5, "mirror": true, "threshold": 0.5},
      "decisions": [{"what": "batch size", "value": "4", "reason": "at most 4 wanted"}]
    }
  }
}
"""
"""As 0.1 wrote it: decisions without what would change them, an optimiser without schedules by epochs."""


def test_a_file_of_version_1_without_the_later_keys_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plans.json"
    path.write_text(VERSION_1_OF_0_1)
    plan = read_json(Plans, path).configuration("linknet")
    assert plan.decisions == (Decision(what="batch size", value="4", reason="at most 4 wanted", change=""),)
    assert plan.optimiser.nesterov  # SGD with momentum always looked ahead then
    assert plan.optimiser.gradient_clip == 5.0
    assert plan.patch_size == (128, 112)


def test_a_file_of_version_1_with_the_later_keys_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plans.json"
    content = json.loads(VERSION_1_OF_0_1)
    content["configurations"]["linknet"]["decisions"][0]["change"] = "--memory_gb"
    content["configurations"]["linknet"]["optimiser"] |= {
        "schedule": "plateau",
        "gradient_clip": None,
        "nesterov": False,
        "annealing_epochs": 50,
        "plateau_factor": 0.5,
        "plateau_patience": 10,
    }
    path.write_text(json.dumps(content))
    plan = read_json(Plans, path).configuration("linknet")
    assert plan.decisions[0].change == "--memory_gb"
    assert plan.optimiser.gradient_clip is None
    assert not plan.optimiser.nesterov


def test_folds_of_one_plan_do_not_differ(make_configuration: Callable[..., Configuration]) -> None:
    """Iterations do, where they are measured to fit a time; reasons change nothing."""

    def lasting(iterations: int, minutes: float | None, **changes: Any) -> Configuration:
        duration = Duration(epochs=5, iterations_per_epoch=iterations, minutes=minutes)
        return make_configuration(duration=duration, **changes)

    reason = Decision(what="batch size", value="2", reason="it fits")
    assert lasting(30, 8.0).differing_fields(lasting(41, 8.0, decisions=(reason,))) == []
    assert lasting(30, 8.0).differing_fields(lasting(30, 4.0)) == ["duration"]
    assert lasting(30, None).differing_fields(lasting(41, None)) == ["duration"]
    assert lasting(30, 8.0).differing_fields(lasting(41, 8.0, batch_size=3, patch_size=(8, 8))) == [
        "patch_size",
        "batch_size",
    ]


@pytest.mark.parametrize("memory_gb", [0.0, math.inf, math.nan])
def test_a_memory_is_a_number_above_0(memory_gb: float) -> None:
    with pytest.raises(ValueError, match=f"memory_gb is {memory_gb}, it must be a number above 0"):
        Target(device="cpu", memory_gb=memory_gb)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("annealing_epochs", 0, "annealing_epochs is 0, it must be at least 1"),
        ("plateau_factor", 1.0, r"plateau_factor is 1\.0, it must be between 0 and 1"),
        ("plateau_factor", 0.0, r"plateau_factor is 0\.0"),
        ("plateau_patience", -1, "plateau_patience is -1, it must be at least 0"),
        ("gradient_clip", 0.0, r"gradient_clip is 0\.0, it must be above 0, or null"),
    ],
)
def test_values_of_the_schedules_are_checked(
    field: str, value: float, message: str, make_configuration: Callable[..., Configuration]
) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(make_configuration().optimiser, **{field: value})
