"""Videos into a dataset: exact greys where the coding keeps them, rates kept, colours refused. Written by PyAV."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from gwunet.convert.video import convert_video
from gwunet.convert.writer import Conversion, DatasetWriter
from gwunet.dataset import Dataset
from gwunet.errors import DatasetError, UsageError

SMOOTH = np.linspace(0, 255, 64 * 96).reshape(64, 96)
FRAMES = np.stack([np.roll(SMOOTH, 5 * shift, axis=1) for shift in range(6)]).astype(np.uint8)


def save(
    path: Path, frames: NDArray[Any] = FRAMES, *, codec: str = "ffv1", pixels: str = "gray", source: str = "gray"
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=20)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=source)))
        container.mux(stream.encode())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "videos"


def convert(source: Path, **options: Any) -> tuple[Dataset, Conversion]:
    folder = source.parent / "raw" / "Dataset001_Made"
    with DatasetWriter(folder) as writer:
        convert_video(source, writer, **options)
        conversion = writer.finish()
    return Dataset.open(folder), conversion


def frames_of(dataset: Dataset) -> NDArray[Any]:
    return np.stack([dataset.read_frame(case) for case in dataset.test])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.avi", {}),
        ("a.avi", {"codec": "rawvideo"}),
        ("a.avi", {"codec": "rawvideo", "pixels": "bgr24"}),
        ("A.AVI", {"codec": "png"}),
    ],
)
def test_greys_come_through_exactly(folder: Path, name: str, options: dict[str, str]) -> None:
    save(folder / name, **options)
    dataset, conversion = convert(folder)
    assert conversion.skipped == ()
    np.testing.assert_array_equal(frames_of(dataset), FRAMES)
    assert {entry["frame_time_ms"] for entry in dataset.description["cases"].values()} == {50.0}


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "mpeg4"), ("a.avi", "mjpeg")])
def test_lossy_videos_are_read_closely_with_their_full_range(folder: Path, name: str, codec: str) -> None:
    save(folder / name, codec=codec, pixels="yuvj420p" if codec == "mjpeg" else "yuv420p")
    found = frames_of(convert(folder)[0]).astype(int)
    assert np.median(np.abs(found - FRAMES)) <= 3
    assert found.min() < 12
    assert found.max() > 243


def test_progress_counts_the_frames_looked_at(folder: Path, counting: Any) -> None:
    save(folder / "a.avi")
    save(folder / "b.avi")
    convert(folder, rate_hz=5, progress=counting.progress)
    assert counting.seen == [("convert", 2 * len(FRAMES), 0)]


def test_deep_videos_keep_their_bits(folder: Path) -> None:
    deep = FRAMES.astype(np.uint16) * 256 + 7
    save(folder / "a.avi", deep, pixels="gray16le", source="gray16le")
    np.testing.assert_array_equal(frames_of(convert(folder)[0]), deep)


def test_folders_say_who_is_who(folder: Path) -> None:
    save(folder / "p1" / "run1.avi")
    save(folder / "p1" / "run2.avi")
    save(folder / "loose.avi")
    dataset, conversion = convert(folder)
    assert {(case.patient, case.sequence) for case in dataset.test} == {
        ("p1", "p1/run1.avi"),
        ("p1", "p1/run2.avi"),
        (None, "loose.avi"),
    }
    assert len(conversion.written) == 18
    assert [case.frame for case in dataset.test if case.patient is None] == list(range(6))


def test_frames_are_taken_at_a_rate(folder: Path) -> None:
    """At 50 ms from frame to frame, those nearest to 0, 125 and 250 ms are 0, 2 or 3, and 5."""
    save(folder / "a.avi")
    dataset, _ = convert(folder, rate_hz=8.0)
    assert [case.frame for case in dataset.test] in ([0, 2, 5], [0, 3, 5])
    assert {entry["frame_time_ms"] for entry in dataset.description["cases"].values()} == {125.0}


def test_coloured_frames_are_refused_and_those_before_kept(folder: Path) -> None:
    coloured = np.stack([FRAMES] * 3, axis=-1)
    coloured[3, 5:9, :20] = (255, 0, 0)
    save(folder / "a.avi", coloured, codec="rawvideo", pixels="bgr24", source="rgb24")
    dataset, conversion = convert(folder)
    assert len(dataset.test) == 3
    ((path, reason),) = conversion.skipped
    assert path == str(folder / "a.avi")
    assert "frame 4: found 1.3 % coloured pixels" in reason
    assert conversion.failed


def test_what_is_no_video_is_skipped_by_name(folder: Path) -> None:
    save(folder / "a.avi")
    (folder / "notes.txt").write_text("nothing to see")
    (folder / "broken.mp4").write_bytes(b"nothing to see")
    _, conversion = convert(folder)
    reasons = {Path(path).name: reason for path, reason in conversion.skipped}
    assert sorted(reasons) == ["broken.mp4", "notes.txt"]
    assert "found a damaged file or no video" in reasons["broken.mp4"]
    assert len(conversion.written) == 6


def test_wrong_use_is_refused(folder: Path) -> None:
    save(folder / "a.avi")
    with pytest.raises(UsageError, match="no such file or folder"):
        convert(folder / "b.avi")
    with pytest.raises(UsageError, match="--rate: found 0"):
        convert(folder, rate_hz=0.0)
    (folder / "a.avi").write_bytes(b"")
    with pytest.raises(DatasetError, match="found nothing to convert"):
        convert(folder)
