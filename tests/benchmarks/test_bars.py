"""A bar is as long as its value, measured in the picture."""

from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.image import imread

from shared.bars import COLOURS, draw_bars


def test_bars_are_as_long_as_their_values(tmp_path: Path) -> None:
    path = tmp_path / "chart.png"
    measured = {"one": [20.0, 80.0], "other": [None, 40.0]}
    published = {"one": [60.0, None], "other": [None, 100.0]}
    draw_bars(path, ["Dice", "AUC"], measured, published, top=100.0, title="title", unit="percent")
    picture = imread(path)[:, :, :3]
    heights = []
    for colour in COLOURS[:2]:
        painted = np.all(np.abs(picture - to_rgb(colour)) < 0.02, axis=2)
        painted[int(0.9 * len(painted)) :] = False  # the legend
        length = painted.sum(axis=0)
        heights += [length[: len(length) // 2].max(), length[len(length) // 2 :].max()]
    assert heights[2] == 0
    np.testing.assert_allclose(heights[:2] + heights[3:], np.array([20, 80, 40]) * heights[1] / 80, rtol=0.03)
    assert heights[1] > 0.5 * len(picture)
