"""X-ray runs in DICOM files, single and multi-frame, read one frame at a time.

Reference: DICOM PS3.3 sections C.7.6.3 (pixels), C.7.6.5 (cine), C.7.6.6 (multi-frame), C.8.7.1 to C.8.7.5 (X-ray).
"""

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gwunet.errors import FrameError
from gwunet.io import dicom_codec
from gwunet.io.dicom_elements import Elements, Span, read_elements
from gwunet.io.frames import MIN_SIDE_PX
from gwunet.io.spacing import PixelSpacing, SpacingTags, spacing_of

SOP_INSTANCE, MODALITY, INSTITUTION_NAME = 0x00080018, 0x00080060, 0x00080080
PATIENT_ID, PATIENT_ID_ISSUER = 0x00100020, 0x00100021
CINE_RATE, FRAME_TIME, FRAME_TIME_VECTOR = 0x00180040, 0x00181063, 0x00181065
FRAME_INCREMENT_POINTER = 0x00280009
STUDY_INSTANCE, SERIES_INSTANCE = 0x0020000D, 0x0020000E
BURNED_IN_ANNOTATION = 0x00280301
DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
"""Of names that have one; many files are called by numbers with points instead."""

_NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
_LARGEST_FRAME_PX = 1 << 26
"""Four times the largest detector; a header that promises more would only take memory."""
_CODE_STREAM_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelFormat:
    """How the values of a run are stored."""

    rows: int
    columns: int
    n_frames: int
    allocated: int
    """Bits per value in the file: 8 or 16."""
    stored: int
    """Bits that count, the lowest ones."""
    signed: bool
    inverted: bool
    """Whether low values are bright: MONOCHROME1, or a rescale slope below 0, but not both."""
    padding: tuple[int, int] | None
    """Range of values, as stored, that are no picture; both ends belong to it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DicomRun:
    """The frames of one DICOM file; make one with ``DicomRun.open``."""

    elements: Elements
    format: PixelFormat

    @classmethod
    def open(cls, path: Path) -> "DicomRun":
        """Read a file's header.

        Raises:
            FrameError: the file is damaged, or its pixels are of a kind not supported.
        """
        return cls.of(read_elements(path))

    @classmethod
    def of(cls, elements: Elements) -> "DicomRun":
        """The run in a file whose elements are read; raises as ``open``."""
        return cls(elements=elements, format=_pixel_format(elements))

    @property
    def spacing(self) -> PixelSpacing | None:
        """Size of a pixel as far as the tags give it."""
        elements = self.elements
        return spacing_of(
            SpacingTags(
                pixel_spacing=elements.numbers(0x00280030),
                calibration_type=elements.text(0x00280A02),
                imager_pixel_spacing=elements.numbers(0x00181164),
                magnification=elements.number(0x00181114),
                source_to_detector_mm=elements.number(0x00181110),
                source_to_patient_mm=elements.number(0x00181111),
            )
        )

    @property
    def times_ms(self) -> tuple[float, ...] | None:
        """When each frame was taken, from the first on; None where the file does not say.

        By the one that Frame Increment Pointer (0028,0009) names, else Frame Time (0018,1063), else Frame Time Vector
        (0018,1065), else Cine Rate (0018,0040).
        """
        n_frames = self.format.n_frames
        if n_frames == 1:
            return None
        step = self.elements.number(FRAME_TIME)
        steps = self.elements.numbers(FRAME_TIME_VECTOR)
        rate = self.elements.number(CINE_RATE)
        found: dict[int, tuple[float, ...]] = {}
        if step is not None and step > 0:
            found[FRAME_TIME] = tuple(index * step for index in range(n_frames))
        if len(steps) == n_frames and all(value > 0 for value in steps[1:]):
            found[FRAME_TIME_VECTOR] = tuple(itertools.accumulate((0.0, *steps[1:])))
        if rate is not None and rate > 0:
            found[CINE_RATE] = tuple(index * 1000 / rate for index in range(n_frames))
        named = (tag for tag in self.elements.tags(FRAME_INCREMENT_POINTER) if tag in found)
        return found.get(next(named, next(iter(found), 0)))

    @property
    def frame_time_ms(self) -> float | None:
        """Median time from one frame to the next."""
        times = self.times_ms
        return None if times is None else float(np.median(np.diff(times)))

    def frames(self) -> Iterator[NDArray[np.uint8] | NDArray[np.uint16]]:
        """All frames in turn, as ``frame``."""
        return (self.frame(index) for index in range(self.format.n_frames))

    def frame(self, index: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """One frame.

        Args:
            index: from 0.

        Returns:
            (H, W) with low values dark (MONOCHROME2); uint8 up to 8 bits stored, uint16 above. Signed values are moved
            up by half their range. Padding is 0, as black as a border.

        Raises:
            FrameError: its pixels are damaged or do not fit the header.
        """
        try:
            values = self._stored(index)
        except FrameError as problem:
            raise FrameError(f"{self.elements.path}: frame {index + 1}: {problem}: export it again") from problem
        except OSError as problem:
            raise FrameError(f"{self.elements.path}: cannot be read ({problem}): copy it again") from problem
        return _in_monochrome2(values, self.format)

    def _stored(self, index: int) -> NDArray[np.uint16]:
        layout, elements = self.format, self.elements
        with elements.path.open("rb") as file:
            if elements.pixels is None:
                spans = _fragments_of(elements, index, layout.n_frames, file)
                return dicom_codec.decode(
                    b"".join(_read(file, span) for span in spans),
                    syntax=elements.transfer_syntax,
                    rows=layout.rows,
                    columns=layout.columns,
                    bits=layout.stored,
                    allocated=layout.allocated,
                )
            length = layout.rows * layout.columns * layout.allocated // 8
            data = _read(file, (elements.pixels[0] + index * length, length))
        values = np.frombuffer(data, "<u2" if layout.allocated == 16 else "u1").astype(np.uint16)
        # Bits above the stored ones may hold an overlay.
        return values.reshape(layout.rows, layout.columns) & np.uint16((1 << layout.stored) - 1)


def _read(file: BinaryIO, span: Span) -> bytes:
    file.seek(span[0])
    return file.read(span[1])


def _in_monochrome2(values: NDArray[np.uint16], layout: PixelFormat) -> NDArray[np.uint8] | NDArray[np.uint16]:
    largest = (1 << layout.stored) - 1
    outside = None
    # With its highest bit turned, two's complement is in the order of the numbers.
    turn = np.uint16(1 << (layout.stored - 1) if layout.signed else 0)
    values = values ^ turn
    if layout.padding is not None:
        first, last = sorted((value & largest) ^ int(turn) for value in layout.padding)
        outside = (values >= first) & (values <= last)
    if layout.inverted:
        values = np.uint16(largest) - values
    if outside is not None:
        values[outside] = 0
    return values.astype(np.uint8) if layout.stored <= 8 else values


def _fragments_of(elements: Elements, index: int, n_frames: int, file: BinaryIO) -> tuple[Span, ...]:
    """The fragments that make up a frame.

    Reference: DICOM PS3.5 section A.4.
    """
    fragments = elements.fragments
    if n_frames == 1:
        return fragments
    if len(fragments) == n_frames:
        return (fragments[index],)
    starts = _frame_starts(elements, n_frames, file)
    return fragments[starts[index] : starts[index + 1] if index + 1 < n_frames else None]


def _frame_starts(elements: Elements, n_frames: int, file: BinaryIO) -> list[int]:
    """Number of the first fragment of each frame, by the offset table or else by where code streams begin."""
    fragments = elements.fragments
    if len(elements.offset_table) == n_frames:
        number_at = {start - fragments[0][0]: number for number, (start, _) in enumerate(fragments)}
        starts = [number_at.get(offset, -1) for offset in elements.offset_table]
    else:
        heads = [_read(file, (start, min(length, 4))) for start, length in fragments]
        starts = [number for number, head in enumerate(heads) if head.startswith(_CODE_STREAM_STARTS)]
    if len(starts) != n_frames or starts[0] != 0 or any(a >= b for a, b in itertools.pairwise(starts)):
        raise FrameError(f"found {len(fragments)} fragments that cannot be told apart; wanted {n_frames} frames")
    return starts


def _pixel_format(elements: Elements) -> PixelFormat:
    def number(tag: int, name: str) -> int:
        value = elements.unsigned(tag)
        if value is None:
            raise FrameError(f"{elements.path}: found no {name}; wanted an X-ray frame: leave the file out")
        return value

    if elements.pixels is None and not elements.fragments:
        raise FrameError(f"{elements.path}: found no pixel data; wanted an X-ray frame: leave the file out")
    _check_coding(elements)
    photometric = elements.text(0x00280004)
    samples = elements.unsigned(0x00280002) or 1
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or samples != 1:
        raise FrameError(
            f"{elements.path}: found {photometric or 'no photometric interpretation'} with {samples} values per pixel; "
            "wanted MONOCHROME1 or MONOCHROME2: export the frames without colour"
        )
    slope = elements.number(0x00281053)
    layout = PixelFormat(
        rows=number(0x00280010, "Rows (0028,0010)"),
        columns=number(0x00280011, "Columns (0028,0011)"),
        n_frames=_n_frames(elements),
        allocated=number(0x00280100, "Bits Allocated (0028,0100)"),
        stored=number(0x00280101, "Bits Stored (0028,0101)"),
        signed=bool(elements.unsigned(0x00280103)),
        inverted=(photometric == "MONOCHROME1") != (slope is not None and slope < 0),
        padding=None,
    )
    _check_format(elements, layout, elements.unsigned(0x00280102))
    return dataclasses.replace(layout, padding=_padding(elements, layout))


def _check_coding(elements: Elements) -> None:
    syntax = elements.transfer_syntax
    if syntax not in _NATIVE and syntax not in dicom_codec.CODECS:
        raise FrameError(
            f"{elements.path}: found the transfer syntax {syntax}; wanted no compression, JPEG, JPEG-LS, JPEG 2000 or "
            "RLE: export it with one of these"
        )
    if (syntax in _NATIVE) != (elements.pixels is not None):
        raise FrameError(
            f"{elements.path}: found pixel data that do not fit the transfer syntax {syntax}: export it again"
        )


def _check_format(elements: Elements, layout: PixelFormat, high_bit: int | None) -> None:
    path = elements.path
    if layout.allocated not in (8, 16) or not 1 <= layout.stored <= layout.allocated:
        raise FrameError(
            f"{path}: found {layout.stored} bits stored in {layout.allocated}; wanted 8 to 16 bits in 8 or 16: "
            "export it again"
        )
    if high_bit is not None and high_bit != layout.stored - 1:
        raise FrameError(
            f"{path}: found High Bit {high_bit}; wanted {layout.stored - 1}, the highest of the lowest {layout.stored} "
            "bits: export it again"
        )
    if min(layout.rows, layout.columns) < MIN_SIDE_PX or layout.rows * layout.columns > _LARGEST_FRAME_PX:
        raise FrameError(
            f"{path}: found frames of {layout.rows}x{layout.columns} px; wanted at least {MIN_SIDE_PX} px on each side "
            f"and at most {_LARGEST_FRAME_PX} in all"
        )
    if layout.signed and dicom_codec.CODECS.get(elements.transfer_syntax, "RLE") != "RLE":
        raise FrameError(
            f"{path}: found signed values that are compressed, which decoders read differently; wanted unsigned ones, "
            "or no compression: export it uncompressed"
        )
    if elements.pixels is not None:
        wanted = layout.n_frames * layout.rows * layout.columns * layout.allocated // 8
        if elements.pixels[1] < wanted:
            raise FrameError(
                f"{path}: found {elements.pixels[1]} bytes of pixels; wanted {wanted} for {layout.n_frames} frames of "
                f"{layout.rows}x{layout.columns} px: export it again"
            )


def _n_frames(elements: Elements) -> int:
    text = elements.text(0x00280008)
    if text is None:
        return 1
    value = elements.number(0x00280008)
    if value is None or value != int(value) or value < 1:
        raise FrameError(
            f"{elements.path}: found {text!r} as Number of Frames (0028,0008); wanted 1 or more: export it again"
        )
    return int(value)


def _padding(elements: Elements, layout: PixelFormat) -> tuple[int, int] | None:
    value, limit = elements.unsigned(0x00280120), elements.unsigned(0x00280121)
    if value is None:
        return None
    padding = value, value if limit is None else limit
    # 65535 of 12 bits, say, is no value that a pixel can have; its lowest bits would be those of the brightest.
    return padding if all(_fits(end, layout) for end in padding) else None


def _fits(value: int, layout: PixelFormat) -> bool:
    """Whether the stored bits of a pixel can hold a 16-bit value."""
    above = value >> layout.stored
    if not above or not layout.signed:
        return not above
    is_negative = value >> (layout.stored - 1) & 1
    return bool(is_negative) and above == 0xFFFF >> layout.stored  # filled up with its sign
