"""Drawn wires are what they are called, two lines are judged as a person would, and the tables have what was scored."""

from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

EDGE = 160
WHOLE = np.ones((EDGE, EDGE), np.bool_)


def straight(start: tuple[float, float], stop: tuple[float, float]) -> NDArray[np.float64]:
    return np.linspace(start, stop, int(np.hypot(stop[0] - start[0], stop[1] - start[1])) + 1)


def truth_of(script: ModuleType, points: NDArray[np.float64], width_px: float = 3.0):  # type: ignore[no-untyped-def]
    truth = script.in_field(points, width_px, "plain", WHOLE)
    assert truth is not None
    return truth


@pytest.mark.parametrize("kind", ["plain", "loop", "within", "through", "winding"])
def test_a_drawn_wire_is_in_the_field_in_one_piece(script: ModuleType, kind: str) -> None:
    rng = np.random.default_rng(3)
    field = script.sample_field(rng, 320)
    truth = script.sample_truth(rng, kind, field)
    assert np.hypot(*np.diff(truth.centreline, axis=0).T).max() < 1.5
    assert len(truth.centreline) >= script.MIN_LENGTH_PX
    rows, columns = np.rint(truth.centreline).astype(int).T
    assert field[rows, columns].all()
    mask = script.draw([(truth.drawn, truth.width_px)], field)
    assert mask[rows, columns].all()
    assert mask.sum() <= 1.2 * truth.width_px * (len(truth.centreline) + truth.width_px)
    assert truth.base_leaves or not truth.tip_leaves


def test_a_wire_that_nearly_reaches_the_border_is_not_drawn(script: ModuleType) -> None:
    def inside(tip_column: float) -> object:
        return script.in_field(straight((80, -20), (80, tip_column)), 4.0, "plain", WHOLE)

    assert inside(EDGE - 3) is None
    assert inside(EDGE - 10) is not None
    assert inside(EDGE + 10) is not None


def test_a_score_has_the_errors_and_the_order(script: ModuleType) -> None:
    truth = truth_of(script, straight((80, -10), (60, 120)))
    scored = script.score(truth, WHOLE)
    assert scored.found == 1
    assert (scored.swapped, scored.uncertain, scored.said_to_leave) == (False, False, False)
    assert max(scored.tip_error, scored.base_error) < 1
    assert scored.centreline < 0.5
    head, _, every, plain, *_ = script.rows_of([(truth, scored), (truth, None)])
    assert head.count("|") == every.count("|")
    assert every.startswith(f"| all | 2 | {scored.tip_error:.2f} |")
    assert every.endswith("| 1 | 0 | 0 of 1 |")
    assert plain.startswith("| plain | 2 |")


def test_two_lines_are_right_only_along_different_wires(script: ModuleType) -> None:
    lines = [straight((20, 20), (140, 140)), straight((20, 140), (140, 20))]
    truths = tuple(truth_of(script, line) for line in lines)
    assert script.separated(truths, lines)
    assert script.separated(truths, [lines[1], lines[0][::-1]])
    kinked = [np.concatenate([one[:85], other[85:]]) for one, other in (lines, lines[::-1])]
    assert not script.separated(truths, kinked)
    assert not script.separated(truths, lines[:1])
    assert not script.separated(truths, [lines[0], lines[0]])
    assert not script.separated(truths, [*lines, straight((5, 5), (5, 30))])


def test_components_separate_what_does_not_touch(script: ModuleType) -> None:
    first, beside, across = (
        truth_of(script, points)
        for points in (straight((40, 20), (40, 140)), straight((60, 20), (60, 140)), straight((10, 60), (120, 60)))
    )
    for other, expected in ((beside, True), (across, False)):
        mask = script.draw([(truth.drawn, truth.width_px) for truth in (first, other)], WHOLE)
        assert script.component_separated((first, other), mask) is expected


@pytest.mark.parametrize("crossing", [False, True])
def test_a_pair_crosses_or_does_not(script: ModuleType, crossing: bool) -> None:
    first, second = script.sample_pair(np.random.default_rng(1), np.ones((256, 256), np.bool_), crossing)
    nearest = np.hypot(*(first.centreline[:, None] - second.centreline[None]).transpose(2, 0, 1)).min()
    assert (nearest < 1.2) == crossing


def test_the_script_prints_its_tables(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["--frames", "5", "--pairs", "2", "--size", "256"])
    out = capsys.readouterr().out
    assert "| all | 5 |" in out
    assert "| crossing | 1 |" in out
    assert "ms a frame" in out


def test_ends_that_move_with_the_picture_have_not_moved(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros((EDGE, EDGE), np.bool_)
    mask[40, 20:60] = mask[20:40, 60] = True
    moved = script.turned_px(mask, WHOLE)
    assert len(moved) == 14
    assert max(moved) < 1
    first, second = np.argwhere(mask)[[0, -1]]
    for quarters in range(4):
        for mirrored in (False, True):
            picture = np.rot90(mask[:, ::-1] if mirrored else mask, quarters)
            for row, column in script.positioned(np.array([first, second]), quarters, mirrored, EDGE - 1):
                assert picture[row, column]
    monkeypatch.setattr(script, "longest_ends", lambda *_: np.array([[1.0, 2.0], [100.0, 90.0]]))
    assert max(script.turned_px(mask, WHOLE)) > 10
