"""Frames in nested folders with masks as pictures: which fit together, and what is made of the rest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gwunet.convert.masks import convert_masks
from gwunet.convert.writer import Conversion, DatasetWriter
from gwunet.dataset import Dataset
from gwunet.errors import DatasetError, UsageError

FRAMES = np.random.default_rng(0).integers(0, 256, (6, 20, 30), dtype=np.uint8)
MASK = np.eye(20, 30, dtype=np.uint8)


def save(path: Path, pixels: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    return tmp_path / "frames"


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    return tmp_path / "masks"


@pytest.fixture
def convert(tmp_path: Path, frames: Path) -> Callable[[Path], tuple[Conversion, Dataset]]:
    def run(masks: Path) -> tuple[Conversion, Dataset]:
        with DatasetWriter(tmp_path / "Dataset501_Made") as writer:
            convert_masks(frames, writer, masks=masks)
            conversion = writer.finish()
        return conversion, Dataset.open(tmp_path / "Dataset501_Made")

    return run


def test_nested_folders_are_patients_and_sequences(frames: Path, masks: Path, convert: Callable) -> None:
    for number, place in enumerate(("p1/q1/x1", "p1/q1/x2", "p1/q2/x1", "p2/q1/x1")):
        save(frames / f"{place}.bmp", FRAMES[number])
        save(masks / f"{place}.png", np.roll(MASK, number, axis=1) * 255)
    save(frames / "p2/q1/x2.png", FRAMES[4])
    conversion, dataset = convert(masks)
    assert (conversion.skipped, conversion.failed, dataset.problems) == ((), False, ())
    assert [(case.patient, case.sequence, case.frame) for case in dataset.training] == [
        ("p1", "p1/q1", 1),
        ("p1", "p1/q1", 2),
        ("p1", "p1/q2", 1),
        ("p2", "p2/q1", 1),
    ]
    for number, case in enumerate(dataset.training):
        np.testing.assert_array_equal(dataset.read_frame(case), FRAMES[number])
        np.testing.assert_array_equal(dataset.read_mask(case), np.roll(MASK, number, axis=1))
    assert [(case.patient, case.frame) for case in dataset.test] == [("p2", 2)]  # nobody annotated it


def test_masks_may_lie_in_a_folder_of_the_frames(frames: Path, convert: Callable) -> None:
    save(frames / "p1/q1/x.png", FRAMES[0])
    save(frames / "masks/p1/q1/x.png", MASK)
    conversion, dataset = convert(frames / "masks")
    assert conversion.skipped == ()
    assert [case.name for case in (*dataset.training, *dataset.test)] == ["p1_q1_x"]


def test_what_cannot_be_used_is_named_with_its_reason(frames: Path, masks: Path, convert: Callable) -> None:
    for name in ("good", "small", "grey", "twice"):
        save(frames / f"{name}.png", FRAMES[0])
    (frames / "cut.png").write_bytes(b"")
    (frames / "notes.txt").write_text("hello")
    save(masks / "good.png", MASK)
    save(masks / "small.png", MASK[:10])
    save(masks / "grey.png", MASK * 7)
    save(masks / "twice.png", MASK)
    save(masks / "twice.bmp", MASK)
    save(masks / "alone.png", MASK)
    (masks / "legend.txt").write_text("hello")
    conversion, dataset = convert(masks)
    assert [case.name for case in dataset.training] == ["good"]
    assert dataset.test == ()  # half a pair is no frame without annotation
    assert conversion.failed
    reasons = dict(conversion.skipped)
    assert set(reasons) == {
        *(str(frames / name) for name in ("small.png", "grey.png", "twice.png", "cut.png", "notes.txt")),
        *(str(masks / name) for name in ("alone.png", "legend.txt")),
    }
    assert "found 10x30 px for a frame of 20x30 px" in reasons[str(frames / "small.png")]
    assert "found the mask values 0, 7" in reasons[str(frames / "grey.png")]
    assert "wanted one: remove the others" in reasons[str(frames / "twice.png")]
    assert "found an empty file" in reasons[str(frames / "cut.png")]
    assert "found no frame for this mask" in reasons[str(masks / "alone.png")]


def test_folders_that_cannot_be_meant_are_refused(frames: Path, masks: Path, convert: Callable) -> None:
    save(frames / "x.png", FRAMES[0])
    for wrong, found in ((masks, "no such folder"), (frames, "the frames in it"), (frames.parent, "the frames in it")):
        with pytest.raises(UsageError, match=f"found {found}"):
            convert(wrong)


def test_two_frames_of_one_name_are_both_named(frames: Path, masks: Path, convert: Callable) -> None:
    save(frames / "x.png", FRAMES[0])
    save(frames / "x.bmp", FRAMES[1])
    save(masks / "x.png", MASK)
    with pytest.raises(DatasetError, match=r"found the case name 'x', which .*x\.bmp has too"):
        convert(masks)
