"""Unseen frames alone are judged, in the tiles asked for, and scored as ``gw_evaluate`` would."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gwunet.checkpoint import Checkpoint, save_checkpoint
from gwunet.dataset import Dataset
from gwunet.evaluation import evaluate_folder
from gwunet.inference import Predictor
from gwunet.io.frames import write_mask
from gwunet.networks.build import build_network
from gwunet.plans import Configuration, Inference, Preprocessing


def test_rows_are_of_unseen_frames_in_the_tiles_asked_for(
    script: ModuleType,
    make_configuration: Callable[..., Configuration],
    make_raw_dataset: Callable[..., Dataset],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng = np.random.default_rng(0)
    pairs = {
        name: (rng.integers(0, 255, (40, 56), np.uint8), rng.integers(0, 2, (40, 56), np.uint8)) for name in "abcd"
    }
    raw = make_raw_dataset(pairs)
    fresh = make_configuration()
    weights = build_network(fresh).state_dict()
    probe = Checkpoint(
        dataset=raw.name,
        trainer="FGANetTrainer",
        configuration=fresh,
        preprocessing=Preprocessing(borders={}),
        weights=weights,
        epoch=1,
    )
    middle = float(np.median(Predictor([probe]).predict_frame(pairs["b"][0]).probability))
    plan = make_configuration(inference=Inference(tile_size=(64, 64), step=1.0, mirror=False, threshold=middle))
    checkpoint = dataclasses.replace(probe, configuration=plan, cases=("a", "c"))
    save_checkpoint(tmp_path / "fold.pt", checkpoint)
    frames, masks = raw.folder / "imagesTr", raw.folder / "labelsTr"
    arguments = ["fold.pt", "-i", str(frames), "-r", str(masks), "--tiles", "0", "24"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["tiles.py", *arguments])
    script.main()
    title, _, _, _, *rows = capsys.readouterr().out.splitlines()
    assert title == "fganet, patch 16 x 24, 2 frames"
    assert [row.split(" | ")[0] for row in rows] == ["| whole", "| 24"]
    for row, edge in zip(rows, (64, 24), strict=True):
        inference = dataclasses.replace(plan.inference, tile_size=(edge, edge))
        tiled = dataclasses.replace(checkpoint, configuration=dataclasses.replace(plan, inference=inference))
        predictor = Predictor([tiled])
        for name in "bd":
            write_mask(tmp_path / str(edge) / f"{name}.png", predictor.predict_frame(pairs[name][0]).mask)
        pooled = evaluate_folder(masks, tmp_path / str(edge), allow_missing=True).pooled
        assert pooled.dice is not None
        assert f"| {pooled.dice:.3f} | {pooled.cldice:.3f} |" in row
    assert rows[0].split(" | ")[2:4] != rows[1].split(" | ")[2:4]


def test_a_checkpoint_that_knows_all_frames_is_refused(
    script: ModuleType, make_raw_dataset: Callable[..., Dataset], make_configuration: Callable[..., Configuration]
) -> None:
    raw = make_raw_dataset({"a": (np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8))})
    checkpoint = Checkpoint(
        dataset=raw.name,
        trainer="FGANetTrainer",
        configuration=make_configuration(),
        preprocessing=Preprocessing(borders={}),
        weights={},
        epoch=1,
        cases=("a",),
    )
    assert script.unseen_pairs(checkpoint, raw.folder / "imagesTr", raw.folder / "labelsTr", None) == []
