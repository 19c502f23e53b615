"""A dataset made of two folders is one to train on, and replaces what stood there as a whole."""

from pathlib import Path

import numpy as np
import pytest

from gwunet.dataset import Dataset
from gwunet.errors import DatasetError
from gwunet.io.frames import read_frame, write_frame, write_mask
from shared.datasets import copy_pairs, description


def write_pairs(folder: Path, names: str, level: int) -> tuple[Path, Path]:
    for name in names:
        write_frame(folder / "images" / f"{name}.png", np.full((8, 9), level, np.uint8))
        write_mask(folder / "masks" / f"{name}.png", np.eye(8, 9, dtype=np.uint8))
    return folder / "images", folder / "masks"


def test_pairs_become_a_dataset(tmp_path: Path) -> None:
    made = tmp_path / "raw" / "Dataset001_Made"
    copy_pairs(*write_pairs(tmp_path / "first", "abc", 10), made)
    copy_pairs(*write_pairs(tmp_path / "second", "bd", 20), made)
    dataset = Dataset.open(made)
    assert dataset.problems == ()
    assert [case.name for case in dataset.training] == ["b", "d"]
    assert {read_frame(case.image).max() for case in dataset.training} == {20}
    assert [path.name for path in made.parent.iterdir()] == ["Dataset001_Made"]


def test_what_stood_there_stays_where_the_new_one_cannot_be_made(tmp_path: Path) -> None:
    made = tmp_path / "Dataset001_Made"
    images, masks = write_pairs(tmp_path / "first", "ab", 10)
    copy_pairs(images, masks, made)
    with pytest.raises(DatasetError, match="nowhere"):
        copy_pairs(images, tmp_path / "nowhere", made)
    assert len(Dataset.open(made).training) == 2


def test_the_number_of_frames_is_for_nnunet_alone() -> None:
    assert description(7) == {**description(), "numTraining": 7}
    assert "numTraining" not in description()
