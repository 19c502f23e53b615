"""Files whose names are not UTF-8, as old archives hold them: every command takes them like any others."""

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gwunet.checkpoint import FINAL, Checkpoint, save_checkpoint
from gwunet.cli.evaluate import main as evaluate
from gwunet.cli.plan_and_preprocess import main as plan_and_preprocess
from gwunet.cli.predict import main as predict
from gwunet.data.store import PreprocessedStore
from gwunet.exposed_field import Border
from gwunet.inference.track_plot import Track
from gwunet.io.frames import read_mask, write_frame, write_mask
from gwunet.localization import Guidewire
from gwunet.networks import build_network
from gwunet.plans import Configuration, Preprocessing

LATIN_1 = os.fsdecode(b"K\xfcnstler")
SHOWN = "K\\udcfcnstler"
RNG = np.random.default_rng(0)


@pytest.fixture
def names(tmp_path: Path) -> tuple[str, str]:
    try:
        (tmp_path / LATIN_1).touch()
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    (tmp_path / LATIN_1).unlink()
    return LATIN_1, "plain"


def test_frames_are_predicted(
    tmp_path: Path,
    names: tuple[str, str],
    make_configuration: Callable[..., Configuration],
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.manual_seed(0)
    configuration = make_configuration()
    checkpoint = Checkpoint(
        dataset="Dataset001_Made",
        trainer="FGANetTrainer",
        configuration=configuration,
        preprocessing=Preprocessing(borders={"uint8": Border(level=0.0, threshold=-1.0, spread=0.0)}),
        weights=build_network(configuration).state_dict(),
        epoch=1,
    )
    fold = tmp_path / "results" / "Dataset001_Made" / "fganet__FGANetTrainer" / "fold_0"
    fold.mkdir(parents=True)
    save_checkpoint(fold / FINAL, checkpoint)
    source, out = tmp_path / f"from {LATIN_1}", tmp_path / "out"
    for name in names:
        write_frame(source / name / "run_1.png", RNG.integers(60, 200, (32, 40)).astype(np.uint8))
    (source / LATIN_1 / "broken.png").write_bytes(b"no picture")
    options = ["-d", "1", "--workspace", str(tmp_path), "--device", "cpu", "--track", "--overlay"]

    assert predict(["-i", str(source), "-o", str(out), *options]) == 1  # for the broken one alone
    for name in names:
        assert (out / name / "run_1.png").is_file()
        assert (out / "overlays" / name / "run_1.png").is_file()
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert record["n_frames"] == 2
    assert [failure["frame"] for failure in record["failed"]] == [f"{LATIN_1}/broken"]
    assert record["source"] == source.name
    wires = json.loads((out / "centrelines.json").read_text(encoding="utf-8"))
    assert wires["cases"].keys() == {f"{name}/run_1" for name in names}
    assert f"{SHOWN}/broken.png" in capsys.readouterr().err

    write_frame(source / LATIN_1 / "broken.png", RNG.integers(60, 200, (32, 40)).astype(np.uint8))
    assert predict(["-i", str(source), "-o", str(out), "--continue", *options]) == 0
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["n_finished_before"] == 2


def test_tracks_are_drawn(tmp_path: Path, names: tuple[str, str]) -> None:
    wire = Guidewire(
        centreline=np.array([[0.0, 5.0], [1.0, 5.0]]),
        width_px=np.full(2, 3.0),
        angle_deg=-90.0,
        base_angle_deg=90.0,
        confidence=0.9,
        tip_confidence=0.9,
        base_confidence=0.9,
        flags=frozenset(),
        spacing_mm=None,
        identity=1,
    )
    track = Track()
    for number in range(3):
        track.add(number, [wire])
    track.draw(tmp_path / f"{names[0]}.png", title=names[0])
    with Image.open(tmp_path / f"{names[0]}.png") as drawn:
        assert drawn.size == (900, 600)


def test_masks_are_scored(tmp_path: Path, names: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    mask = np.zeros((24, 32), np.uint8)
    mask[12, 4:24] = 1
    for name in names:
        write_mask(tmp_path / "true" / f"{name}.png", mask)
        write_mask(tmp_path / "found" / f"{name}.png", mask if name == "plain" else mask * 0)
    flags = ["-r", str(tmp_path / "true"), "-p", str(tmp_path / "found"), "--wires", "masks", "-np", "1"]
    assert evaluate(flags) == 0
    assert SHOWN in capsys.readouterr().out  # as the worst frame
    summary = json.loads((tmp_path / "found" / "summary.json").read_text(encoding="utf-8"))
    assert {frame["case"] for frame in summary["frames"]} == set(names)
    for table in ("summary.csv", "summary_wires.csv"):
        with (tmp_path / "found" / table).open(encoding="utf-8", newline="") as file:
            assert {row["case"] for row in csv.DictReader(file)} == {SHOWN, "plain"}
    (tmp_path / "found" / f"{LATIN_1}.png").unlink()
    assert evaluate(flags) == 1
    assert f"no prediction for 1 frame: {SHOWN}" in capsys.readouterr().err


def test_a_dataset_is_planned_and_preprocessed(tmp_path: Path, names: tuple[str, str]) -> None:
    raw = tmp_path / "raw" / "Dataset001_Odd"
    for number, name in enumerate((*names, "c", "d", "e", "f")):
        frame = RNG.integers(60, 200, (64, 80)).astype(np.uint8)
        mask = np.zeros((64, 80), np.uint8)
        mask[10 + 5 * number : 13 + 5 * number, 5:60] = 1
        frame[mask > 0] = 30
        write_frame(raw / "imagesTr" / f"{name}.png", frame)
        write_mask(raw / "labelsTr" / f"{name}.png", mask)
    described = {"channel_names": {"0": "X-ray"}, "labels": {"background": 0, "guidewire": 1}, "file_ending": ".png"}
    (raw / "dataset.json").write_text(json.dumps(described), encoding="utf-8")
    assert plan_and_preprocess(["-d", "1", "--workspace", str(tmp_path), "-c", "linknet", "-np", "1"]) == 0
    prepared = tmp_path / "preprocessed" / "Dataset001_Odd"
    (store,) = {path.parent for path in prepared.rglob("store.json")}
    assert set(PreprocessedStore(store).cases) == {*names, "c", "d", "e", "f"}
    np.testing.assert_array_equal(
        PreprocessedStore(store).read(LATIN_1).target > 0, read_mask(raw / "labelsTr" / f"{LATIN_1}.png") > 0
    )
    splits = json.loads((prepared / "splits.json").read_text(encoding="utf-8"))
    assert LATIN_1 in {case for fold in splits["folds"] for case in fold["val"]}
