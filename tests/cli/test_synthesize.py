"""``gw_synthesize`` as a user calls it."""

from pathlib import Path

import pytest

from gwunet.cli.synthesize import main
from gwunet.dataset import Dataset

SMALL = ["--patients", "2", "--sequences", "1", "--frames", "1", "--size", "64", "--test_patients", "1"]


def test_makes_the_dataset_in_the_workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["900", *SMALL, "--workspace", str(tmp_path)]) == 0
    folder = tmp_path / "raw" / "Dataset900_Simulated"
    assert len(Dataset.open(folder).training) == len(Dataset.open(folder).test) == 1
    assert str(folder) in capsys.readouterr().out


def test_a_second_call_needs_overwrite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["Dataset007_Bond", *SMALL, "--workspace", str(tmp_path)]
    assert main(call) == 0
    assert main(call) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*call, "--overwrite"]) == 0


def test_an_id_in_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "raw" / "Dataset900_Other").mkdir(parents=True)
    assert main(["900", *SMALL, "--workspace", str(tmp_path)]) == 1
    assert "Dataset900_Other" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [["heart"], ["../Dataset900_X"], ["900", "--wires", "3"], ["900", "--size", "32"], ["900", "--patients", "0"]],
)
def test_wrong_use_exits_with_2_and_writes_nothing(tmp_path: Path, wrong: list[str]) -> None:
    assert main([*wrong, "--workspace", str(tmp_path / "workspace")]) == 2
    assert not list(tmp_path.rglob("*.png"))
