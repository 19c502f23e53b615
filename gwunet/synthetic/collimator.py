"""The exposed field: a rectangle, a circle, or a circle cut by blades."""

import numpy as np

from gwunet.synthetic.raster import FloatImage


def sample_aperture(rng: np.random.Generator, size: int) -> FloatImage:
    """(size, size) float32 transmission of the collimator, 1 in the exposed field and 0 outside, with a penumbra."""
    kind = rng.choice(["open", "rectangle", "circle", "cut circle"], p=[0.1, 0.35, 0.3, 0.25])
    rows, columns = np.mgrid[:size, :size].astype(np.float32) + 0.5
    inside = np.full((size, size), np.inf, np.float32)
    if kind in ("rectangle", "cut circle"):
        top, bottom, left, right = rng.uniform(0, 0.12, 4) * size
        edges = [rows - top, size - bottom - rows, columns - left, size - right - columns]
        inside = np.minimum.reduce([inside, *edges])
    if kind in ("circle", "cut circle"):
        radius = rng.uniform(0.49, 0.66) * size
        centre_row, centre_column = size * (0.5 + rng.uniform(-0.05, 0.05, 2))
        inside = np.minimum(inside, radius - np.hypot(rows - centre_row, columns - centre_column))
    penumbra_px = rng.uniform(0.6, 2.0)
    return np.asarray(np.clip(inside / penumbra_px + 0.5, 0, 1), np.float32)
