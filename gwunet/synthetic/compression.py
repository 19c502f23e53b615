"""What lossy compression does to a frame on its way to the file."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

QUALITY_RANGE = (40, 80)
"""Of libjpeg's scale; below, blocks are plain to see, above, hardly anything rings."""


def sample_quality(rng: np.random.Generator) -> int:
    """The JPEG quality of one sequence."""
    return int(rng.integers(QUALITY_RANGE[0], QUALITY_RANGE[1] + 1))


def through_jpeg(image: NDArray[np.uint8] | NDArray[np.uint16], quality: int) -> NDArray[np.uint8]:
    """The (H, W) uint8 frame after JPEG compression: noise is smoothed, and edges ring within their 8x8 blocks."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="JPEG", quality=quality)
    return np.asarray(Image.open(stream))
