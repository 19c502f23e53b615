"""Wires over many frames: every number worked out by hand."""

import numpy as np
import pytest

from gwunet.evaluation.curves import resampled
from gwunet.evaluation.localization import (
    identity_switches,
    score_localization,
    summarise_localization,
    with_identities,
)
from gwunet.evaluation.wires import PlainWire, score_wires


def wire(row, length=50, identity=None, shift=0):
    return PlainWire(resampled(np.array([(row, shift), (row, shift + length)], dtype=float)), identity)


def four_frames():
    """Exact; tip 4 px short; missed; nothing there but one found."""
    return [
        score_wires("a", [wire(10)], [wire(10)]),
        score_wires("b", [wire(10), wire(60)], [wire(10, 46)]),
        score_wires("c", [wire(10)], []),
        score_wires("d", [], [wire(10)]),
    ]


def test_numbers_by_hand():
    scores = score_localization(four_frames())
    assert (scores.n_frames, scores.n_wires, scores.n_predicted, scores.n_matched) == (4, 4, 3, 2)
    tip = scores.tip_error_px
    assert (tip.mean, tip.median, tip.p95, tip.maximum) == pytest.approx((2, 2, 3.8, 4))
    assert scores.base_error_px.maximum == 0
    # The missed two have no tip within any limit.
    assert scores.tips_within_px == {"3": 1 / 4, "5": 2 / 4, "9": 2 / 4}
    assert (scores.precision, scores.recall, scores.f1) == (2 / 3, 2 / 4, 4 / 7)
    assert (scores.missed_per_frame, scores.false_per_frame) == (2 / 4, 1 / 4)
    assert (scores.frames_with_missed, scores.frames_with_false) == (2 / 4, 1 / 4)
    # Of the shorter one 50 of 51 points of the true curve are within 3 px.
    curve_f1 = 2 * (50 / 51) / (1 + 50 / 51)
    assert scores.quality == pytest.approx((1 + curve_f1) / ((4 + 3) / 2))
    assert scores.ends_swapped == 0


def test_what_is_not_there_has_a_reason():
    nothing = score_localization([score_wires("a", [], [])])
    undefined = {"tip_error_px", "base_error_px", "mean_distance_px", "hausdorff_px", "frechet_px", "ends_swapped"}
    undefined |= {"tips_within_px", "precision", "recall", "f1", "quality", "identity_switches"}
    assert set(nothing.not_computed) == undefined
    assert set(nothing.tips_within_px.values()) == {None}
    missed = score_localization([score_wires("a", [wire(10)], [])])
    assert (missed.recall, missed.f1, missed.quality, missed.tips_within_px["9"]) == (0, 0, 0, 0)
    assert missed.not_computed["tip_error_px"] == "no predicted wire matches a wire of the reference"
    assert missed.not_computed["precision"] == "no wire in the prediction"


def sequence(*frames):
    """Frames given as pairs (row of the found wire, its identity); two true wires lie at rows 10 and 60."""
    true = [wire(10, identity=1), wire(60, identity=2)]
    found = [[wire(row, identity=identity) for row, identity in frame] for frame in frames]
    return [score_wires(f"f{number}", true, wires) for number, wires in enumerate(found)]


@pytest.mark.parametrize(
    ("frames", "switches"),
    [
        ([[(10, 5), (60, 6)], [(60, 6), (10, 5)]], 0),
        ([[(10, 5), (60, 6)], [(10, 6), (60, 5)]], 2),
        ([[(10, 5)], [], [(10, 5)]], 0),
        ([[(10, 5)], [], [(10, 7)], [(10, 7)]], 1),
        ([[(10, 5)], [(10, 7)], [(10, 5)]], 2),
        ([[(10, 5)], [(60, 5)]], 0),
    ],
    ids=["kept", "exchanged", "lost and back", "new number after a loss", "there and back", "another wire's number"],
)
def test_identity_switches_by_hand(frames, switches):
    scores = sequence(*frames)
    assert identity_switches(scores) == switches
    assert score_localization(scores, [scores]).identity_switches == switches
    # Sequences are apart: the first frame of another one switches nothing.
    assert score_localization(scores * 2, [scores, scores]).identity_switches == 2 * switches


def test_identity_switches_need_sequences_and_identities():
    tracked, untracked = sequence([(10, 5)]), sequence([(10, None)])
    assert score_localization(tracked).not_computed["identity_switches"] == "no sequences known"
    reason = score_localization(untracked, [untracked]).not_computed["identity_switches"]
    assert reason.startswith("the predicted wires have no identities")
    anonymous = [score_wires("a", [wire(10)], [wire(10, identity=1)])]
    assert "located in masks" in score_localization(anonymous, [anonymous]).not_computed["identity_switches"]


def test_true_wires_keep_their_number_when_one_leaves():
    frames = [[wire(10), wire(60)], [wire(61)], [wire(62)], [], [wire(13), wire(63)]]
    numbers = [[each.identity for each in wires] for wires in with_identities(frames)]
    assert numbers == [[1, 2], [2], [2], [], [1, 2]]
    assert with_identities([]) == []


def test_true_wires_are_numbered_from_a_frame_with_all_of_them_both_ways():
    frames = [[wire(58)], [], [wire(59)], [wire(10), wire(60)], [wire(12)], [wire(61)]]
    numbers = [[each.identity for each in wires] for wires in with_identities(frames)]
    assert numbers == [[2], [], [2], [1, 2], [1], [2]]


def test_numbers_that_true_wires_have_are_kept():
    frames = [[wire(10, identity=7)], [wire(60, identity=3), wire(11, identity=7)], []]
    assert with_identities(frames) == frames


def test_sequences_and_patients_are_scored_apart():
    scores = {score.case: score for score in four_frames()}
    groups = {"a": ("p", "p1"), "b": ("p", "p2"), "c": ("q", "q1"), "d": ("q", "q1")}
    found = summarise_localization(scores, groups, [["a"], ["b"], ["c", "d"]], ("centrelines.json", "masks"), ["e"])
    assert [(group.patient, group.name, group.scores.n_wires) for group in found.sequences] == [
        ("p", "p1", 1),
        ("p", "p2", 2),
        ("q", "q1", 1),
    ]
    assert [(group.name, group.scores.n_matched, group.scores.recall) for group in found.patients] == [
        ("p", 2, 2 / 3),
        ("q", 0, 0),
    ]
    assert found.not_judged == ("e",)
    rows = [(row["case"], row["reference"], row["predicted"], row["tip_error_px"]) for row in found.wires]
    assert rows == [("a", 1, 1, 0), ("b", 1, 1, 4), ("b", 2, None, None), ("c", 1, None, None), ("d", None, 1, None)]
