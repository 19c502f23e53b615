"""A mask thinned to lines of one pixel: the centreline of a wire, for all that needs one.

Work is in proportion to the wire's pixels, not to the frame's: a thinning that scans the whole frame in every pass
would alone take longer than locating the wires in it.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Indices = NDArray[np.int64]
Points = NDArray[np.float64]

NEIGHBOURS = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
"""Row and column steps, clockwise from the pixel above; the bits of a neighbourhood's code in this order."""


def thinned(mask: Mask) -> Mask:
    """The one-pixel-wide, 8-connected skeleton of a (H, W) mask, which has the mask's pieces and holes.

    It reaches to about half a width before a wire's ends, in whatever direction the wire runs.
    """
    plane = Plane(mask)
    thin(plane)
    return plane.mask()


def _deletable(second: bool) -> Mask:
    """(256,) by neighbourhood code: whether a pixel goes in a half-step of thinning.

    Reference: Guo and Hall, Parallel thinning with two-subiteration algorithms, CACM 32 (1989), algorithm A1. It keeps
    lines of two pixels, which the older algorithm of Zhang and Suen deletes where they run diagonally.
    """
    above, upper_right, right, lower_right, below, lower_left, left, upper_left = neighbour_bits()
    runs = (
        (~above & (upper_right | right)).astype(int)
        + (~right & (lower_right | below))
        + (~below & (lower_left | left))
        + (~left & (upper_left | above))
    )
    one = (upper_left | above).astype(int) + (upper_right | right) + (lower_right | below) + (lower_left | left)
    two = (above | upper_right).astype(int) + (right | lower_right) + (below | lower_left) + (left | upper_left)
    fewest = np.minimum(one, two)
    held = (above | upper_right | ~lower_right) & right if second else (below | lower_left | ~upper_left) & left
    return np.asarray((runs == 1) & (fewest >= 2) & (fewest <= 3) & ~held)


def neighbour_bits() -> Mask:
    """(8, 256) the neighbours that a code stands for."""
    return np.asarray(((np.arange(256) >> np.arange(8)[:, None]) & 1).astype(bool))


_DELETABLE = np.stack([_deletable(False), _deletable(True)])


class Plane:
    """A mask with a frame of background around it, as a flat array."""

    def __init__(self, mask: Mask) -> None:
        height, width = mask.shape
        padded = np.zeros((height + 2, width + 2), np.bool_)
        padded[1:-1, 1:-1] = mask
        self.stride = width + 2
        self.flat = padded.ravel()
        self._shape = padded.shape
        self.steps = np.array([row * self.stride + column for row, column in NEIGHBOURS])
        # Not filled: that would take longer than all that is done with it, which is at the wires' pixels.
        self.numbers = np.empty(len(self.flat), np.int64)
        """For each pixel that was given one; of the others anything."""

    def mask(self) -> Mask:
        """(H, W) as it is now."""
        return self.flat.reshape(self._shape)[1:-1, 1:-1]

    def codes(self, pixels: Indices) -> NDArray[np.uint8]:
        return np.packbits(self.flat.take(pixels[:, None] + self.steps), bitorder="little")

    def coordinates(self, pixels: Indices) -> Points:
        points = np.empty((len(pixels), 2))
        points[:, 0], points[:, 1] = np.divmod(pixels, self.stride)
        points -= 1
        return points


def thin(plane: Plane) -> Indices:
    """Thins ``plane`` to lines of one pixel; returns what is left, in order."""
    latest = plane.numbers
    pixels = active = np.flatnonzero(plane.flat)
    before: Indices | None = None
    for half in _alternating():
        gone = active[_DELETABLE[half][plane.codes(active)]]
        plane.flat[gone] = False
        if before is None:  # the second half-step, too, has to see every pixel
            before = gone
            active = active[plane.flat.take(active)]
            continue
        changed = np.concatenate([before, gone])
        if not changed.size:
            break
        # A pixel whose neighbourhood is as it was when last looked at stays.
        near = (changed[:, None] + plane.steps).ravel()
        near = near[plane.flat.take(near)]
        order = np.arange(len(near))
        latest[near] = order
        active = near[latest.take(near) == order]
        before = gone
    return pixels[plane.flat.take(pixels)]


def _alternating() -> Iterator[int]:
    while True:
        yield 0
        yield 1
