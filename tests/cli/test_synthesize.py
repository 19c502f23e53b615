"""``gw_synthesize`` as a user calls it."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from gwunet.cli.synthesize import main
from gwunet.dataset import Dataset

SMALL = ["--patients", "2", "--sequences", "1", "--frames", "1", "--size", "64", "--test_patients", "1"]


def test_makes_the_dataset_in_the_workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["900", *SMALL, "--workspace", str(tmp_path)]) == 0
    folder = tmp_path / "raw" / "Dataset900_Simulated"
    assert len(Dataset.open(folder).training) == len(Dataset.open(folder).test) == 1
    assert str(folder) in capsys.readouterr().out


def test_options_reach_the_frames(tmp_path: Path) -> None:
    options = shlex.split("--size 64x96 --bits 16 --border 15 --collimator circular --wire_width 4 4 --wires 1")
    assert main(["900", *SMALL, *options, "--workspace", str(tmp_path)]) == 0
    folder = tmp_path / "raw" / "Dataset900_Simulated"
    dataset = Dataset.open(folder)
    frame = dataset.read_frame(dataset.training[0])
    assert (frame.shape, frame.dtype) == ((64, 96), np.uint16)
    assert np.median(frame[:, :3]) == 15 * 257
    cases = json.loads((folder / "centrelines.json").read_text())["cases"].values()
    assert {wire["width_px"] for case in cases for wire in case["wires"]} == {4.0}


def test_a_second_call_needs_overwrite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["Dataset007_Bond", *SMALL, "--workspace", str(tmp_path)]
    assert main(call) == 0
    assert main(call) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*call, "--overwrite"]) == 0


def test_an_id_in_use_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "raw" / "Dataset900_Other").mkdir(parents=True)
    (tmp_path / "results" / "Dataset7_Trained").mkdir(parents=True)  # by id it would be either of them
    for dataset, other in (
        ("900", "Dataset900_Other"),
        ("7", "Dataset7_Trained"),
        ("Dataset007_B", "Dataset7_Trained"),
    ):
        assert main([dataset, *SMALL, "--workspace", str(tmp_path)]) == 2
        assert f"{other} has the same id" in capsys.readouterr().err


@pytest.mark.parametrize("dataset", ["900", f"Dataset900_{'x' * 300}"])
def test_a_place_that_cannot_be_written_to_is_said_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dataset: str
) -> None:
    if dataset == "900":
        (tmp_path / "raw").write_text("a file")
    assert main([dataset, *SMALL, "--workspace", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "Dataset900_" in line
    assert "cannot be made" in line


@pytest.mark.parametrize(
    "wrong",
    [
        ["heart"],
        ["../Dataset900_X"],
        ["900", "--wires", "3"],
        ["900", "--size", "32"],
        ["900", "--size", "64x"],
        ["900", "--size", "64x64x64"],
        ["900", "--size", "64.5"],
        ["900", "--patients", "0"],
        ["900", "--bits", "9"],
        ["900", "--border", "-3"],
        ["900", "--border", "15.5"],
        ["900", "--border", "none", "--collimator", "rectangular"],
        ["900", "--wire_width", "1", "2"],
    ],
)
def test_wrong_use_exits_with_2_and_writes_nothing(tmp_path: Path, wrong: list[str]) -> None:
    assert main([*wrong, "--workspace", str(tmp_path / "workspace")]) == 2
    assert not list(tmp_path.rglob("*.png"))
