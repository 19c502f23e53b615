"""gw_export: a file that is known to predict the same, or none."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gwunet.checkpoint import Checkpoint
from gwunet.cli import export, predict
from gwunet.exporting import graph, load_exported
from gwunet.inference import Predictor
from gwunet.io.frames import read_frame

DATASET = "Dataset001_Made"


@pytest.mark.parametrize("kind", ["onnx", "zip"])
def test_gw_predict_needs_nothing_else(
    kind: str,
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    checkpoints: tuple[Checkpoint, ...],
) -> None:
    path, frames = tmp_path / "models" / f"model.{kind}", tmp_path / "frames"
    assert export.main(["1", "--format", kind, "-o", str(path), "--workspace", str(workspace)]) == 0
    said = capsys.readouterr().out
    assert "on 4 frames" in said
    assert "fold 0, 1" in said
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    shutil.move(workspace / "raw" / DATASET / "imagesTr", frames)
    shutil.rmtree(workspace)
    monkeypatch.chdir(tmp_path)
    assert predict.main(["-i", str(frames), "-o", str(tmp_path / "out"), "-m", str(path), "--device", "cpu"]) == 0
    trained = Predictor(checkpoints, device="cpu", precision="fp32")
    for frame in frames.iterdir():
        expected = trained.predict_frame(read_frame(frame))
        unclear = abs(expected.probability - trained.inference.threshold) < 1e-3
        assert np.array_equal((read_frame(tmp_path / "out" / frame.name) > 0) | unclear, (expected.mask == 1) | unclear)


def test_one_fold_alone(workspace: Path, tmp_path: Path, checkpoints: tuple[Checkpoint, ...]) -> None:
    path = tmp_path / "one.onnx"
    assert export.main([DATASET, "-f", "1", "-o", str(path), "--workspace", str(workspace)]) == 0
    frame = np.random.default_rng(3).integers(60, 200, (50, 61), np.uint8)
    expected = Predictor(checkpoints[1:], device="cpu", precision="fp32").predict_frame(frame).probability
    np.testing.assert_allclose(load_exported(path).predict_frame(frame).probability, expected, atol=1e-3)
    assert b"p0_f0" not in path.read_bytes()  # names of frames stay at home
    description = json.loads(graph.extra.load("onnx").load(str(path)).metadata_props[0].value)
    assert (description["schema_version"], description["folds"]) == (1, ["1"])


def test_a_file_that_disagrees_is_not_kept(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An exporter that gets one layer wrong; the file of before stays."""
    right = graph.network_graph

    def wrong(network: torch.nn.Module) -> object:
        with torch.no_grad():
            next(network.parameters()).mul_(1.2)
        return right(network)

    monkeypatch.setattr("gwunet.exporting.export.network_graph", wrong)
    path = tmp_path / "out" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(b"of before")
    assert export.main(["1", "-o", str(path), "--workspace", str(workspace)]) == 1
    assert re.search(r"frame \S+: the exported model's probabilities differ .* not kept", capsys.readouterr().err)
    assert [(each.name, each.read_bytes()) for each in path.parent.iterdir()] == [("model.onnx", b"of before")]


def test_frames_can_come_from_elsewhere(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An imported model has no raw dataset."""
    frames = tmp_path / "frames"
    shutil.move(workspace / "raw" / DATASET / "imagesTr", frames)
    shutil.rmtree(workspace / "raw")
    path = tmp_path / "model.zip"
    flags = ["1", "--format", "zip", "-o", str(path), "--workspace", str(workspace)]
    assert export.main(flags) == 2
    assert "--frames" in capsys.readouterr().err
    assert not path.exists()
    assert export.main([*flags, "--frames", str(frames)]) == 0


@pytest.mark.parametrize(
    ("flags", "status", "words"),
    [
        (["--format", "zip", "--int8"], 2, "--format onnx"),
        (["--provider", "Imaginary"], 2, "CPUExecutionProvider"),
        (["-f", "7"], 1, "fold 7"),
        (["-c", "linknet"], 1, "linknet"),
        (["--int8", "--max_dice_loss", "-1"], 2, "max_dice_loss"),
        (["--int8", "-f", "0"], 2, "splits.json"),
    ],
)
def test_what_cannot_be_exported(
    flags: list[str], status: int, words: str, workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(workspace / "preprocessed")
    assert export.main(["1", "-o", str(tmp_path / "model.file"), *flags, "--workspace", str(workspace)]) == status
    assert words in capsys.readouterr().err
    assert not (tmp_path / "model.file").exists()


def test_int8_says_what_it_costs(workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.onnx"
    flags = ["1", "-f", "1", "--int8", "--max_dice_loss", "0.2", "-o", str(path), "--workspace", str(workspace)]
    assert export.main(flags) == 0
    said = capsys.readouterr().out
    assert re.search(r"fold 1: Dice 0\.\d+ in int8, 0\.\d+ in float32, on 1 validation frames", said)
    loaded = load_exported(path)
    assert loaded.runtime.endswith("int8")
    frame = np.random.default_rng(3).integers(60, 200, (50, 61), np.uint8)
    trained = Predictor.from_results(1, folds=(1,), workspace=workspace, device="cpu", mirror=False)
    difference = abs(loaded.predict_frame(frame).probability - trained.predict_frame(frame).probability)
    assert 1e-6 < difference.max() < 0.3
    assert difference.mean() < 0.03


def test_int8_that_costs_too_much_is_not_kept(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A quantiser that loses every wire, whatever it leaves in float32."""

    def ruin(quantiser: object, tiles: object, loss: Callable[[object], float], enough: float) -> object:
        model = quantiser.quantise(())  # type: ignore[attr-defined]
        *_, last = model.graph.node
        last.output[0] = "before"
        model.graph.initializer.append(graph.extra.load("onnx").helper.make_tensor("far", 1, [], [-1e3]))
        model.graph.node.append(graph.extra.load("onnx").helper.make_node("Add", ["before", "far"], ["logits"]))
        assert loss(model) > enough
        return model, ()

    monkeypatch.setattr("gwunet.exporting.int8.search", ruin)
    path = tmp_path / "model.onnx"
    assert export.main(["1", "-f", "0", "--int8", "-o", str(path), "--workspace", str(workspace)]) == 1
    assert re.search(r"fold 0: int8 costs 0\.\d+ Dice on 1 validation frames .* not kept", capsys.readouterr().err)
    assert not path.exists()
