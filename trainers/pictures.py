"""Validation frames as a run sees them, for people to look at: ``validation.png``."""

from collections.abc import Sequence
from pathlib import Path

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
"""Larger crops are shown with every second, third, ... pixel."""
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
    step = -(-max(sample.frame.shape) // LARGEST_EDGE_PX)
    every = (slice(None, None, step), slice(None, None, step))
    found = ((logits[0, 0] > 0).cpu().numpy() & sample.field)[every].astype(np.uint8)
    target = np.where(sample.target == IGNORE, IGNORE, sample.wire)[every].astype(np.uint8)
    grey = np.where(sample.field, np.clip(128 + GREY_OF_STD * sample.frame, 1, 255), 0)[every].astype(np.uint8)
    plain = np.pad(np.repeat(grey[..., None], 3, axis=2), ((0, 0), (0, MARGIN_PX), (0, 0)), constant_values=255)
    return plain, draw_overlay(grey, found, target)
