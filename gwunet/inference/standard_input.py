"""Frames one after another in a stream of bytes: PNG files, each of which says where it ends, or raw pixels."""

import os
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gwunet.errors import FrameError, UsageError
from gwunet.exposed_field import Frame
from gwunet.io.frames import MIN_SIDE_PX, decode_png

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
LAST_CHUNK = b"IEND"
LARGEST_FRAME_BYTES = 1 << 28
"""A length beyond is damage, and would only take memory."""


def open_unbuffered(descriptor: int) -> BinaryIO:
    """A descriptor such as standard input for reading in a thread.

    Python's own standard input takes a lock while it waits, which a thread that still waits at the end never gives
    back.
    """
    return os.fdopen(descriptor, "rb", buffering=0, closefd=False)


def parse_shape(text: str) -> tuple[int, int]:
    """Rows and columns from ``HxW``.

    Raises:
        UsageError: it is something else.
    """
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    shape = (int(found[1]), int(found[2])) if found else (0, 0)
    if min(shape) < MIN_SIDE_PX:
        raise UsageError(f"--frame_shape {text}: wanted rows x columns of at least {MIN_SIDE_PX} px, such as 512x512")
    return shape


def png_frames(stream: BinaryIO) -> Iterator[Frame | FrameError]:
    """PNG files one after another until the stream ends.

    Yields:
        (H, W) uint8 or uint16; for a file that is whole but cannot be decoded, the reason, after which the next one is
        read.

    Raises:
        FrameError: the stream ends within a file, or holds something else: the next file cannot be found.
    """
    number = 0
    while True:
        name = f"standard input: frame {number}"
        data = _whole_png(stream, name)
        if data is None:
            return
        try:
            yield decode_png(data, name)
        except FrameError as problem:
            yield problem
        number += 1


def raw_frames(stream: BinaryIO, shape: tuple[int, int], dtype: str) -> Iterator[Frame]:
    """Pixels without any header, row by row, until the stream ends.

    Args:
        stream: where they come from.
        shape: rows and columns of every frame.
        dtype: ``uint8``, or ``uint16`` with the low byte first.

    Raises:
        FrameError: the stream ends within a frame.
    """
    kind = np.dtype(dtype).newbyteorder("<")
    wanted = shape[0] * shape[1] * kind.itemsize
    number = 0
    while data := _read(stream, wanted):
        if len(data) < wanted:
            raise FrameError(
                f"standard input: frame {number}: found {len(data)} bytes and the end; wanted {wanted} for "
                f"{shape[0]}x{shape[1]} px of {dtype}: check --frame_shape and --frame_dtype, and that the sender "
                "finishes its frames"
            )
        values: NDArray[np.uint8] | NDArray[np.uint16] = np.frombuffer(data, kind).astype(np.dtype(dtype))
        yield values.reshape(shape)
        number += 1


def _whole_png(stream: BinaryIO, name: str) -> bytes | None:
    """The bytes of one PNG file, None at the end of the stream.

    Reference: PNG specification (ISO/IEC 15948), sections 5.2 (signature) and 5.3 (chunks).
    """
    start = _read(stream, len(PNG_SIGNATURE))
    if not start:
        return None
    if start != PNG_SIGNATURE[: len(start)]:
        raise FrameError(
            f"{name}: found {start!r}; wanted the beginning of a PNG file: send PNG files one after another, or raw "
            "pixels with --frame_shape"
        )
    parts, length = [start], len(start)
    while True:
        head = _read(stream, 8)
        size, kind = struct.unpack(">I4s", head) if len(head) == 8 else (0, b"")
        if length + size > LARGEST_FRAME_BYTES:
            raise FrameError(f"{name}: found a part of {size} bytes; wanted less than {LARGEST_FRAME_BYTES}: damaged")
        body = _read(stream, size + 4) if kind else b""  # with its checksum
        parts += [head, body]
        length += len(head) + len(body)
        if not kind or len(body) < size + 4:
            raise FrameError(
                f"{name}: found {length} bytes of a PNG file and the end; wanted a whole one: check that the sender "
                "finishes its frames"
            )
        if kind == LAST_CHUNK:
            return b"".join(parts)


def _read(stream: BinaryIO, wanted: int) -> bytes:
    """So many bytes; fewer only at the end of the stream."""
    parts: list[bytes] = []
    while wanted > 0 and (part := stream.read(wanted)):
        parts.append(part)
        wanted -= len(part)
    return b"".join(parts)
