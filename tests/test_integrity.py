"""One look at a dataset finds everything that is wrong with it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gwunet.dataset import Dataset
from gwunet.errors import DatasetError
from gwunet.integrity import IntegrityReport, verify_dataset

RNG = np.random.default_rng(0)
WIRE = np.eye(16, dtype=np.uint8) * np.uint8(255)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six good pairs in six sequences."""
    for name in ("imagesTr", "labelsTr"):
        (tmp_path / name).mkdir()
    for k in range(6):
        Image.fromarray(RNG.integers(0, 256, (16, 16), dtype=np.uint8)).save(tmp_path / "imagesTr" / f"s{k}_01.png")
        Image.fromarray(WIRE).save(tmp_path / "labelsTr" / f"s{k}_01.png")
    return tmp_path


def verify(folder: Path, threads: int = 1) -> IntegrityReport:
    return verify_dataset(Dataset.open(folder), threads=threads)


def test_a_good_dataset_has_nothing_to_report(folder: Path) -> None:
    calls = []
    report = verify_dataset(Dataset.open(folder), progress=lambda: calls.append(1))
    assert (report.errors, report.warnings) == ((), ())
    report.raise_if_broken()
    assert len(calls) == 6


@pytest.mark.parametrize("threads", [1, 4])
def test_all_errors_are_reported_at_once(folder: Path, threads: int) -> None:
    images, masks = folder / "imagesTr", folder / "labelsTr"
    (masks / "s0_01.png").unlink()
    (images / "s1_01.png").write_bytes((images / "s1_01.png").read_bytes()[:150])
    Image.fromarray(np.eye(17, dtype=np.uint8)).save(masks / "s2_01.png")
    Image.fromarray(np.eye(16, dtype=np.uint8) * np.uint8(7)).save(masks / "s3_01.png")
    Image.fromarray(255 - WIRE).save(masks / "s4_01.png")
    report = verify(folder, threads)
    assert len(report.errors) == 5
    for error, (name, found) in zip(
        report.errors,
        [
            ("imagesTr/s0_01.png", "found no mask"),
            ("imagesTr/s1_01.png", "found a damaged file"),
            ("labelsTr/s2_01.png", "found 17x17 px; wanted the 16x16 px"),
            ("labelsTr/s3_01.png", "found the mask values 0, 7"),
            ("labelsTr/s4_01.png", "found wire on 94 % of the frame"),
        ],
        strict=True,
    ):
        assert name in error
        assert found in error
    with pytest.raises(DatasetError, match="5 errors") as raised:
        report.raise_if_broken()
    assert all(error in str(raised.value) for error in report.errors)


def test_an_empty_dataset_is_broken(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="imagesTr: found no frames"):
        verify(tmp_path).raise_if_broken()


def test_what_is_suspicious_but_allowed_is_a_warning(folder: Path) -> None:
    images, masks = folder / "imagesTr", folder / "labelsTr"
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(masks / "s0_01.png")
    Image.fromarray(np.full((16, 16), 9, np.uint8)).save(images / "s1_01.png")
    (images / "s3_01.png").write_bytes((images / "s2_01.png").read_bytes())
    report = verify(folder)
    assert report.errors == ()
    empty, constant, duplicate = report.warnings
    assert "labelsTr/s0_01.png: found no wire pixels" in empty
    assert "imagesTr/s1_01.png: found the value 9 everywhere" in constant
    assert "imagesTr/s2_01.png: found the same frame as" in duplicate
    assert "s3_01.png" in duplicate


def test_copies_inside_a_sequence_leak_nothing(folder: Path) -> None:
    (folder / "imagesTr" / "s3_01.png").write_bytes((folder / "imagesTr" / "s2_01.png").read_bytes())
    cases = {f"s{k}_01": {"sequence": "one" if k in (2, 3) else f"s{k}"} for k in range(6)}
    (folder / "dataset.json").write_text(json.dumps({"cases": cases}))
    assert verify(folder).warnings == ()


def test_a_training_frame_among_the_test_frames_is_warned_of(folder: Path) -> None:
    (folder / "imagesTs").mkdir()
    (folder / "imagesTs" / "t0_01.png").write_bytes((folder / "imagesTr" / "s2_01.png").read_bytes())
    (warning,) = verify(folder).warnings
    assert "imagesTs/t0_01.png" in warning
