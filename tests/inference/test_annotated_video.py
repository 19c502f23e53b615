"""Pictures as a video."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from gwunet.errors import OutputError, UsageError
from gwunet.inference import annotated_video
from gwunet.inference.annotated_video import check_video_path, write_video

RAMP = np.linspace(30, 220, 48).astype(np.uint8)
PICTURES = [np.roll(np.broadcast_to(RAMP[None, :, None], (32, 48, 3)), 4 * shift, axis=1) for shift in range(6)]


def read(path: Path) -> tuple[str, float, list[Any]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        return stream.codec_context.name, float(stream.average_rate or 0), pictures


@pytest.mark.parametrize(("frame_time_ms", "rate"), [(None, 15.0), (125.0, 8.0), (1001 / 30, 30000 / 1001)])
def test_pictures_come_back_closely_at_their_rate(tmp_path: Path, frame_time_ms: float | None, rate: float) -> None:
    assert write_video(tmp_path / "a.mp4", PICTURES, frame_time_ms) == len(PICTURES)
    codec, found_rate, pictures = read(tmp_path / "a.mp4")
    assert codec == "h264"
    assert found_rate == pytest.approx(rate, rel=1e-3)
    assert np.abs(np.stack(pictures).astype(int) - np.stack(PICTURES)).mean() < 4


def test_without_h264_it_is_mpeg4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(annotated_video, "CODECS", ("not built in", "mpeg4"))
    write_video(tmp_path / "a.mp4", PICTURES, None)
    assert read(tmp_path / "a.mp4")[0] == "mpeg4"


def test_odd_and_other_sizes_are_fitted(tmp_path: Path) -> None:
    odd = np.full((31, 47, 3), 200, np.uint8)
    write_video(tmp_path / "a.mp4", [odd, np.full((62, 47, 3), 200, np.uint8)], None)
    _, _, (first, second) = read(tmp_path / "a.mp4")
    assert first.shape == second.shape == (32, 48, 3)
    assert first.min() > 180
    assert second[:, 20:28].min() > 180
    assert second[:, :8].max() < 40


def test_no_pictures_no_file(tmp_path: Path) -> None:
    assert write_video(tmp_path / "a.mp4", [], None) == 0
    assert not list(tmp_path.iterdir())


def test_whole_or_not_at_all(tmp_path: Path, full_disk: Callable[..., Any]) -> None:
    (tmp_path / "a.mp4").write_bytes(b"before")
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    with full_disk(), pytest.raises(OutputError, match=r"a\.mp4: cannot be written"):
        write_video(tmp_path / "a.mp4", [noise] * 10, None)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"before"


def test_what_cannot_be_written_is_refused_before(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"--video a\.gif: found the ending '\.gif'; wanted one of \.avi"):
        check_video_path(Path("a.gif"))
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UsageError, match=r"pip install 'gwunet\[video\]'"):
        check_video_path(Path("a.mp4"))
