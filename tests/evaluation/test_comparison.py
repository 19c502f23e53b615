"""Predictions side by side: means, differences and their intervals."""

import dataclasses
import json

import numpy as np
import pytest

from gwunet.errors import UsageError
from gwunet.evaluation import score_frame, summarise
from gwunet.evaluation.comparison import compare
from gwunet.evaluation.localization import summarise_localization
from gwunet.evaluation.wires import PlainWire, score_wires
from gwunet.jsonio import to_json


def scored(lengths, patients=None, **more):
    """Frames of a line of 30 pixels of which the first ``lengths`` are predicted."""
    scores = []
    for case, length in lengths.items():
        reference, prediction = np.zeros((2, 12, 40), dtype=np.uint8)
        reference[5, 5:35] = prediction[5, 5 : 5 + length] = 1
        scores.append(score_frame(case, reference, prediction))
    groups = patients and {case: (patients[case], patients[case]) for case in lengths}
    return summarise(scores, groups, **more)


def of(comparison, metric):
    (found,) = [each for each in comparison.metrics if each.metric == metric]
    return found


def test_means_and_differences_by_hand():
    cases = [f"c{i}" for i in range(6)]
    patients = {case: f"p{case}" for case in cases}
    first = scored(dict.fromkeys(cases, 15), patients)
    better = scored(dict(zip(cases, (18, 21, 24, 27, 30, 30), strict=True)), patients)
    comparison = compare({"first": first, "better": better})
    assert (comparison.unit, comparison.n_groups, comparison.n_frames) == ("patient", 6, 6)
    recall = of(comparison, "recall")
    assert recall.means == pytest.approx({"first": 0.5, "better": 150 / 180})
    (difference,) = recall.differences
    assert difference.difference == pytest.approx(150 / 180 - 0.5)
    low, high = difference.interval
    assert 0.1 < low < difference.difference < high < 0.5
    assert difference.verdict == "a difference is shown"
    assert of(comparison, "specificity").differences[0].verdict == "no difference shown"
    json.dumps(to_json(comparison), allow_nan=False)


def test_too_few_groups_have_no_interval():
    cases = {f"c{i}": 20 for i in range(8)}
    comparison = compare({name: scored(cases, dict.fromkeys(cases, "p")) for name in "ab"})
    assert (comparison.unit, comparison.n_groups) == ("sequence", 1)
    (difference,) = of(comparison, "dice").differences
    assert (difference.interval, difference.verdict) == (None, "too few groups to tell")
    assert compare({name: scored(cases) for name in "ab"}).unit == "frame"


def test_only_frames_in_common_count():
    comparison = compare({"a": scored({"c0": 30, "c1": 15}), "b": scored({"c1": 30, "c2": 0})})
    assert (comparison.n_frames, comparison.not_compared) == (1, ("c0", "c2"))
    assert of(comparison, "recall").means == {"a": 0.5, "b": 1}


def test_a_metric_that_one_lacks_has_a_reason():
    comparison = compare({"a": scored({"c0": 30}), "b": scored({"c0": 0})})
    distance = of(comparison, "hd95_px")
    assert (distance.means, distance.differences) == ({"a": 0, "b": None}, ())
    assert distance.not_computed == {"b": "no frame has hd95_px in both predictions"}
    assert "auc" not in [each.metric for each in comparison.metrics]


def test_wires_are_compared_frame_by_frame():
    def with_wires(*found):
        true = [PlainWire(np.array([(row, 0), (row, 30)], dtype=float)) for row in (0, 50)]
        wires = score_wires("c0", true, [PlainWire(np.array(points, dtype=float)) for points in found])
        judged = summarise_localization({"c0": wires}, None, None, ("masks", "masks"))
        return dataclasses.replace(scored({"c0": 30}), localization=judged)

    near, far = [(0, 0), (0, 30)], [(200, 0), (200, 30)]
    comparison = compare({"a": with_wires(near, [(50, 0), (50, 26)]), "b": with_wires(near, far)})
    assert of(comparison, "wire_tip_error_px").means == {"a": 2, "b": 0}
    assert of(comparison, "wires_missed").means == {"a": 0, "b": 1}
    assert of(comparison, "wires_false").means == {"a": 0, "b": 1}


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(UsageError, match="found 1 prediction"):
        compare({"a": scored({"c0": 30})})
    with pytest.raises(UsageError, match="a, b: have no frame in common"):
        compare({"a": scored({"c0": 30}), "b": scored({"c1": 30})})
