"""The installed commands from raw frames to metrics, on a small simulated dataset."""

import contextlib
import importlib
import io
import json
import os
import shutil
import signal
import subprocess
import sysconfig
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gwunet.checkpoint import digest_of, load_checkpoint
from gwunet.cli.find_best_configuration import main as find_best_configuration
from gwunet.dataset import Dataset
from gwunet.synthetic import synthesize_dataset
from gwunet.trainers import history
from gwunet.validation import frames_digest, is_validated

DATASET = "Dataset901_Small"
QUICK = ["--epochs", "3", "--iterations", "2", "--batch_size", "2", "--device", "cpu"]
ELSEWHERE = "/"
"""Where commands run: planners and trainers are found from any folder."""


def command(name: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run an installed command in a process of its own, elsewhere than in the repository."""
    done = subprocess.run(
        [str(Path(sysconfig.get_path("scripts")) / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=ELSEWHERE,
        timeout=100,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stderr
    return done


def here(name: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The same in this process, which spares the seconds that torch takes to start."""
    main = importlib.import_module(f"gwunet.cli.{name.removeprefix('gw_')}").main
    given, stdout, stderr = [*map(str, arguments)], io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        status = main(given)
    if check:
        assert status == 0, stderr.getvalue()
    return subprocess.CompletedProcess([name, *given], status, stdout.getvalue(), stderr.getvalue())


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a small dataset, planned, and fold 0 of both networks trained, of FGA-Net by the command."""
    root = tmp_path_factory.mktemp("workspace")
    raw = root / "raw" / DATASET
    synthesize_dataset(raw, patients=6, test_patients=1, sequences=1, frames=2, size=80, seed=3)
    shutil.copytree(raw / "imagesTs", root / "frames")
    planned = ("fganet", "linknet")
    options = ("--workspace", root, "--target_device", "cpu", "-np", 1)
    command("gw_plan_and_preprocess", "-d", "901", "-c", *planned, *options)
    command("gw_train", "901", "0", "-c", "fganet", *QUICK, "--workspace", root)
    here("gw_train", "901", "0", "-c", "linknet", *QUICK, "--workspace", root)
    return root


@pytest.mark.parametrize("configuration", ["fganet", "linknet"])
def test_training_leaves_what_the_design_names(workspace: Path, configuration: str) -> None:
    trainer = {"fganet": "FGANetTrainer", "linknet": "LinkNetTrainer"}[configuration]
    base = workspace / "results" / DATASET / f"{configuration}__{trainer}"
    fold = base / "fold_0"
    for name in ("checkpoint_latest.pt", "checkpoint_best.pt", "checkpoint_final.pt"):
        assert load_checkpoint(fold / name).configuration.name == configuration
    start, *epochs = [json.loads(line) for line in (fold / "log.jsonl").read_text().splitlines()]
    assert start["configuration"]["duration"] == {"epochs": 3, "iterations_per_epoch": 2, "minutes": None}
    assert [epoch["iteration"] for epoch in epochs] == [2, 4, 6]
    with Image.open(fold / "progress.png") as picture:
        assert min(picture.size) > 300
    summary = json.loads((fold / "validation" / "summary.json").read_text())
    validated = json.loads((workspace / "preprocessed" / DATASET / "splits.json").read_text())["folds"][0]["val"]
    assert sorted(frame["case"] for frame in summary["frames"]) == sorted(validated)
    frames = frames_digest(Dataset.open(workspace / "raw" / DATASET), validated)
    assert is_validated(fold, validated, digest_of(fold / "checkpoint_final.pt"), frames)
    assert not is_validated(fold, validated, "of other weights", frames)
    assert {path.name for path in base.iterdir()} >= {"plans.json", "dataset.json", "fold_0"}
    assert not list(workspace.rglob(".partial-*"))


@pytest.mark.parametrize("configuration", ["fganet", "linknet"])
def test_prediction_gives_a_mask_of_each_frames_own_size(workspace: Path, tmp_path: Path, configuration: str) -> None:
    frames = tmp_path / "frames"
    shutil.copytree(workspace / "frames", frames)
    sizes = {"wide": (40, 131), "tall": (97, 33)}
    rng = np.random.default_rng(0)
    for name, size in sizes.items():
        Image.fromarray(rng.integers(60, 200, size, np.uint8)).save(frames / f"{name}.bmp")
    out = tmp_path / "out"
    flags = ("--overlay", "--save_probabilities", "--device", "cpu", "-c", configuration)
    predict = {"fganet": command, "linknet": here}[configuration]
    done = predict("gw_predict", "-i", frames, "-o", out, "-d", 901, *flags, "--workspace", workspace)
    expected = {path.stem: picture(path).shape for path in frames.iterdir()}
    masks = {path.stem: picture(path) for path in out.glob("*.png")}
    assert {name: mask.shape for name, mask in masks.items()} == expected
    for name, mask in masks.items():
        assert set(np.unique(mask)) <= {0, 255}
        with np.load(out / f"{name}.npz") as saved:
            probability = saved["probability"]
        assert probability.dtype == np.float16
        clear = abs(probability.astype(np.float32) - 0.5) > 1e-3
        assert ((probability >= 0.5) == (mask == 255))[clear].all()
    assert {path.stem for path in (out / "overlays").glob("*.png")} == set(expected)
    assert json.loads((out / "run.json").read_text())["n_frames"] == len(expected)
    assert f"{len(expected)} frames in" in done.stdout


def test_a_frame_that_cannot_be_read_is_named_and_the_others_come_out(workspace: Path, tmp_path: Path) -> None:
    frames = tmp_path / "frames"
    shutil.copytree(workspace / "frames", frames)
    good = sorted(path.stem for path in frames.iterdir())
    whole = next(frames.iterdir()).read_bytes()
    (frames / "broken.png").write_bytes(whole[: len(whole) // 2])
    out = tmp_path / "out"
    arguments = ("-i", frames, "-o", out, "-d", 901, "--disable_tta", "--workspace", workspace)
    done = here("gw_predict", *arguments, check=False)
    assert done.returncode == 1
    assert "broken.png" in done.stderr
    assert sorted(path.stem for path in out.glob("*.png")) == good
    assert len(json.loads((out / "run.json").read_text())["failed"]) == 1


def test_evaluation_of_the_prediction(workspace: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    here("gw_predict", "-i", workspace / "frames", "-o", out, "-d", 901, "--disable_tta", "--workspace", workspace)
    labels = workspace / "raw" / DATASET / "labelsTs"
    done = here("gw_evaluate", "-r", labels, "-p", out, "-o", tmp_path / "summary.json")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["n_frames"] == len(list(labels.iterdir()))
    assert "dice" in done.stdout


def test_training_goes_on_after_a_kill_to_the_same_weights(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL in the middle of an epoch, then --continue, against the workspace's run without a break."""
    for part in ("raw", "preprocessed"):
        shutil.copytree(workspace / part, tmp_path / part)
    arguments = ["901", "0", *QUICK, "--workspace", str(tmp_path)]
    place = Path("results", DATASET, "fganet__FGANetTrainer", "fold_0")
    _kill_after_first_epoch(arguments, tmp_path / place)
    assert not (tmp_path / place / "checkpoint_final.pt").exists()
    monkeypatch.setattr(history, "draw_progress", lambda *_: None)  # it takes longer than an epoch
    here("gw_train", *arguments, "--continue")
    weights, whole = (load_checkpoint(root / place / "checkpoint_final.pt").weights for root in (tmp_path, workspace))
    assert weights.keys() == whole.keys()
    for key, value in whole.items():
        assert torch.equal(value, weights[key]), key


def _kill_after_first_epoch(arguments: list[str], fold: Path) -> None:
    script = Path(sysconfig.get_path("scripts")) / "gw_train"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([str(script), *arguments], stderr=subprocess.DEVNULL, env=environment, cwd=ELSEWHERE)
    deadline = time.monotonic() + 60
    while not (fold / "checkpoint_best.pt").exists():
        assert process.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_help_answers_at_once() -> None:
    """The median of five, for every command; three of them settle it."""
    scripts = Path(sysconfig.get_path("scripts"))
    for name in ("gw_plan_and_preprocess", "gw_train", "gw_predict", "gw_evaluate", "gw_synthesize", "gw_demo"):
        at_once = []
        while max(at_once.count(True), at_once.count(False)) < 3:
            start = time.perf_counter()
            subprocess.run([str(scripts / name), "--help"], check=True, capture_output=True)
            at_once.append(time.perf_counter() - start < 1.0)
        assert at_once.count(True) == 3, name


def test_what_is_trained_is_compared(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the probabilities that training kept, so without a network; one fold alone, as no other is trained."""
    flags = ["901", "--folds", "0", "--workspace", str(workspace), "--device", "cpu", "-np", "1"]
    kept = workspace / "results" / DATASET / "fganet__FGANetTrainer" / "fold_0" / "validation" / "made_by.json"
    before = kept.stat().st_mtime_ns
    assert find_best_configuration(flags) == 0
    assert kept.stat().st_mtime_ns == before
    found = json.loads((workspace / "results" / DATASET / "best_configuration.json").read_text())
    singles = {"fganet__FGANetTrainer", "linknet__LinkNetTrainer"}
    assert {candidate["name"] for candidate in found["candidates"]} == {*singles, "+".join(sorted(singles))}
    assert found["recommended"] in singles
    for candidate in found["candidates"]:
        folder = workspace / "results" / DATASET / candidate["folder"]
        validation = json.loads((folder / "cross_validation.json").read_text())
        assert validation["as_planned"]["per_frame_mean"]["dice"] == candidate["as_planned"]["dice"]
        if candidate["name"] in singles:  # what was scored as it was trained, from probabilities before rounding
            summary = json.loads((folder / "fold_0" / "validation" / "summary.json").read_text())
            assert validation["as_planned"]["pooled"]["dice"] == pytest.approx(summary["pooled"]["dice"], abs=0.01)
    assert f"recommended: {found['recommended']}" in capsys.readouterr().out
