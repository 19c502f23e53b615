"""CVAT's XML files ("CVAT for images 1.1"): polylines, polygons and brush masks; boxes for regions to ignore.

CVAT writes x (to the right) then y (down) in pixels of a canvas on which the corner pixel covers 0 to 1, so that its
centre is at 0.5: half a pixel is taken off. A mask is a box of whole pixels (left, top, width, height) and the lengths
of its runs, row by row, of background and painted pixels in turn, background first.

Whether a shape is occluded, its order in depth, groups and attributes do not change a mask and are not read.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gwunet.convert.nested import add_frame, add_unannotated, images_folder, name_others, relative_path, source_files
from gwunet.convert.shapes import Drawing, Kind, Shape, check_labels, draw_annotation
from gwunet.convert.strokes import Points, check_width
from gwunet.convert.writer import DatasetWriter
from gwunet.errors import DatasetError, FrameError, UsageError
from gwunet.io.frames import FRAME_ENDINGS, read_frame

LARGEST_FILE_MB = 256
"""Tens of thousands of annotated frames; parsed, a file takes several times its size in memory."""

_KINDS: dict[str, Kind] = {"polygon": "polygon", "polyline": "line", "mask": "brush", "points": "point", "box": "area"}
_NO_SHAPES = ("tag", "attribute")


def convert_cvat(
    source: Path,
    writer: DatasetWriter,
    *,
    images: Path | None = None,
    labels: Sequence[str] | None = None,
    width_px: float | None = None,
    smooth: bool = False,
) -> None:
    """Convert frames annotated in CVAT and exported as "CVAT for images 1.1".

    An image in the file without shapes of the labels gives an empty mask, and a frame that no file mentions goes to
    imagesTs. All shapes of an image are joined. An image that cannot be used whole is skipped with its reason.

    Args:
        source: an XML file, or a folder of them: the unpacked export.
        writer: the dataset to write to.
        images: folder of the frames; nested folders are patients and sequences. By default the folder ``images`` beside
            the XML file, or if there is none the file's own folder.
        labels: those that are wire; by default every label. Regions labelled ``ignore`` are kept as such
            in any case.
        width_px: width of polylines in pixels.
        smooth: a smooth curve through the points of a polyline, instead of straight lines.

    Raises:
        UsageError: no such source or folder, a label that no shape has, or a line without a width for it.
        DatasetError: there is no XML file, or two images give a case the same name.
    """
    if width_px is not None:
        check_width(width_px)
    drawing = Drawing(labels=None if labels is None else tuple(labels), width_px=width_px, smooth=smooth)
    found: set[str] = set()
    mentioned: dict[Path, set[Path]] = {}
    unreadable: set[Path] = set()
    if source.suffix.lower() == ".zip":
        raise UsageError(f"{source}: found a ZIP file; wanted what is in it: unpack it and give the folder")
    for path in source_files(source, ".xml", "CVAT's annotations.xml"):
        folder = images_folder(path, images)
        seen = mentioned.setdefault(folder, set())
        try:
            elements = _read_images(path)
        except DatasetError as problem:
            writer.skip(str(path), str(problem))
            unreadable.add(folder)
            continue
        for element in elements:
            found.update(child.get("label", "") for child in element if child.tag not in _NO_SHAPES)
            _convert_image(element, path, (folder, seen), writer, drawing)
    check_labels(drawing, found)
    for folder, seen in mentioned.items():
        if folder not in unreadable:
            add_unannotated(writer, folder, seen)
        else:
            writer.skip(str(folder), "frames that no file mentions: the file that cannot be read may annotate them")
    name_others(writer, source, mentioned, ".xml")


def _read_images(path: Path) -> list[ET.Element]:
    """The image elements of a file, read so that a file made to do harm cannot.

    Declarations of entities can make a short file expand without limit or read other files. CVAT writes none, so
    documents with a declaration of their type are refused; only UTF-8 is taken, in which it cannot hide.
    """
    try:
        size_mb = path.stat().st_size / 2**20
        if size_mb > LARGEST_FILE_MB:
            raise DatasetError(
                f"found a file of {size_mb:.0f} MB; wanted at most {LARGEST_FILE_MB}: export the jobs one by one"
            )
        text = path.read_text(encoding="utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise DatasetError("found a DOCTYPE or ENTITY declaration; wanted XML as CVAT writes it: export it again")
        root = ET.fromstring(text)
    except (OSError, UnicodeDecodeError, ET.ParseError) as problem:
        raise DatasetError(f"cannot be read ({problem}); wanted XML in UTF-8: export it again") from problem
    if root.tag != "annotations" or root.find("track") is not None:
        what = "tracks of a video" if root.tag == "annotations" else f"<{root.tag}>"
        raise DatasetError(f'found {what}; wanted images with shapes: export it as "CVAT for images 1.1"')
    return root.findall("image")


def _convert_image(
    element: ET.Element, path: Path, place: tuple[Path, set[Path]], writer: DatasetWriter, drawing: Drawing
) -> None:
    folder, seen = place
    where = f"{path}: image {element.get('name', '')!r:.200}"
    try:
        relative = relative_path(element.get("name", ""))
        # Projects with subsets have a folder for each of them in the export.
        subset = element.get("subset")
        places = [relative, *([relative_path(f"{subset}/{relative}")] if subset else [])]
        pictures = next(filter(None, (_pictures(folder / place) for place in places)), [])
        if not pictures:
            raise FrameError(f"found no such frame in {folder}; wanted it there: add it, or name its folder (--images)")
        seen.update(picture.resolve() for picture in pictures)
        if len(pictures) > 1:
            names = " and ".join(picture.name for picture in pictures)
            raise FrameError(f"found {names}; wanted one frame of this name: keep the one that was annotated")
        (picture,) = pictures
        frame = read_frame(picture)
        size = (frame.shape[0], frame.shape[1])
        _check_size(element, size)
        children = [child for child in element if child.tag not in _NO_SHAPES]
        shapes = drawing.chosen([_shape(child, number, size) for number, child in enumerate(children, start=1)])
        mask = draw_annotation(shapes, size, drawing)
    except DatasetError as problem:
        writer.skip(where, str(problem))
        return
    for shape in shapes:
        if shape.kind == "point":
            writer.skip(where, f"{shape.name}: left out, because a point covers no area", on_purpose=True)
    add_frame(writer, relative, frame, mask, where, picture=picture)


def _pictures(place: Path) -> list[Path]:
    """The frame at a place, or else those there with any ending: without it CVAT names the frames of a video."""
    if place.is_file():
        return [place]
    endings = (*FRAME_ENDINGS, *(ending.upper() for ending in FRAME_ENDINGS))
    found = [path for path in (place.with_name(place.name + ending) for ending in endings) if path.is_file()]
    # On file systems that do not tell A from a, one file is found twice.
    return list({path.stat().st_ino: path for path in reversed(found)}.values())


def _check_size(element: ET.Element, shape: tuple[int, int]) -> None:
    declared = (element.get("height"), element.get("width"))
    if declared != (str(shape[0]), str(shape[1])):
        raise FrameError(
            f"found shapes drawn on {declared[0]}x{declared[1]} px and a frame of {shape[0]}x{shape[1]} px; wanted one "
            "size: add the frame that was annotated"
        )


def _shape(element: ET.Element, number: int, size: tuple[int, int]) -> Shape:
    label = element.get("label", "")
    name = f"shape {number} ({label!r}, {element.tag})"
    kind = _KINDS.get(element.tag, "other")
    try:
        if kind == "brush":
            corner, brush = _read_runs(element, size)
            return Shape(name=name, label=label, kind=kind, brush=brush, corner=corner)
        points = np.zeros((0, 2))
        if kind in ("polygon", "line"):
            points = _read_points(element.get("points", ""))
        elif kind == "area":
            points = _read_box(element)
    except ValueError as problem:
        raise DatasetError(f"{name}: {problem}: export it again") from problem
    return Shape(name=name, label=label, kind=kind, points=points)


def _read_points(text: str) -> Points:
    """(N, 2) row and column of pixel centres, from ``x,y;x,y``."""
    pairs = [tuple(float(number) for number in pair.split(",")) for pair in text.split(";")]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"found the points {text[:60]!r}; wanted x,y;x,y")
    return np.array(pairs, np.float64)[:, ::-1] - 0.5


def _read_box(element: ET.Element) -> Points:
    """(4, 2) row and column of the corners."""
    if float(element.get("rotation", "0")):
        raise ValueError("found a box that is turned; wanted an upright one, or a polygon instead")
    left, top, right, bottom = (float(element.get(name, "")) - 0.5 for name in ("xtl", "ytl", "xbr", "ybr"))
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]])


def _read_runs(element: ET.Element, size: tuple[int, int]) -> tuple[tuple[int, int], NDArray[np.bool_]]:
    """Row and column of a mask's corner in a frame of ``size``, and its (h, w) painted pixels."""
    left, top, width, height = (int(element.get(name, "")) for name in ("left", "top", "width", "height"))
    runs = [int(run) for run in element.get("rle", "").split(",")]
    if min(left, top) < 0 or min(width, height) < 1 or top + height > size[0] or left + width > size[1]:
        raise ValueError(
            f"found a box of {height}x{width} px at row {top}, column {left}; wanted one in the frame of "
            f"{size[0]}x{size[1]} px"
        )
    if min(runs) < 0 or sum(runs) != width * height:
        raise ValueError(f"found runs of {sum(runs)} px in all; wanted the {height}x{width} px of the box")
    painted = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return (top, left), painted.reshape(height, width)
