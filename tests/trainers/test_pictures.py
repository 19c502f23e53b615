"""The picture of validation frames: one row each, errors in their colours, small frames enlarged."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gwunet.data.store import Sample
from gwunet.inference.overlay import FALSE, MISSED
from gwunet.trainers.pictures import LARGEST_EDGE_PX, MARGIN_PX, NAME, draw_validation


def a_frame(edge: int) -> tuple[Sample, torch.Tensor]:
    """Wire in the row below the middle, of which the right half is found, and a false piece at the top."""
    rng = np.random.default_rng(0)
    target = np.zeros((edge, edge), np.uint8)
    target[edge // 2 : edge // 2 + edge // 8] = 1
    found = np.zeros((edge, edge), np.float32)
    found[edge // 2 : edge // 2 + edge // 8, edge // 2 :] = 1
    found[: edge // 8, : edge // 2] = 1
    frame = rng.normal(size=(edge, edge)).astype(np.float32)
    return Sample(frame, target, np.ones((edge, edge), np.bool_)), torch.from_numpy(found - 0.5)[None, None]


@pytest.mark.parametrize(("edge", "shown"), [(64, 512), (200, 400), (512, 512), (1024, 512)])
def test_frames_are_shown_at_a_size_that_can_be_seen(edge: int, shown: int, tmp_path: Path) -> None:
    draw_validation(tmp_path, [a_frame(edge), a_frame(edge)])
    picture = np.asarray(Image.open(tmp_path / NAME))
    assert picture.shape == (2 * (shown + MARGIN_PX), 2 * shown + MARGIN_PX, 3)
    assert shown <= LARGEST_EDGE_PX
    overlay = picture[:shown, shown + MARGIN_PX :].astype(int)
    assert np.abs(overlay[shown // 16, shown // 4] - FALSE).max() < 30
    assert np.abs(overlay[shown // 2 + shown // 16, shown // 4] - MISSED).max() < 30


def test_frames_of_several_sizes_share_a_picture(tmp_path: Path) -> None:
    draw_validation(tmp_path, [a_frame(200), a_frame(512)])
    picture = np.asarray(Image.open(tmp_path / NAME))
    assert picture.shape == (400 + 512 + 2 * MARGIN_PX, 2 * 512 + MARGIN_PX, 3)
    assert (picture[:400, 2 * 400 + MARGIN_PX :] == 255).all()
