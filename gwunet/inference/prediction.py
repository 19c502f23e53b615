"""What is found in one frame."""

import dataclasses

import numpy as np
from numpy.typing import NDArray


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """What is found in one frame."""

    mask: NDArray[np.uint8]
    """``(H, W)``: 0 or 1, in the frame's own size."""
    probability: NDArray[np.float32]
    """``(H, W)`` in [0, 1]; 0 outside the exposed field."""
