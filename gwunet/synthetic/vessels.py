"""Trees of vessels."""

import numpy as np
from numpy.typing import NDArray

from gwunet.synthetic.curves import Points, smooth_noise, smooth_turns, trace
from gwunet.synthetic.raster import FloatImage, Shape, edge_of, tube

IODINE = 25.0
"""Line integral of a path of one edge of a square frame through blood with contrast agent: 0.05 a pixel of 512."""
SMALLEST_RADIUS_PX = 0.5


def vessel_tree(rng: np.random.Generator, shape: Shape, root: NDArray[np.float64], radius_px: float) -> FloatImage:
    """(H, W) line integrals of a contrast-filled tree that tapers and branches from ``root`` into the frame.

    Radii divide by Murray's law, the cube of the parent's being the sum of the cubes of the daughters'
    (Murray, PNAS 12 (1926) 207).
    """
    size = edge_of(shape)
    image = np.zeros(shape, np.float32)
    centre = np.multiply(shape, rng.uniform(0.35, 0.65, 2))
    row, column = centre - root
    pending = [(root, float(np.arctan2(row, column)), radius_px)]
    while pending:
        start, heading, radius = pending.pop()
        points, heading = _segment(rng, size, start, heading, radius)
        radii = radius * np.linspace(1, 0.93, len(points) - 1)
        np.maximum(image, tube(points, shape, radii), out=image)
        if not _near_frame(points[-1], shape):
            continue
        # A side branch leaves the trunk, which goes on nearly straight.
        share, side = rng.uniform(0.08, 0.5), rng.choice([-1.0, 1.0])
        for part, turn in ((share, side * rng.uniform(0.4, 1.1)), (1 - share, -side * rng.uniform(0.0, 0.3))):
            daughter = radii[-1] * part ** (1 / 3)
            if daughter > SMALLEST_RADIUS_PX:
                pending.append((points[-1], heading + turn, daughter))
    return image * np.float32(IODINE / size)


def _segment(
    rng: np.random.Generator, size: int, start: NDArray[np.float64], heading: float, radius: float
) -> tuple[Points, float]:
    """A piece between two branchings, and the heading at its end; thin vessels wind more."""
    length = int(size * rng.uniform(0.05, 0.2)) + 8
    general = heading + np.cumsum(smooth_turns(rng, length, 1.5 / size, correlation_px=0.1 * size))
    winding = min(0.5, 0.0015 * size / radius) * smooth_noise(rng, length, correlation_px=0.015 * size)
    fade_in = np.minimum(1, np.arange(length) / (0.03 * size))
    return trace(start, general + fade_in * winding), float(general[-1])


def _near_frame(point: NDArray[np.float64], shape: Shape) -> bool:
    beyond = 0.05 * edge_of(shape)
    return bool((point > -beyond).all() and (point < np.add(shape, beyond)).all())
