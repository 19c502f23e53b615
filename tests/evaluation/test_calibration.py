"""Reliability of probabilities, against scikit-learn and loops."""

import numpy as np
import pytest

from gwunet.evaluation import score_frame, summarise
from gwunet.evaluation.calibration import RELIABILITY_BINS, describe_calibration, reliability_table


def overconfident(seed=0, shape=(60, 70)):
    """Probabilities, and wire drawn with less than they say."""
    rng = np.random.default_rng(seed)
    probability = rng.random(shape).astype(np.float32) ** 2
    return probability, (rng.random(shape) < probability**1.5)


def test_bins_equal_scikit_learn(sklearn_calibration, sklearn_metrics):
    probability, wire = overconfident()
    found = describe_calibration(reliability_table(probability.ravel(), wire.ravel()))
    share, mean = sklearn_calibration.calibration_curve(
        wire.ravel(), probability.ravel().astype(np.float64), n_bins=RELIABILITY_BINS
    )
    assert [each.wire_share for each in found.bins] == pytest.approx(share)
    assert [each.mean_probability for each in found.bins] == pytest.approx(mean)
    pixels = [each.pixels for each in found.bins]
    assert found.ece == pytest.approx(np.average(np.abs(share - mean), weights=pixels))
    assert found.mean_bin_error == pytest.approx(np.mean(np.abs(share - mean)))
    brier = sklearn_metrics.brier_score_loss(wire.ravel(), probability.ravel().astype(np.float64))
    assert found.brier == pytest.approx(brier)
    assert (sum(pixels), sum(each.wire for each in found.bins)) == (wire.size, wire.sum())


def test_limits_of_the_bins():
    values = np.array([0, 0.25, 0.5, 0.75, 1, 1], dtype=np.float16)
    found = describe_calibration(reliability_table(values, np.array([0, 0, 1, 1, 1, 0], dtype=bool)))
    filled = {each.lower: (each.pixels, each.wire) for each in found.bins if each.pixels}
    assert filled == {0: (1, 0), 0.25: (1, 0), 0.5: (1, 1), 0.75: (1, 1), 0.95: (2, 1)}
    assert found.ece == pytest.approx((0 + 0.25 + 0.5 + 0.25 + 2 * 0.5) / 6)
    assert found.mean_bin_error == pytest.approx((0 + 0.25 + 0.5 + 0.25 + 0.5) / 5)
    empty = found.bins[1]
    assert (empty.mean_probability, empty.wire_share) == (None, None)


@pytest.mark.parametrize("top", [20, 255, 510])
def test_steps_lie_in_the_bin_they_begin(top):
    """As whole numbers have it: 51 / 255 is 0.2, and 357 / 510 is 0.7, neither less."""
    levels = np.arange(top + 1)
    table = reliability_table((levels / top).astype(np.float32), np.zeros(top + 1, dtype=bool))
    expected = np.bincount(np.minimum(levels * RELIABILITY_BINS // top, RELIABILITY_BINS - 1))
    assert table[0].tolist() == expected.tolist()


def test_frames_pool_exactly_and_left_out_pixels_do_not_count(sklearn_metrics):
    frames, everything = [], []
    for seed in range(3):
        probability, wire = overconfident(seed)
        reference = wire.astype(np.uint8)
        reference[:5] = 2
        frames.append(score_frame(f"f{seed}", reference, reference * (reference < 2), probability))
        everything.append((probability[5:].ravel(), wire[5:].ravel()))
    values, truth = (np.concatenate(side) for side in zip(*everything, strict=True))
    summary = summarise(frames)
    together = describe_calibration(reliability_table(values, truth))
    assert summary.calibration.pixels == together.pixels == values.size
    assert summary.pooled.ece == pytest.approx(together.ece) == summary.calibration.ece
    assert summary.pooled.brier == pytest.approx(sklearn_metrics.brier_score_loss(truth, values.astype(np.float64)))
    assert summary.per_frame_mean.brier == pytest.approx(np.mean([frame.scores.brier for frame in frames]))


def test_a_frame_without_pixels_or_probabilities_says_so():
    left_out, nothing = np.full((4, 4), 2, dtype=np.uint8), np.zeros((4, 4), dtype=np.uint8)
    scores = score_frame("a", left_out, nothing, np.full((4, 4), 0.5, dtype=np.float32)).scores
    assert (scores.ece, scores.not_computed["brier"]) == (None, "every pixel is left out")
    summary = summarise([score_frame("a", nothing, nothing)])
    assert summary.calibration is None
    assert summary.pooled.not_computed["ece"] == "no probabilities given"
