"""Validation frames as a run sees them, for people to look at: ``validation.png``."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gwunet.data.store import Sample
from gwunet.dataset import IGNORE
from gwunet.inference.overlay import draw_overlay
from gwunet.io.frames import write_frame

NAME = "validation.png"
MARGIN_PX = 4
LARGEST_EDGE_PX = 512
"""Larger crops are shown with every second, third, ... pixel; those less than half as large with each pixel as four, or
nine, ... of them."""
GREY_OF_STD = 40.0
"""Grey levels of one standard deviation, around 128."""


def draw_validation(folder: Path, frames: Sequence[tuple[Sample, Tensor]]) -> None:
    """Write a row for each frame: the frame itself, and on it what is found, false (orange) and missed (blue).

    Args:
        folder: where ``validation.png`` is written, whole or not at all.
        frames: each with its logits ``(1, 1, h, w)``.
    """
    rows = [np.concatenate(_pair(sample, logits), axis=1) for sample, logits in frames]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, MARGIN_PX), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    write_frame(folder / NAME, np.concatenate(padded))


def _pair(sample: Sample, logits: Tensor) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    longest = max(sample.frame.shape)
    step, times = -(-longest // LARGEST_EDGE_PX), max(1, LARGEST_EDGE_PX // longest)
    field = _resized(sample.field, step, times)
    found = _resized((logits[0, 0] > 0).cpu().numpy(), step, times) & field
    target = _resized(np.where(sample.target == IGNORE, IGNORE, sample.wire), step, times).astype(np.uint8)
    frame = _resized(sample.frame, step, times)
    grey = np.where(field, np.clip(128 + GREY_OF_STD * frame, 1, 255), 0).astype(np.uint8)
    plain = np.pad(np.repeat(grey[..., None], 3, axis=2), ((0, 0), (0, MARGIN_PX), (0, 0)), constant_values=255)
    return plain, draw_overlay(grey, found.astype(np.uint8), target)


def _resized(pixels: NDArray[Any], step: int, times: int) -> NDArray[Any]:
    resized: NDArray[Any] = pixels[::step, ::step].repeat(times, 0).repeat(times, 1)
    return resized
