"""Marks on masks whose errors are known."""

import numpy as np
import pytest

from gwunet.explaining.errors import find_errors


def wire() -> np.ndarray:
    mask = np.zeros((60, 120), np.uint8)
    mask[30:33, 5:115] = 1
    return mask


def marks(reference: np.ndarray, prediction: np.ndarray) -> list[tuple[str, int, int, int]]:
    return [(mark.kind, mark.row, mark.column, mark.length_px) for mark in find_errors(reference, prediction)]


def test_a_right_prediction_has_no_marks() -> None:
    assert marks(wire(), wire()) == []
    assert marks(wire(), np.roll(wire(), 2, axis=0)) == []  # within tolerance
    assert marks(np.zeros_like(wire()), np.zeros_like(wire())) == []


def test_a_gap_is_a_break_and_a_lost_end_is_missed() -> None:
    prediction = wire()
    prediction[:, 50:70] = 0
    prediction[:, 100:] = 0
    missed, gap = sorted(marks(wire(), prediction), key=lambda mark: -mark[2])
    assert gap[0] == "break"
    assert (gap[1], gap[2]) == (31, pytest.approx(59.5, abs=1))
    assert gap[3] == pytest.approx(20 - 2 * 3, abs=1)  # the tolerance reaches in from both sides
    assert missed[0] == "missed"
    assert 100 < missed[2] < 115


def test_a_piece_beside_the_wire_is_wrong_and_a_speck_is_nothing() -> None:
    prediction = wire()
    prediction[10:13, 20:60] = 1
    prediction[50, 50] = 1
    ((kind, row, column, length),) = marks(wire(), prediction)
    assert (kind, row) == ("wrong", 11)
    assert column == pytest.approx(39.5, abs=1)
    assert length == pytest.approx(38, abs=2)


def test_a_missed_wire_and_a_false_one_are_one_mark_each() -> None:
    nothing = np.zeros_like(wire())
    assert [mark[0] for mark in marks(wire(), nothing)] == ["missed"]
    assert [mark[0] for mark in marks(nothing, wire())] == ["wrong"]


def test_left_out_pixels_are_no_error() -> None:
    reference, prediction = wire(), wire()
    reference[5:20] = 2
    prediction[10:13, 20:60] = 1
    assert marks(reference, prediction) == []
