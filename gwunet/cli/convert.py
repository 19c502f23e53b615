"""``gw_convert``: a raw dataset from annotations, DICOM files or videos."""

import argparse
import contextlib
import signal
import threading
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from gwunet.cli.command import DONE, FAILED, add_workspace_flag, make_parser, run
from gwunet.cli.progress import bar
from gwunet.errors import InterruptionError

if TYPE_CHECKING:
    from gwunet.convert.writer import Conversion, DatasetWriter

_LISTED_ONE_BY_ONE = 3
"""Frames of one file; more are shown as the first and the last."""


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = make_parser(
        "Make a dataset from what hospitals and annotation tools have. Everything converted is listed, everything "
        "skipped with its reason; the exit status is 1 if something could not be read."
    )
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, describe, add_options, convert in (
        ("labelme", "frames annotated in Labelme (JSON)", _add_shape_flags, _convert_labelme),
        ("polyline", "points on wires (CSV: case, wire, row, column)", _add_polyline_flags, _convert_polyline),
        ("cvat", "frames annotated in CVAT (XML, 'CVAT for images 1.1')", _add_cvat_flags, _convert_cvat),
        ("masks", "frames with masks as pictures", _add_masks_flag, _convert_masks),
        ("dicom", "X-ray runs (XA and RF), without annotation", _add_rate_flag, _convert_dicom),
        ("video", "videos (AVI, MP4), without annotation", _add_rate_flag, _convert_video),
    ):
        below = kinds.add_parser(
            kind, help=describe, description=describe, formatter_class=parser.formatter_class, allow_abbrev=False
        )
        below.add_argument("source", type=Path, metavar="SOURCE", help="a file, or a folder with nested folders")
        below.add_argument("dataset", metavar="DATASET", help="new dataset in raw/, as Dataset501_TACE, or a path")
        add_options(below)
        add_workspace_flag(below)
        below.set_defaults(convert=convert)
    return run(_convert, parser, argv)


def _add_shape_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--labels",
        nargs="+",
        metavar="LABEL",
        help="labels that are wire; without it all. Regions labelled ignore stay ignored",
    )
    parser.add_argument("--width", type=float, metavar="PX", help="width of lines in pixels; needed if there are any")
    parser.add_argument("--smooth", action="store_true", help="draw smooth curves through the points of lines")


def _add_images_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images",
        type=Path,
        metavar="FOLDER",
        help="folder of the frames; without it images beside the file",
    )


def _add_polyline_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--width", type=float, required=True, metavar="PX", help="width of the wires in pixels")
    _add_images_flag(parser)


def _add_cvat_flags(parser: argparse.ArgumentParser) -> None:
    _add_shape_flags(parser)
    _add_images_flag(parser)


def _add_masks_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--masks",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="folder of the masks, with the same folders and names in it as SOURCE",
    )


def _add_rate_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rate", type=float, metavar="HZ", help="frames per second to take from each run, such as 8; without it all"
    )


def _convert(arguments: argparse.Namespace) -> int:
    from gwunet.convert.known_frames import KnownFrames
    from gwunet.convert.writer import DatasetWriter
    from gwunet.workspace import Workspace

    folder = _dataset_folder(arguments)
    known = KnownFrames(Workspace.find(arguments.workspace).raw)
    with _ended_by_sigterm(), DatasetWriter(folder, known=known) as writer:
        arguments.convert(arguments, writer)
        conversion = writer.finish()
    for line in _described(conversion):
        print(line)
    for origin, count in known.found.items():
        print(f"{count} frames are those of {origin}: what it says of them was taken over")
    print(f"{folder}: {len(conversion.written)} frames, {len(conversion.skipped)} skipped")
    return FAILED if conversion.failed else DONE


class _Terminated(BaseException):
    """SIGTERM came. No Exception, because what decodes damaged files takes those for damage."""


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM raises, so that frames of patients are not left in the folder of an unfinished dataset."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        signal.signal(number, signal.SIG_IGN)  # a second one would break off the removal
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except _Terminated:
        raise InterruptionError("ended by SIGTERM; no dataset was made: run it again", signal=signal.SIGTERM) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _dataset_folder(arguments: argparse.Namespace) -> Path:
    """Where the dataset is to be made: a name is a folder in raw/, anything with a separator is a path."""
    from gwunet.workspace import Workspace

    path = Path(arguments.dataset)
    if path.name != arguments.dataset:
        return path.expanduser()
    return Workspace.find(arguments.workspace).new_raw_dataset(arguments.dataset)


def _convert_labelme(arguments: argparse.Namespace, writer: "DatasetWriter") -> None:
    from gwunet.convert.labelme import convert_labelme

    convert_labelme(
        arguments.source, writer, labels=arguments.labels, width_px=arguments.width, smooth=arguments.smooth
    )


def _convert_polyline(arguments: argparse.Namespace, writer: "DatasetWriter") -> None:
    from gwunet.convert.polyline import convert_polyline

    convert_polyline(arguments.source, writer, width_px=arguments.width, images=arguments.images)


def _convert_cvat(arguments: argparse.Namespace, writer: "DatasetWriter") -> None:
    from gwunet.convert.cvat import convert_cvat

    convert_cvat(
        arguments.source,
        writer,
        images=arguments.images,
        labels=arguments.labels,
        width_px=arguments.width,
        smooth=arguments.smooth,
    )


def _convert_masks(arguments: argparse.Namespace, writer: "DatasetWriter") -> None:
    from gwunet.convert.masks import convert_masks

    convert_masks(arguments.source, writer, masks=arguments.masks)


def _convert_dicom(arguments: argparse.Namespace, writer: "DatasetWriter") -> None:
    from gwunet.convert.dicom import convert_dicom
    from gwunet.convert.pseudonym import Pseudonyms
    from gwunet.workspace import Workspace

    pseudonyms = Pseudonyms.of_workspace(Workspace.find(arguments.workspace).raw.parent)
    convert_dicom(arguments.source, writer, pseudonyms=pseudonyms, rate_hz=arguments.rate, progress=bar)


def _convert_video(arguments: argparse.Namespace, writer: "DatasetWriter") -> None:
    from gwunet.convert.video import convert_video

    convert_video(arguments.source, writer, rate_hz=arguments.rate, progress=bar)


def _described(conversion: "Conversion") -> Iterator[str]:
    """Lines for the screen; the frames of one file in a row are shortened to the first and the last."""
    for _, group in groupby(conversion.written, key=lambda pair: _file_of(pair[0])):
        pairs = list(group)
        if len(pairs) > _LISTED_ONE_BY_ONE:
            (first, first_case), (last, last_case) = pairs[0], pairs[-1]
            shown = last.removeprefix(_file_of(last)).strip()
            yield f"{first} to {shown} -> {first_case} to {last_case} ({len(pairs)} frames)"
        else:
            yield from (f"{source} -> {case}" for source, case in pairs)
    for source, reason in conversion.skipped:
        yield f"skipped {source}: {reason}"


def _file_of(source: str) -> str:
    """The file of a source such as ``run.dcm frame 12``."""
    file, _, number = source.rpartition(" frame ")
    return file if number.isdecimal() else source
