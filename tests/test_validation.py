"""What the validation of a fold leaves, and what it draws."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gwunet.checkpoint import FINAL, Checkpoint, digest_of, load_with_digest, save_checkpoint
from gwunet.dataset import Dataset
from gwunet.errors import SplitError
from gwunet.evaluation.folder import evaluate_folder
from gwunet.exposed_field import Border
from gwunet.inference import Predictor, predict_folder
from gwunet.io.probability import read_field
from gwunet.networks.build import build_network
from gwunet.plans import Configuration, Preprocessing
from gwunet.validation import (
    check_unseen,
    frames_digest,
    is_validated,
    made_by_in,
    masks_digest,
    validate_fold,
)

CASES = ("collimated", "other_size", "whole")


def drawn(rng: np.random.Generator, size: tuple[int, int], border_px: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame whose border was not exposed, and its mask."""
    frame, mask = rng.integers(90, 200, size).astype(np.uint8), np.zeros(size, np.uint8)
    mask[size[0] // 2, border_px : -border_px or None] = 255
    if border_px:
        inner = frame[border_px:-border_px, border_px:-border_px].copy()
        frame[:] = 3
        frame[border_px:-border_px, border_px:-border_px] = inner
    return frame, mask


@pytest.fixture
def raw(make_raw_dataset: Callable[..., Dataset]) -> Dataset:
    rng = np.random.default_rng(1)
    sizes = zip(CASES, ((64, 80), (48, 64), (64, 80)), (12, 12, 0), strict=True)
    return make_raw_dataset({name: drawn(rng, size, border_px) for name, size, border_px in sizes})


@pytest.fixture
def checkpoint(make_configuration: Callable[..., Configuration]) -> Checkpoint:
    torch.manual_seed(0)
    configuration = make_configuration()
    return Checkpoint(
        dataset="Dataset001_Made",
        trainer=configuration.trainer,
        configuration=configuration,
        preprocessing=Preprocessing(borders={"uint8": Border(level=3.0, threshold=10.0, spread=1.0)}),
        weights=build_network(configuration).state_dict(),
        epoch=1,
    )


def test_it_leaves_what_prediction_saves(raw: Dataset, checkpoint: Checkpoint, tmp_path: Path) -> None:
    """To the byte, also where the frame was exposed; and the scores gw_evaluate would give, in the order asked for."""
    fold, predicted = tmp_path / "fold_0", tmp_path / "predicted"
    save_checkpoint(fold / FINAL, checkpoint)
    order = CASES[::-1]
    summary = validate_fold(fold, load_with_digest(fold / FINAL), raw, order, device="cpu")
    predict_folder(Predictor([checkpoint], device="cpu"), raw.folder / "imagesTr", predicted, save_probabilities=True)
    for name in CASES:
        for ending in ("png", "npz"):
            left = fold / "validation" / f"{name}.{ending}"
            assert left.read_bytes() == (predicted / f"{name}.{ending}").read_bytes(), left
    field = read_field(fold / "validation" / "collimated.npz")
    assert field is not None
    assert field[20:-20, 20:-20].all()
    assert not field[:8].any()
    assert read_field(fold / "validation" / "whole.npz") is None
    assert summary is not None
    assert [frame["case"] for frame in summary.frames] == list(order)
    assert json.loads((fold / "validation" / "summary.json").read_text())["n_frames"] == 3
    evaluated = evaluate_folder(raw.folder / "labelsTr", fold / "validation", wires="none")
    # Also what follows from probabilities, which files keep rounded.
    assert evaluated.frames[::-1] == summary.frames
    frames = frames_digest(raw, CASES)
    assert is_validated(fold, CASES, digest_of(fold / FINAL), frames)
    assert not is_validated(fold, CASES, "of other weights", frames)


def test_only_a_progress_that_is_given_is_drawn(
    raw: Dataset, checkpoint: Checkpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str], counting: Any
) -> None:
    loaded = (checkpoint, "its digest")
    validate_fold(tmp_path, loaded, raw, CASES, device="cpu")
    assert capsys.readouterr() == ("", "")
    validate_fold(tmp_path, loaded, raw, CASES, device="cpu", progress=counting.progress)
    assert counting.seen == [("validate", 3, 3)]


def test_it_is_of_the_frames_and_masks_as_they_were(raw: Dataset, checkpoint: Checkpoint, tmp_path: Path) -> None:
    """By their content: copied files have other times."""
    validation = tmp_path / "validation"
    validate_fold(tmp_path, (checkpoint, "digest"), raw, CASES, device="cpu")
    for path in raw.folder.rglob("*.png"):
        os.utime(path, (0, 0))
    made_by = made_by_in(tmp_path)
    assert made_by is not None
    assert made_by.masks_sha256 == masks_digest(raw, CASES[::-1])
    assert is_validated(tmp_path, CASES, "digest", frames_digest(raw, CASES))
    validate_fold(tmp_path, (checkpoint, "digest"), raw, CASES[1:], device="cpu")
    assert {path.stem for path in validation.glob("*.[pn][np][gz]")} == set(CASES[1:])
    case = raw.case(CASES[1])
    assert case.mask is not None
    case.image.write_bytes(raw.case(CASES[2]).image.read_bytes())  # exported anew under its name
    assert not is_validated(tmp_path, CASES[1:], "digest", frames_digest(raw, CASES[1:]))
    before = masks_digest(raw, CASES)
    assert before == made_by.masks_sha256
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(case.mask)
    assert masks_digest(raw, CASES) != before
    ignoring = dataclasses.replace(raw, mask_meaning={0: 0, 255: 2})
    assert masks_digest(ignoring, CASES) != masks_digest(raw, CASES)


def test_a_record_of_before_frames_were_kept_counts(tmp_path: Path) -> None:
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "made_by.json").write_text('{"schema_version": 1, "checkpoint_sha256": "digest"}')
    assert is_validated(tmp_path, (), "digest", "of any frames")


def test_what_weights_have_seen(checkpoint: Checkpoint) -> None:
    """By name; by patient where the trained frames are known; and what is not known is said."""
    groups = {"a1": "patient a", "a2": "patient a", "b1": "patient b"}
    knowing = dataclasses.replace(checkpoint, cases=("a1",))
    assert check_unseen(knowing, ["b1"], groups) is None
    with pytest.raises(SplitError, match=r"trained on 1 of the frames it would be judged on \(a1\); wanted none"):
        check_unseen(knowing, ["a1", "b1"], groups)
    with pytest.raises(SplitError, match=r"judged on, or on others of their patient \(a2\); wanted none"):
        check_unseen(knowing, ["a2", "b1"], groups)
    assert check_unseen(knowing, ["a2"]) is None
    renamed = dataclasses.replace(checkpoint, cases=("before1", "before2"))
    said = check_unseen(renamed, ["a2"], groups)
    assert said == "was trained on 2 frames that the dataset no longer has by their names (before1, for one)"
    assert check_unseen(dataclasses.replace(checkpoint, cases=None), ["a2"]) is not None
