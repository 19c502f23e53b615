"""Means and intervals, against those of gwunet.evaluation and SciPy."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from gwunet.evaluation import score_frame, summarise
from gwunet.jsonio import to_json
from gwunet.report.results import results_of
from gwunet.report.results_section import mean_with_frames, rank_correlation


@pytest.mark.parametrize("patients", [5, 6])
def test_means_and_intervals_are_those_of_the_evaluation(patients: int) -> None:
    """Two ways of the same figures: from scored frames, and from what their summary says of each frame."""
    rng = np.random.default_rng(3)
    scores, groups = [], {}
    for number in range(3 * patients):
        reference = (rng.random((24, 24)) < 0.2).astype(np.uint8) * (number % 4 > 0)
        scores.append(score_frame(f"case{number:02}", reference, (rng.random((24, 24)) < 0.2).astype(np.uint8)))
        groups[f"case{number:02}"] = (f"p{number % patients}", f"s{number}")
    summary = summarise(scores, groups)
    rows = [{**row, "fold": str(number % 2)} for number, row in enumerate(to_json(summary.frames))]
    results = results_of(rows)
    assert (results.unit, results.n_groups, results.n_frames) == ("patient", patients, 3 * patients)
    assert {"dice", "recall", "cldice", "hd95_px"} <= {value.metric.key for value in results.values}
    for value in results.values:
        assert value.mean == pytest.approx(summary.per_frame_mean.value(value.metric.key))
        known = [row[value.metric.key] for row in rows if row["fold"] == "1" and row[value.metric.key] is not None]
        assert value.by_fold["1"] == pytest.approx(np.mean(known))
        if patients < 6:
            assert value.interval is None
        else:
            assert value.interval == pytest.approx(summary.confidence_intervals.per_frame_mean[value.metric.key])


def test_a_mean_over_fewer_frames_than_there_are_says_so() -> None:
    """Side by side with another model's, which may leave out others."""
    rows = [
        {"case": case, "patient": None, "sequence": None, "fold": "0", "dice": 0.5, "hd95_px": distance}
        for case, distance in (("a", 2.0), ("b", None))
    ]
    results = results_of(rows)
    dice, hd95 = results.value("dice"), results.value("hd95_px")
    assert mean_with_frames(dice, results.n_frames) == "0.500"
    assert mean_with_frames(hd95, results.n_frames) == "2.0 (1 frames)"
    assert mean_with_frames(None, results.n_frames) == "–"


def test_rank_correlation_is_spearmans() -> None:
    rng = np.random.default_rng(0)
    pairs = [(round(float(x), 1), float(y)) for x, y in rng.normal(size=(40, 2))]
    assert rank_correlation(pairs) == pytest.approx(spearmanr(*np.array(pairs).T).statistic)
    assert rank_correlation([(1.0, 0.2), (1.0, 0.4)]) == 0.0
