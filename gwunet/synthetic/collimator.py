"""The exposed field: a rectangle, a circle, or a circle cut by blades."""

from typing import Literal

import numpy as np

from gwunet.synthetic.raster import FloatImage, Shape

Aperture = Literal["open", "rectangle", "circle", "cut circle"]


def sample_aperture(rng: np.random.Generator, shape: Shape, kind: Aperture | None = None) -> FloatImage:
    """(H, W) float32 transmission of the collimator, 1 in the exposed field and 0 outside, with a penumbra.

    Args:
        kind: None draws one.
    """
    if kind is None:
        kind = rng.choice(["open", "rectangle", "circle", "cut circle"], p=[0.1, 0.35, 0.3, 0.25])
    height, width = shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32) + 0.5
    inside = np.full(shape, np.inf, np.float32)
    if kind in ("rectangle", "cut circle"):
        top, bottom, left, right = rng.uniform(0, 0.12, 4) * [height, height, width, width]
        edges = [rows - top, height - bottom - rows, columns - left, width - right - columns]
        inside = np.minimum.reduce([inside, *edges])
    if kind in ("circle", "cut circle"):
        radius = rng.uniform(0.49, 0.66) * min(shape)
        centre_row, centre_column = np.multiply(shape, 0.5 + rng.uniform(-0.05, 0.05, 2))
        inside = np.minimum(inside, radius - np.hypot(rows - centre_row, columns - centre_column))
    penumbra_px = rng.uniform(0.6, 2.0)
    return np.asarray(np.clip(inside / penumbra_px + 0.5, 0, 1), np.float32)
