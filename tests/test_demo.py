"""The demonstration from end to end, as small as it can be."""

import json
from pathlib import Path

import pytest
from PIL import Image

from gwunet.demo import DemoSize, run_demo
from gwunet.errors import UsageError

TINY = DemoSize(patients=7, test_patients=1, sequences=1, frames=2, size=96, training_minutes=0.005)


def test_the_demo_leaves_metrics_of_unseen_patients_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gwunet.demo.available_cores", lambda: 1)  # another process takes seconds to start
    folder = tmp_path / "demo"
    result = run_demo(folder, size=TINY)
    raw = folder / "workspace" / "raw" / "Dataset900_Demo"
    unseen = {path.stem for path in (raw / "imagesTs").iterdir()}
    trained_on = {path.stem for path in (raw / "imagesTr").iterdir()}
    summary = json.loads((folder / "summary.json").read_text())
    assert {frame["case"] for frame in summary["frames"]} == unseen
    assert not {name[:4] for name in unseen} & {name[:4] for name in trained_on}, "a test patient was trained on"
    assert {path.stem for path in (folder / "overlays").iterdir()} == unseen
    assert {path.stem for path in (folder / "predictions").glob("*.png")} == unseen
    with Image.open(result.sheet) as sheet:
        assert sheet.height == 2 * 96 + 4
    page = result.report.read_text()
    assert "Scores of predictions: 2 frames" in page
    assert "1 of 5 folds" in page
    assert str(tmp_path) not in page
    with pytest.raises(UsageError, match="not empty"):
        run_demo(folder, size=TINY)
