"""The script that measures the report, on a few frames."""

import json
from pathlib import Path
from types import ModuleType

import pytest

from gwunet.report import write_report


def test_its_workspace_has_five_folds_of_all_frames(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "PATIENTS", 5)
    monkeypatch.setattr(script, "EPOCHS", 20)
    workspace = script.make_workspace(tmp_path, 24, 96)
    summaries = sorted(tmp_path.glob("results/*/*/fold_*/validation/summary.json"))
    rows = [row for path in summaries for row in json.loads(path.read_text())["frames"]]
    assert len(summaries) == 5
    assert len({row["case"] for row in rows}) == len(rows) == 24
    page = write_report(script.NAME, workspace=workspace).read_text()
    assert "5 of 5 folds, 24 frames" in page
    assert "no picture" not in page
