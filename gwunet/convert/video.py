"""Videos, as capture devices and workstations write them."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from gwunet.convert.rate import RateSelection, check_rate
from gwunet.convert.writer import DatasetWriter
from gwunet.errors import FrameError, UsageError
from gwunet.io.video import VIDEO_ENDINGS, Video
from gwunet.progress import Progress, no_progress


def convert_video(
    source: Path,
    writer: DatasetWriter,
    *,
    rate_hz: float | None = None,
    progress: Progress = no_progress,
) -> None:
    """Convert greyscale videos; their frames have no annotation, so they go to imagesTs.

    A video is a sequence, called by its path below the source. Where it is in a folder, the first folder is the
    patient.

    Args:
        source: a video, or a folder with videos in it and in the folders below.
        writer: the dataset to write to.
        rate_hz: frames per second to take from each video; None takes all.
        progress: see ``gwunet.progress.Progress``; of the frames that are looked at, taken or not.

    Raises:
        UsageError: there is no such source, the rate is impossible, or PyAV is not installed.
    """
    check_rate(rate_hz)
    files = list(_files(source))
    for _ in progress(_convert_all(files, writer, rate_hz), 0, "convert"):
        pass


def _convert_all(
    files: list[tuple[Path, PurePosixPath]], writer: DatasetWriter, rate_hz: float | None
) -> Iterator[None]:
    """Comes back before each frame that is looked at."""
    for path, inside in files:
        if path.suffix.lower() not in VIDEO_ENDINGS:
            writer.skip(str(path), f"no {', '.join(VIDEO_ENDINGS)} file", on_purpose=True)
            continue
        try:
            video = Video.open(path)
            if rate_hz is not None and video.frame_time_ms is None:
                raise FrameError(
                    f"{path}: no frame rate, so that no other can be taken from it: convert it without --rate"
                )
            yield from _convert_one(video, inside, writer, rate_hz)
        except FrameError as problem:
            writer.skip(str(path), str(problem).removeprefix(f"{path}: "))


def _files(source: Path) -> Iterator[tuple[Path, PurePosixPath]]:
    """Each file, and its path below the source."""
    if source.is_file():
        yield source, PurePosixPath(source.name)
        return
    if not source.is_dir():
        raise UsageError(f"{source}: found no such file or folder; wanted videos: check the path")
    for path in sorted(source.rglob("*")):
        inside = PurePosixPath(path.relative_to(source).as_posix())
        if path.is_file() and not any(part.startswith(".") for part in inside.parts):
            yield path, inside


def _convert_one(video: Video, inside: PurePosixPath, writer: DatasetWriter, rate_hz: float | None) -> Iterator[None]:
    selection = RateSelection(rate_hz=rate_hz, frame_time_ms=video.frame_time_ms)
    sequence = str(inside)  # with its ending: a.avi and a.mp4 may lie side by side
    for index, frame in enumerate(video.frames()):
        yield
        if not selection.takes(frame.time_ms or 0.0):
            continue
        writer.add(
            f"{sequence}_f{index + 1:04d}",
            frame.pixels,
            None,
            source=f"{video.path} frame {index + 1}",
            patient=inside.parts[0] if len(inside.parts) > 1 else None,
            sequence=sequence,
            frame_number=index,
            frame_time_ms=selection.chosen_frame_time_ms,
        )
