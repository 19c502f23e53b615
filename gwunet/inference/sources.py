"""What frames come from: pictures, DICOM files and videos, alone or in folders, read one frame at a time.

Outputs are named after the source files, whose names are the user's own; of a DICOM header nothing but the spacing and
the time between frames goes on from here.
"""

import dataclasses
import functools
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from gwunet.errors import DatasetError, FrameError, UsageError
from gwunet.exposed_field import Frame
from gwunet.inference.series import InSequence, InSeries, in_series, sequences_of
from gwunet.io.dicom import DICOM_ENDINGS, DicomRun
from gwunet.io.dicom_elements import is_dicom, read_elements
from gwunet.io.frames import FRAME_ENDINGS, read_frame, visible_files
from gwunet.io.spacing import PixelSpacing
from gwunet.io.video import VIDEO_ENDINGS, Video

logger = logging.getLogger(__name__)

CHANNEL_SUFFIX = "_0000"
KINDS = f"{', '.join(FRAME_ENDINGS)}, {', '.join(VIDEO_ENDINGS)} or DICOM"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SourceFrame:
    """One frame, not read yet."""

    name: str
    """Of its outputs, below their folder and without ending: ``a/b/frame``."""
    read: Callable[[], Frame]
    """Gives (H, W) uint8 or uint16; raises ``FrameError``."""


class NamedRun(Protocol):
    """What is known of a file with one frame or several where the file itself is not at hand."""

    @property
    def name(self) -> str:
        """Of its frame, or what the names of its frames begin with: ``a/b/run``."""

    @property
    def is_numbered(self) -> bool:
        """Whether its frames are ``<name>_0000``, ``<name>_0001`` and so on; without it the frame is ``<name>``."""

    @property
    def spacing(self) -> PixelSpacing | None:
        """None where the file does not say."""

    @property
    def place(self) -> InSequence | None:
        """Of a file with one frame, in which sequence it is; None where only its name can tell."""


class Run(NamedRun, Protocol):
    """A file with one frame or several."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def n_frames(self) -> int | None:
        """Of a video what it says, which may be wrong, and None where it does not."""

    @property
    def frame_time_ms(self) -> float | None:
        """From one frame to the next; None where the file does not say."""

    def frames(self) -> Iterator[SourceFrame]:
        """All frames in turn."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PictureFile:
    """A ``Run`` of one picture."""

    path: Path
    name: str
    is_numbered: bool = False
    n_frames: int = 1
    frame_time_ms: None = None
    spacing: None = None
    place: None = None

    def frames(self) -> Iterator[SourceFrame]:
        """The picture."""
        yield SourceFrame(name=self.name, read=functools.partial(read_frame, self.path))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DicomFile:
    """A ``Run`` of a DICOM file."""

    path: Path
    name: str
    n_frames: int
    frame_time_ms: float | None
    spacing: PixelSpacing | None
    place: InSequence | None = None
    in_series: InSeries | None = None
    """What the header says of a file with one frame, until ``place`` is known."""

    @property
    def is_numbered(self) -> bool:
        """Where it holds several."""
        return self.n_frames > 1

    def frames(self) -> Iterator[SourceFrame]:
        """Its frames; the header is read again with the first of them and forgotten after the last."""
        opened = functools.cache(functools.partial(DicomRun.open, self.path))

        def read(index: int) -> Frame:
            return opened().frame(index)

        for index in range(self.n_frames):
            yield SourceFrame(name=frame_name(self, index), read=functools.partial(read, index))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class VideoFile:
    """A ``Run`` of a video, whose frames can be had in their order alone."""

    path: Path
    name: str
    n_frames: int | None
    frame_time_ms: float | None
    is_numbered: bool = True
    spacing: None = None
    place: None = None

    def frames(self) -> Iterator[SourceFrame]:
        """Its frames, decoded; where it is damaged, the last one cannot be read."""
        index = 0
        try:
            for index, frame in enumerate(Video.open(self.path).frames()):
                yield SourceFrame(name=frame_name(self, index), read=functools.partial(_same, frame.pixels))
        except FrameError as problem:
            yield SourceFrame(name=f"{self.name} after frame {index}", read=functools.partial(_refuse, problem))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DamagedFile:
    """A ``Run`` of a file that cannot be opened: one frame that cannot be read."""

    path: Path
    name: str
    problem: FrameError
    is_numbered: bool = False
    n_frames: int = 1
    frame_time_ms: None = None
    spacing: None = None
    place: None = None

    def frames(self) -> Iterator[SourceFrame]:
        """One that raises."""
        yield SourceFrame(name=self.name, read=functools.partial(_refuse, self.problem))


def frame_name(run: Run, index: int) -> str:
    """The name of the outputs of a run's frame, counted from 0."""
    return f"{run.name}_{index:04d}" if run.is_numbered else run.name


def frame_index(run: NamedRun, name: str) -> int | None:
    """Which frame of a run has this name; None where it is of another."""
    if not run.is_numbered:
        return 0 if name == run.name else None
    beginning, _, number = name.rpartition("_")
    return int(number) if beginning == run.name and re.fullmatch(r"\d{4,}", number) else None


def find_runs(source: Path, *, outside: Sequence[Path] = ()) -> tuple[Run, ...]:
    """The files with frames at ``source``, sorted by path; hidden ones and those of other kinds are left out.

    Args:
        source: a picture, a DICOM file, a video, or a folder with such files in it and in the folders below.
        outside: files and folders to leave out: where results are written.

    Raises:
        UsageError: there is nothing at ``source``, or it holds videos and PyAV is not installed.
        DatasetError: it holds no frames, or two files whose masks would have one name.
    """
    if not source.exists():
        raise UsageError(f"{source}: no such file or folder; -i names a folder of frames, one frame, a run or a video")
    if source.is_file():
        run = _open(source, PurePosixPath(source.name))
        if run is None:
            raise DatasetError(f"{source}: found no frames in it; wanted a {KINDS} file")
        return (run,)
    paths = visible_files(source, {path.resolve() for path in outside})
    found = [_open(path, PurePosixPath(path.relative_to(source).as_posix())) for path in paths]
    runs = _in_sequences(_without_channel_suffix([run for run in found if run is not None]))
    if not runs:
        raise DatasetError(f"{source}: no frames there; wanted {KINDS} files, there or in the folders below")
    _check_names(runs)
    return tuple(runs)


def _open(path: Path, inside: PurePosixPath) -> Run | None:
    """The run in a file; None where it holds no frames."""
    ending = path.suffix.lower()
    # Any other part behind a point is kept, since DICOM files are often called by numbers with points.
    name = str(inside.with_suffix("")) if ending in (*FRAME_ENDINGS, *VIDEO_ENDINGS, *DICOM_ENDINGS) else str(inside)
    if ending in FRAME_ENDINGS:
        return PictureFile(path=path, name=name)
    try:
        if ending in VIDEO_ENDINGS:
            video = Video.open(path)
            return VideoFile(path=path, name=name, n_frames=video.n_frames, frame_time_ms=video.frame_time_ms)
        if ending not in DICOM_ENDINGS and not is_dicom(path):
            return None
        elements = read_elements(path)
        if elements.pixels is None and not elements.fragments:
            logger.info("%s: DICOM without pixels, left out", path)  # a DICOMDIR or a report among the runs
            return None
        run = DicomRun.of(elements)
    except FrameError as problem:
        return DamagedFile(path=path, name=name, problem=problem)
    except OSError as problem:
        return DamagedFile(
            path=path, name=name, problem=FrameError(f"{path}: cannot be read ({problem}): copy it again")
        )
    n_frames = run.format.n_frames
    return DicomFile(
        path=path,
        name=name,
        n_frames=n_frames,
        frame_time_ms=run.frame_time_ms,
        spacing=run.spacing,
        in_series=in_series(elements) if n_frames == 1 else None,
    )


def _in_sequences(runs: list[Run]) -> list[Run]:
    """DICOM files of one frame with their places; what their headers say goes no further."""
    single = [(run.name, run.in_series) for run in runs if isinstance(run, DicomFile) and run.in_series]
    places = sequences_of(single)
    return [
        dataclasses.replace(run, place=places.get(run.name), in_series=None) if isinstance(run, DicomFile) else run
        for run in runs
    ]


def _without_channel_suffix(runs: list[Run]) -> list[Run]:
    """Pictures by nnU-Net's names without the number of their only channel, if all have it."""
    pictures = [run for run in runs if isinstance(run, PictureFile)]
    if len(pictures) < 2 or not all(run.name.endswith(CHANNEL_SUFFIX) for run in pictures):
        return runs
    return [
        dataclasses.replace(run, name=run.name.removesuffix(CHANNEL_SUFFIX)) if isinstance(run, PictureFile) else run
        for run in runs
    ]


def _check_names(runs: Sequence[Run]) -> None:
    first: dict[str, Run] = {}
    for run in runs:
        if run.name in first:
            raise _same_name(run, first[run.name])
        first[run.name] = run
    for run in runs:
        other = first.get(run.name.rpartition("_")[0])
        if not run.is_numbered and other is not None and frame_index(other, run.name) is not None:
            raise _same_name(run, other)


def _same_name(run: Run, other: Run) -> DatasetError:
    return DatasetError(f"{run.path}: its mask would have the name of {other.path.name}'s; rename one of them")


def _same(frame: Frame) -> Frame:
    return frame


def _refuse(problem: FrameError) -> Frame:
    raise problem
