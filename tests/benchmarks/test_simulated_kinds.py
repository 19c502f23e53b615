"""The two kinds can be made, a score is not computed twice, and the table has what was scored."""

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gwunet.cli.synthesize import main as synthesize
from gwunet.dataset import Dataset
from gwunet.errors import UsageError


@pytest.mark.parametrize(("name", "dtype", "learns_from"), [("fine", np.uint16, 1), ("coarse", np.uint8, 20)])
def test_the_kinds_can_be_made(
    name: str, dtype: type[np.generic], learns_from: int, script: ModuleType, tmp_path: Path
) -> None:
    kind = script.KINDS[name]
    few = ["--frames", "1", "--sequences", "1", "--size", "64x80"]
    assert synthesize([str(kind.identifier), *kind.flags, *few, "--workspace", str(tmp_path)]) == 0
    dataset = Dataset.open(next((tmp_path / "raw").iterdir()))
    assert dataset.read_frame(dataset.training[0]).dtype == dtype
    assert len({case.patient for case in dataset.training}) == learns_from
    assert not {case.patient for case in dataset.training} & {case.patient for case in dataset.test}


def test_a_score_is_read_again_only_with_the_same_settings(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = script.KINDS["fine"]
    settings = {"minutes": 2.0, "device": "cpu", "synthesize": []}
    made = {
        "settings": {"kind": kind.says, "flags": list(kind.flags), **settings},
        "says": kind.says,
        "patch": [384, 512],
        "training_frames": 120,
        "test_frames": 119,
        "pooled": {"dice": 0.91234, "precision": 0.9, "recall": 0.925},
        "seconds": 301,
    }
    (tmp_path / "fine").mkdir()
    (tmp_path / "fine" / "score.json").write_text(json.dumps(made))

    def refuse(*line: str) -> None:
        raise AssertionError(f"ran {line}")

    monkeypatch.setattr(script, "run_installed", refuse)
    script.main(["-o", str(tmp_path), "--kinds", "fine", "--minutes", "2", "--device", "cpu"])
    assert "| 120 | 384x512 | 119 | 0.912 | 0.900 | 0.925 | 301 s |" in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"score\.json: made with .*choose another -o"):
        script.main(["-o", str(tmp_path), "--kinds", "fine", "--minutes", "3", "--device", "cpu"])
