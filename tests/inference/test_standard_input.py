"""Frames in a stream of bytes."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from gwunet.errors import FrameError, UsageError
from gwunet.inference.standard_input import parse_shape, png_frames, raw_frames

RNG = np.random.default_rng(0)
FRAMES = [
    RNG.integers(0, 256, (20, 30), np.uint8),
    RNG.integers(0, 65536, (16, 9), np.uint16),
    RNG.integers(0, 256, (120, 150), np.uint8),
]


def png(frame: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "PNG")
    return file.getvalue()


class Dribble(io.RawIOBase):
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data, self._step = io.BytesIO(data), step

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, self._step))


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_png_files_one_after_another(step: int) -> None:
    found = list(png_frames(Dribble(b"".join(map(png, FRAMES)), step)))  # type: ignore[arg-type]
    for frame, expected in zip(found, FRAMES, strict=True):
        assert not isinstance(frame, FrameError)
        assert frame.dtype == expected.dtype
        np.testing.assert_array_equal(frame, expected)


@given(st.integers(1, len(png(FRAMES[0])) - 1))
def test_a_png_cut_anywhere_is_named_by_its_number(length: int) -> None:
    stream = io.BytesIO(png(FRAMES[1]) + png(FRAMES[0])[:length])
    frames = png_frames(stream)
    assert not isinstance(next(frames), FrameError)
    with pytest.raises(FrameError, match=r"standard input: frame 1: found .* and the end; wanted a whole one"):
        next(frames)


def test_a_damaged_png_is_told_and_the_next_is_read() -> None:
    damaged = bytearray(png(FRAMES[0]))
    damaged[damaged.index(b"IDAT") + 12] ^= 0xFF
    colour = RNG.integers(0, 256, (20, 30, 3), np.uint8)
    first, second, third = png_frames(io.BytesIO(bytes(damaged) + png(colour) + png(FRAMES[2])))
    assert isinstance(first, FrameError)
    assert str(first).startswith("standard input: frame 0: found a damaged PNG")
    assert isinstance(second, FrameError)
    assert "frame 1: found a colour picture" in str(second)
    np.testing.assert_array_equal(third, FRAMES[2])


def test_what_is_no_png_ends_the_stream() -> None:
    with pytest.raises(FrameError, match="frame 0: found b'P5 20 30'; wanted the beginning of a PNG file"):
        next(png_frames(io.BytesIO(b"P5 20 30\n255\n")))


def test_a_length_beyond_reason_is_refused_before_it_is_read() -> None:
    data = (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 0xFFFFFFF0, b"IDAT") + bytes(8) + struct.pack(">I", zlib.crc32(b""))
    )
    with pytest.raises(FrameError, match="frame 0: found a part of 4294967280 bytes"):
        next(png_frames(io.BytesIO(data)))


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_raw_pixels(dtype: str) -> None:
    frames = RNG.integers(0, np.iinfo(dtype).max, (3, 20, 30)).astype(dtype)
    data = frames.astype(f"<{np.dtype(dtype).str[1:]}").tobytes()
    found = list(raw_frames(io.BytesIO(data), (20, 30), dtype))
    np.testing.assert_array_equal(np.stack(found), frames)
    assert found[0].dtype == np.dtype(dtype)
    wanted = frames[0].nbytes
    with pytest.raises(
        FrameError, match=f"frame 2: found {wanted - 1} bytes and the end; wanted {wanted} for 20x30 px"
    ):
        list(raw_frames(io.BytesIO(data[:-1]), (20, 30), dtype))


def test_shapes() -> None:
    assert parse_shape("512x640") == (512, 640)
    for text in ("512", "512x", "0x512", "axb", "512x640x3", "-8x8"):
        with pytest.raises(UsageError, match="--frame_shape"):
            parse_shape(text)
