"""Points clicked along the wires, in a CSV file, and a smooth curve of a width through them.

One row for each point, in their order along the wire: ``case`` (the frame: its file name, with its folders if there are
any, with or without ending), ``wire`` (any name; a frame may have several), ``row`` and ``column`` (0-based pixel
centres: the middle of the corner pixel is 0, 0). Other columns are not read. A row with a case and nothing else says
that the frame has no wire.

Reference: Dual-guidewire LinkNet paper, section II-A, which annotates so.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from gwunet.convert.nested import (
    add_frame,
    add_unannotated,
    case_of,
    frames_below,
    images_folder,
    name_others,
    relative_path,
    source_files,
)
from gwunet.convert.shapes import Drawing, Shape, draw_shapes
from gwunet.convert.strokes import check_width
from gwunet.convert.writer import DatasetWriter
from gwunet.errors import DatasetError
from gwunet.io.frames import read_frame

COLUMNS = ("case", "wire", "row", "column")


@dataclass(kw_only=True, slots=True)
class _Frame:
    """What a CSV file says about one frame."""

    wires: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Row and column of the points, by wire."""
    problem: str | None = None
    """The first thing wrong with its rows."""


def convert_polyline(source: Path, writer: DatasetWriter, *, width_px: float, images: Path | None = None) -> None:
    """Convert frames annotated by points on their wires.

    A frame that no row mentions goes to imagesTs. A frame with a row that cannot be used is skipped with its reason.

    Args:
        source: a CSV file, or a folder of them (one file does not continue another).
        writer: the dataset to write to.
        width_px: width of the wires in pixels.
        images: folder of the frames; nested folders are patients and sequences. By default the folder ``images`` beside
            the CSV file, or if there is none the file's own folder.

    Raises:
        UsageError: no such source or folder, or no width of a wire.
        DatasetError: there is no CSV file, or two give a case the same name.
    """
    check_width(width_px)
    drawing = Drawing(width_px=width_px, smooth=True)
    mentioned: dict[Path, set[Path]] = {}
    unreadable: set[Path] = set()
    for path in source_files(source, ".csv", f"a CSV file with the columns {', '.join(COLUMNS)}"):
        folder = images_folder(path, images)
        seen = mentioned.setdefault(folder, set())
        try:
            table = _read_table(path)
        except DatasetError as problem:
            writer.skip(str(path), str(problem))
            unreadable.add(folder)
            continue
        frames = _frames_by_name(folder)
        for name, content in table.items():
            _convert_frame(name, content, f"{path}: case {name!r}", (folder, frames, seen), writer, drawing)
    for folder, seen in mentioned.items():
        if folder not in unreadable:
            add_unannotated(writer, folder, seen)
        else:
            writer.skip(str(folder), "frames that no file mentions: the file that cannot be read may annotate them")
    name_others(writer, source, mentioned, ".csv")


def _frames_by_name(folder: Path) -> dict[str, list[Path]]:
    """The frames below ``folder`` by every name a row may use: path or file name, with or without ending."""
    whole: dict[str, list[Path]] = {}
    bare: dict[str, list[Path]] = {}
    for path in frames_below(folder):
        relative = PurePosixPath(path.relative_to(folder).as_posix())
        for name in (str(relative), case_of(relative)):
            whole.setdefault(name, []).append(path)
        for name in (relative.name, PurePosixPath(case_of(relative)).name):
            bare.setdefault(name, []).append(path)
    return bare | whole  # a.png is the frame of that name in the folder itself, even if a folder in it has one too


def _read_table(path: Path) -> dict[str, _Frame]:
    """The frames of a CSV file by the name in it; raises ``DatasetError`` where it is no table of points."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise DatasetError(
                    f"found the columns {', '.join(rows.fieldnames or ['none'])[:200]}; wanted {', '.join(COLUMNS)}, "
                    "separated by commas: name them in the first line"
                )
            frames: dict[str, _Frame] = {}
            for row in rows:
                _add_row(row, rows.line_num, frames)
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise DatasetError(f"cannot be read ({problem}); wanted a CSV file in UTF-8: save it again") from problem
    return frames


def _add_row(row: Mapping[str, str | None], line: int, frames: dict[str, _Frame]) -> None:
    case, wire, *place = ((row[name] or "").strip() for name in COLUMNS)
    if not case and not any((wire, *place)):
        return
    frame = frames.setdefault(case, _Frame())
    if not any((wire, *place)):
        return
    try:
        point = (float(place[0]), float(place[1]))
    except ValueError:
        point = (math.nan, math.nan)
    if all(map(math.isfinite, point)) and wire:
        frame.wires.setdefault(wire, []).append(point)
    elif frame.problem is None:
        frame.problem = (
            f"line {line}: found wire {wire!r:.50}, row {place[0]!r:.50}, column {place[1]!r:.50}; wanted a name and "
            "two numbers: correct the line"
        )


def _convert_frame(
    name: str,
    content: _Frame,
    where: str,
    place: tuple[Path, Mapping[str, list[Path]], set[Path]],
    writer: DatasetWriter,
    drawing: Drawing,
) -> None:
    folder, frames, seen = place
    try:
        paths = frames.get(str(relative_path(name)), [])
        seen.update(path.resolve() for path in paths)
        if len(paths) != 1:
            raise DatasetError(
                f"found {len(paths) or 'no'} frames of this name in {folder}; wanted one: "
                + ("give its folders too" if paths else "add the frame, or correct the name")
            )
        if content.problem is not None:
            raise DatasetError(content.problem)
        frame = read_frame(paths[0])
        shapes = [
            Shape(name=f"wire {wire!r}", label=wire, kind="line", points=np.array(points))
            for wire, points in content.wires.items()
        ]
        mask = draw_shapes(shapes, (frame.shape[0], frame.shape[1]), drawing)
    except DatasetError as problem:
        writer.skip(where, str(problem))
    else:
        inside = PurePosixPath(paths[0].relative_to(folder).as_posix())
        add_frame(writer, inside, frame, mask, where, picture=paths[0])
