"""Where X-rays reached the detector: collimator borders are found, cut away and masked out.

Borders are dark and flat but rarely 0: many frames have about 15 of 255 there, with JPEG ringing around it. So the
level is estimated from the edges of all frames of a dataset (``estimate_border``), and a frame's exposed field is
what is left when the dark regions that touch its edges are taken away (``exposed_field``).

Reference: FGA-Net paper, section "Preprocessing" (cropping to the region that is not black).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8] | NDArray[np.uint16]
Mask = NDArray[np.bool_]

BLOCK_PX = 8
"""Edge length of the blocks along a frame's edges in which borders are looked for."""
FLAT_SHARE = 0.02
"""A block belongs to a border only if its standard deviation is below this share of the frame's bright level."""
DARK_SHARE = 0.2
"""A block belongs to a border only if its mean is below this share of the frame's bright level."""
CONTRAST_SHARE = 0.05
"""A border ends in an edge: the field beside it is brighter by at least this share of the frame's bright level."""
MIN_FIELD_SHARE = 0.05
"""A field smaller than this share of the frame is no field: the whole frame is used instead."""
BRIGHT_PERCENT = 99
"""Percentile that stands for a frame's bright level."""
RINGING_SHARE = 0.015
"""Compression leaves border pixels up to about this share of the bright level above their black."""
BRIGHTEST_PERCENT = 99.5
"""Percentile that stands for the brightest border pixels."""
OWN_LEVEL_PERCENT = 20
"""Percentile of a frame's dark edge pixels that stands for its own black."""
OPENING_PX = 2
"""Dark structures thinner than about twice this are no border even where they touch the frame's edge (a wire)."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Border:
    """The collimator's black in the units of the frames."""

    level: float
    """Median value of border pixels; 0 where no frame has a border."""
    threshold: float
    """No border pixel of any frame is brighter; -1 where no frame has a border."""
    spread: float
    """How far the brightest border pixels of a frame lie above its own black (noise, ringing)."""


@dataclasses.dataclass(frozen=True, slots=True)
class BorderSample:
    """What one frame contributes to estimating the border."""

    pixels: Frame
    """Border pixels along the frame's edges, 1-D; none without a border."""
    bright: float
    """The frame's bright level (99th percentile)."""


NO_BORDER = Border(level=0.0, threshold=-1.0, spread=0.0)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of a frame, the ends exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing the last two axes of a frame."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def border_sample(frame: Frame) -> BorderSample:
    """The pixels of a ``(H, W)`` frame's border along the frame's edges.

    Of the blocks along the edges these are the flat ones about as dark as the darkest of them, if the region they
    seed ends in an edge. Dark anatomy at the frame's edge brightens gradually and is left out.
    """
    blocks = np.concatenate([_blocks(strip) for strip in _edge_strips(frame)])
    values = blocks.astype(np.float32)
    means = values.mean(axis=1)
    bright = float(np.percentile(frame, BRIGHT_PERCENT))
    none = BorderSample(blocks[:0].ravel(), bright)
    flat = (values.std(axis=1) <= FLAT_SHARE * bright) & (means <= DARK_SHARE * bright)
    if not flat.any():
        return none
    found = BorderSample(blocks[flat & (means <= means[flat].min() + FLAT_SHARE * bright)].ravel(), bright)
    has_field_beside = not exposed_field(frame, estimate_border([found])).all()
    return found if has_field_beside else none


def _edge_strips(frame: Frame) -> list[Frame]:
    """The four outermost strips of ``BLOCK_PX`` pixels, each as ``(BLOCK_PX, length)``."""
    depth = min(BLOCK_PX, *frame.shape)
    return [frame[:depth], frame[-depth:], frame[:, :depth].T, frame[:, -depth:].T]


def _blocks(strip: Frame) -> Frame:
    """``(n, depth * depth)``: a strip cut into squares."""
    depth, length = strip.shape
    count = length // depth
    return strip[:, : count * depth].reshape(depth, count, depth).transpose(1, 0, 2).reshape(count, depth * depth)


def estimate_border(samples: Sequence[BorderSample]) -> Border:
    """The border level of frames of one integer type.

    Args:
        samples: for each frame what ``border_sample`` gave.

    Returns:
        The median of all samples, a threshold above nearly all of them, and the spread within a frame.
    """
    present = [sample for sample in samples if sample.pixels.size]
    if not present:
        return NO_BORDER
    values = [sample.pixels.astype(np.float64) for sample in present]
    above_own = np.concatenate([pixels - np.median(pixels) for pixels in values])
    ringing = RINGING_SHARE * float(np.median([sample.bright for sample in present]))
    spread = max(float(np.percentile(above_own, BRIGHTEST_PERCENT)), ringing)
    level, high = np.percentile(np.concatenate(values), (50, BRIGHTEST_PERCENT))
    return Border(level=round(float(level), 3), threshold=round(float(high) + spread, 3), spread=round(spread, 3))


def exposed_field(frame: Frame, border: Border) -> Mask:
    """``(H, W)`` bool: True where the detector was exposed.

    The border is every dark region that touches the frame's edge, is thicker than a wire and ends in an edge towards
    brighter pixels; the field is the largest region left, without holes. A frame without border, or whose field
    would be tiny, is exposed everywhere.
    """
    from scipy import ndimage

    everywhere = np.ones(frame.shape, np.bool_)
    rim = np.concatenate((frame[0], frame[-1], frame[:, 0], frame[:, -1]))
    rim = rim[rim <= border.threshold]
    if rim.size == 0:
        return everywhere
    # Black differs between sequences: the frame's own counts, so that dark anatomy beside a blacker border stays.
    own_level = float(np.percentile(rim, OWN_LEVEL_PERCENT))
    limit = min(border.threshold, own_level + 2 * border.spread)
    dark = _open(frame <= limit)
    labels, _ = ndimage.label(dark)
    touching = np.unique(np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1])))
    outside = np.isin(labels, touching[touching > 0])
    if not outside.any() or not _ends_in_an_edge(frame, outside, limit):
        return everywhere
    regions, count = ndimage.label(~outside)
    if count == 0:
        return everywhere
    largest = int(np.bincount(regions.ravel())[1:].argmax()) + 1
    field: Mask = ndimage.binary_fill_holes(regions == largest)
    return field if field.mean() >= MIN_FIELD_SHARE else everywhere


def _open(dark: Mask) -> Mask:
    """Morphological opening in which the frame's outside counts as dark."""
    from scipy import ndimage

    size = 2 * OPENING_PX + 1
    padded = np.pad(dark, size, constant_values=True)
    # A square opening through rank filters runs along one axis at a time, several times as fast as binary_opening.
    eroded = ndimage.minimum_filter(padded.view(np.uint8), size)
    opened = ndimage.maximum_filter(eroded, size)
    inside: Mask = opened[size:-size, size:-size].astype(np.bool_) & dark
    return inside


def _ends_in_an_edge(frame: Frame, outside: Mask, limit: float) -> bool:
    """Whether the pixels just beyond the dark region are clearly brighter than its brightest pixels may be."""
    from scipy import ndimage

    near = ndimage.maximum_filter(outside.view(np.uint8), 9).astype(np.bool_)
    touching = ndimage.maximum_filter(outside.view(np.uint8), 5).astype(np.bool_)
    beyond = frame[near & ~touching]
    if beyond.size == 0:
        return False
    return bool(np.median(beyond) >= limit + CONTRAST_SHARE * np.percentile(frame, BRIGHT_PERCENT))


def bounding_box(mask: Mask) -> Box:
    """The smallest box around the True pixels of a ``(H, W)`` mask that has any."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(top=int(rows[0]), bottom=int(rows[-1]) + 1, left=int(columns[0]), right=int(columns[-1]) + 1)
