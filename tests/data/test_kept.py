"""Kept frames are those of the store, and never more than were allowed."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gwunet.data.kept import KeptFrames
from gwunet.data.store import PreprocessedStore
from gwunet.data.variation import GreyScale
from gwunet.data.writing import write_locked
from gwunet.dataset import Dataset
from gwunet.exposed_field import NO_BORDER
from gwunet.plans import Preprocessing

CASES = ("a", "b", "c")
BYTES_OF_A_FRAME = 2 * 20 * 24
"""Pixels and labels."""


@pytest.fixture
def store(make_raw_dataset: Callable[..., Dataset], tmp_path: Path) -> PreprocessedStore:
    rng = np.random.default_rng(0)
    pairs = {name: (rng.integers(60, 200, (20, 24), np.uint8), np.eye(20, 24, dtype=np.uint8)) for name in CASES}
    write_locked(tmp_path / "store", make_raw_dataset(pairs), Preprocessing(borders={"uint8": NO_BORDER}))
    return PreprocessedStore(tmp_path / "store")


@pytest.mark.parametrize("room", [0, 1, 2, 3])
def test_what_fits_is_read_once_and_the_rest_each_time(
    store: PreprocessedStore, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    read: list[str] = []
    frame = store.frame
    monkeypatch.setattr(store, "frame", lambda case: read.append(case) or frame(case))
    kept = KeptFrames(store, room * BYTES_OF_A_FRAME)
    for _ in range(3):
        for case in CASES:
            found, expected = kept.frame(case), frame(case)
            np.testing.assert_array_equal(found.pixels, expected.pixels)
            np.testing.assert_array_equal(found.labels, expected.labels)
            assert kept.kept_bytes <= room * BYTES_OF_A_FRAME
    assert [read.count(case) for case in CASES] == [1] * room + [3] * (3 - room)


def test_a_kept_frame_cannot_be_written_to(store: PreprocessedStore) -> None:
    with pytest.raises(ValueError, match="read-only"):
        KeptFrames(store).frame("a").pixels[0, 0] = 1


@pytest.mark.parametrize(
    ("pixels", "highest"),
    [
        (np.array([[0, 120]], np.uint8), 255),
        (np.array([[0, 3000]], np.uint16), 4095),
        (np.array([[0, 16383]], np.uint16), 16383),
        (np.array([[0, 16384]], np.uint16), 32767),
    ],
)
def test_the_depth_is_told_by_the_type_and_the_brightest_pixel(
    store: PreprocessedStore, pixels: np.ndarray, highest: int
) -> None:
    frame = dataclasses.replace(store.frame("a"), pixels=pixels, mean=50.0, std=0.0)
    scale = GreyScale.of(frame)
    assert scale.highest == highest
    assert scale.mean + scale.std * scale.black == pytest.approx(0)
