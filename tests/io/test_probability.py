"""Probabilities in files: what they are rounded to, and that they come back as that."""

from pathlib import Path

import numpy as np
import pytest

from gwunet.evaluation import score_frame
from gwunet.io.probability import LEVELS, PROBABILITY_KEY, in_steps, read_average, read_probability, write_probability


def test_what_is_scored_before_writing_is_what_is_scored_after_reading(tmp_path: Path) -> None:
    """By hand in steps of 1/255, from the file, and in the whole levels that cross-validation reads."""
    rng = np.random.default_rng(0)
    reference = np.zeros((60, 50), np.uint8)
    reference[30] = 1
    given = (rng.random(reference.shape) ** 4 * (1 + reference) / 2).astype(np.float32)
    write_probability(tmp_path / "a.npz", given)
    levels, top = read_average([tmp_path / "a.npz"])
    read = read_probability(tmp_path / "a.npz")
    assert np.abs(read - given).max() <= 0.5 / LEVELS + 1e-6
    scores = [
        score_frame("a", reference, reference, probability).scores
        for probability in (in_steps(given), read, (levels / top).astype(np.float32))
    ]
    assert scores[0] == scores[1] == scores[2]


def test_every_step_comes_back_exactly(tmp_path: Path) -> None:
    levels = np.arange(LEVELS + 1).reshape(16, 16)
    write_probability(tmp_path / "a.npz", levels / LEVELS)
    read = read_probability(tmp_path / "a.npz")
    np.testing.assert_array_equal(read, (levels / LEVELS).astype(np.float32))
    np.testing.assert_array_equal(read_average([tmp_path / "a.npz"])[0], levels)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_finer_numbers_of_other_programs_stay_as_they_are(tmp_path: Path, kind: type[np.floating]) -> None:
    given = np.array([[0.0001, 0.3, 0.9999]], kind)
    np.savez(tmp_path / "a.npz", **{PROBABILITY_KEY: given})
    read = read_probability(tmp_path / "a.npz")
    assert read.dtype == kind
    np.testing.assert_array_equal(read, given)
