"""Frames in folders of patients and sequences, with and without annotation."""

import re
from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from numpy.typing import NDArray

from gwunet.convert.pseudonym import origin_of_name
from gwunet.convert.writer import DatasetWriter
from gwunet.errors import DatasetError, FrameError, UsageError
from gwunet.grouping import Origin
from gwunet.io.frames import FRAME_ENDINGS, read_frame
from gwunet.io.spacing import PixelSpacing

_FRAME_NUMBER = re.compile(r"\d{1,18}$")


def case_of(path: PurePosixPath) -> str:
    """Name of the case of a frame, from its path below the source: the path without the ending of a frame file."""
    return str(path.with_suffix("") if path.suffix.lower() in FRAME_ENDINGS else path)


def origin_of(path: PurePosixPath) -> Origin:
    """Whose frame it is, by the folders of its path below the source.

    The last folders are the sequence, and where there are at least two, the first is the patient. The digits that end
    the name are the position in the sequence. Without folders nothing is said, so that the names decide as in any
    dataset. A name that ``gw_convert dicom`` gave says patient and sequence itself.
    """
    named = origin_of_name(PurePosixPath(case_of(path)).name)
    if named is not None:
        return named
    folders = path.parts[:-1]
    if not folders:
        return Origin()
    number = _FRAME_NUMBER.search(PurePosixPath(case_of(path)).name)
    return Origin(
        patient=folders[0] if len(folders) > 1 else None,
        sequence="/".join(folders[1:] or folders),
        frame=int(number[0]) if number else None,
    )


def source_files(source: Path, ending: str, what: str) -> list[Path]:
    """The annotation files of a source: itself, or those in the folder and the folders in it, sorted by path.

    Args:
        source: a file or a folder.
        ending: of the files, as ``.json``.
        what: the files in words, for messages.

    Raises:
        UsageError: there is no such file or folder.
        DatasetError: there is no such file in the folder.
    """
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise UsageError(f"{source}: found no such file or folder; wanted {what}: check the path")
    paths = [path for path in visible_files(source) if path.suffix.lower() == ending]
    if not paths:
        raise DatasetError(f"{source}: found no {ending} file; wanted {what}: check the path")
    return paths


def images_folder(annotations: Path, given: Path | None) -> Path:
    """Where the frames of an annotation file are: as given, else in ``images`` beside it, else beside it.

    Raises:
        UsageError: the folder given does not exist.
    """
    if given is None:
        beside = annotations.parent / "images"
        return beside if beside.is_dir() else annotations.parent
    if not given.is_dir():
        raise UsageError(f"{given}: found no such folder; wanted the folder of the frames (--images): check the path")
    return given


def relative_path(name: str) -> PurePosixPath:
    """The path that a file from elsewhere gives to one of its frames.

    Raises:
        DatasetError: it leads out of the folder it is relative to.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.name or path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or "\0" in name:
        raise DatasetError(
            f"found the file name {name!r:.200}; wanted a path below the folder of images: correct the name"
        )
    return path


def add_frame(
    writer: DatasetWriter,
    path: PurePosixPath,
    frame: NDArray[Any],
    mask: NDArray[Any] | None,
    source: str,
    *,
    picture: Path,
) -> None:
    """Write a case with the name that its path below the source gives, and where it comes from.

    That is what a dataset says which has the frame already, or else what the path says.

    Args:
        writer: the dataset.
        path: of the frame below the source.
        frame: (H, W) uint8 or uint16.
        mask: (H, W) uint8, or None.
        source: what it was made from, for the person who converts.
        picture: the frame's file, or the annotation file that holds it.
    """
    known = writer.known.case(picture, frame)
    origin = origin_of(path) if known is None else known
    spacing = None if known is None else known.pixel_spacing_mm
    plane = None if known is None else known.spacing_plane
    writer.add(
        case_of(path),
        frame,
        mask,
        source=source,
        patient=origin.patient,
        sequence=origin.sequence,
        frame_number=origin.frame,
        site=origin.site,
        spacing=PixelSpacing(row_mm=spacing[0], column_mm=spacing[1], plane=plane) if spacing and plane else None,
        frame_time_ms=None if known is None else known.frame_time_ms,
    )


def frames_below(folder: Path) -> list[Path]:
    """The frame files in ``folder`` and the folders in it, sorted by path; hidden ones are left out."""
    return [path for path in visible_files(folder) if path.suffix.lower() in FRAME_ENDINGS]


def visible_files(folder: Path) -> Iterator[Path]:
    """The files in ``folder`` and the folders in it, sorted by path; hidden ones are left out."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            yield path


def name_others(writer: DatasetWriter, source: Path, folders: Collection[Path], ending: str) -> None:
    """Note the files below a source that nothing was made of: neither annotations nor frames in their folders.

    Args:
        writer: the dataset.
        source: a file or a folder.
        folders: where frames are taken from.
        ending: of the annotation files.
    """
    places = [source, *folders] if source.is_dir() else list(folders)
    frames = {path.resolve() for folder in folders for path in frames_below(folder)}
    for path in sorted({path for place in places for path in visible_files(place)}):
        if path.suffix.lower() == ending or path.resolve() in frames:
            continue
        is_frame = path.suffix.lower() in FRAME_ENDINGS
        what = "a frame outside the folder of images" if is_frame else f"neither a {ending} file nor a frame"
        writer.skip(str(path), what, on_purpose=True)


def add_unannotated(writer: DatasetWriter, folder: Path, mentioned: Collection[Path]) -> None:
    """Write the frames below ``folder`` that no annotation mentions, without masks.

    Args:
        writer: the dataset.
        folder: where the frames are.
        mentioned: resolved paths of the frames that have an annotation, usable or not.
    """
    for path in frames_below(folder):
        if path.resolve() in mentioned:
            continue
        try:
            frame = read_frame(path)
        except FrameError as problem:
            writer.skip(str(path), str(problem))
        else:
            inside = PurePosixPath(path.relative_to(folder).as_posix())
            add_frame(writer, inside, frame, None, str(path), picture=path)
