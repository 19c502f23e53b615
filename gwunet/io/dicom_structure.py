"""Whether a compressed stream is put together as its standard says, which GDCM's decoders do not look at.

RLE and JPEG 2000 decode to pixels from nearly any bytes, without a word. Neither holds a checksum: a byte overwritten
where a value or an arithmetic code word stands leaves a stream of the right structure, and nothing can notice it.
"""

import itertools
import re
import struct

LONGEST_FILLING = 64
"""Bytes behind the end of a stream, which writers fill fragments up with; real files have 8."""

_RLE_HEADER = 64
_SOT, _SOD, _EOC = 0xFF90, 0xFF93, b"\xff\xd9"
# Coded data are stuffed with bits so that none of these can occur in them; only the marks of packets may (0xFF91, with
# its length of 4, and 0xFF92).
_STRAY_MARKER = re.compile(rb"\xff(?:[\x90\x93-\xff]|\x91(?!\x00\x04))")


def check_rle(data: bytes, n_pixels: int, n_bytes: int) -> None:
    """Raise ``ValueError`` unless every segment decodes to exactly one byte of each pixel.

    Args:
        data: one frame.
        n_pixels: of the frame.
        n_bytes: of a pixel, which is how many segments there are.

    Reference: DICOM PS3.5 sections G.3 (segments) and G.5 (header).
    """
    if len(data) < _RLE_HEADER:
        raise ValueError(f"{len(data)} bytes of RLE without the header of {_RLE_HEADER}")
    n_segments, *starts = struct.unpack("<16I", data[:_RLE_HEADER])
    if n_segments != n_bytes:
        raise ValueError(f"RLE of {n_segments} segments for pixels of {n_bytes} bytes")
    bounds = [*starts[:n_segments], len(data)]
    if bounds[0] != _RLE_HEADER or any(first >= last for first, last in itertools.pairwise(bounds)):
        raise ValueError("RLE with segments that do not follow each other")
    for number, (first, last) in enumerate(itertools.pairwise(bounds), start=1):
        _check_rle_segment(data[first:last], n_pixels, f"RLE whose segment {number}")


def _check_rle_segment(segment: bytes, n_pixels: int, what: str) -> None:
    position = decoded = 0
    while decoded < n_pixels and position < len(segment):
        control = segment[position]
        if control < 128:
            position += control + 2
            decoded += control + 1
        elif control > 128:
            position += 2
            decoded += 257 - control
        else:
            position += 1
    if position > len(segment) or decoded != n_pixels:
        raise ValueError(f"{what} of {len(segment)} bytes decodes to {decoded} values for {n_pixels} pixels")
    if len(segment) - position > LONGEST_FILLING:
        raise ValueError(f"{what} has all its {n_pixels} values {len(segment) - position} bytes before its end")


def check_jpeg_2000(data: bytes) -> None:
    """Raise ``ValueError`` unless tile-parts follow each other to the end mark, with no marker inside coded data.

    Reference: ITU-T T.800 sections A.4 (delimiting markers), A.8 (marks of packets) and B.10.1 (stuffing).
    """
    try:
        position = _after_marker_segments(data, 2, _SOT)
        while data[position : position + 2] != _EOC:
            position = _after_tile_part(data, position)
    except struct.error:
        raise ValueError("a JPEG 2000 code stream that ends inside a tile-part") from None


def _after_tile_part(data: bytes, start: int) -> int:
    """Where the next tile-part or the end mark stands."""
    marker, _, _, length = struct.unpack(">HHHI", data[start : start + 10])
    if marker != _SOT:
        raise ValueError(f"a JPEG 2000 code stream without tile-part or end mark at byte {start}")
    end = start + length if length else data.rindex(_EOC)  # no length: it is the last one
    first = _after_marker_segments(data, start, _SOD) + 2
    if not first <= end <= len(data) - 2:
        raise ValueError(f"a JPEG 2000 code stream with a tile-part of {length} bytes at byte {start}")
    stray = _STRAY_MARKER.search(data, first, end)
    if stray is not None:
        raise ValueError(f"a JPEG 2000 code stream with a marker inside coded data at byte {stray.start()}")
    return end


def _after_marker_segments(data: bytes, position: int, last: int) -> int:
    """Where the marker ``last`` stands, from marker to marker."""
    while True:
        (marker,) = struct.unpack(">H", data[position : position + 2])
        if marker == last:
            return position
        (length,) = struct.unpack(">H", data[position + 2 : position + 4])
        if marker < 0xFF00 or length < 2:
            raise ValueError(f"a JPEG 2000 code stream with a damaged header at byte {position}")
        position += 2 + length
