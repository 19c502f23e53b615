"""The script runs, and every setting's Dice is that of its mask (the script raises where it is not)."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gwunet.evaluation.settings_grid import SettingsGrid


def test_a_small_run(script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script.make_frames(tmp_path, 5, 64)
    raw, frames = script.open_frames(tmp_path)
    assert len(frames) == 5
    grid = SettingsGrid(thresholds=(0.2, 0.5, 0.8), smallest_px=(0, 25))
    at_once, singly, n_settings = script.compare(raw, frames[:2], grid)
    assert n_settings == 12
    assert min(at_once, singly) >= 0
    script.FRAMES_OF_PATIENT = 1  # five patients in five folds
    script.COMPARED = 1
    script.SettingsGrid = lambda: grid
    script.main(["-o", str(tmp_path / "more"), "--frames", "5", "--size", "64", "-np", "1"])
    output = capsys.readouterr().out
    assert "5 frames of 64x64: cross-validation" in output
    assert "Dice of 12 settings" in output


def test_predictions_are_probabilities_of_the_wire(script: ModuleType) -> None:
    mask = np.zeros((64, 64), np.uint8)
    mask[30:33, 5:60] = 1
    probability = script.predicted(mask, np.random.default_rng(0))
    assert probability.shape == mask.shape
    assert 0 <= probability.min() <= probability.max() <= 1
    assert probability[mask == 1].mean() > 5 * probability[mask == 0].mean()
