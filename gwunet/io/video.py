"""Greyscale videos, read one frame at a time with PyAV (the extra ``video``)."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gwunet.errors import FrameError, UsageError

if TYPE_CHECKING:
    import av.video.frame

VIDEO_ENDINGS = (".avi", ".mp4", ".m4v", ".mov", ".mkv")
COLOUR_TOLERANCE = 24
"""Greatest difference between red, green and blue of a grey pixel: compression of colour leaves a little."""
COLOURED_SHARE = 0.001
"""Share of coloured pixels from which a frame counts as coloured: a line of text is enough."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoFrame:
    """One frame with its time."""

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    """(H, W); uint16 where the video has more than 8 bits."""
    time_ms: float | None
    """From the first frame on; None where the video does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Video:
    """A video file; make one with ``Video.open``."""

    path: Path
    frame_time_ms: float | None
    """By the stream's average rate; None where it has none."""
    n_frames: int | None = None
    """As the file says, which may be wrong; None where it does not."""

    @classmethod
    def open(cls, path: Path) -> "Video":
        """Look at a file.

        Raises:
            UsageError: PyAV is not installed.
            FrameError: the file is no video or damaged.
        """
        av = require_pyav()
        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    raise FrameError(f"{path}: found no pictures in it; wanted a video: leave it out")
                stream = container.streams.video[0]
                rate, n_frames = stream.average_rate, stream.frames
        except (av.error.FFmpegError, OSError) as problem:
            raise _damaged(path, problem) from problem
        return cls(path=path, frame_time_ms=float(1000 / rate) if rate else None, n_frames=n_frames or None)

    def frames(self) -> Iterator[VideoFrame]:
        """All frames in turn; the memory taken does not depend on their number.

        Raises:
            FrameError: the file is damaged, or a frame has colours.
        """
        av = require_pyav()
        first = None
        try:
            with av.open(str(self.path)) as container:
                for number, frame in enumerate(container.decode(video=0)):
                    first = frame.time if first is None else first
                    yield VideoFrame(pixels=_grey(frame, self.path, number), time_ms=self._time(frame, number, first))
        except (av.error.FFmpegError, OSError) as problem:
            raise _damaged(self.path, problem) from problem

    def _time(self, frame: "av.video.frame.VideoFrame", number: int, first: float | None) -> float | None:
        if frame.time is not None and first is not None:
            return 1000 * (frame.time - first)
        return None if self.frame_time_ms is None else number * self.frame_time_ms


def require_pyav() -> Any:
    """The module ``av``.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise UsageError("videos need PyAV: install it with pip install 'gwunet[video]'") from None
    return av


def _grey(frame: "av.video.frame.VideoFrame", path: Path, number: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    components = frame.format.components
    deep: NDArray[Any] | None = frame.to_ndarray(format="gray16le") if components[0].bits > 8 else None
    if deep is not None and len(components) == 1:
        return deep
    colours: NDArray[Any] = frame.to_ndarray(format="rgb24")
    share = float(np.mean(colours.max(axis=2) - colours.min(axis=2) > COLOUR_TOLERANCE))
    if share > COLOURED_SHARE:
        raise FrameError(
            f"{path}: frame {number + 1}: found {100 * share:.1f} % coloured pixels; wanted greyscale: "
            "export the video without overlays or colour map"
        )
    return np.ascontiguousarray(colours[..., 1]) if deep is None else deep


def _damaged(path: Path, problem: Exception) -> FrameError:
    return FrameError(f"{path}: found a damaged file or no video ({problem}); wanted a whole one: export it again")
