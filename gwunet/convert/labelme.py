"""Labelme's JSON files: polygons, line strips, lines and brush masks; rectangles and circles for regions to ignore.

Labelme writes x (to the right) then y (down) in pixels of a canvas on which the corner pixel covers 0 to 1, so that its
centre is at 0.5: half a pixel is taken off. A brush mask's two points are the indices of its first and last column and
row, its last ones included, and its pixels are a PNG in base64.

Flags, groups and descriptions do not change a mask and are not read.
"""

import base64
import dataclasses
import io
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gwunet.convert.nested import add_frame, add_unannotated, name_others, source_files
from gwunet.convert.shapes import Drawing, Kind, Shape, check_labels, draw_annotation
from gwunet.convert.strokes import Mask, Points, check_width
from gwunet.convert.writer import DatasetWriter
from gwunet.errors import DatasetError, FrameError, SchemaError
from gwunet.io.frames import FRAME_ENDINGS, read_frame
from gwunet.jsonio import from_json, parse_json

_KINDS: dict[str, Kind] = {
    "polygon": "polygon",
    "line": "line",
    "linestrip": "line",
    "mask": "brush",
    "rectangle": "area",
    "circle": "area",
    "point": "point",
    "points": "point",
}
_CIRCLE_POINTS = 360
"""Vertices of a circle; one of 1000 px across is met within 0.02 px."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Drawn:
    """A shape as Labelme writes it."""

    label: str
    points: tuple[tuple[float, float], ...]
    """x and y."""
    shape_type: str | None = None
    """None in files of Labelme before version 3, which knew polygons only."""
    mask: str | None = None
    """PNG of a brush mask in base64."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Document:
    """What is read of one of Labelme's files."""

    shapes: tuple[_Drawn, ...]
    imagePath: str | None = None  # noqa: N815 - Labelme's names
    imageData: str | None = None  # noqa: N815
    imageHeight: int | None = None  # noqa: N815
    imageWidth: int | None = None  # noqa: N815


def convert_labelme(
    source: Path,
    writer: DatasetWriter,
    *,
    labels: Sequence[str] | None = None,
    width_px: float | None = None,
    smooth: bool = False,
) -> None:
    """Convert frames annotated in Labelme.

    A frame is the picture beside the JSON file that ``imagePath`` names, else the one inside the file. A file that
    names another picture while one of its own name is there is skipped: it may be a copy made to begin with. A file
    without shapes of the labels gives an empty mask, and a frame without a file goes to imagesTs. All shapes of a frame
    are joined. A file that cannot be used whole is skipped with its reason.

    Args:
        source: a JSON file, or a folder of them with the frames; nested folders are patients and sequences.
        writer: the dataset to write to.
        labels: those that are wire; by default every label. Regions labelled ``ignore`` are kept as such
            in any case.
        width_px: width of lines and line strips in pixels.
        smooth: a smooth curve through the points of a line strip, instead of straight lines.

    Raises:
        UsageError: no such source, a label that no shape has, or a line without a width for it.
        DatasetError: there is no JSON file, or two give a case the same name.
    """
    if width_px is not None:
        check_width(width_px)
    drawing = Drawing(labels=None if labels is None else tuple(labels), width_px=width_px, smooth=smooth)
    found: set[str] = set()
    mentioned: set[Path] = set()
    annotated_by: dict[Path, Path] = {}
    for path in source_files(source, ".json", "the JSON files that Labelme saves"):
        mentioned.update(path.with_suffix(ending).resolve() for ending in FRAME_ENDINGS)
        try:
            document = _read_document(path)
            found.update(shape.label for shape in document.shapes)
            picture = _picture_beside(path, document.imagePath)
            if picture is not None:
                mentioned.add(picture.resolve())
                _check_is_own(path, picture)
            frame = _read_picture(path, document) if picture is None else read_frame(picture)
            shapes, mask = _draw(document, (frame.shape[0], frame.shape[1]), drawing)
        except (DatasetError, SchemaError) as problem:
            writer.skip(str(path), str(problem))
            continue
        for shape in shapes:
            if shape.kind == "point":
                writer.skip(str(path), f"{shape.name}: left out, because a point covers no area", on_purpose=True)
        if picture is not None and (other := annotated_by.setdefault(picture.resolve(), path)) != path:
            logger.warning("%s: its picture %s is that of %s too: one frame is two cases", path, picture.name, other)
        relative = path.relative_to(source).with_suffix(".png") if source.is_dir() else Path(f"{path.stem}.png")
        add_frame(writer, PurePosixPath(relative.as_posix()), frame, mask, str(path), picture=picture or path)
    check_labels(drawing, found)
    if source.is_dir():
        add_unannotated(writer, source, mentioned)
        name_others(writer, source, [source], ".json")


def _read_document(path: Path) -> _Document:
    try:
        content = parse_json(path)
    except (OSError, RecursionError) as problem:
        raise SchemaError(f"{path}: cannot be read ({problem}); wanted a file of Labelme: save it again") from problem
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise SchemaError(f"{path}: found no list of shapes; wanted a file of Labelme: remove it, or save it again")
    # Versions and plug-ins add keys of their own.
    known = _only_fields(_Document, content)
    known["shapes"] = [_only_fields(_Drawn, shape) for shape in content["shapes"]]
    return from_json(_Document, known, str(path))


def _only_fields(cls: type[Any], content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    return {field.name: content[field.name] for field in dataclasses.fields(cls) if field.name in content}


def _picture_beside(path: Path, name: str | None) -> Path | None:
    """The frame on disk; its folder is the annotator's, on a computer of any kind, and may be gone."""
    if not name:
        return None
    given = PureWindowsPath(name)  # takes both / and \
    places = [path.parent / given.name]
    if not given.is_absolute() and not given.drive and not given.root:
        places.insert(0, path.parent.joinpath(*given.parts))
    return next((place for place in places if place.is_file()), None)


def _check_is_own(path: Path, picture: Path) -> None:
    """Refuses a file that names another's picture while one of its own name is there: which is meant, nobody knows."""
    if picture.stem == path.stem:
        return
    for other in (path.with_suffix(ending) for ending in FRAME_ENDINGS):
        if other.is_file():
            raise FrameError(
                f"{path}: imagePath: found {picture.name} and beside the file {other.name}; wanted the frame that was "
                "annotated: correct imagePath, or move the other picture away"
            )


def _read_picture(path: Path, document: _Document) -> NDArray[Any]:
    """The frame inside the file."""
    if not document.imageData:
        raise FrameError(
            f"{path}: imagePath: found no picture {document.imagePath!r} and none inside the file; wanted the frame "
            "that was annotated: put it beside the file"
        )
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "imageData.png"  # what kind it is, its content tells
        picture.write_bytes(_decode(document.imageData, f"{path}: imageData"))
        try:
            return read_frame(picture)
        except FrameError as problem:
            raise FrameError(str(problem).replace(str(picture), f"{path}: imageData")) from problem


def _decode(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as problem:
        raise FrameError(
            f"{where}: found no base64 ({problem}); wanted a picture in base64: save it again"
        ) from problem


def _draw(document: _Document, size: tuple[int, int], drawing: Drawing) -> tuple[list[Shape], Mask]:
    """The shapes that are wire or regions to ignore, and the mask they make in a frame of ``size``."""
    declared = (document.imageHeight, document.imageWidth)
    if any(given not in (None, real) for given, real in zip(declared, size, strict=True)):
        raise FrameError(
            f"imageHeight, imageWidth: found shapes drawn on {declared[0]}x{declared[1]} px and a frame of "
            f"{size[0]}x{size[1]} px; wanted one size: put the frame that was annotated beside the file"
        )
    shapes = drawing.chosen([_shape(drawn, f"shapes[{index}]") for index, drawn in enumerate(document.shapes)])
    return shapes, draw_annotation(shapes, size, drawing)


def _shape(drawn: _Drawn, where: str) -> Shape:
    tool = drawn.shape_type or "polygon"
    name = f"{where} ({drawn.label!r}, {tool})"
    kind = _KINDS.get(tool, "other")
    if kind != "brush":
        # x, y with the corner pixel at 0 to 1, to row, column with its centre at 0.
        centred = np.array(drawn.points, np.float64).reshape(-1, 2)[:, ::-1] - 0.5
        if kind == "area":
            centred = _outline(centred, tool, name)
        return Shape(name=name, label=drawn.label, kind=kind, points=centred)
    if len(drawn.points) != 2 or not drawn.mask or np.abs(drawn.points).max() > 2**31:
        raise DatasetError(f"{name}: found no whole brush mask; wanted two points and a mask: paint it again")
    corners = np.rint(drawn.points).astype(np.int64)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    brush = _read_brush(_decode(drawn.mask, name), (bottom - top + 1, right - left + 1), name)
    return Shape(name=name, label=drawn.label, kind="brush", brush=brush, corner=(top, left))


def _outline(points: Points, tool: str, name: str) -> Points:
    """Vertices of a rectangle given by two opposite corners, or of a circle given by its centre and a point on it."""
    if len(points) != 2:
        raise DatasetError(f"{name}: found {len(points)} points; wanted two: draw it again")
    (row, column), (other_row, other_column) = points
    if tool == "rectangle":
        return np.array([[row, column], [row, other_column], [other_row, other_column], [other_row, column]])
    radius = np.hypot(other_row - row, other_column - column)
    angles = np.linspace(0, 2 * np.pi, _CIRCLE_POINTS, endpoint=False)
    return np.stack([row + radius * np.sin(angles), column + radius * np.cos(angles)], axis=1)


def _read_brush(content: bytes, size: tuple[int, int], name: str) -> NDArray[np.bool_]:
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            found, mode = (image.height, image.width), image.mode
            # Checked before decoding, so that a picture of any size can be promised.
            pixels = np.array(image) if found == size and mode in ("1", "L", "P") else None
    except Exception as problem:  # decoders raise nearly anything on damaged files
        raise FrameError(
            f"{name}: found a damaged mask ({problem}); wanted a PNG in base64: paint it again"
        ) from problem
    if pixels is None:
        raise FrameError(
            f"{name}: found a {mode} mask of {found[0]}x{found[1]} px; wanted one channel of {size[0]}x{size[1]} px, "
            "as its points say: paint it again"
        )
    return pixels > 0
