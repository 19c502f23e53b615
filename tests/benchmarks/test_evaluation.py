"""The frames that evaluation is timed on are what they say, and the table comes out."""

from pathlib import Path
from types import ModuleType

import pytest

from gwunet.cli.evaluate import main
from gwunet.evaluation import evaluate_folder


def test_frames_are_scored_and_stand_in_the_table(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "SIMULATED", 1)
    monkeypatch.setattr(script, "run", lambda command: (float(main(command[1:])), 0.0, 0.0))
    made = tmp_path / "frames_3_64"
    script.make_frames(made, 3, 64)
    script.main(["-o", str(tmp_path), "--frames", "3", "--size", "64", "--repeats", "1"])
    assert "| read from files | 0.0 | 0.0 | 0.0 | 0 |" in capsys.readouterr().out
    labels = made / "raw" / "Dataset908_Evaluation" / "labelsTs"
    # Wires located in the true masks are the true curves, so these are turned as the masks are.
    for prediction in (labels, made / "wires"):
        summary = evaluate_folder(labels, prediction)
        assert summary.localization is not None
        distance = summary.localization.all_frames.mean_distance_px
        assert distance is not None
        assert distance.maximum < 1
        assert summary.localization.all_frames.frames_with_missed == 0
    assert 0.3 < summary.pooled.dice < 1  # type: ignore[operator]
    assert summary.calibration is not None
