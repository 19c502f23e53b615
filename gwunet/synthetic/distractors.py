"""Devices and deposits that are not the wire but may look like it."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.synthetic.curves import Points, normals_of, random_curve
from gwunet.synthetic.raster import FloatImage, Shape, edge_of, tube


def catheter(points: Points, shape: Shape, radius_px: float, density: float) -> FloatImage:
    """A hollow tube: two dark edges, a lighter lumen, and a marker band at its tip (the last point)."""
    whole, lumen, band = (
        tube(part, shape, radius)
        for part, radius in ((points, radius_px), (points, 0.7 * radius_px), (points[-6:-2], radius_px))
    )
    return np.float32(density) * (whole - np.float32(0.8) * lumen + band)


def stent(rng: np.random.Generator, shape: Shape, centre: NDArray[np.float64], heading: float) -> FloatImage:
    """A mesh of zigzag struts around a short tube, front and back."""
    size = edge_of(shape)
    length = int(size * rng.uniform(0.06, 0.14)) + 12
    axis = random_curve(rng, centre, heading, length, bend=1.5 / size)
    half_width = size * rng.uniform(0.009, 0.018) + 1
    period = half_width * rng.uniform(1.2, 2.0)
    normals = normals_of(axis)
    image = np.zeros(shape, np.float32)
    for phase in np.arange(4) * np.pi / 2:
        across = half_width * np.sin(np.arange(len(axis)) * 2 * np.pi / period / 2 + phase)
        image += tube(axis + across[:, None] * normals, shape, 0.45)
    return image * np.float32(rng.uniform(0.08, 0.2))


def clips(rng: np.random.Generator, shape: Shape) -> FloatImage:
    """Surgical clips: short straight pieces of dense metal, in a loose group."""
    size = edge_of(shape)
    image = np.zeros(shape, np.float32)
    group = np.multiply(shape, rng.uniform(0.15, 0.85, 2))
    for _ in range(rng.integers(1, 6)):
        start = group + size * 0.06 * rng.standard_normal(2)
        piece = random_curve(rng, start, rng.uniform(0, 2 * np.pi), int(size * rng.uniform(0.012, 0.03)) + 3, bend=0.02)
        image += tube(piece, shape, rng.uniform(0.8, 1.5))
    return image * np.float32(rng.uniform(0.2, 0.5))


def sternal_wires(rng: np.random.Generator, shape: Shape) -> FloatImage:
    """Closed loops of thin steel left by open surgery, one above the other; as thin and dark as a guidewire."""
    size = edge_of(shape)
    image = np.zeros(shape, np.float32)
    centre = np.multiply(shape, rng.uniform(0.2, 0.8, 2))
    for row in np.arange(-1, 2) * size * rng.uniform(0.15, 0.22):
        angle = np.linspace(0, 2 * np.pi, 48)
        radii = size * rng.uniform(0.018, 0.035, 2)
        wobble = 1 + 0.15 * rng.standard_normal() * np.sin(2 * angle + rng.uniform(0, 6))
        loop = np.stack([radii[0] * np.sin(angle), radii[1] * np.cos(angle)], axis=1) * wobble[:, None]
        image += tube(loop + centre + np.array([row, 0.0]), shape, 0.8)
    return image * np.float32(rng.uniform(0.06, 0.2))


def deposits(rng: np.random.Generator, shape: Shape) -> FloatImage:
    """Dense patches of iodised oil (Lipiodol) in and around a tumour: ragged, and darker than everything else."""
    size = edge_of(shape)
    blotches = np.zeros(shape)
    for width, share in ((0.004, 0.5), (0.012, 0.8)):
        rough = ndimage.gaussian_filter(rng.standard_normal(shape), size * width, mode="wrap")
        blotches += share * rough / rough.std()
    centre = np.multiply(shape, rng.uniform(0.25, 0.75, 2))
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    spread = size * rng.uniform(0.04, 0.09)
    envelope = np.exp(-((rows - centre[0]) ** 2 + (columns - centre[1]) ** 2) / (2 * spread**2))
    ragged = np.clip(blotches + 3 * envelope - 1.6, 0, None) * envelope
    return np.asarray(rng.uniform(0.3, 0.7) * ragged, np.float32)
