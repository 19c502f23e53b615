"""A miniature workspace with trained folds, made without training."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gwunet.dataset import Dataset
from gwunet.evaluation import score_frame, summarise, write_summary
from gwunet.exposed_field import NO_BORDER
from gwunet.fingerprint import Fingerprint
from gwunet.io.frames import write_mask
from gwunet.jsonio import write_json
from gwunet.plans import Configuration, Decision, Plans, Preprocessing
from gwunet.workspace import Workspace

HOSTILE = '"><img src=x onerror=window.pwned=1>'
"""Name of a case, as a file system allows it."""
SHIFT_OF_BAD_PX = 9


def mask_of(row: int) -> np.ndarray:
    """A horizontal wire of 3 px."""
    mask = np.zeros((96, 128), np.uint8)
    mask[row : row + 3, 10:118] = 1
    return mask


def frame_of(mask: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 8, mask.shape)
    return np.clip(150 - 60 * mask + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def planned(
    tmp_path: Path,
    make_raw_dataset: Callable[..., Dataset],
    make_fingerprint: Callable[..., Fingerprint],
    make_configuration: Callable[..., Configuration],
) -> Workspace:
    """Twelve frames of six patients, the first named with hostility, planned and not trained."""
    names = [HOSTILE, *(f"case{number:02}" for number in range(1, 12))]
    masks = {name: mask_of(20 + 4 * number) for number, name in enumerate(names)}
    masks["case11"] = np.zeros((96, 128), np.uint8)
    cases = {
        name: {"patient": f"p{number // 2}", "sequence": f"s{number}", "frame": 0} for number, name in enumerate(names)
    }
    make_raw_dataset({name: (frame_of(mask, 1), mask) for name, mask in masks.items()}, cases=cases)
    folder = tmp_path / "preprocessed" / "Dataset001_Made"
    write_json(folder / "fingerprint.json", make_fingerprint())
    decision = Decision(what="patch size", value="16 x 24", reason="the <b>field</b> is small", change="--memory_gb")
    plans = Plans(
        schema_version=1,
        dataset="Dataset001_Made",
        preprocessing=Preprocessing(borders={"uint8": NO_BORDER}),
        configurations={"fganet": make_configuration(decisions=(decision,))},
    )
    write_json(folder / "plans.json", plans)
    halves = [names[fold::2] for fold in (0, 1)]
    folds = [{"train": halves[1 - fold], "val": halves[fold]} for fold in (0, 1)]
    write_json(folder / "splits.json", {"schema_version": 1, "grouping": "sequence", "folds": folds})
    return Workspace.find(tmp_path)


@pytest.fixture
def validated(planned: Workspace) -> Workspace:
    """Two folds with curves and validation: the hostile case's prediction lies beside the wire, case11 is an alarm."""
    raw = Dataset.open(planned.raw / "Dataset001_Made")
    base = planned.results / "Dataset001_Made" / "fganet__FGANetTrainer"
    splits = json.loads((planned.preprocessed / "Dataset001_Made" / "splits.json").read_text())
    for number, fold in enumerate(splits["folds"]):
        folder = base / f"fold_{number}"
        scores = []
        for name in fold["val"]:
            reference = raw.read_mask(raw.case(name))
            predicted = predicted_mask(name, reference)
            write_mask(folder / "validation" / f"{name}.png", predicted)
            scores.append(score_frame(name, reference, predicted))
        groups = {name: (raw.case(name).patient, raw.case(name).sequence) for name in fold["val"]}
        write_summary(folder / "validation" / "summary.json", summarise(scores, groups))
        write_log(folder / "log.jsonl", fold)
        (folder / "checkpoint_final.pt").touch()
    return planned


def predicted_mask(name: str, reference: np.ndarray) -> np.ndarray:
    if name == HOSTILE:
        return np.roll(reference, SHIFT_OF_BAD_PX, axis=0)
    if name == "case11":
        return mask_of(40)
    return reference


def write_log(path: Path, fold: dict[str, Any]) -> None:
    start = {"device": "cpu", "precision": "float32", "torch": "2.13", "python": "3.11", "seed": 0, **fold}
    epochs = [
        {"epoch": epoch, "train_loss": 1 / epoch, "val_loss": 1.2 / epoch, "val_dice": epoch / 4, "seconds": 2.0}
        for epoch in (1, 2, 3)
    ]
    epochs[1]["train_loss"] = float("nan")  # the curve goes on without it
    path.write_text("".join(json.dumps(line) + "\n" for line in (start, *epochs)))
