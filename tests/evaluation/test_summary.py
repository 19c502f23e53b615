"""Scores gathered over frames, sequences and patients."""

import dataclasses
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from gwunet.cli.evaluation_text import format_summary
from gwunet.errors import UsageError
from gwunet.evaluation import METRICS, score_frame, summarise
from gwunet.evaluation.comparison import compare
from gwunet.evaluation.localization import summarise_localization
from gwunet.evaluation.summary import FramesWithoutWire
from gwunet.evaluation.wires import PlainWire, score_wires
from gwunet.jsonio import to_json


def line_and_guess(columns, shape=(20, 40)):
    """A line of 30 pixels and a prediction of its first ``columns`` ones."""
    reference, prediction = np.zeros((2, *shape), dtype=np.uint8)
    reference[10, 5:35] = 1
    prediction[10, 5 : 5 + columns] = 1
    return reference, prediction


def frames(*columns):
    return [score_frame(f"case_{i}", *line_and_guess(n)) for i, n in enumerate(columns)]


def test_pooled_adds_counts_and_mean_averages_frames():
    summary = summarise(frames(30, 10))
    assert summary.pooled.recall == pytest.approx(40 / 60)
    assert summary.pooled.dice == pytest.approx(80 / 100)
    assert summary.per_frame_mean.dice == pytest.approx((1 + 20 / 40) / 2)
    assert summary.pooled.wire_found == pytest.approx(1 / 2)


def test_paper_columns_are_percent_of_means_and_of_pooled_iou():
    summary = summarise(frames(30, 10))
    assert summary.paper == pytest.approx(
        {
            "AUC": 100 * (1 + (1 / 3 + 1) / 2) / 2,
            "Macro-F1": 100 * summary.per_frame_mean.macro_f1,
            "Dice": 75,
            "MIoU": 100 * (1 + 1 / 3) / 2,
            "OIoU": 100 * 40 / 60,
        }
    )


def drawn_frames(seed):
    """Frames as they come: of many densities, some without wire, some without prediction, some of another size."""
    rng = np.random.default_rng(seed)
    for i, density in enumerate(rng.choice([0, 0.02, 0.2, 1], 12)):
        reference = rng.random((9, 11 + i % 3)) < density
        prediction = np.where(rng.random(reference.shape) < 0.9, reference, ~reference) & (i % 5 > 0)
        yield score_frame(f"case_{i}", reference.astype(np.uint8), prediction.astype(np.uint8))


@pytest.mark.parametrize("seed", range(5))
def test_identities_of_the_papers_table(seed):
    """Macro-F1 is the mean of Dice and background F1 under either averaging; IoU and Dice determine each other."""
    scores = list(drawn_frames(seed))
    summary = summarise(scores)
    background = []
    for frame in summary.frames:
        wrong = frame["fp"] + frame["fn"]
        background.append(2 * frame["tn"] / (2 * frame["tn"] + wrong) if frame["tn"] + wrong else 1)
        assert frame["iou"] == pytest.approx(frame["dice"] / (2 - frame["dice"]))
    paper = {name: value / 100 for name, value in summary.paper.items()}
    assert paper["Macro-F1"] == pytest.approx((paper["Dice"] + np.mean(background)) / 2)
    assert paper["MIoU"] > paper["Dice"] / (2 - paper["Dice"])  # convex, and the frames differ
    pooled = summary.pooled
    assert [paper["OIoU"], pooled.iou] == pytest.approx([pooled.dice / (2 - pooled.dice)] * 2)
    tn, wrong = (sum(frame[key] for frame in summary.frames for key in keys) for keys in (("tn",), ("fp", "fn")))
    assert pooled.macro_f1 == pytest.approx((pooled.dice + 2 * tn / (2 * tn + wrong)) / 2)


def test_numbers_of_pieces_add_up_and_distances_pool_by_pixel():
    scores = list(drawn_frames(1))
    pooled, means = (getattr(summarise(scores), kind) for kind in ("pooled", "per_frame_mean"))
    for name in ("b0_error", "b1_error"):
        assert pooled.value(name) == pytest.approx(12 * means.value(name)) == sum(f.scores.value(name) for f in scores)
    distances = [each for f in scores for each in (*f.tally.to_reference_px, *f.tally.to_prediction_px)]
    assert pooled.assd_px == pytest.approx(np.mean(distances))
    assert "left out in" in pooled.not_computed["assd_px"]


def test_groups_are_pooled_by_sequence_and_patient():
    groups = {"case_0": ("p1", "a"), "case_1": ("p1", "b"), "case_2": ("p2", "a")}
    summary = summarise(frames(30, 0, 15), groups)
    assert [(group.patient, group.name, group.n_frames) for group in summary.sequences] == [
        ("p1", "a", 1),
        ("p1", "b", 1),
        ("p2", "a", 1),
    ]
    assert [(group.name, group.pooled.recall) for group in summary.patients] == [("p1", 0.5), ("p2", 0.5)]
    assert summary.frames[2]["patient"] == "p2"
    assert (summary.frames[2]["tp"], summary.frames[2]["fn"]) == (15, 15)


@pytest.mark.parametrize(
    ("groups", "unit", "n_groups"),
    [
        (None, "frame", 4),
        ({f"case_{i}": (None, f"s{i // 2}") for i in range(4)}, "sequence", 2),
        ({f"case_{i}": (f"p{i // 3}", f"s{i}") for i in range(4)}, "patient", 2),
        ({f"case_{i}": ("p", f"s{i // 2}") for i in range(4)}, "sequence", 2),
        ({f"case_{i}": ("p" if i > 1 else None, f"s{i}") for i in range(4)}, "patient", 3),
    ],
    ids=["nothing known", "sequences", "patients", "one patient", "a patient unknown"],
)
def test_intervals_are_over_the_largest_known_unit(groups, unit, n_groups):
    intervals = summarise(frames(30, 20, 10, 0), groups).confidence_intervals
    assert (intervals.unit, intervals.n_groups) == (unit, n_groups)


def test_intervals_equal_all_possible_resamples_of_six_groups():
    columns = (30, 30, 30, 30, 10, 10)
    intervals = summarise(frames(*columns)).confidence_intervals
    every = np.array(list(itertools.product(columns, repeat=6))).mean(axis=1) / 30
    sure = tuple(np.quantile(every, [0.025, 0.975]))
    assert intervals.pooled["recall"] == pytest.approx(sure, abs=1e-9)
    assert intervals.per_frame_mean["recall"] == pytest.approx(sure, abs=1e-9)
    assert "hd95_px" in intervals.per_frame_mean
    assert "pooled.hd95_px" in intervals.not_computed


def test_interval_of_a_mean_matches_the_normal_approximation():
    columns = np.random.default_rng(0).integers(5, 31, 100)
    recalls = columns / 30
    lower, upper = summarise(frames(*columns)).confidence_intervals.per_frame_mean["recall"]
    half_width = 1.96 * recalls.std() / 10
    assert (lower, upper) == pytest.approx((recalls.mean() - half_width, recalls.mean() + half_width), abs=0.01)


def test_same_frames_same_intervals_and_none_of_few_groups():
    columns = (30, 20, 5, 30, 20, 5)
    assert summarise(frames(*columns)) == summarise(frames(*columns))
    assert summarise(frames(*columns)).confidence_intervals.per_frame_mean
    for n_groups in (1, 5):  # of five, nominal 95 % are 84 %
        intervals = summarise(frames(*columns[:n_groups])).confidence_intervals
        assert not intervals.pooled
        assert not intervals.per_frame_mean
        assert intervals.not_computed["pooled.dice"] == "an interval needs six groups at least"
        assert intervals.not_computed["per_frame_mean.dice"] == "an interval needs six groups at least"


def test_an_interval_needs_six_groups_that_have_the_metric():
    """Eight patients, of whom one has a wire: nothing is known of how wires differ between patients."""
    wire, empty = line_and_guess(30)[0], np.zeros((20, 40), dtype=np.uint8)
    moved = np.roll(wire, 3, axis=0)
    scores = [score_frame("case_0", wire, moved), *(score_frame(f"case_{i}", empty, empty) for i in range(1, 8))]
    groups = {f"case_{i}": (f"p{i}", f"s{i}") for i in range(8)}
    found = summarise(scores, groups).confidence_intervals
    assert (found.unit, found.n_groups) == ("patient", 8)
    of_wires = {"hd95_px", "assd_px", "wire_found", "auc_binary"}
    assert not of_wires & found.per_frame_mean.keys()
    assert not {"assd_px", "wire_found", "recall", "dice"} & found.pooled.keys()
    assert {"dice", "specificity"} <= found.per_frame_mean.keys()  # empty frames have these
    assert found.n_groups_of["per_frame_mean.hd95_px"] == found.n_groups_of["pooled.recall"] == 1
    assert found.not_computed["per_frame_mean.hd95_px"] == "an interval needs six groups at least"
    assert "per_frame_mean.dice" not in found.n_groups_of


def test_a_frame_that_is_left_out_whole_is_in_no_mean():
    wire, left_out = line_and_guess(30)[0], np.full((20, 40), 2, dtype=np.uint8)
    scores = [score_frame("whole", left_out, wire), score_frame("half", *line_and_guess(10))]
    summary = summarise(scores)
    assert summary.per_frame_mean.dice == summary.pooled.dice == pytest.approx(1 / 2)
    assert summary.per_frame_mean.not_computed["dice"] == "left out in 1 of 2 frames: every pixel is left out (1)"
    assert summary.frames_without_wire == FramesWithoutWire(both_empty=(), reference_empty=(), prediction_empty=())
    assert "whole" not in format_summary(summary)


def test_frames_without_wire_are_listed_and_never_skipped():
    wire, empty = line_and_guess(30)[0], np.zeros((20, 40), dtype=np.uint8)
    pairs = {"rightly": (empty, empty), "alarm": (empty, wire), "missed": (wire, empty), "good": (wire, wire)}
    summary = summarise([score_frame(case, *pair) for case, pair in pairs.items()])
    assert summary.frames_without_wire.both_empty == ("rightly",)
    assert summary.frames_without_wire.reference_empty == ("alarm",)
    assert summary.frames_without_wire.prediction_empty == ("missed",)
    assert summary.n_frames == len(summary.frames) == 4
    assert summary.per_frame_mean.dice == pytest.approx(2 / 4)
    assert summary.per_wire_frame_mean.dice == pytest.approx(1 / 2)
    assert summary.per_frame_mean.hd95_px == 0
    assert summary.per_frame_mean.not_computed["hd95_px"].startswith("left out in 3 of 4 frames: ")
    assert "no wire in the prediction (1)" in summary.pooled.not_computed["hd95_px"]


def test_pooled_roc_area_counts_the_background_of_frames_without_wire():
    wire, empty = line_and_guess(30)[0], np.zeros((20, 40), dtype=np.uint8)
    half = np.full(wire.shape, 0.5, dtype=np.float32)
    summary = summarise([score_frame("a", wire, wire, wire * half), score_frame("b", empty, empty, half)])
    # Against its own background a wire pixel always wins; against the other frame's it always ties.
    own, other = wire.size - 30, wire.size
    assert summary.pooled.auc == pytest.approx((own + other / 2) / (own + other))
    assert summary.per_frame_mean.auc == 1
    assert "auc" not in summary.pooled.not_computed


def test_json_has_the_documented_keys_and_no_nan():
    summary = to_json(summarise(frames(30, 0), {"case_0": ("p", "a"), "case_1": ("q", "a")}, not_scored=["lost"]))
    json.dumps(summary, allow_nan=False)
    assert next(iter(summary)) == "schema_version"
    assert summary["not_scored"] == ["lost"]
    assert set(METRICS) <= set(summary["pooled"]) & set(summary["per_frame_mean"]) & set(summary["frames"][0])
    assert set(summary["paper"]) == {"AUC", "Macro-F1", "Dice", "MIoU", "OIoU"}
    assert set(summary["sequences"][0]) == {"name", "patient", "n_frames", "pooled", "per_frame_mean"}


def test_every_key_is_documented():
    """In the page on metrics, each as `key`."""
    line, guess = line_and_guess(20)
    groups = {case: (case, case) for case in "ab"}
    scores = [score_frame(case, line, guess, guess.astype(np.float32)) for case in groups]
    wire = PlainWire(np.array([(10.0, 5.0), (10.0, 34.0)]))
    wires = {case: score_wires(case, [wire], [wire]) for case in groups}
    localization = summarise_localization(wires, groups, [["a"], ["b"]], ("masks", "masks"))
    summaries = {name: dataclasses.replace(summarise(scores, groups), localization=localization) for name in "xy"}
    page = (Path(__file__).parents[2] / "documentation" / "reference" / "metrics.md").read_text(encoding="utf-8")
    named = {*re.findall(r"`(?:\w+\[\]\.)?(\w+)`", page), *"xy", *"359", "AUC", "Macro-F1", "Dice", "MIoU", "OIoU"}
    for content in (summaries["x"], compare(summaries)):
        assert keys_of(to_json(content)) - named == set()


def keys_of(content):
    """All keys; of ``pooled.dice``, which says what is not computed, the last part."""
    if isinstance(content, dict):
        return {key.rpartition(".")[2] for key in content}.union(*map(keys_of, content.values()))
    return set().union(*map(keys_of, content)) if isinstance(content, list) else set()


def test_only_empty_frames():
    empty = np.zeros((8, 8), dtype=np.uint8)
    summary = summarise([score_frame(case, empty, empty) for case in "ab"])
    assert summary.pooled.dice == 1
    assert summary.paper["AUC"] is None
    assert summary.per_wire_frame_mean.not_computed["dice"] == "no frames"
    json.dumps(to_json(summary), allow_nan=False)


def test_bad_input_is_refused():
    with pytest.raises(UsageError, match="no scored frames"):
        summarise([])
    with pytest.raises(UsageError, match="more than once: case_0"):
        summarise(frames(30) * 2)
    with pytest.raises(UsageError, match="given for case_1"):
        summarise(frames(30, 30), {"case_0": (None, "a")})
