"""The lines of a track's plot, as they are handed to matplotlib."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from gwunet.inference.track_plot import Track
from gwunet.localization import Guidewire


def wire(tip_column: float) -> Guidewire:
    return Guidewire(
        centreline=np.array([[5.0, 0.0], [5.0, tip_column]]),
        width_px=np.full(2, 3.0),
        angle_deg=0.0,
        base_angle_deg=180.0,
        confidence=0.9,
        tip_confidence=0.9,
        base_confidence=0.9,
        flags=frozenset(),
        identity=1,
    )


@pytest.mark.parametrize("step", [1, 10])
def test_lines_break_where_a_wire_is_missing_however_frames_are_numbered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    lines = {}

    def keep(figure: Figure, path: Path) -> None:
        Path(path).touch()
        for axes in figure.axes:
            lines[axes.get_ylabel().split(",")[0]] = axes.lines[0].get_xydata()

    monkeypatch.setattr(Figure, "savefig", keep)
    track = Track()
    for place in range(8):
        if place == 5:  # cannot be read
            continue
        track.add(step * place, [wire(20.0 + 2 * place)] if place != 2 else [], frames_passed=2 if place == 6 else 1)
    track.draw(tmp_path / "a.png", "a")
    places = np.array([0, 1, np.nan, 3, 4, np.nan, 6, 7])
    np.testing.assert_array_equal(lines["length"], np.stack([step * places, 20 + 2 * places], axis=1))
    np.testing.assert_array_equal(lines["row"][:, 0], 20 + 2 * places)
    moved = [np.nan, 2, np.nan, np.nan, 2, np.nan, np.nan, 2]
    np.testing.assert_array_equal(lines["tip's move since the frame before"], np.stack([step * places, moved], axis=1))
