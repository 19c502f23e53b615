"""DICOM runs: exact pixels in the right sense, spacing by each rule, times, and what cannot be read refused."""

import os
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.fft
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gwunet.errors import FrameError
from gwunet.io.codec_complaints import complaints_while
from gwunet.io.dicom import DicomRun
from gwunet.io.dicom_codec import decode, read_code_stream, single_frame_file
from gwunet.io.dicom_structure import check_rle
from gwunet.io.spacing import PixelSpacing

IMPLICIT, EXPLICIT, RLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"
JPEG_BASELINE, JPEG_EXTENDED, JPEG_LS = (f"1.2.840.10008.1.2.4.{last}" for last in (50, 51, 80))
RNG = np.random.default_rng(0)
RUN10 = RNG.integers(0, 1024, (3, 12, 16), dtype=np.uint16)

# Written from DICOM PS3.5 and PS3.6, not by the code under test.
VRS = {
    0x00080060: b"CS",
    0x00180040: b"IS",
    0x00181063: b"DS",
    0x00181065: b"DS",
    0x00181110: b"DS",
    0x00181111: b"DS",
    0x00181114: b"DS",
    0x00181164: b"DS",
    0x00280002: b"US",
    0x00280004: b"CS",
    0x00280008: b"IS",
    0x00280009: b"AT",
    0x00280010: b"US",
    0x00280011: b"US",
    0x00280030: b"DS",
    0x00280100: b"US",
    0x00280101: b"US",
    0x00280102: b"US",
    0x00280103: b"US",
    0x00280120: b"US",
    0x00280121: b"US",
    0x00280A02: b"CS",
    0x00281053: b"DS",
}
SPACING, CALIBRATION, IMAGER = 0x00280030, 0x00280A02, 0x00181164
MAGNIFICATION, TO_DETECTOR, TO_PATIENT = 0x00181114, 0x00181110, 0x00181111
POINTER = 0x00280009
TO_TIME, TO_VECTOR, TO_POSITION = "\x18\0\x63\x10", "\x18\0\x65\x10", "\x20\0\x32\0"
"""Tags as values: group and element, little endian."""


def element(tag: int, vr: bytes, value: bytes, explicit: bool = True) -> bytes:
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if not explicit:
        return head + struct.pack("<I", len(value)) + value
    if vr in (b"OB", b"OW", b"SQ", b"UN"):
        return head + vr + struct.pack("<HI", 0, len(value)) + value
    return head + vr + struct.pack("<H", len(value)) + value


def coded(tag: int, value: int | str, explicit: bool = True) -> bytes:
    plain = struct.pack("<H", value & 0xFFFF) if isinstance(value, int) else value.encode()
    return element(tag, VRS[tag], plain, explicit)


def item(value: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(value)) + value


def dicom(
    pixels: NDArray[Any] | list[bytes],
    tags: dict[int, int | str] | None = None,
    *,
    syntax: str = EXPLICIT,
    table: bytes = b"",
    before_pixels: bytes = b"",
    shape: tuple[int, int] = (12, 16),
) -> bytes:
    """A file's bytes: ``pixels`` are frames or fragments."""
    explicit = syntax != IMPLICIT
    n_frames = len(pixels)
    default: dict[int, int | str] = {
        0x00080060: "XA",
        0x00280002: 1,
        0x00280004: "MONOCHROME2",
        0x00280008: str(n_frames),
        0x00280010: shape[0],
        0x00280011: shape[1],
        0x00280100: 16,
        0x00280101: 10,
        0x00280102: 9,
        0x00280103: 0,
    }
    body = b"".join(coded(tag, value, explicit) for tag, value in sorted((default | (tags or {})).items()))
    if isinstance(pixels, np.ndarray):
        data = element(0x7FE00010, b"OW", pixels.tobytes(), explicit)
    else:
        data = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + item(table) + b"".join(map(item, pixels))
        data += b"\xfe\xff\xdd\xe0\0\0\0\0"
    meta = element(0x00020010, b"UI", syntax.encode() + b"\0" * (len(syntax) % 2))
    group_length = element(0x00020000, b"UL", struct.pack("<I", len(meta)))
    return bytes(128) + b"DICM" + group_length + meta + body + before_pixels + data


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., DicomRun]:
    """``dicom`` written and opened; same arguments."""

    def write(*arguments: Any, **options: Any) -> DicomRun:
        (tmp_path / "run.dcm").write_bytes(dicom(*arguments, **options))
        return DicomRun.open(tmp_path / "run.dcm")

    return write


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_runs_without_compression_are_what_another_reader_reads(opened: Callable[..., DicomRun], syntax: str) -> None:
    run = opened(RUN10, syntax=syntax)
    np.testing.assert_array_equal(np.stack(list(run.frames())), RUN10)
    other = SimpleITK.ReadImage(str(run.elements.path), imageIO="GDCMImageIO")
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(other), RUN10)
    assert run.frame(1).dtype == np.uint16


def test_eight_bits_stay_eight(opened: Callable[..., DicomRun]) -> None:
    frames = RNG.integers(0, 256, (2, 12, 16), dtype=np.uint8)
    run = opened(frames, {0x00280100: 8, 0x00280101: 8, 0x00280102: 7})
    assert run.frame(0).dtype == np.uint8
    np.testing.assert_array_equal(np.stack(list(run.frames())), frames)


@pytest.mark.parametrize("compressor", ["JPEG", "JPEG2000"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_compressed_runs_are_read_frame_by_frame(tmp_path: Path, compressor: str, dtype: type) -> None:
    frames = RNG.integers(0, np.iinfo(dtype).max, (3, 24, 32), dtype=dtype, endpoint=True)
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(tmp_path / "run.dcm"))
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    writer.Execute(SimpleITK.GetImageFromArray(frames))
    run = DicomRun.open(tmp_path / "run.dcm")
    assert run.elements.fragments
    np.testing.assert_array_equal(run.frame(2), frames[2])
    np.testing.assert_array_equal(np.stack(list(run.frames())), frames)


def packed(frame: NDArray[np.uint16]) -> bytes:
    """RLE of DICOM PS3.5 annex G with literal runs alone: high bytes, then low bytes."""
    planes = [(frame >> 8).astype(np.uint8).tobytes(), (frame & 0xFF).astype(np.uint8).tobytes()]
    segments = [
        b"".join(bytes([len(plane[i : i + 128]) - 1]) + plane[i : i + 128] for i in range(0, len(plane), 128))
        for plane in planes
    ]
    padded = [segment + b"\x80" * (len(segment) % 2) for segment in segments]
    return struct.pack("<16I", 2, 64, 64 + len(padded[0]), *[0] * 13) + b"".join(padded)


def test_rle_runs_are_read_without_the_bits_above_the_stored(opened: Callable[..., DicomRun]) -> None:
    run = opened([packed(frame | np.uint16(1 << 12)) for frame in RUN10], syntax=RLE)
    np.testing.assert_array_equal(np.stack(list(run.frames())), RUN10)


@pytest.mark.parametrize(
    ("at", "value", "found"),
    [
        (0, 0, "RLE of 0 segments for pixels of 2 bytes"),  # GDCM divides by it, and the whole process ends
        (0, 1, "RLE of 1 segments for pixels of 2 bytes"),  # GDCM returns the first byte alone
        (4, 66, "RLE with segments that do not follow each other"),
        (9, 0, "RLE with segments that do not follow each other"),
        (11, 1, "RLE with segments that do not follow each other"),
        (64, 126, "RLE whose segment 1 of 194 bytes decodes to"),
        (64, 129, "RLE whose segment 1 of 194 bytes decodes to"),
        (64 + 129, 255, "RLE whose segment 1 of 194 bytes decodes to .* values for 192 pixels"),
        (64 + 194 + 129, 64, "RLE whose segment 2 of 194 bytes decodes to 193 values for 192 pixels"),
    ],
)
def test_rle_overwritten_where_it_says_how_long_things_are_is_refused(
    opened: Callable[..., DicomRun], at: int, value: int, found: str
) -> None:
    stream = bytearray(packed(RUN10[0]))
    stream[at] = value
    with pytest.raises(FrameError, match=rf"run\.dcm: frame 1: found {found}"):
        opened([bytes(stream)], syntax=RLE).frame(0)


@given(st.lists(st.one_of(st.binary(min_size=1, max_size=128), st.integers(2, 128)), min_size=1, max_size=20))
def test_whole_rle_is_taken_and_no_other_length(pieces: list[bytes | int]) -> None:
    """Literal runs, and runs of one value by their length."""
    coded_pieces = [
        bytes([257 - piece, 7]) if isinstance(piece, int) else bytes([len(piece) - 1]) + piece for piece in pieces
    ]
    n_pixels = sum(piece if isinstance(piece, int) else len(piece) for piece in pieces)
    header = struct.pack("<16I", 1, 64, *[0] * 14)
    check_rle(header + b"".join(coded_pieces) + b"\0", n_pixels, 1)
    for wrong, data in (
        (n_pixels + 1, coded_pieces),
        (n_pixels, coded_pieces[:-1]),
        (n_pixels, [*coded_pieces, bytes(65)]),
    ):
        with pytest.raises(ValueError, match="RLE"):
            check_rle(header + b"".join(data), wrong, 1)


def test_rle_without_its_header_is_refused(opened: Callable[..., DicomRun]) -> None:
    with pytest.raises(FrameError, match="found 30 bytes of RLE without the header of 64"):
        opened([bytes(30)], syntax=RLE).frame(0)


@pytest.fixture(scope="module")
def jpeg_2000(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, str]:
    """A code stream of RUN10's first frame, and its transfer syntax."""
    path = tmp_path_factory.mktemp("jpeg_2000") / "run.dcm"
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(path))
    writer.UseCompressionOn()
    writer.SetCompressor("JPEG2000")
    writer.Execute(SimpleITK.GetImageFromArray(RUN10[:1]))
    elements = DicomRun.open(path).elements
    whole = path.read_bytes()
    return b"".join(whole[start : start + length] for start, length in elements.fragments), elements.transfer_syntax


def damaged_jpeg_2000(stream: bytes, damage: str) -> bytes:
    tile_part, coded_data = stream.index(b"\xff\x90"), stream.index(b"\xff\x93") + 2
    middle = (coded_data + len(stream)) // 2
    (length,) = struct.unpack(">I", stream[tile_part + 6 : tile_part + 10])
    return {
        "a marker in coded data": stream[:middle] + b"\xff\xa0" + stream[middle + 2 :],
        "a false packet mark": stream[:middle] + b"\xff\x91\x00\x09" + stream[middle + 4 :],
        "a shorter tile-part": stream[: tile_part + 6] + struct.pack(">I", length - 40) + stream[tile_part + 10 :],
        "a longer tile-part": stream[: tile_part + 6] + struct.pack(">I", length * 9) + stream[tile_part + 10 :],
        "no start of tile-part": stream[:tile_part] + b"\x00\x90" + stream[tile_part + 2 :],
        "no start of coded data": stream[: coded_data - 2] + b"\xff\x00" + stream[coded_data:],
    }[damage]


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("a marker in coded data", "with a marker inside coded data at byte"),
        ("a false packet mark", "with a marker inside coded data at byte"),
        ("a shorter tile-part", "without tile-part or end mark at byte"),
        ("a longer tile-part", "with a tile-part of .* bytes at byte"),
        ("no start of tile-part", "with a damaged header at byte"),
        ("no start of coded data", "a JPEG 2000 code stream"),
    ],
)
def test_jpeg_2000_overwritten_where_its_structure_shows_it_is_refused(
    jpeg_2000: tuple[bytes, str], damage: str, found: str
) -> None:
    stream, syntax = jpeg_2000
    options = {"syntax": syntax, "rows": 12, "columns": 16, "bits": 16, "allocated": 16}
    np.testing.assert_array_equal(decode(stream, **options), RUN10[0])
    with pytest.raises(FrameError, match=f"found a JPEG 2000 code stream.*{found}|found {found}"):
        decode(damaged_jpeg_2000(stream, damage), **options)


def test_a_last_jpeg_2000_tile_part_without_length_reaches_to_the_end(jpeg_2000: tuple[bytes, str]) -> None:
    stream, syntax = jpeg_2000
    length = stream.index(b"\xff\x90") + 6
    stream = stream[:length] + bytes(4) + stream[length + 4 :]
    pixels = decode(stream, syntax=syntax, rows=12, columns=16, bits=16, allocated=16)
    np.testing.assert_array_equal(pixels, RUN10[0])


def test_the_standards_own_jpeg_ls_picture_is_read() -> None:
    """ITU-T T.87 section H.3: 4x4 px, 8 bits."""
    stream = bytes.fromhex(
        "ffd8fff7000b080004000401011100ffda0008010100000000"
        "c000006c80208e01c0000057400000 6ee6000001bc18000005d800009160ffd9".replace(" ", "")
    )
    expected = [[0, 0, 90, 74], [68, 50, 43, 205], [64, 145, 145, 145], [100, 145, 145, 145]]
    pixels = decode(stream, syntax=JPEG_LS, rows=4, columns=4, bits=8, allocated=8)
    np.testing.assert_array_equal(pixels, expected)


def flat_blocks_jpeg(levels: NDArray[np.int64], precision: int) -> bytes:
    """JPEG, extended sequential, of 8x8 blocks of one value each; see ITU-T T.81 annexes B and F."""
    bits = ""
    before = 0
    for level in levels.ravel() - (1 << (precision - 1)):
        # Quantised by 8, the DC coefficient of a flat block is its value.
        difference, before = int(level) - before, int(level)
        size = abs(difference).bit_length()
        value = difference if difference > 0 else difference + (1 << size) - 1
        bits += f"{size:05b}" + (f"{value:0{size}b}" if size else "") + "0"  # the AC code "0": end of block
    bits += "1" * (-len(bits) % 8)
    scan = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    rows, columns = (8 * side for side in levels.shape)

    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content

    return (
        b"\xff\xd8"
        + segment(0xDB, b"\0" + bytes([8] * 64))
        + segment(0xC1, struct.pack(">BHHB", precision, rows, columns, 1) + b"\1\x11\0")
        + segment(0xC4, b"\0" + bytes([0, 0, 0, 0, 16] + [0] * 11) + bytes(range(16)))
        + segment(0xC4, b"\x10" + bytes([1] + [0] * 15) + b"\0")
        + segment(0xDA, b"\1\1\0\0\x3f\0")
        + scan
        + b"\xff\xd9"
    )


def test_12_bit_jpeg_is_read_right(opened: Callable[..., DicomRun]) -> None:
    levels = np.array([[0, 4095, 2048], [1, 2047, 1000]])
    options = {0x00280101: 12, 0x00280102: 11}
    run = opened([flat_blocks_jpeg(levels, 12)], options, syntax=JPEG_EXTENDED, shape=(16, 24))
    np.testing.assert_array_equal(run.frame(0), np.kron(levels, np.ones((8, 8))))


def test_lossy_values_past_the_stored_bits_are_the_brightest(opened: Callable[..., DicomRun]) -> None:
    run = opened([flat_blocks_jpeg(np.array([[1023, 1030]]), 12)], syntax=JPEG_EXTENDED, shape=(8, 16))
    assert (run.frame(0) == 1023).all()


def test_a_code_stream_of_fewer_bits_than_the_header_says_is_refused(opened: Callable[..., DicomRun]) -> None:
    run = opened([flat_blocks_jpeg(np.array([[100, 200]]), 8)], syntax=JPEG_BASELINE, shape=(8, 16))
    with pytest.raises(FrameError, match=r"run\.dcm: frame 1: found a JPEG code stream of 8 bits; wanted .* 10 stored"):
        run.frame(0)


def test_a_code_stream_of_another_size_is_refused(opened: Callable[..., DicomRun]) -> None:
    run = opened([flat_blocks_jpeg(np.array([[100, 200]]), 12)], syntax=JPEG_EXTENDED, shape=(16, 16))
    with pytest.raises(FrameError, match="of 8x16 px and 1 components; wanted the header's 16x16 px"):
        run.frame(0)


def test_damage_that_only_standard_error_tells_of_is_refused(
    opened: Callable[..., DicomRun], capfd: pytest.CaptureFixture[str]
) -> None:
    levels = RNG.integers(0, 1024, (16, 16))
    stream = flat_blocks_jpeg(levels, 12)
    cut = stream[: len(stream) // 2] + b"\xff\xd9"
    plain = single_frame_file(cut, JPEG_EXTENDED, 128, 128, 12, 16)
    run = opened([cut], syntax=JPEG_EXTENDED, shape=(128, 128))
    (run.elements.path.parent / "plain.dcm").write_bytes(plain)
    SimpleITK.ReadImage(str(run.elements.path.parent / "plain.dcm"))  # no exception: this is why
    assert "premature end" in capfd.readouterr().err
    with pytest.raises(FrameError, match=r"damaged JPEG code stream .*premature end"):
        run.frame(0)
    assert capfd.readouterr().err == ""


def chatter(line: str, while_: Callable[[], Any]) -> Any:
    """What ``while_`` returns while another thread writes lines to standard error."""
    stop = threading.Event()
    started = threading.Event()

    def talk() -> None:
        while not stop.is_set():
            os.write(2, line.encode())
            started.set()
            stop.wait(0.0005)

    thread = threading.Thread(target=talk)
    thread.start()
    started.wait()
    try:
        return while_()
    finally:
        stop.set()
        thread.join()


def test_what_other_threads_write_meanwhile_comes_out_and_counts_for_nothing(
    opened: Callable[..., DicomRun], capfd: pytest.CaptureFixture[str]
) -> None:
    line = "worklist: invalid accession number ignored, corrupt, truncated\n"
    stream = flat_blocks_jpeg(RNG.integers(0, 1024, (16, 16)), 12)
    run = opened([stream], syntax=JPEG_EXTENDED, shape=(128, 128))
    expected = run.frame(0)
    for _ in range(5):
        np.testing.assert_array_equal(chatter(line, lambda: run.frame(0)), expected)
    assert set(capfd.readouterr().err.splitlines(keepends=True)) == {line}


def test_a_complaint_counts_if_it_comes_again(capfd: pytest.CaptureFixture[str]) -> None:
    damage = b"Corrupt JPEG data: premature end of data segment\n"
    said = [b" 10%|#   | 1/9" + damage, b"a line\nan unfinished one", damage, b"Unsupported JPEG data precision 12\n"]
    calls = iter(said)

    def decode() -> int:
        text = next(calls)
        os.write(2, text)
        return len(text)

    # Another thread's, once; the second decoding is silent about it.
    assert complaints_while(decode) == (len(said[0]), [])
    assert capfd.readouterr().err == " 10%|#   | 1/9a line\nan unfinished one"
    calls = iter([damage, b"beside it\n" + damage])
    assert complaints_while(decode)[1] == ["Corrupt JPEG data: premature end of data segment"]
    calls = iter(said[3:])
    assert complaints_while(decode)[1] == []
    assert capfd.readouterr().err == "beside it\n"


def test_frames_are_decoded_without_standard_error(opened: Callable[..., DicomRun]) -> None:
    """As under pythonw, or a service started without it: its number must not become that of a file either."""
    run = opened([flat_blocks_jpeg(np.array([[100, 200]]), 12)], syntax=JPEG_EXTENDED, shape=(8, 16))
    program = f"""
import os, sys
from pathlib import Path
from gwunet.io.dicom import DicomRun
assert sys.stderr is None
frame = DicomRun.open(Path({str(run.elements.path)!r})).frame(0)
print(frame[0, 0], frame[0, 15], os.readlink("/proc/self/fd/2") if os.path.exists("/proc/self/fd") else os.devnull)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True, preexec_fn=lambda: os.close(2)
    )
    assert done.stdout.split() == ["100", "200", os.devnull]


def test_a_code_stream_without_end_is_refused(opened: Callable[..., DicomRun]) -> None:
    stream = flat_blocks_jpeg(RNG.integers(0, 1024, (16, 16)), 12)
    with pytest.raises(FrameError, match="JPEG code stream without end mark"):
        opened([stream[:-20]], syntax=JPEG_EXTENDED, shape=(128, 128)).frame(0)


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reading_of_code_streams(noise: bytes) -> None:
    for head, codec in ((b"\xff\xd8", "JPEG"), (b"\xff\x4f\xff\x51", "JPEG 2000")):
        try:
            read_code_stream(head + noise + b"\xff\xd9", codec)  # type: ignore[arg-type]
        except ValueError:
            continue


@pytest.mark.parametrize("with_table", [True, False])
def test_frames_in_several_fragments_are_put_together(opened: Callable[..., DicomRun], with_table: bool) -> None:
    levels = [RNG.integers(0, 1024, (2, 2)) for _ in range(3)]
    streams = [flat_blocks_jpeg(level, 12) for level in levels]
    streams = [stream + b"\0" * (len(stream) % 2) for stream in streams]
    pieces = [streams[0][:100], streams[0][100:], streams[1], streams[2][:50], streams[2][50:]]
    starts = [0, sum(len(piece) + 8 for piece in pieces[:2]), sum(len(piece) + 8 for piece in pieces[:3])]
    table = struct.pack("<3I", *starts) if with_table else b""
    run = opened(pieces, {0x00280008: "3"}, syntax=JPEG_EXTENDED, table=table, shape=(16, 16))
    for level, frame in zip(levels, run.frames(), strict=True):
        np.testing.assert_array_equal(frame, np.kron(level, np.ones((8, 8))))


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("slope", ["1", "-1"])
def test_brighter_is_more_whatever_the_coding(
    opened: Callable[..., DicomRun], bits: int, signed: bool, photometric: str, slope: str
) -> None:
    half = 1 << (bits - 1)
    values = np.linspace(-half if signed else 0, half - 1 if signed else 2 * half - 1, 12 * 16).astype(np.int64)
    stored = (values & (2 * half - 1)).astype(np.uint16).reshape(1, 12, 16)
    tags: dict[int, int | str] = {0x00280101: bits, 0x00280102: bits - 1, 0x00280103: int(signed)}
    run = opened(stored, tags | {0x00280004: photometric, 0x00281053: slope})
    frame = run.frame(0).ravel().astype(np.int64)
    brightness = values * (1 if photometric == "MONOCHROME2" else -1) * int(slope)
    np.testing.assert_array_equal(frame, brightness - brightness.min())


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black(opened: Callable[..., DicomRun], photometric: str) -> None:
    stored = np.full((1, 12, 16), 500, np.uint16)
    stored[0, 0] = 1000
    stored[0, 1] = 1020
    run = opened(stored, {0x00280004: photometric, 0x00280120: 1000, 0x00280121: 1023})
    frame = run.frame(0)
    assert (frame[:2] == 0).all()
    assert (frame[2:] == (500 if photometric == "MONOCHROME2" else 523)).all()


@pytest.mark.parametrize(("value", "limit"), [(0xFFFF, None), (2024, None), (1000, 0xFFFF)])
def test_padding_that_no_pixel_can_hold_is_none(opened: Callable[..., DicomRun], value: int, limit: int | None) -> None:
    stored = np.full((1, 12, 16), 1023, np.uint16)
    stored[0, 0] = 1000
    stored[0, 1] = 0
    tags = {0x00280120: value} | ({} if limit is None else {0x00280121: limit})
    np.testing.assert_array_equal(opened(stored, tags).frame(0), stored[0])


def test_signed_padding_that_no_pixel_can_hold_is_none(opened: Callable[..., DicomRun]) -> None:
    stored = np.full((1, 12, 16), 24, np.int16)  # the lowest bits of -2024
    run = opened(stored.astype(np.uint16) & 1023, {0x00280103: 1, 0x00280120: -2024})
    assert (run.frame(0) == 24 + 512).all()


def test_signed_padding_is_black(opened: Callable[..., DicomRun]) -> None:
    stored = np.full((1, 12, 16), 5, np.int16)
    stored[0, 0] = -512
    run = opened(stored.astype(np.uint16) & 1023, {0x00280103: 1, 0x00280120: -512})
    assert (run.frame(0)[0] == 0).all()
    assert (run.frame(0)[1:] == 517).all()


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({SPACING: "0.3\\0.2", CALIBRATION: "GEOMETRY", IMAGER: "0.4\\0.4"}, (0.3, 0.2, "patient")),
        ({SPACING: "0.3\\0.2", CALIBRATION: "FIDUCIAL"}, (0.3, 0.2, "patient")),
        ({SPACING: "0.3\\0.2", IMAGER: "0.4\\0.6", MAGNIFICATION: "2"}, (0.2, 0.3, "patient")),
        ({IMAGER: "0.4\\0.6", TO_DETECTOR: "1000", TO_PATIENT: "800"}, (0.32, 0.48, "patient")),
        (
            {IMAGER: "0.4\\0.6", MAGNIFICATION: "2", TO_DETECTOR: "1000", TO_PATIENT: "800"},
            (0.2, 0.3, "patient"),
        ),
        ({IMAGER: "0.4\\0.6", MAGNIFICATION: "", TO_DETECTOR: "1000", TO_PATIENT: "800"}, (0.32, 0.48, "patient")),
        ({IMAGER: "0.4\\0.6"}, (0.4, 0.6, "detector")),
        ({IMAGER: "0.4\\0.6", TO_DETECTOR: "1000"}, (0.4, 0.6, "detector")),
        ({IMAGER: "0.4\\0.6", TO_DETECTOR: "1000", TO_PATIENT: "0"}, (0.4, 0.6, "detector")),
        ({IMAGER: "0.4\\0.6", TO_DETECTOR: "800", TO_PATIENT: "1000"}, (0.4, 0.6, "detector")),
        (
            {IMAGER: "0.4\\0.6", MAGNIFICATION: "0.7", TO_DETECTOR: "1000", TO_PATIENT: "800"},
            (0.32, 0.48, "patient"),
        ),
        ({IMAGER: "0.4\\0.6", MAGNIFICATION: "0.7", TO_DETECTOR: "700", TO_PATIENT: "800"}, (0.4, 0.6, "detector")),
        ({IMAGER: "0.4\\0.6", MAGNIFICATION: "1", TO_DETECTOR: "1000", TO_PATIENT: "800"}, (0.32, 0.48, "patient")),
        ({IMAGER: "0.4\\0.6", MAGNIFICATION: "1.0"}, (0.4, 0.6, "detector")),
        ({IMAGER: "0.4\\0.6", MAGNIFICATION: "2", TO_DETECTOR: "700", TO_PATIENT: "800"}, (0.2, 0.3, "patient")),
        ({SPACING: "0\\0", CALIBRATION: "GEOMETRY", IMAGER: "0.4\\0.6"}, (0.4, 0.6, "detector")),
        ({SPACING: "0.3\\0.2"}, None),
        ({SPACING: "0.3\\0.2", CALIBRATION: ""}, None),
        ({IMAGER: "0.4"}, None),
        ({IMAGER: "0.4\\much"}, None),
        ({IMAGER: "0.4\\nan"}, None),
        ({CALIBRATION: "GEOMETRY"}, None),
        ({}, None),
    ],
)
def test_spacing_comes_from_the_tags_alone(
    opened: Callable[..., DicomRun], tags: dict[int, int | str], expected: tuple[float, float, str] | None
) -> None:
    found = opened(RUN10, tags).spacing
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert (found.row_mm, found.column_mm) == pytest.approx(expected[:2])
    assert found.plane == expected[2]


def test_impossible_spacing_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="millimetres above 0"):
        PixelSpacing(row_mm=0.0, column_mm=0.3, plane="patient")


@pytest.mark.parametrize("undefined_length", [True, False])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_spacing_is_found_in_shared_functional_groups(
    opened: Callable[..., DicomRun], undefined_length: bool, syntax: str
) -> None:
    """Of enhanced XA, where it stands in a sequence inside a sequence."""
    explicit = syntax == EXPLICIT
    inner = item(coded(IMAGER, "0.4\\0.6", explicit))
    outer = item(element(0x00289443, b"SQ", inner, explicit))
    groups = element(0x52009229, b"SQ", outer, explicit)
    if undefined_length:
        head = b"\x00\x52\x29\x92" + (b"SQ\0\0" if explicit else b"") + b"\xff\xff\xff\xff"
        groups = head + outer + b"\xfe\xff\xdd\xe0\0\0\0\0"
    run = opened(RUN10, syntax=syntax, before_pixels=groups)
    assert run.spacing == PixelSpacing(row_mm=0.4, column_mm=0.6, plane="detector")
    np.testing.assert_array_equal(run.frame(2), RUN10[2])


@pytest.mark.parametrize(
    ("tags", "times"),
    [
        ({0x00181063: "33"}, (0, 33, 66)),
        ({0x00181063: "33", 0x00181065: "0\\40\\60", 0x00180040: "10"}, (0, 33, 66)),
        ({0x00181063: "0", 0x00181065: "0\\40\\60", 0x00180040: "10"}, (0, 40, 100)),
        ({0x00181065: "0\\40", 0x00180040: "10"}, (0, 100, 200)),
        ({0x00180040: "8"}, (0, 125, 250)),
        ({POINTER: TO_VECTOR, 0x00181063: "33", 0x00181065: "0\\40\\60", 0x00180040: "10"}, (0, 40, 100)),
        ({POINTER: TO_TIME, 0x00181063: "33", 0x00181065: "0\\40\\60"}, (0, 33, 66)),
        ({POINTER: TO_VECTOR, 0x00181063: "33", 0x00181065: "0\\40"}, (0, 33, 66)),
        ({POINTER: TO_TIME, 0x00181063: "", 0x00181065: "0\\40\\60"}, (0, 40, 100)),
        ({POINTER: TO_POSITION + TO_VECTOR, 0x00181063: "33", 0x00181065: "0\\40\\60"}, (0, 40, 100)),
        ({POINTER: "\x18", 0x00181063: "33"}, (0, 33, 66)),
        ({0x00180040: "0"}, None),
        ({}, None),
    ],
)
def test_times_come_from_the_first_tag_that_has_them(
    opened: Callable[..., DicomRun], tags: dict[int, int | str], times: tuple[float, ...] | None
) -> None:
    run = opened(RUN10, tags)
    assert run.times_ms == (None if times is None else pytest.approx(times))
    assert run.frame_time_ms == (None if times is None else pytest.approx(times[2] / 2))


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({0x00280004: "RGB", 0x00280002: 3}, "found RGB with 3 values per pixel"),
        ({0x00280004: "PALETTE COLOR"}, "found PALETTE COLOR"),
        ({0x00280102: 15}, "found High Bit 15; wanted 9"),
        ({0x00280100: 32}, "found 10 bits stored in 32"),
        ({0x00280101: 17}, "found 17 bits stored in 16"),
        ({0x00280101: 0}, "found 0 bits stored in 16"),
        ({0x00280008: "4"}, "found 1152 bytes of pixels; wanted 1536 for 4 frames of 12x16"),
        ({0x00280008: "-1"}, "found '-1' as Number of Frames"),
        ({0x00280008: "many"}, "found 'many' as Number of Frames"),
        ({0x00280010: 4}, "found frames of 4x16 px"),
        ({0x00280010: 65535, 0x00280011: 65535}, "found frames of 65535x65535 px"),
    ],
)
def test_pixels_of_other_kinds_are_refused_by_name(
    opened: Callable[..., DicomRun], tags: dict[int, int | str], found: str
) -> None:
    with pytest.raises(FrameError, match=rf"run\.dcm: {found}"):
        opened(RUN10, tags)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"pixels": RUN10, "syntax": "1.2.840.10008.1.2.2"}, "Explicit VR Big Endian"),
        ({"pixels": RUN10, "syntax": "1.2.840.10008.1.2.1.99"}, "Deflated"),
        ({"pixels": RUN10, "syntax": "1.2.840.10008.1.2.4.100"}, r"found the transfer syntax .*\.100"),
        ({"pixels": RUN10, "syntax": JPEG_BASELINE}, "do not fit the transfer syntax"),
        ({"pixels": [b"1234"]}, "do not fit the transfer syntax"),
        ({"pixels": [], "syntax": JPEG_BASELINE}, "found no pixel data"),
        ({"pixels": [b"1234"], "syntax": JPEG_BASELINE, "tags": {0x00280103: 1}}, "found signed values"),
    ],
)
def test_codings_that_are_not_supported_are_refused(
    opened: Callable[..., DicomRun], options: dict[str, Any], found: str
) -> None:
    with pytest.raises(FrameError, match=rf"run\.dcm: .*{found}"):
        opened(options.pop("pixels"), **options)


@pytest.mark.parametrize("compressed", [False, True])
def test_files_that_are_cut_short_are_refused_wherever_they_end(tmp_path: Path, compressed: bool) -> None:
    whole = dicom([packed(frame) for frame in RUN10], syntax=RLE) if compressed else dicom(RUN10)
    path = tmp_path / "run.dcm"
    for length in range(0, len(whole) - 1, 37):
        path.write_bytes(whole[:length])
        with pytest.raises(FrameError, match=r"run\.dcm: found"):
            DicomRun.open(path)
    path.write_bytes(whole)
    assert DicomRun.open(path).format.n_frames == 3


@pytest.fixture
def real_files() -> Path:
    """A folder of real files: one frame XA1_*.dcm in several codings, and a run of 96 frames."""
    folder = os.environ.get("GWUNET_TEST_DICOM")
    if folder is None:
        pytest.skip("needs real files: set GWUNET_TEST_DICOM to their folder")
    return Path(folder)


def test_real_frames_are_the_same_in_every_lossless_coding(real_files: Path) -> None:
    frames = [
        DicomRun.open(real_files / f"XA1_{coding}.dcm").frame(0) for coding in ("UNC", "J2KR", "JLSL", "JPLL", "RLE")
    ]
    other = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(real_files / "XA1_UNC.dcm")))
    for frame in frames:
        np.testing.assert_array_equal(frame, other[0])


def test_a_real_12_bit_jpeg_is_the_lossless_frame_rounded_in_its_dct(real_files: Path) -> None:
    """A decoder that gets the precision or a table wrong gives other coefficients than the encoder rounded."""
    lossless, lossy = (DicomRun.open(real_files / f"XA1_{coding}.dcm").frame(0) for coding in ("UNC", "JPLY"))
    data = (real_files / "XA1_JPLY.dcm").read_bytes()
    start = data.index(b"\xff\xdb") + 5
    zigzag = sorted(np.ndindex(8, 8), key=lambda at: (sum(at), at[0] if sum(at) % 2 else at[1]))
    steps = np.zeros((8, 8))
    for at, step in zip(zigzag, data[start : start + 64], strict=True):
        steps[at] = step
    first, second = (
        scipy.fft.dctn(frame.astype(float).reshape(128, 8, 128, 8).swapaxes(1, 2) - 2048, axes=(2, 3), norm="ortho")
        for frame in (lossless, lossy)
    )
    assert np.mean(np.round(first / steps) == np.round(second / steps)) > 0.99


def test_a_real_run_has_its_96_frames_and_their_time(real_files: Path) -> None:
    run = DicomRun.open(real_files / "xa_96_frames_jpeg.dcm")
    other = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(run.elements.path)))
    np.testing.assert_array_equal(np.stack(list(run.frames())), other)
    assert (run.format.n_frames, run.frame_time_ms, run.spacing) == (96, 33.0, None)


@given(st.data())
def test_damaged_headers_are_refused_or_read_but_break_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    whole = bytearray(dicom(RUN10))
    for _ in range(3):
        whole[data.draw(st.integers(132, len(whole) - RUN10.nbytes))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.dcm"
    path.write_bytes(whole)
    try:
        DicomRun.open(path).frame(0)
    except FrameError:
        return
