"""Where X-rays reached the detector: collimator borders are found, cut away and masked out.

Borders are dark and flat but rarely 0: many frames have about 15 of 255 there, with JPEG ringing around it. So the
level is estimated from the edges of all frames of a dataset (``estimate_border``), and a frame's exposed field is
what is left when the dark at its edges is taken away, up to where the grey value is half-way to the field's
(``exposed_field``). Frames of 12 and of 16 bits may be kept in 16 alike, so each depth has a border of its own. How it
is done and how well: documentation/explanation/exposed_field.md.

Reference: FGA-Net paper, section "Preprocessing" (cropping to the region that is not black).
"""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

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
    return float(np.percentile(frame[::step, ::step], BRIGHT_PERCENT))


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
    rim = rim[rim <= border.threshold]
    if rim.size == 0:
        return everywhere
    # Black differs between sequences: the frame's own counts, so that dark anatomy beside a blacker border stays.
    own_level = float(np.percentile(rim, OWN_LEVEL_PERCENT))
    limit = min(border.threshold, own_level + 2 * border.spread)
    rough = _beyond_dark(_opened(frame <= limit, outside=True))
    if rough.all() or not rough.any():
        return everywhere
    half = _half_level(frame, rough, black=float(np.median(rim[rim <= limit])), limit=limit)
    exact = _beyond_dark(_opened(frame <= half, outside=True))
    field = _convex(_largest(_without_specks(exact)))
    large_enough = np.count_nonzero(field) >= MIN_FIELD_SHARE * field.size
    return field if large_enough and _begins_with_a_rise(field, frame, bright) else everywhere


def _beyond_dark(dark: Mask) -> Mask:
    """What no horizontal or vertical line of dark pixels joins to the frame's edge.

    For a convex field in dark this is the field: from any pixel beside it, one of the four directions leads away from
    it. It takes a fraction of the time of labelling regions.
    """
    index = np.min_scalar_type(max(dark.shape))  # narrow integers: most of the time goes into comparing them
    left, right = _ends(~dark)
    top, bottom = _ends(np.ascontiguousarray(~dark.T))
    rows = np.arange(dark.shape[0]).astype(index)[:, None]
    columns = np.arange(dark.shape[1]).astype(index)
    beyond: Mask = (columns >= left.astype(index)[:, None]) & (columns < right.astype(index)[:, None])
    beyond &= rows >= top.astype(index)
    beyond &= rows < bottom.astype(index)
    return beyond


def _ends(mask: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """``(H,)`` each: the column of a row's first True, and one beyond that of its last; W and 0 where there is none."""
    width = mask.shape[1]
    first = mask.argmax(axis=1)
    end = width - mask[:, ::-1].argmax(axis=1)
    some = mask[np.arange(len(mask)), first]
    return np.where(some, first, width), np.where(some, end, 0)


def _opened(mask: Mask, *, outside: bool) -> Mask:
    """Morphological opening by a square, with what the frame's outside counts as."""
    size = 2 * OPENING_PX + 1
    padded = np.pad(mask, size - 1, constant_values=outside)
    return _slide(_slide(padded, size, np.logical_and), size, np.logical_or)


def _slide(mask: Mask, size: int, join: np.ufunc) -> Mask:
    """``join`` over all squares of ``size`` pixels that lie wholly in the mask; ``size - 1`` rows and columns fewer.

    Joining with itself shifted by 1, then 2, then 4 takes a few fast passes where a rank filter takes many slow ones.
    """
    done = 1
    while done < size:
        step = min(done, size - done)
        mask = join(mask[step:], mask[:-step])
        mask = join(mask[:, step:], mask[:, :-step])
        done += step
    return mask


def _half_level(frame: Frame, rough: Mask, *, black: float, limit: float) -> NDArray[np.unsignedinteger]:
    """``(H, W)``: near the field's end half-way from black to the field nearby, rounded down; ``limit`` deep inside."""
    from scipy import ndimage

    grid = np.s_[::GRID_PX, ::GRID_PX]
    deep = ndimage.minimum_filter(rough[grid].view(np.uint8), 2 * END_STEPS + 1).astype(np.bool_)
    values, weights = np.where(deep, frame[grid], np.float32(0)), deep.astype(np.float32)
    nearby = np.full_like(values, black)
    # A mean of deep pixels only, for what is near the end may be penumbra or ringing; and of few of them where few are
    # in reach, so that a dark organ between the border and bright lung is measured by itself.
    for window in (4 * END_STEPS + 1, 2 * END_STEPS + 3):
        share = ndimage.uniform_filter(weights, window, mode="constant")
        total = ndimage.uniform_filter(values, window, mode="constant")
        np.divide(total, share, out=nearby, where=share > 0.5 / window**2)
    half = np.where(deep, limit, np.maximum(limit, (nearby + black) / 2))
    return _spread_out(half.astype(frame.dtype), frame.shape)


def _spread_out(coarse: NDArray[Scalar], shape: tuple[int, ...]) -> NDArray[Scalar]:
    """A picture on the grid of ``GRID_PX`` in the frame's shape, each value in a square."""
    return coarse.repeat(GRID_PX, 0).repeat(GRID_PX, 1)[: shape[0], : shape[1]]


def _without_specks(field: Mask) -> Mask:
    opened = _opened(field, outside=False)
    # What touches the rest is kept: the outermost pixels of a circle stand alone.
    smooth: Mask = field & _slide(np.pad(opened, 1), 3, np.logical_or)
    return smooth


def _largest(field: Mask) -> Mask:
    """The largest region, which is not the letters in a border."""
    from scipy import ndimage

    labels, count = ndimage.label(field[::GRID_PX, ::GRID_PX])
    if count == 0:
        return field
    largest = labels == int(np.bincount(labels.ravel())[1:].argmax()) + 1
    near: Mask = ndimage.maximum_filter(largest.view(np.uint8), 3).view(np.bool_)
    return field & _spread_out(near, field.shape)


def _convex(field: Mask) -> Mask:
    """The pixels whose centres are in the convex hull of the field's pixel centres."""
    left, right = _ends(field)
    rows = np.flatnonzero(left < right)
    if rows.size == 0:
        return field
    start = _lower_hull(rows, left[rows])
    last = -_lower_hull(rows, 1 - right[rows])
    columns = np.arange(field.shape[1], dtype=np.int32)
    # The slack is for the rounding of interpolation.
    starts, ends = np.ceil(start - 1e-6).astype(np.int32), np.floor(last + 1e-6).astype(np.int32)
    hull = np.zeros_like(field)
    hull[rows[0] : rows[-1] + 1] = (columns >= starts[:, None]) & (columns <= ends[:, None])
    return hull


def _lower_hull(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """The lower convex hull of points, one for each of ``rows``, as columns at all rows from the first to the last."""
    # Most points lie above the line between their neighbours and are gone in a few fast passes.
    for _ in range(HULL_PASSES):
        step, rise = np.diff(rows), np.diff(columns)
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


def _begins_with_a_rise(field: Mask, frame: Frame, bright: float) -> bool:
    """Whether the frame is clearly brighter just inside the field's end than just outside, at most places."""
    rises = np.concatenate([_rises(field, frame), _rises(np.ascontiguousarray(field.T), frame.T)])
    return rises.size > 0 and bool(np.median(rises) >= CONTRAST_SHARE * bright)


def _rises(field: Mask, frame: Frame) -> NDArray[np.float32]:
    """1-D: from outside to inside, at the left and right ends of a field's rows that are no ends of the frame."""
    left, right = _ends(field)
    last = frame.shape[1] - 1
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
