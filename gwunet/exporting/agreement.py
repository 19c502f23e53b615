"""Whether an exported file predicts what torch predicts, on real frames."""

from collections.abc import Mapping

import numpy as np

from gwunet.errors import ModelError
from gwunet.exposed_field import Frame
from gwunet.inference.predictor import Predictor

MAX_DIFFERENCE = 1e-3
"""Largest difference of a pixel's probability that rounding explains."""


def largest_difference(exported: Predictor, trained: Predictor, frames: Mapping[str, Frame]) -> float:
    """Compare the probabilities of two predictors, pixel by pixel.

    Args:
        exported: what was written, loaded again.
        trained: the folds it was made from.
        frames: ``(H, W)`` uint8 or uint16 by name; each is compared whole, the first one also with odd edges.

    Returns:
        The largest difference.

    Raises:
        ModelError: it is above ``MAX_DIFFERENCE``, or not a number; the message names the frame.
    """
    compared = dict(frames)
    for name, frame in list(frames.items())[:1]:
        # Exposed fields have any size, and resampling of odd ones is where runtimes differ.
        rows, columns = (edge - 1 - edge % 2 for edge in frame.shape)
        compared[f"{name}, cut to {rows}x{columns}"] = frame[:rows, :columns].copy()
    largest = 0.0
    for name, frame in compared.items():
        difference = np.abs(exported.predict_frame(frame).probability - trained.predict_frame(frame).probability).max()
        if not difference <= MAX_DIFFERENCE:
            raise ModelError(
                f"frame {name}: the exported model's probabilities differ from torch's by up to {difference:.4g}, "
                f"wanted at most {MAX_DIFFERENCE:g}; the file is not kept. Try another --provider, or --format zip"
            )
        largest = max(largest, float(difference))
    return largest
