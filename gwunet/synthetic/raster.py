"""Curves drawn with subpixel accuracy: distances, and the path of a ray through cylinders."""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from gwunet.synthetic.curves import Points

FloatImage = NDArray[np.float32]
Shape = tuple[int, int]
"""Rows and columns of a frame."""


def edge_of(shape: Shape) -> int:
    """Edge in pixels of the square frame of the same area: what grows with the frame is given in shares of it."""
    return round(math.sqrt(shape[0] * shape[1]))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """Pixels near a curve; a pixel near several segments is listed once for each."""

    shape: Shape
    pixel: NDArray[np.int64]
    """(M,) index into the flattened image."""
    distance: NDArray[np.float64]
    """(M,) distance from the pixel's centre to the segment, pixels."""
    segment: NDArray[np.int64]
    """(M,) index of the segment."""

    def largest(self, values: NDArray[np.float64]) -> FloatImage:
        """(H, W) image of the largest of the (M,) non-negative values at each pixel, 0 where there is none."""
        image = np.zeros(self.shape[0] * self.shape[1], np.float32)
        np.maximum.at(image, self.pixel, values.astype(np.float32))
        return image.reshape(self.shape)

    def distance_image(self, far: float) -> FloatImage:
        """(H, W) distance to the curve in pixels, ``far`` where it is not near."""
        image = np.full(self.shape[0] * self.shape[1], far, np.float32)
        np.minimum.at(image, self.pixel, self.distance.astype(np.float32))
        return image.reshape(self.shape)


def footprint(points: Points, shape: Shape, reach_px: float) -> Footprint:
    """The pixels whose centres lie within ``reach_px`` of a polyline, with their exact distances to its segments."""
    start, step = points[:-1], np.diff(points, axis=0)
    middle = np.rint(start + step / 2).astype(np.int64)
    half = int(np.ceil(reach_px + np.abs(step).max(initial=0) / 2 + 0.5))
    offsets = np.mgrid[-half : half + 1, -half : half + 1].reshape(2, -1).T
    pixels = middle[:, None] + offsets
    relative = pixels - start[:, None]
    squared_length = np.maximum((step**2).sum(axis=1), 1e-12)
    along = np.clip((relative * step[:, None]).sum(axis=2) / squared_length[:, None], 0, 1)
    distance = np.linalg.norm(relative - along[..., None] * step[:, None], axis=2)
    inside = ((pixels >= 0) & (pixels < shape)).all(axis=2) & (distance <= reach_px)
    segment, _ = np.nonzero(inside)
    rows, columns = pixels[inside].T
    return Footprint(shape=shape, pixel=rows * shape[1] + columns, distance=distance[inside], segment=segment)


def chord(distance: NDArray[np.float64], radius: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Path of the rays of one pixel through a cylinder, averaged over the pixel's width, in pixels.

    A ray at distance x from the axis passes 2 sqrt(r^2 - x^2); the mean over [d - 1/2, d + 1/2] is in closed form,
    so that a cylinder thinner than a pixel keeps its mass.
    """

    def integral(x: NDArray[np.float64]) -> NDArray[np.float64]:
        ratio = np.clip(x / radius, -1, 1)
        return np.asarray(radius**2 * (ratio * np.sqrt(1 - ratio**2) + np.arcsin(ratio)))

    return integral(distance + 0.5) - integral(distance - 0.5)


def tube(points: Points, shape: Shape, radius_px: NDArray[np.float64] | float) -> FloatImage:
    """(H, W) path in pixels through a solid cylinder along a curve; a radius for all or each of the segments."""
    radii = np.broadcast_to(np.asarray(radius_px, np.float64), (len(points) - 1,))
    near = footprint(points, shape, float(radii.max()) + 0.5)
    return near.largest(chord(near.distance, radii[near.segment]))
