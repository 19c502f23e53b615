"""What the benchmark of tracking counts, on one short run."""

import dataclasses
from types import ModuleType

import numpy as np
import pytest


def test_a_short_run_is_judged_as_it_is_by_hand(script: ModuleType) -> None:
    (frames,) = script.runs(1, 8, 160, 3)
    frames = [frame for frame in frames if frame.wires]
    assert all(len(frame.wires) == 2 for frame in frames)
    located, seconds = script.locate(frames)
    followed, _ = script.track(located)
    assert len(seconds) == len(frames) > 3
    none_blank = np.zeros(len(frames), bool)
    judged = script.judge(frames, followed, none_blank)
    assert judged.switches == 0
    assert np.mean(judged.tip_errors) < 3

    # A blanked frame without tracking has the tips of the frame before.
    blank = none_blank.copy()
    blank[2] = True
    left = [[] if index == 2 else wires for index, wires in enumerate(located)]
    error = script.judge(frames, left, blank).blank_tip_errors
    moved = [
        np.subtract(now.centreline[-1], then.centreline[-1]) for now, then in zip(*_wires(frames, 2, 1), strict=True)
    ]
    assert error == pytest.approx([np.hypot(*way) for way in moved], abs=3)

    exchanged = [dataclasses.replace(wire, identity=3 - wire.identity) for wire in followed[1]]
    assert script.judge(frames, [followed[0], exchanged, *followed[2:]], none_blank).switches == 4


def _wires(frames: list, *numbers: int) -> list:
    return [frames[number].wires for number in numbers]
