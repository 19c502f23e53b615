"""Frames with their masks drawn on them as one video, written with PyAV (the extra ``video``)."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gwunet.errors import OutputError, UsageError
from gwunet.io.video import VIDEO_ENDINGS, require_pyav
from gwunet.jsonio import replacing

CODECS = ("libx264", "mpeg4")
"""H.264 where PyAV was built with it, else MPEG-4, which always is there."""
USUAL_RATE_HZ = 15
"""Of fluoroscopy, for frames that do not say when they were taken."""
QUALITY = {"libx264": {"crf": "20", "preset": "veryfast"}, "mpeg4": {"qscale": "3"}}

Picture = NDArray[np.uint8]


def check_video_path(path: Path) -> None:
    """Raises ``UsageError`` unless a video can be written by that name here."""
    if path.suffix.lower() not in VIDEO_ENDINGS:
        raise UsageError(f"--video {path}: found the ending {path.suffix!r}; wanted one of {', '.join(VIDEO_ENDINGS)}")
    require_pyav()


def write_video(path: Path, pictures: Iterable[Picture], frame_time_ms: float | None) -> int:
    """Write pictures one after another, whole or not at all; memory does not grow with their number.

    Args:
        path: ``.mp4``, say.
        pictures: (H, W, 3) uint8 RGB. The first one's size is the video's, made even; others are fitted into it.
        frame_time_ms: from one to the next; None for 15 in a second.

    Returns:
        How many there were; of none, nothing is written.

    Raises:
        OutputError: the file cannot be written.
    """
    av = require_pyav()
    rate = Fraction(1000 / frame_time_ms if frame_time_ms else USUAL_RATE_HZ).limit_denominator(1001)
    remaining = iter(pictures)
    first = next(remaining, None)
    if first is None:
        return 0
    height, width = (edge + edge % 2 for edge in first.shape[:2])
    count = 0
    with replacing(path) as partial:
        try:
            with av.open(str(partial), "w") as container:
                stream = _add_stream(av, container, rate)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                picture: Picture | None = first
                while picture is not None:
                    frame = av.VideoFrame.from_ndarray(_fitted(picture, height, width), format="rgb24")
                    container.mux(stream.encode(frame))
                    count += 1
                    picture = next(remaining, None)
                container.mux(stream.encode())
        except av.error.FFmpegError as problem:
            raise OutputError(f"{path}: cannot be written ({problem}): check free space and permissions") from problem
    return count


def _add_stream(av: Any, container: Any, rate: Fraction) -> Any:
    codec = next(name for name in CODECS if name in av.codecs_available)
    stream = container.add_stream(codec, rate=rate)
    stream.options = QUALITY[codec]
    return stream


def _fitted(picture: Picture, height: int, width: int) -> Picture:
    if picture.shape[:2] == (height, width):
        return picture
    if 0 <= height - picture.shape[0] <= 1 and 0 <= width - picture.shape[1] <= 1:  # the edge that makes it even
        return np.pad(picture, ((0, height - picture.shape[0]), (0, width - picture.shape[1]), (0, 0)), mode="edge")
    return np.asarray(ImageOps.pad(Image.fromarray(picture), (width, height)))
