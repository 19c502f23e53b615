"""Pictures of several frames and models: a row for each frame, a column for each model."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwunet.explaining.errors import Mark
from gwunet.exposed_field import Frame
from gwunet.inference.overlay import draw_overlay
from gwunet.jsonio import printable, replacing

ARROW_COLOURS = {"break": "#ffd400", "missed": "#ff3b30", "wrong": "#ff3b30"}
"""As in the paper's figure 8."""
MOST_ARROWS = 12
"""In one picture, at the longest errors: more hide the frame."""
MARGIN_PX = 30
COLUMN_INCHES = 2.6
TALLEST = 1.3
"""Of its width, as a picture is drawn at most."""
WARM = 0.55
"""Share of the map's colour at its largest value."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One frame as one model sees it."""

    prediction: NDArray[np.uint8]
    """``(H, W)``."""
    marks: tuple[Mark, ...]
    heat: NDArray[np.float32]
    """``(H, W)`` in [0, 1]: Grad-CAM++."""
    dice: float


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One frame, with each model's view of it."""

    case: str
    frame: Frame
    reference: NDArray[np.uint8]
    seen: tuple[Seen, ...]


def draw_grad_cam(path: Path, rows: Sequence[Row], models: Sequence[str]) -> None:
    """The frame, its annotation, and each model's map on it."""
    columns = ["frame", "reference", *models]
    pictures = [
        [_grey(row.frame), draw_overlay(row.frame, (row.reference == 1).astype(np.uint8))]
        + [_warmed(_grey(row.frame), seen.heat) for seen in row.seen]
        for row in rows
    ]
    note = "the brighter, the more a place speaks for the wire"
    _draw(path, rows, columns, pictures, [[()] * len(columns) for _ in rows], note)


def draw_comparison(path: Path, rows: Sequence[Row], models: Sequence[str]) -> None:
    """The frame, its annotation, and each model's prediction with its errors coloured and pointed at."""
    columns = ["frame", "reference", *models]
    pictures = [
        [_grey(row.frame), draw_overlay(row.frame, (row.reference == 1).astype(np.uint8))]
        + [draw_overlay(row.frame, seen.prediction, row.reference) for seen in row.seen]
        for row in rows
    ]
    note = "green found, orange wrong, blue missed; arrows: yellow at breaks, red at missed and wrong pieces"
    _draw(path, rows, columns, pictures, [[(), (), *(seen.marks for seen in row.seen)] for row in rows], note)


def _draw(
    path: Path,
    rows: Sequence[Row],
    columns: Sequence[str],
    pictures: Sequence[Sequence[NDArray[np.uint8]]],
    marks: Sequence[Sequence[Sequence[Mark]]],
    note: str,
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    boxes = [_box(row) for row in rows]
    shapes = [(down.stop - down.start, across.stop - across.start) for down, across in boxes]
    heights = [COLUMN_INCHES * min(TALLEST, high / wide) + 0.3 for high, wide in shapes]
    figure = Figure(figsize=(COLUMN_INCHES * len(columns), sum(heights) + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.supxlabel(note, fontsize=8)
    grid = figure.subplots(len(rows), len(columns), squeeze=False, height_ratios=heights)
    for number, (row, box, line) in enumerate(zip(rows, boxes, grid, strict=True)):
        told = ["", row.case, *(f"Dice {seen.dice:.3f}" for seen in row.seen)]
        for column, axes in enumerate(line):
            axes.imshow(pictures[number][column])
            axes.set(xticks=[], yticks=[], xlim=(box[1].start, box[1].stop), ylim=(box[0].stop, box[0].start))
            # Names come from other people: a dollar sign in one is no formula.
            axes.set_xlabel(printable(told[column]), fontsize=8, parse_math=False)
            if not number:
                axes.set_title(columns[column], fontsize=9, parse_math=False)
            for mark in marks[number][column][:MOST_ARROWS]:
                _point_at(axes, mark)
    with replacing(path) as partial:
        figure.savefig(partial, dpi=110)


def _point_at(axes: Any, mark: Mark) -> None:
    axes.annotate(
        "",
        xy=(mark.column, mark.row),
        xytext=(14, 14),
        textcoords="offset points",
        arrowprops={"arrowstyle": "-|>", "color": ARROW_COLOURS[mark.kind], "lw": 1.4, "shrinkB": 2},
        annotation_clip=True,
    )


def _box(row: Row) -> tuple[slice, slice]:
    """Rows and columns around everything that is wire to anybody."""
    wires = row.reference == 1
    for seen in row.seen:
        wires = wires | (seen.prediction == 1)
    edges = []
    for axis in (1, 0):
        places = np.flatnonzero(wires.any(axis=axis))
        low, high = (int(places[0]), int(places[-1])) if len(places) else (0, wires.shape[1 - axis] - 1)
        edges.append(slice(max(0, low - MARGIN_PX), min(wires.shape[1 - axis], high + 1 + MARGIN_PX)))
    return edges[0], edges[1]


def _grey(frame: Frame) -> NDArray[np.uint8]:
    return draw_overlay(frame, np.zeros(frame.shape, np.uint8))


def _warmed(grey: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The map's colours over the frame, the stronger the higher."""
    from matplotlib import colormaps

    colour = 255 * colormaps["inferno"](heat)[..., :3]
    share = WARM + (1 - WARM) * heat[..., None]
    warmed: NDArray[np.uint8] = np.rint((1 - share) * grey + share * colour).astype(np.uint8)
    return warmed
