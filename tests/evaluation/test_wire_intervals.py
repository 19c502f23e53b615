"""Intervals of what is said about wires, against resamples taken one by one."""

import numpy as np
import pytest

from gwunet.evaluation.bootstrap import RESAMPLES, SEED
from gwunet.evaluation.wire_intervals import wire_intervals
from gwunet.evaluation.wires import PlainWire, score_wires

TRUE = [PlainWire(np.array([(row, 0), (row, 60)], dtype=float)) for row in (0, 40)]


def frame(*ends):
    """Two true wires of 60 px, found ones that end at the given columns; those of 0 are missed."""
    found = [
        PlainWire(np.array([wire.centreline[0], (wire.centreline[0][0], end)]))
        for wire, end in zip(TRUE, ends, strict=True)
        if end
    ]
    return score_wires("", TRUE, found)


def test_limits_equal_those_of_resamples_taken_one_by_one():
    rng = np.random.default_rng(1)
    groups = [[frame(*rng.choice([0, 45, 50, 55, 58, 60], 2)) for _ in range(rng.integers(1, 4))] for _ in range(7)]
    found = wire_intervals(groups, "patient")
    assert (found.unit, found.n_groups, found.not_computed) == ("patient", 7, {})
    draws = np.random.default_rng(SEED).multinomial(7, np.full(7, 1 / 7), RESAMPLES)
    drawn = [[frame for group, times in zip(groups, each, strict=True) for frame in group * times] for each in draws]
    medians = [np.median([match.tip_error_px for frame in each for match in frame.matches]) for each in drawn]
    assert found.medians["tip_error_px"] == pytest.approx(np.quantile(medians, [0.025, 0.975]))
    recalls = [sum(len(frame.matches) for frame in each) / (2 * len(each)) for each in drawn]
    assert found.shares["recall"] == pytest.approx(np.quantile(recalls, [0.025, 0.975]))
    missed = [np.mean([len(frame.matches) < 2 for frame in each]) for each in drawn]
    assert found.shares["frames_with_missed"] == pytest.approx(np.quantile(missed, [0.025, 0.975]))
    assert found.shares["frames_with_false"] == (0, 0)


def test_groups_without_the_wires_do_not_make_it_six():
    found = wire_intervals([[frame(60, 60)]] * 5 + [[frame(0, 0)]] * 3, "patient")
    assert found.medians == {}
    assert found.not_computed["tip_error_px"] == "an interval needs six groups at least"
    assert found.n_groups_of["tip_error_px"] == found.n_groups_of["precision"] == 5
    assert "recall" in found.shares
    assert "recall" not in found.n_groups_of


def test_what_has_no_interval_has_a_reason():
    few = wire_intervals([[frame(60, 60)]] * 5, "patient")
    assert (few.medians, few.shares) == ({}, {})
    assert set(few.not_computed.values()) == {"an interval needs six groups at least"}
    missed = wire_intervals([[frame(0, 0)]] * 6, "frame")
    assert missed.not_computed["tip_error_px"] == missed.not_computed["precision"] == "no resample has a value"
    assert missed.shares["recall"] == (0, 0)
