"""Where X-rays reached the detector: collimator borders are found, cut away and masked out.

Borders are dark and flat but rarely 0: many frames have about 15 of 255 there, with JPEG ringing around it. So the
level is estimated from the edges of all frames of a dataset (``estimate_border``), and a frame's exposed field is
what is left when the dark at its edges is taken away, up to where the grey value is half-way to the field's
(``exposed_field``). Frames of 12 and of 16 bits may be kept in 16 alike, so each depth has a border of its own. How it
is done and how well: documentation/explanation/exposed_field.md.

Reference: FGA-Net paper, section "Preprocessing" (cropping to the region that is not black).
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gwunet.bit_mask import BitMask

Frame = NDArray[np.uint8] | NDArray[np.uint16]
Mask = NDArray[np.bool_]
Scalar = TypeVar("Scalar", bound=np.generic)

BLOCK_PX = 8
"""Edge length of the blocks along a frame's edges in which borders are looked for."""
FLAT_SHARE = 0.02
"""A block belongs to a border only if its standard deviation is below this share of the frame's bright level."""
DARK_SHARE = 0.2
"""A block belongs to a border only if its mean is below this share of the frame's bright level."""
CONTRAST_SHARE = 0.05
"""A border ends in an edge: a rise of at least this share of the frame's bright level within a few pixels."""
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
GRID_PX = 4
"""What needs no detail is computed on a grid of every so many pixels."""
END_STEPS = 3
"""Grid steps around the field's roughly found end within which the exact one is looked for."""
RISE_PX = 2
"""The border ends in an edge if so far inside its end it is clearly brighter than so far outside."""
HULL_PASSES = 4
"""Passes over all points of a hull at once before they are taken one by one; each leaves about half of a rough line."""
BRIGHT_GRID = 128
"""At most about so many rows and columns, evenly chosen, tell a frame's bright level."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Border:
    """The collimator's black in the units of the frames."""

    level: float
    """Median value of border pixels; 0 where no frame has a border."""
    threshold: float
    """No border pixel of any frame is brighter; -1 where no frame has a border."""
    spread: float
    """How far the brightest border pixels of a frame lie above its own black (noise, ringing)."""
    depths: "dict[str, Border]" = dataclasses.field(default_factory=dict)
    """16 bit only: the border of each depth (``"12"``) that any frame with a border has; the numbers above are those of
    the most frequent one. Empty where no frame has a border, and in plans of 0.1: then they count for all frames."""


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
    bright = _bright_level(frame)
    none = BorderSample(blocks[:0].ravel(), bright)
    flat = (values.std(axis=1) <= FLAT_SHARE * bright) & (means <= DARK_SHARE * bright)
    if not flat.any():
        return none
    found = BorderSample(blocks[flat & (means <= means[flat].min() + FLAT_SHARE * bright)].ravel(), bright)
    has_field_beside = not exposed_field(frame, estimate_border([found])).all()
    return found if has_field_beside else none


def _bright_level(frame: Frame) -> float:
    step = max(1, min(frame.shape) // BRIGHT_GRID)
    return _percentile(frame[::step, ::step].ravel(), BRIGHT_PERCENT)


def _percentile(values: NDArray[Any], percent: float) -> float:
    """``numpy.percentile`` of 1-D whole numbers, to the bit and in a fraction of its time."""
    place = percent / 100 * (values.size - 1)
    below, rest = int(place), place - int(place)
    ordered = np.partition(values, sorted({below, min(below + 1, values.size - 1)}))
    low, high = int(ordered[below]), int(ordered[min(below + 1, values.size - 1)])
    return low + (high - low) * rest if rest < 0.5 else high - (high - low) * (1 - rest)


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
        The median of all samples, a threshold above nearly all of them, and the spread within a frame; of 16-bit frames
        for each depth.
    """
    present = [sample for sample in samples if sample.pixels.size]
    if not present:
        return NO_BORDER
    if present[0].pixels.dtype == np.uint8:
        return _estimate(present)
    by_depth: dict[int, list[BorderSample]] = {}
    for sample in present:
        by_depth.setdefault(_depth(sample.bright), []).append(sample)
    depths = {depth: _estimate(those) for depth, those in sorted(by_depth.items())}
    most_frequent = max(depths, key=lambda depth: len(by_depth[depth]))
    return dataclasses.replace(depths[most_frequent], depths={str(depth): one for depth, one in depths.items()})


def _depth(bright: float) -> int:
    """8, 10, 12, 14 or 16: the bits that a frame with this bright level fills.

    A few dim frames of an otherwise brighter dataset may count as less deep; they then have a border of their own.
    """
    bits = max(8, int(bright).bit_length())
    return bits + bits % 2


def _estimate(samples: Sequence[BorderSample]) -> Border:
    # Counted instead of sorted, which takes the same memory for any number of frames.
    top = max(int(sample.pixels.max()) for sample in samples)
    values, twice_above_own = np.zeros(top + 1, np.int64), np.zeros(4 * top + 1, np.int64)
    for pixels in (sample.pixels for sample in samples):
        counts = np.bincount(pixels)
        values[: counts.size] += counts
        lowest = 2 * top - int(2 * np.median(pixels))  # a median may lie half-way between two values
        twice_above_own[lowest : lowest + 2 * counts.size : 2] += counts
    ringing = RINGING_SHARE * float(np.median([sample.bright for sample in samples]))
    above_own = float(percentiles_of_counts(twice_above_own, BRIGHTEST_PERCENT)) / 2 - top
    spread = max(above_own, ringing)
    level, high = percentiles_of_counts(values, (50, BRIGHTEST_PERCENT))
    return Border(level=round(float(level), 3), threshold=round(float(high) + spread, 3), spread=round(spread, 3))


def percentiles_of_counts(counts: NDArray[np.integer], percents: float | Sequence[float]) -> NDArray[np.float64]:
    """As ``numpy.percentile`` of integers, given how often each from 0 on occurs."""
    up_to = np.cumsum(counts)
    places = np.asarray(percents) / 100 * (up_to[-1] - 1)
    below, above = (np.searchsorted(up_to, f(places), side="right") for f in (np.floor, np.ceil))
    return np.asarray(below + (places % 1) * (above - below), np.float64)


def exposed_field(frame: Frame, border: Border) -> Mask:
    """``(H, W)`` bool: True where the detector was exposed.

    The border is what is dark along straight lines from the frame's edges, is thicker than a wire and ends in an edge
    towards brighter pixels. It ends where the grey value is half-way from its black to the field nearby. The field is
    convex, as it is within straight blades and circles, so that wires and narrow dark anatomy at its end belong to
    it. A frame without border, or whose field would be tiny, is exposed everywhere. One of a depth for which there is
    no border is judged by its own edges alone.
    """
    bright = _bright_level(frame)
    if border.depths:
        border = border.depths.get(str(_depth(bright))) or estimate_border([border_sample(frame)])
    everywhere = np.ones(frame.shape, np.bool_)
    rim = np.concatenate((frame[0], frame[-1], frame[:, 0], frame[:, -1]))
    rim = rim[rim <= math.floor(border.threshold)]
    if rim.size == 0:
        return everywhere
    # Black differs between sequences: the frame's own counts, so that dark anatomy beside a blacker border stays.
    own_level = _percentile(rim, OWN_LEVEL_PERCENT)
    limit = min(border.threshold, own_level + 2 * border.spread)
    rough = _beyond_dark(frame <= math.floor(limit))
    if rough.all() or not rough.any():
        return everywhere
    half = _half_level(frame, rough, black=_percentile(rim[rim <= math.floor(limit)], 50), limit=limit)
    field = _convex(_largest(_without_specks(_beyond_dark(frame <= half)), frame.shape))
    large_enough = field.area >= MIN_FIELD_SHARE * frame.size
    return field.drawn() if large_enough and _begins_with_a_rise(field, frame, bright) else everywhere


def find_field(frame: Frame, border: Border | None) -> Mask:
    """``(H, W)`` bool: the exposed field by a dataset's border, and where that finds none by the frame's own edges.

    So a border of another machine, brighter than any of the dataset's, is found too.

    Args:
        frame: ``(H, W)`` uint8 or uint16.
        border: of the dataset's frames of this type; None where it has none of it.
    """
    field = exposed_field(frame, border or NO_BORDER)
    return exposed_field(frame, estimate_border([border_sample(frame)])) if field.all() else field


def _beyond_dark(dark: Mask) -> BitMask:
    """What no horizontal or vertical line of dark pixels joins to the frame's edge.

    For a convex field in dark this is the field: from any pixel beside it, one of the four directions leads away from
    it. It takes a fraction of the time of labelling regions.
    """
    return ~BitMask.of(dark).opened(OPENING_PX, outside=True).joined_to_edge()


def _half_level(frame: Frame, rough: BitMask, *, black: float, limit: float) -> NDArray[np.unsignedinteger]:
    """``(H, W)``: near the field's end half-way from black to the field nearby, rounded down; ``limit`` deep inside."""
    from scipy import ndimage

    deep = BitMask.of(rough.as_bool(GRID_PX)).eroded(END_STEPS).as_bool()
    weights = deep.astype(np.float32)
    both = np.stack((weights * frame[::GRID_PX, ::GRID_PX], weights))
    nearby = np.full(deep.shape, black, np.float32)
    # A mean of deep pixels only, for what is near the end may be penumbra or ringing; and of few of them where few are
    # in reach, so that a dark organ between the border and bright lung is measured by itself.
    for window in (4 * END_STEPS + 1, 2 * END_STEPS + 3):
        down = ndimage.uniform_filter1d(both, window, axis=1, mode="constant")
        total, share = ndimage.uniform_filter1d(down, window, axis=2, mode="constant")
        np.divide(total, share, out=nearby, where=share > 0.5 / window**2)
    half = np.where(deep, limit, np.maximum(limit, (nearby + black) / 2))
    return _spread_out(half.astype(frame.dtype), frame.shape)


def _spread_out(coarse: NDArray[Scalar], shape: tuple[int, ...]) -> NDArray[Scalar]:
    """A picture on the grid of ``GRID_PX`` in the frame's shape, each value in a square."""
    return coarse.repeat(GRID_PX, 1).repeat(GRID_PX, 0)[: shape[0], : shape[1]]


def _without_specks(field: BitMask) -> BitMask:
    # What touches the rest is kept: the outermost pixels of a circle stand alone.
    return field & field.opened(OPENING_PX, outside=False).dilated(1)


def _largest(field: BitMask, shape: tuple[int, ...]) -> BitMask:
    """The largest region of a ``shape`` field, which is not the letters in a border."""
    from scipy import ndimage

    labels, count = ndimage.label(field.as_bool(GRID_PX))
    if count == 0:
        return field
    largest = 1 if count == 1 else int(np.bincount(labels.ravel())[1:].argmax()) + 1
    near = BitMask.of(labels == largest).dilated(1).as_bool()
    return field & BitMask.of(_spread_out(near, shape))


@dataclasses.dataclass(frozen=True, slots=True)
class _Convex:
    """A convex field by its ends: where one lies before the other, there is none of it."""

    left: NDArray[np.intp]
    """``(H,)``: the first column of each row."""
    right: NDArray[np.intp]
    """``(H,)``: one beyond the last."""
    width: int
    """Of the frame."""

    @property
    def area(self) -> int:
        """Pixels."""
        return int(np.maximum(self.right - self.left, 0).sum())

    def drawn(self) -> Mask:
        """``(H, W)``."""
        index = np.min_scalar_type(self.width)  # narrow integers: most of the time goes into comparing them
        left, right = (np.maximum(ends, 0).astype(index)[:, None] for ends in (self.left, self.right))
        columns = np.arange(self.width).astype(index)
        return (columns >= left) & (columns < right)

    def turned(self) -> "_Convex":
        """The same with rows and columns exchanged."""
        height, columns = len(self.left), np.arange(self.width)
        # The rows that begin at or before a column follow one another, as do those that end beyond it.
        above, below = (
            np.maximum(
                np.searchsorted(-np.minimum.accumulate(left), -columns),
                np.searchsorted(np.maximum.accumulate(right), columns, side="right"),
            )
            for left, right in ((self.left, self.right), (self.left[::-1], self.right[::-1]))
        )
        return _Convex(above, height - below, height)


def _convex(field: BitMask) -> _Convex:
    """The pixels whose centres are in the convex hull of the field's pixel centres."""
    left, right = field.row_ends()
    rows = np.flatnonzero(left < right)
    if rows.size == 0:
        return _Convex(left, right, field.width)
    start = _lower_hull(rows, left[rows])
    last = -_lower_hull(rows, 1 - right[rows])
    # The slack is for the rounding of interpolation.
    among = slice(rows[0], rows[-1] + 1)
    left, right = np.full_like(left, field.width), np.zeros_like(right)
    left[among], right[among] = np.ceil(start - 1e-6), np.floor(last + 1e-6) + 1
    return _Convex(left, right, field.width)


def _lower_hull(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """The lower convex hull of points, one for each of ``rows``, as columns at all rows from the first to the last."""
    # Most points lie above the line between their neighbours and are gone in a few fast passes.
    for _ in range(HULL_PASSES):
        step, rise = rows[1:] - rows[:-1], columns[1:] - columns[:-1]
        below = np.ones(len(rows), np.bool_)
        below[1:-1] = rise[:-1] * step[1:] < rise[1:] * step[:-1]
        rows, columns = rows[below], columns[below]
    hull: list[tuple[int, int]] = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        while len(hull) > 1:
            (row0, column0), (row1, column1) = hull[-2:]
            if (column1 - column0) * (row - row0) < (column - column0) * (row1 - row0):
                break
            hull.pop()
        hull.append((row, column))
    knots, values = zip(*hull, strict=True)
    return np.asarray(np.interp(np.arange(rows[0], rows[-1] + 1), knots, values), np.float64)


def _begins_with_a_rise(field: _Convex, frame: Frame, bright: float) -> bool:
    """Whether the frame is clearly brighter just inside the field's end than just outside, at most places."""
    rises = np.concatenate([_rises(field, frame), _rises(field.turned(), frame.T)])
    return rises.size > 0 and bool(_percentile(rises, 50) >= np.float32(CONTRAST_SHARE * bright))


def _rises(field: _Convex, frame: Frame) -> NDArray[np.float32]:
    """1-D: from outside to inside, at the left and right ends of a field's rows that are no ends of the frame."""
    left, right = field.left, field.right
    last = field.width - 1
    rises = []
    for end, inwards, cut in ((left, RISE_PX, left > 0), (right - 1, -RISE_PX, right <= last)):
        rows = np.flatnonzero(cut & (right - left > RISE_PX))
        inside, outside = end[rows] + inwards, np.clip(end[rows] - inwards, 0, last)
        rises.append(frame[rows, inside].astype(np.float32) - frame[rows, outside])
    return np.concatenate(rises)


def bounding_box(mask: Mask) -> Box:
    """The smallest box around the True pixels of a ``(H, W)`` mask that has any."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Box(top=int(rows[0]), bottom=int(rows[-1]) + 1, left=int(columns[0]), right=int(columns[-1]) + 1)
