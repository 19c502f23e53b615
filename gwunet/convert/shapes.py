"""The shapes that people draw in an annotation tool, and the mask they make together."""

import dataclasses
import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gwunet.convert.strokes import Mask, Points, draw_polygon, draw_stroke
from gwunet.dataset import IGNORE
from gwunet.errors import DatasetError, UsageError

IGNORED = ("ignore", "__ignore__")
"""Labels of regions in which nobody can say what is wire; they are kept as such, whatever labels are chosen."""
BACKGROUND = "_background_"
"""Label of places that are not wire."""
_FARTHEST_PX = 1 << 20
"""From the corner of the frame; coordinates beyond are no drawing, and filling them could overflow."""

Kind = Literal["polygon", "line", "brush", "area", "point", "other"]
"""An area is a box or a circle, given by its outline: good for a region to ignore, but no tool to outline a wire."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """One shape as it was drawn; coordinates are pixel centres, row then column (see ``strokes``)."""

    name: str
    """What to call it in messages: where it stands in the file, its label, the tool's word for its kind."""
    label: str
    kind: Kind
    points: Points = dataclasses.field(default_factory=lambda: np.zeros((0, 2)))
    """(N, 2) vertices of a polygon or an area, or points of a line; none for the other kinds."""
    brush: NDArray[np.bool_] | None = None
    """(h, w) painted pixels of a brush stroke."""
    corner: tuple[int, int] = (0, 0)
    """Row and column of the brush stroke's first pixel in the frame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """How shapes become a mask."""

    labels: tuple[str, ...] | None = None
    """Labels that are wire; None for every label but those of regions to ignore."""
    width_px: float | None = None
    """Width of lines in pixels; None where only areas are drawn."""
    smooth: bool = False
    """Whether a line is a smooth curve through its points; else it is straight from point to point."""

    def chosen(self, shapes: Sequence[Shape]) -> list[Shape]:
        """The shapes that are wire or a region to ignore.

        Raises:
            DatasetError: without ``labels``, a shape marks a place that is not wire.
        """
        if self.labels is not None:
            return [shape for shape in shapes if shape.label in self.labels or is_ignored(shape.label)]
        for shape in shapes:
            if shape.label == BACKGROUND:
                raise DatasetError(
                    f"{shape.name}: found the label {shape.label!r}; wanted labels of wires: remove the shape, or "
                    "choose the wire's labels (--labels) to count it as background"
                )
        return list(shapes)


def is_ignored(label: str) -> bool:
    """Whether a label is one of ``IGNORED``, in capitals or not: as a wire's it would teach the wrong thing."""
    return label.strip().casefold() in IGNORED


def draw_annotation(shapes: Sequence[Shape], size: tuple[int, int], drawing: Drawing) -> Mask:
    """(H, W) mask with 0 background, 1 wire and ``IGNORE``; where a wire crosses a region to ignore, it is ignored.

    Args:
        shapes: those that are wire and those of regions to ignore, as ``Drawing.chosen`` gives them.
        size: height and width of the frame.
        drawing: how to draw lines.

    Raises:
        DatasetError: see ``draw_shapes``.
        UsageError: there is a line, and no width for it.
    """
    mask = draw_shapes([shape for shape in shapes if not is_ignored(shape.label)], size, drawing)
    regions = [shape for shape in shapes if is_ignored(shape.label) and shape.kind != "point"]
    mask[draw_shapes(regions, size, drawing, areas=True) == 1] = IGNORE
    return mask


def draw_shapes(shapes: Sequence[Shape], size: tuple[int, int], drawing: Drawing, *, areas: bool = False) -> Mask:
    """(H, W) mask in {0, 1} of all shapes together; points have no extent and are left out.

    A shape that cannot be drawn is an error, because the mask without it would teach that its wire is background.

    Args:
        shapes: those that are wire.
        size: height and width of the frame.
        drawing: how to draw lines.
        areas: take boxes and circles too, which outline no wire; what is beyond the frame is cut off.

    Raises:
        DatasetError: a shape leaves the frame, has too few points, covers no pixel, or is of a kind that is no wire;
            or there are points alone.
        UsageError: there is a line, and no width for it.
    """
    if shapes and all(shape.kind == "point" for shape in shapes):
        raise DatasetError(
            f"{shapes[0].name}: found points alone, which have no extent; wanted the wire too: draw it, or remove the "
            "points to say that there is none"
        )
    mask = np.zeros(size, np.uint8)
    for shape in shapes:
        if shape.kind == "point":
            continue
        if shape.kind == "line" and drawing.width_px is None:
            raise UsageError(
                f"{shape.name}: found a line, which has no width; wanted the wire's width in pixels: give it (--width)"
            )
        try:
            drawn = _draw_area(shape, size) if areas and shape.kind == "area" else _draw(shape, size, drawing)
            if not drawn.any():
                raise DatasetError("found that it covers no pixel's centre; wanted one that does: draw it again")
        except DatasetError as problem:
            raise DatasetError(f"{shape.name}: {problem}") from problem
        mask |= drawn
    return mask


def _draw(shape: Shape, size: tuple[int, int], drawing: Drawing) -> Mask:
    if shape.kind == "brush" and shape.brush is not None:
        return _draw_brush(shape.brush, shape.corner, size)
    if shape.kind not in ("polygon", "line"):
        raise DatasetError(
            "found a shape that outlines no wire; wanted a polygon, a line or a brush stroke: draw it with one of them"
        )
    outside = ~((shape.points >= -0.5) & (shape.points <= np.array(size) - 0.5)).all(axis=1)
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        row, column = shape.points[first] + 0.5
        raise DatasetError(
            f"found point {first + 1} at {row:g} px from the top and {column:g} px from the left; wanted points in the "
            f"frame of {size[0]}x{size[1]} px: draw it again on this frame"
        )
    if shape.kind == "polygon":
        return draw_polygon(shape.points, size)
    assert drawing.width_px is not None
    return draw_stroke(shape.points, drawing.width_px, size, smooth=drawing.smooth)


def _draw_area(shape: Shape, size: tuple[int, int]) -> Mask:
    if not (np.abs(shape.points) <= _FARTHEST_PX).all():
        raise DatasetError(f"found it more than {_FARTHEST_PX} px from the frame; wanted it there: draw it again")
    return draw_polygon(shape.points, size)


def _draw_brush(brush: NDArray[np.bool_], corner: tuple[int, int], size: tuple[int, int]) -> Mask:
    end = (corner[0] + brush.shape[0], corner[1] + brush.shape[1])
    if min(corner) < 0 or end[0] > size[0] or end[1] > size[1]:
        raise DatasetError(
            f"found painted rows {corner[0]} to {end[0] - 1} and columns {corner[1]} to {end[1] - 1}; wanted them in "
            f"the frame of {size[0]}x{size[1]} px: paint it again on this frame"
        )
    mask = np.zeros(size, np.uint8)
    mask[corner[0] : end[0], corner[1] : end[1]] = brush
    return mask


def check_labels(drawing: Drawing, found: Collection[str]) -> None:
    """Refuse a chosen label that none of the shapes has: misspelt, it would silently leave every mask empty.

    Raises:
        UsageError: naming the label and those that there are; or a region to ignore is chosen as wire.
    """
    for label in drawing.labels or ():
        if is_ignored(label):
            raise UsageError(
                f"labels: found {label!r}, which marks regions to ignore; wanted labels of wires: leave it out, as "
                "such regions are kept without being named"
            )
        if found and label not in found:
            close = difflib.get_close_matches(label, found, n=1)
            raise UsageError(
                f"labels: found no shape with the label {label!r}; wanted some of "
                f"{', '.join(sorted(found))}: " + (f"did you mean {close[0]!r}?" if close else "correct the name")
            )
