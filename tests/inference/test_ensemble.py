"""Averages of saved probabilities: exact, and refused where folders do not match."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gwunet.cli import ensemble as command
from gwunet.errors import FrameError, UsageError
from gwunet.inference.ensemble import ensemble_folders
from gwunet.io.probability import read_average, read_levels, write_probability
from gwunet.postprocessing import Postprocessing

HALF = Postprocessing(threshold=0.5)
SHAPES = {"a": (12, 17), "run/b.1": (9, 11)}


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        for name, shape in SHAPES.items():
            write_probability(folder / f"{name}.npz", rng.uniform(0, 1, shape))
    return folders


def saved(folder: Path, name: str) -> np.ndarray:
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        return np.asarray(arrays["probability"], np.float64)


def test_masks_are_the_mean_against_the_threshold(sources: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    record = ensemble_folders(sources, out, settings=HALF, save_probabilities=True)
    assert (record.n_frames, record.sources) == (2, ("one", "two", "three"))
    for name, shape in SHAPES.items():
        mean = np.mean([np.rint(saved(folder, name) * 255) for folder in sources], axis=0) / 255
        mask = np.asarray(Image.open(out / f"{name}.png"))
        np.testing.assert_array_equal(mask, np.where(mean >= 0.5, 255, 0))
        assert mask.shape == shape
        assert np.abs(saved(out, name) - mean).max() <= 0.5 / 255 + 2**-11
    assert json.loads((out / "ensemble.json").read_text())["settings"]["threshold"] == 0.5


def test_every_level_comes_back_exactly_and_averages_are_not_rounded(tmp_path: Path) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_probability(tmp_path / "rising.npz", levels / 255)
    write_probability(tmp_path / "falling.npz", levels[::-1, ::-1] / 255)
    np.testing.assert_array_equal(read_levels(tmp_path / "rising.npz"), levels)
    total, top = read_average([tmp_path / "rising.npz", tmp_path / "falling.npz"])
    assert (top, set(total.ravel().tolist())) == (510, {255})
    assert HALF.mask_of_levels(total, top).all()  # exactly half, as in p >= 0.5


def test_folders_that_differ_are_refused_before_anything_is_written(sources: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_probability(sources[1] / "only.npz", np.zeros((3, 3)))
    with pytest.raises(UsageError, match=r"found 1 frames in one alone: only \(.*two\)"):
        ensemble_folders(sources, out, settings=HALF)
    write_probability(sources[0] / "only.npz", np.zeros((3, 4)))
    with pytest.raises(FrameError, match=r"found 3x3 px, and 3x4 px in .*one"):
        ensemble_folders(sources[:2], out, settings=HALF)
    (sources[0] / "only.npz").write_bytes(b"no archive")
    with pytest.raises(FrameError, match=r"only\.npz: cannot read 'probability'"):
        ensemble_folders(sources[:2], out, settings=HALF)
    with pytest.raises(UsageError, match="two different folders"):
        ensemble_folders([sources[0], sources[0]], out, settings=HALF)
    with pytest.raises(UsageError, match="holds the masks of one of the models"):
        ensemble_folders(sources, sources[2], settings=HALF)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="--save_probabilities"):
        ensemble_folders([sources[0], tmp_path / "empty"], out, settings=HALF)
    assert not out.exists()


def test_the_command(sources: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["-i", *map(str, sources), "-o", str(tmp_path / "out")]
    assert command.main([*flags, "--threshold", "0.3"]) == 0
    assert "2 frames of 3 models averaged (threshold 0.3)" in capsys.readouterr().out
    mean = np.mean([np.rint(saved(folder, "a") * 255) for folder in sources], axis=0) / 255
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "a.png")) > 0, mean >= 0.3)
    assert command.main([*flags, "--threshold", "1.5"]) == 2
    assert command.main([*flags, "--postprocessing", str(tmp_path / "none.json")]) == 1
