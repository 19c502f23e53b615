"""Bad input gets an error that says where and what, an exit status that is not 0, and leaves nothing half-written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gwunet.cli import evaluate, plan_and_preprocess, predict, train

NAME = "Dataset902_Bad"


def write_dataset(root: Path, frames: int = 6) -> Path:
    """A sound dataset of noise with a line, 48x48."""
    folder = root / "raw" / NAME
    rng = np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for index in range(frames):
        frame = rng.integers(80, 200, (48, 48), np.uint8)
        mask = np.zeros((48, 48), np.uint8)
        mask[10 + index : 12 + index, 5:40] = 255
        Image.fromarray(frame).save(folder / "imagesTr" / f"p{index}_f0.png")
        Image.fromarray(mask).save(folder / "labelsTr" / f"p{index}_f0.png")
    return folder


def remove_mask(folder: Path) -> None:
    (folder / "labelsTr" / "p2_f0.png").unlink()


def remove_frame(folder: Path) -> None:
    (folder / "imagesTr" / "p2_f0.png").unlink()


def resize_mask(folder: Path) -> None:
    Image.new("L", (50, 48)).save(folder / "labelsTr" / "p2_f0.png")


def truncate_frame(folder: Path) -> None:
    path = folder / "imagesTr" / "p2_f0.png"
    path.write_bytes(path.read_bytes()[:400])


def write_seven(folder: Path) -> None:
    Image.fromarray(np.full((48, 48), 7, np.uint8)).save(folder / "labelsTr" / "p2_f0.png")


def empty_folders(folder: Path) -> None:
    for part in ("imagesTr", "labelsTr"):
        shutil.rmtree(folder / part)
        (folder / part).mkdir()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (remove_mask, ["p2_f0", "mask"]),
        (remove_frame, ["p2_f0", "frame"]),
        (resize_mask, ["p2_f0", "48", "50"]),
        (truncate_frame, ["p2_f0.png", "truncated"]),
        (write_seven, ["p2_f0.png", "7"]),
        (empty_folders, ["imagesTr"]),
    ],
)
def test_a_broken_dataset_is_refused_before_anything_is_written(
    damage: Callable[[Path], None], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(write_dataset(tmp_path))
    assert plan_and_preprocess.main(["-d", "902", "--workspace", str(tmp_path), "-np", "1"]) == 1
    message = capsys.readouterr().err
    for word in words:
        assert word in message
    assert [path.name for path in tmp_path.rglob("preprocessed/**/*") if path.is_file()] == [".lock"]


def test_all_problems_are_named_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_dataset(tmp_path)
    write_seven(folder)
    (folder / "labelsTr" / "p4_f0.png").unlink()
    assert plan_and_preprocess.main(["-d", "902", "--workspace", str(tmp_path), "-np", "1"]) == 1
    message = capsys.readouterr().err
    assert "p2_f0" in message
    assert "p4_f0" in message


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("planned")
    write_dataset(root)
    arguments = ["-d", "902", "--workspace", str(root), "-np", "1", "--target_device", "cpu", "-c", "fganet"]
    assert plan_and_preprocess.main(arguments) == 0
    return root


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["777", "0"], 1, ["777", NAME]),
        (["902", "9"], 2, ["fold 9", "0 to 4"]),
        (["902", "two"], 2, ["two"]),
        (["902", "0", "-c", "fganett"], 2, ["fganett", "fganet"]),
        (["902", "0", "-c", "linknet"], 2, ["linknet", "gw_plan_and_preprocess"]),
        (["902", "0", "-tr", "FGANetTrainr"], 2, ["FGANetTrainr", "did you mean 'FGANetTrainer'"]),
        (["902", "0", "--epochs", "0"], 2, ["--epochs 0"]),
        (["902", "0", "--lr", "-1"], 2, ["--lr -1"]),
        (["902", "0", "--device", "tpu"], 2, ["tpu"]),
        (["902", "0", "--minutes", "1", "--epochs", "2"], 2, ["--minutes"]),
        (["902", "0", "--val"], 1, ["checkpoint_final.pt"]),
    ],
)
def test_wrong_use_of_training(
    arguments: list[str], status: int, words: list[str], planned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main([*arguments, "--workspace", str(planned)]) == status
    message = capsys.readouterr().err
    for word in words:
        assert word in message
    assert not list(planned.rglob("*.pt"))


def test_training_before_planning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_dataset(tmp_path)
    assert train.main(["902", "0", "--workspace", str(tmp_path)]) == 1
    assert "gw_plan_and_preprocess" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["-c", "nonsense"], 2, ["nonsense", "fganet"]),
        (["--target_device", "tpu"], 2, ["tpu"]),
        (["--memory_gb", "0"], 2, ["--memory_gb"]),
        (["--memory_gb", "nan"], 2, ["--memory_gb"]),
        (["-c", "unet", "-pl", "LinkNetPlanner"], 2, ["-c unet", "LinkNetPlanner", "linknet alone"]),
        (["-pl", "FGANetPlaner"], 2, ["did you mean 'FGANetPlanner'"]),
        (["-np", "0"], 2, ["-np 0"]),
        (["--realtime", "0"], 2, ["--realtime 0.0", "above 0"]),
        (["--realtime", "nan"], 2, ["--realtime nan"]),
        (["-c", "fganet_realtime"], 2, ["fganet_realtime", "add --realtime FRAMES_PER_SECOND"]),
        (["-pl", "LinkNetPlanner", "--realtime", "15"], 2, ["--realtime with -pl LinkNetPlanner"]),
    ],
)
def test_wrong_use_of_planning(
    arguments: list[str], status: int, words: list[str], planned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan_and_preprocess.main(["-d", "902", *arguments, "--workspace", str(planned)]) == status
    message = capsys.readouterr().err
    for word in words:
        assert word in message


def test_prediction_without_a_trained_fold(planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = planned / "raw" / NAME / "imagesTr"
    status = predict.main(["-i", str(frames), "-o", str(tmp_path / "out"), "-d", "902", "--workspace", str(planned)])
    assert status == 1
    message = capsys.readouterr().err
    assert "gw_train" in message
    assert not (tmp_path / "out").exists()


def test_prediction_of_nothing(planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    common = ["-o", str(tmp_path / "out"), "-d", "902", "--workspace", str(planned)]
    assert predict.main(["-i", str(empty), *common]) == 1
    assert "no frames" in capsys.readouterr().err
    assert predict.main(["-i", str(tmp_path / "nowhere"), *common]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_planning_an_unknown_dataset(planned: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan_and_preprocess.main(["-d", "777", "--workspace", str(planned)]) == 1
    assert "777" in capsys.readouterr().err


def test_evaluation_of_a_missing_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate.main(["-r", str(tmp_path / "no"), "-p", str(tmp_path)]) == 1
    assert str(tmp_path / "no") in capsys.readouterr().err


def test_a_leaking_split_is_refused(planned: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "copy"
    shutil.copytree(planned, root)
    cases = sorted(path.stem for path in (root / "raw" / NAME / "imagesTr").iterdir())
    split = json.dumps([{"train": cases, "val": cases[:1]}])
    (root / "preprocessed" / NAME / "splits.json").write_text(split)
    assert train.main(["902", "0", "--workspace", str(root)]) == 1
    assert cases[0] in capsys.readouterr().err
