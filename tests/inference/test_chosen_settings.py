"""What gw_find_best_configuration chose is what masks are made with, unless somebody says otherwise."""

import dataclasses
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gwunet.checkpoint import BEST, FINAL, Checkpoint, digest_of, save_checkpoint
from gwunet.cli.predict import main
from gwunet.exporting import import_model, load_exported
from gwunet.exporting.archive import write_archive
from gwunet.exposed_field import Border
from gwunet.inference import Predictor
from gwunet.inference.prediction import Prediction
from gwunet.networks import build_network
from gwunet.plans import Configuration, Inference, Preprocessing
from gwunet.postprocessing import Postprocessing
from gwunet.postprocessing.shipped import ShippedPostprocessing, read_shipped, write_shipped

FRAME = np.random.default_rng(0).integers(60, 200, (32, 40)).astype(np.uint8)
MODEL = "fganet__FGANetTrainer"
PLANNED = 0.1


@pytest.fixture
def checkpoint(make_configuration: Callable[..., Configuration]) -> Checkpoint:
    torch.manual_seed(0)
    planned = Inference(tile_size=(64, 64), step=0.5, mirror=True, threshold=PLANNED)
    configuration = make_configuration(inference=planned)
    weights = build_network(configuration).state_dict()
    for name, weight in weights.items():  # untrained ones say nearly the same of every pixel
        weights[name] = 4 * weight if weight.ndim == 4 else weight
    return Checkpoint(
        dataset="Dataset001_Made",
        trainer="FGANetTrainer",
        configuration=configuration,
        preprocessing=Preprocessing(borders={"uint8": Border(level=0.0, threshold=-1.0, spread=0.0)}),
        weights=weights,
        epoch=1,
    )


@pytest.fixture
def fold(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    folder = tmp_path / "results" / "Dataset001_Made" / MODEL / "fold_0"
    for name in (FINAL, BEST):
        save_checkpoint(folder / name, checkpoint)
    return folder


@pytest.fixture
def probability(fold: Path, tmp_path: Path) -> np.ndarray:
    return Predictor.from_results(1, workspace=tmp_path, device="cpu").predict_frame(FRAME).probability


@pytest.fixture
def settings(fold: Path, probability: np.ndarray) -> Postprocessing:
    """Under which the mask is another one than under each step left out."""
    low, high = (float(np.quantile(probability, share)) for share in (0.7, 0.95))
    settings = Postprocessing(threshold=high, low_threshold=low, smallest_px=9)
    shipped = ShippedPostprocessing(
        schema_version=1,
        settings=settings,
        dataset="Dataset001_Made",
        models=(MODEL,),
        n_frames=40,
        checkpoints={f"{MODEL}/fold_0": digest_of(fold / FINAL)},
    )
    write_shipped(fold.parent / "postprocessing.json", shipped)
    return settings


@pytest.fixture
def predict(tmp_path: Path) -> Callable[..., tuple[np.ndarray, dict]]:
    Image.fromarray(FRAME).save(tmp_path / "frame.png")

    def predict(*flags: str) -> tuple[np.ndarray, dict]:
        out = tmp_path / "out"
        where = ["-i", str(tmp_path / "frame.png"), "-o", str(out), "-d", "1", "--workspace", str(tmp_path)]
        assert main([*where, "--device", "cpu", "--wires", "none", *flags]) == 0
        return np.asarray(Image.open(out / "frame.png")) > 0, json.loads((out / "run.json").read_text())

    return predict


def test_masks_are_made_as_chosen_unless_told_otherwise(
    settings: Postprocessing, probability: np.ndarray, predict: Callable[..., tuple[np.ndarray, dict]]
) -> None:
    chosen = settings.mask(probability) > 0
    for changes in ({"low_threshold": None}, {"smallest_px": 0}):
        assert (dataclasses.replace(settings, **changes).mask(probability) != chosen).any()
    mask, record = predict()
    np.testing.assert_array_equal(mask, chosen)
    assert record["model"]["postprocessing"] == dataclasses.asdict(settings)
    assert record["options"]["threshold"] == settings.threshold
    mask, record = predict("--no_postprocessing")
    np.testing.assert_array_equal(mask, probability >= PLANNED)
    assert "postprocessing" not in record["model"]
    mask, record = predict("--threshold", str(settings.threshold))
    np.testing.assert_array_equal(mask, probability >= settings.threshold)
    assert "postprocessing" not in record["model"]
    mask, _ = predict("-chk", "best")
    np.testing.assert_array_equal(mask, probability >= PLANNED)


def test_weights_trained_anew_are_not_used_with_old_settings(
    fold: Path, checkpoint: Checkpoint, settings: Postprocessing, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = Predictor.from_results(1, workspace=tmp_path, device="cpu")
    assert (chosen.postprocessing, chosen.inference.threshold) == (settings, settings.threshold)
    assert not Predictor.from_results(1, workspace=tmp_path, device="cpu", postprocess=False).is_postprocessed
    save_checkpoint(fold / FINAL, dataclasses.replace(checkpoint, epoch=2))
    with caplog.at_level(logging.WARNING, "gwunet"):
        predictor = Predictor.from_results(1, workspace=tmp_path, device="cpu")
    assert not predictor.is_postprocessed
    assert predictor.postprocessing == Postprocessing(threshold=PLANNED)
    assert f"other weights of {MODEL}/fold_0" in caplog.text


def test_an_exported_model_carries_its_settings(
    checkpoint: Checkpoint, settings: Postprocessing, tmp_path: Path
) -> None:
    path = tmp_path / "model.zip"
    write_archive(path, [checkpoint], ["0"], settings)
    assert load_exported(path, device="cpu").postprocessing == settings
    assert not load_exported(path, device="cpu", postprocess=False).is_postprocessed
    assert load_exported(path, device="cpu", threshold=0.7).postprocessing == Postprocessing(threshold=0.7)
    base = import_model(path, workspace=tmp_path / "elsewhere")
    assert read_shipped(base / "postprocessing.json").settings == settings
    installed = Predictor.from_results(1, workspace=tmp_path / "elsewhere", device="cpu")
    assert installed.postprocessing == settings


def test_wires_are_those_of_the_mask() -> None:
    """A piece that was removed is no wire, and one whose gap was bridged is a single wire."""
    probability = np.zeros((64, 128), np.float32)
    probability[30:33, 5:60] = 0.9
    probability[30:33, 68:125] = 0.6
    probability[50:53, 0:50] = 0.7
    settings = Postprocessing(threshold=0.3, smallest_px=160, gap_px=15)
    prediction = Prediction(settings.mask(probability), probability, None, settings.threshold)
    (wire,) = prediction.guidewires
    assert abs(wire.length_px - 120) < 5
    assert len(Prediction((probability >= 0.3).astype(np.uint8), probability, None, 0.3).guidewires) > 1


def test_a_piece_that_was_removed_is_not_found_again_by_its_surroundings() -> None:
    probability = np.zeros((64, 128), np.float32)
    probability[49:54, 0:50] = 0.4
    probability[50:53, 0:50] = 0.7
    probability[30:33, 0:100] = 0.9
    probability[30:33, 100:120] = 0.3
    settings = Postprocessing(threshold=0.5, smallest_px=160)
    (wire,) = Prediction(settings.mask(probability), probability, None, settings.threshold).guidewires
    assert wire.tip == pytest.approx((31, 119), abs=1.5)  # followed below the threshold as ever
    nothing = np.where(np.arange(64)[:, None] > 40, probability, 0).astype(np.float32)
    assert Prediction(settings.mask(nothing), nothing, None, settings.threshold).guidewires == []
