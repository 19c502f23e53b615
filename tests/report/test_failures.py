"""What is said of a patient follows from the counts."""

from typing import Any

import pytest

from gwunet.evaluation.resampling import groups_of_frames
from gwunet.report.failures import faults_of, group_results
from gwunet.report.wire_look import WireLook


def row(case: str, tp: int, fp: int, fn: int, **more: Any) -> dict[str, Any]:
    dice = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 1.0
    return {"case": case, "tp": tp, "fp": fp, "fn": fn, "tn": 1000, "dice": dice, "fold": "0", **more}


def test_whole_wires_come_before_pixels() -> None:
    frames = [row("a", 0, 0, 100), row("b", 60, 20, 40, wire_found=0, breaks=2), row("c", 0, 30, 0)]
    assert faults_of(frames) == (
        "wire missed altogether in 1 of 2 frames",
        "false alarm in 1 of 1 frame without wire (up to 30 px)",
        "less than half of the wire's length found in 1 of 2 frames",
        "40% of the wire's pixels missed, 2 breaks",
        "25% of what was predicted is no wire",
    )


def test_what_cost_more_pixels_comes_first() -> None:
    frames = [row("a", 100, 300, 20, false_pieces=3, breaks=0), row("b", 100, 100, 20, false_pieces=0, breaks=0)]
    assert faults_of(frames) == (
        "67% of what was predicted is no wire, 1.5 pieces a frame on no wire",
        "17% of the wire's pixels missed",
    )


def test_a_right_course_of_the_wrong_width_is_told_apart() -> None:
    assert faults_of([row("a", 100, 60, 0, cldice=0.99)]) == (
        "38% of what was predicted is no wire",
        "the course is better than the outline (clDice 0.99): drawn 1.60 times as large",
    )


def test_nothing_is_said_of_a_good_frame() -> None:
    assert faults_of([row("a", 95, 5, 5, cldice=1.0, breaks=0, false_pieces=0, wire_found=1)]) == ()
    assert faults_of([row("rightly empty", 0, 0, 0)]) == ()


def test_patients_come_worst_first_with_what_is_unusual_about_their_wires() -> None:
    look = {"usual": WireLook(contrast=2.0, width_px=3.0, length_px=100.0)}
    faint, thick = WireLook(contrast=0.5, width_px=3.0, length_px=9.0), WireLook(contrast=2.0, width_px=9, length_px=9)
    rows = [
        row("a", 90, 10, 10, patient="good", sequence="s1"),
        row("b", 90, 10, 10, patient="good", sequence="s2"),
        row("c", 50, 50, 50, patient="bad", sequence="s3"),
        row("d", 90, 10, 10, patient="bad", sequence="s4"),
        row("e", 80, 20, 20, patient="wide", sequence="s5"),
    ]
    looks = {"a": look["usual"], "b": look["usual"], "c": faint, "d": faint, "e": thick}
    bad, wide, good = group_results(rows, looks)
    assert (bad.name, wide.name, good.name) == ("bad", "wide", "good")
    assert bad.dice == pytest.approx(0.7)
    assert (bad.recall, bad.precision) == (pytest.approx(0.7), pytest.approx(0.7))
    assert (bad.worst_case, bad.lowest_dice) == ("c", 0.5)
    assert bad.circumstances == (
        "most of it in s3 (Dice 0.50, the other sequences 0.90)",
        "low contrast 0.50 (median of all frames 2.00)",
    )
    assert wide.circumstances == ("wide wire 9.0 px (median of all frames 3.0 px)",)
    assert good.circumstances == ()


def test_without_patients_sequences_are_the_groups_and_then_frames() -> None:
    sequences = [row("a", 1, 0, 0, patient=None, sequence="s"), row("b", 1, 0, 0, patient=None, sequence="t")]
    assert groups_of_frames(sequences) == ("sequence", {"a": "s", "b": "t"})
    assert groups_of_frames([row("a", 1, 0, 0)]) == ("frame", {"a": "a"})
    assert [group.name for group in group_results([row("a", 1, 0, 0), row("b", 1, 1, 0)], {}, "frame")] == ["b", "a"]
