"""One compressed DICOM frame decoded by GDCM, after a look at what its code stream itself says.

GDCM returns pixels without an error where the decoder failed half-way, and where the header and the code stream
disagree on the number of bits. So the code stream's size and precision are compared with the header, its end mark is
looked for, the structure of RLE and JPEG 2000 is followed (``dicom_structure``), and what the decoders complain of on
standard error (``codec_complaints``) counts as an error.
"""

import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gwunet.errors import FrameError
from gwunet.io.codec_complaints import complaints_while, guard_standard_error
from gwunet.io.dicom_structure import LONGEST_FILLING, check_jpeg_2000, check_rle

Codec = Literal["JPEG", "JPEG-LS", "JPEG 2000", "RLE"]

CODECS: dict[str, Codec] = {
    "1.2.840.10008.1.2.4.50": "JPEG",
    "1.2.840.10008.1.2.4.51": "JPEG",
    "1.2.840.10008.1.2.4.57": "JPEG",
    "1.2.840.10008.1.2.4.70": "JPEG",
    "1.2.840.10008.1.2.4.80": "JPEG-LS",
    "1.2.840.10008.1.2.4.81": "JPEG-LS",
    "1.2.840.10008.1.2.4.90": "JPEG 2000",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.5": "RLE",
}
"""By transfer syntax.

Reference: DICOM PS3.6 annex A.
"""
LOSSY = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 81, 91))
"""Transfer syntaxes that may change pixels."""

guard_standard_error()


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeStream:
    """What the header of a code stream says."""

    rows: int
    columns: int
    components: int
    precision: int
    """Bits per value."""


def read_code_stream(data: bytes, codec: Codec) -> CodeStream:
    """Size and precision from the code stream's own header.

    Raises:
        ValueError: it has none, or no end, or is not put together as its standard says.

    Reference: ITU-T T.81 section B.2.2 (JPEG), T.87 section C.2.2 (JPEG-LS), T.800 section A.5.1 (JPEG 2000).
    """
    # The mark cannot occur within coded data. Whatever writers fill the fragment up with may follow it.
    if b"\xff\xd9" not in data[-LONGEST_FILLING:]:
        raise ValueError(f"a {codec} code stream without end mark")
    try:
        if codec != "JPEG 2000":
            return _jpeg_header(data)
        check_jpeg_2000(data)
        return _jpeg_2000_header(data)
    except (struct.error, IndexError):
        raise ValueError(f"a {codec} code stream without header") from None


def _jpeg_2000_header(data: bytes) -> CodeStream:
    if data[:4] != b"\xff\x4f\xff\x51":
        raise ValueError("no JPEG 2000 code stream")
    right, bottom, left, top = struct.unpack(">4I", data[8:24])
    (components,) = struct.unpack(">H", data[40:42])
    return CodeStream(rows=bottom - top, columns=right - left, components=components, precision=(data[42] & 0x7F) + 1)


def _jpeg_header(data: bytes) -> CodeStream:
    """Of JPEG and JPEG-LS, whose frame headers are alike."""
    if data[:2] != b"\xff\xd8":
        raise ValueError("no JPEG code stream")
    position = 2
    while True:
        if data[position] != 0xFF:
            raise ValueError("a JPEG code stream with a damaged header")
        marker = data[position + 1]
        if marker == 0xFF:  # fill bytes may stand before a marker
            position += 1
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            precision, rows, columns, components = struct.unpack(">BHHB", data[position + 4 : position + 10])
            return CodeStream(rows=rows, columns=columns, components=components, precision=precision)
        position += 2 + struct.unpack(">H", data[position + 2 : position + 4])[0]


def decode(data: bytes, *, syntax: str, rows: int, columns: int, bits: int, allocated: int) -> NDArray[np.uint16]:
    """The values of one frame, as stored.

    Args:
        data: its code stream.
        syntax: transfer syntax.
        rows: height in the DICOM header.
        columns: width in the DICOM header.
        bits: Bits Stored.
        allocated: Bits Allocated, 8 or 16.

    Returns:
        (H, W) uint16 of ``bits`` bits; signed ones as two's complement.

    Raises:
        FrameError: the code stream is damaged or does not fit the header; without the file's name.
    """
    codec = CODECS[syntax]
    if codec == "RLE":
        try:
            check_rle(data, rows * columns, allocated // 8)
        except ValueError as problem:
            raise FrameError(f"found {problem}; wanted a whole frame of {rows}x{columns} px") from problem
        # Packed bytes without header: bits above the stored ones may hold an overlay.
        return _decode_by_gdcm(data, syntax, rows, columns, allocated, allocated) & np.uint16((1 << bits) - 1)
    try:
        stream = read_code_stream(data, codec)
    except ValueError as problem:
        raise FrameError(f"found {problem}; wanted a whole one") from problem
    if (stream.rows, stream.columns, stream.components) != (rows, columns, 1):
        raise FrameError(
            f"found a {codec} code stream of {stream.rows}x{stream.columns} px and {stream.components} components; "
            f"wanted the header's {rows}x{columns} px and 1"
        )
    if not bits <= stream.precision <= allocated:
        raise FrameError(
            f"found a {codec} code stream of {stream.precision} bits; wanted the header's {bits} stored in {allocated}"
        )
    pixels = _decode_by_gdcm(data, syntax, rows, columns, stream.precision, allocated)
    largest = (1 << bits) - 1
    if pixels.max() > largest:
        if syntax not in LOSSY:
            raise FrameError(f"found the value {pixels.max()}; wanted at most {largest}, the most in {bits} bits")
        np.minimum(pixels, largest, out=pixels)  # lossy compression rings past the brightest value
    return pixels


def _decode_by_gdcm(data: bytes, syntax: str, rows: int, columns: int, bits: int, allocated: int) -> NDArray[np.uint16]:
    import SimpleITK  # takes 300 ms, and files that are not compressed do without

    with tempfile.TemporaryDirectory(prefix="gwunet-") as folder:
        path = Path(folder) / "frame.dcm"
        path.write_bytes(single_frame_file(data, syntax, rows, columns, bits, allocated))

        def read() -> NDArray[Any]:
            pixels: NDArray[Any] = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path), imageIO="GDCMImageIO"))
            return pixels

        try:
            decoded, complaints = complaints_while(read)
        except RuntimeError as problem:
            raise FrameError(f"found a {CODECS[syntax]} code stream that GDCM cannot decode") from problem
        if complaints:
            raise FrameError(f"found a damaged {CODECS[syntax]} code stream ({'; '.join(complaints)})")
        if decoded.size != rows * columns:
            raise FrameError(f"found {decoded.size} decoded values; wanted {rows}x{columns}")
        return decoded.reshape(rows, columns).astype(np.uint16)


def single_frame_file(data: bytes, syntax: str, rows: int, columns: int, bits: int, allocated: int) -> bytes:
    """A DICOM file with one compressed frame and what decoding needs: no rescaling, no inversion, nobody's name."""

    def element(group: int, number: int, vr: bytes, value: bytes) -> bytes:
        value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
        length = struct.pack("<HI", 0, len(value)) if vr == b"OB" else struct.pack("<H", len(value))
        return struct.pack("<HH", group, number) + vr + length + value

    def short(group: int, number: int, value: int) -> bytes:
        return element(group, number, b"US", struct.pack("<H", value))

    secondary_capture, instance = b"1.2.840.10008.5.1.4.1.1.7", b"2.25.1"
    meta = (
        element(2, 1, b"OB", b"\0\1")
        + element(2, 2, b"UI", secondary_capture)
        + element(2, 3, b"UI", instance)
        + element(2, 0x10, b"UI", syntax.encode())
        + element(2, 0x12, b"UI", b"2.25.2")
    )
    body = (
        element(8, 0x16, b"UI", secondary_capture)
        + element(8, 0x18, b"UI", instance)
        + element(8, 0x60, b"CS", b"OT")
        + short(0x28, 2, 1)
        + element(0x28, 4, b"CS", b"MONOCHROME2")
        + short(0x28, 0x10, rows)
        + short(0x28, 0x11, columns)
        + short(0x28, 0x100, allocated)
        + short(0x28, 0x101, bits)
        + short(0x28, 0x102, bits - 1)
        + short(0x28, 0x103, 0)
    )
    data += b"\0" * (len(data) % 2)
    item = b"\xfe\xff\x00\xe0"
    pixels = struct.pack("<HH", 0x7FE0, 0x10) + b"OB\0\0\xff\xff\xff\xff" + item + bytes(4)
    pixels += item + struct.pack("<I", len(data)) + data + b"\xfe\xff\xdd\xe0" + bytes(4)
    group_length = element(2, 0, b"UL", struct.pack("<I", len(meta)))
    return bytes(128) + b"DICM" + group_length + meta + body + pixels
