"""The data elements of a DICOM file and where its pixels lie, read without reading the pixels.

SimpleITK gives neither the tags inside sequences nor the compressed frames one by one; with it, a run would be decoded
whole, and its memory would grow with the number of frames.
"""

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from gwunet.errors import FrameError

PIXEL_DATA = 0x7FE00010
_TRANSFER_SYNTAX = 0x00020010
_SHARED_GROUPS = 0x52009229
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_UNDEFINED = 0xFFFFFFFF
_IMPLICIT = "1.2.840.10008.1.2"
_UNREADABLE_SYNTAXES = {
    "1.2.840.10008.1.2.2": "Explicit VR Big Endian",
    "1.2.840.10008.1.2.1.99": "Deflated Explicit VR Little Endian",
}
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_LARGEST_VALUE = 1 << 20
"""Bytes; longer values are pictures and private data, of which none is asked for."""
_DEEPEST = 16

Span = tuple[int, int]
"""Offset in the file and length, in bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Elements:
    """What a DICOM file says; tags are written ``0xGGGGEEEE``."""

    path: Path
    transfer_syntax: str
    values: Mapping[int, bytes]
    """Raw values of the top level, and those of the shared functional groups where the top level has none."""
    pixels: Span | None
    """Pixel data that are not compressed."""
    fragments: tuple[Span, ...] = ()
    """Fragments of compressed pixel data, without the offset table."""
    offset_table: tuple[int, ...] = ()
    """Start of each frame from the first fragment's header on; empty where the file does not say."""

    def text(self, tag: int) -> str | None:
        """The value as text without padding; None where absent or empty."""
        return self.values.get(tag, b"").decode("latin-1").strip(" \0") or None

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Decimal or integer strings; empty where absent or where one of them is no finite number."""
        try:
            found = tuple(float(part) for part in (self.text(tag) or "").split("\\") if part.strip(" \0"))
        except ValueError:
            return ()
        return found if all(map(math.isfinite, found)) else ()

    def number(self, tag: int) -> float | None:
        """The only number of a tag; None where absent or not one number."""
        found = self.numbers(tag)
        return found[0] if len(found) == 1 else None

    def unsigned(self, tag: int) -> int | None:
        """A binary 16-bit value; None where absent."""
        value = self.values.get(tag, b"")
        return int.from_bytes(value[:2], "little") if len(value) >= 2 else None

    def tags(self, tag: int) -> tuple[int, ...]:
        """The tags that a tag names (VR AT); empty where absent."""
        value = self.values.get(tag, b"")
        return tuple(
            group << 16 | element for group, element in struct.iter_unpack("<HH", value[: len(value) // 4 * 4])
        )


@dataclass(kw_only=True, slots=True)
class _Found:
    """What has been read so far."""

    values: dict[int, bytes] = field(default_factory=dict)
    shared: dict[int, bytes] = field(default_factory=dict)
    pixels: Span | None = None
    fragments: tuple[Span, ...] = ()
    offset_table: tuple[int, ...] = ()


def is_dicom(path: Path) -> bool:
    """Whether the file has the mark of the DICOM file format.

    Reference: DICOM PS3.10 section 7.1.
    """
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_elements(path: Path) -> Elements:
    """Read the elements of a DICOM file up to its pixel data.

    Raises:
        FrameError: the file is no DICOM, damaged or cut short, or its elements are coded in a way not supported.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            if file.read(132)[128:] != b"DICM":
                raise FrameError(f"{path}: found no DICOM file; wanted the mark DICM after 128 bytes")
            reader = _Reader(file, size)
            meta = reader.meta()
            syntax = meta.get(_TRANSFER_SYNTAX, b"").decode("latin-1").strip(" \0")
            if not syntax or syntax in _UNREADABLE_SYNTAXES:
                raise FrameError(
                    f"{path}: found the transfer syntax {_UNREADABLE_SYNTAXES.get(syntax, 'absent')}; wanted little "
                    "endian, compressed or not: export it as Explicit VR Little Endian"
                )
            found = _Found()
            reader.dataset(found, explicit=syntax != _IMPLICIT)
    except (OSError, struct.error, _DamagedError) as problem:
        raise FrameError(
            f"{path}: found a damaged DICOM file ({problem}); wanted a whole one: copy or export it again"
        ) from problem
    return Elements(
        path=path,
        transfer_syntax=syntax,
        values=found.shared | found.values,
        pixels=found.pixels,
        fragments=found.fragments,
        offset_table=found.offset_table,
    )


class _DamagedError(Exception):
    """The bytes do not follow the standard."""


class _Reader:
    """Walks the elements of an open file.

    Reference: DICOM PS3.5 sections 7 (elements and sequences) and A.4 (fragments of compressed pixel data).
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def meta(self) -> dict[int, bytes]:
        """Group 2, which is explicit little endian whatever follows it."""
        found: dict[int, bytes] = {}
        while self._file.tell() < self._size:
            group = self._exactly(2)
            self._file.seek(-2, os.SEEK_CUR)
            if group != b"\2\0":
                break
            tag, _, length = self._header(explicit=True)
            found[tag] = self._value(length)
        return found

    def dataset(self, found: _Found, *, explicit: bool) -> None:
        """The top level, up to and with the pixel data."""
        while self._file.tell() < self._size:
            tag, vr, length = self._header(explicit=explicit)
            if tag == PIXEL_DATA:
                self._pixel_data(found, length)
                return
            if tag == _SHARED_GROUPS or length == _UNDEFINED:
                shared = found.shared if tag == _SHARED_GROUPS else None
                self._sequence(shared, explicit=explicit and vr != b"UN", length=length, depth=1)
            elif length > _LARGEST_VALUE:
                self._skip(length)
            else:
                found.values[tag] = self._value(length)

    def _sequence(self, shared: dict[int, bytes] | None, *, explicit: bool, length: int, depth: int) -> None:
        """The items of a sequence; their values go to ``shared``, if given."""
        if depth > _DEEPEST:
            raise _DamagedError(f"sequences nested more than {_DEEPEST} deep")
        end = None if length == _UNDEFINED else self._end_of(length)
        while end is None or self._file.tell() < end:
            tag, item_length = self._bare_header()
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise _DamagedError(f"({tag >> 16:04x},{tag & 0xFFFF:04x}) where an item should begin")
            if shared is None and item_length != _UNDEFINED:
                self._skip(item_length)
            else:
                self._item(shared, explicit=explicit, length=item_length, depth=depth)

    def _item(self, shared: dict[int, bytes] | None, *, explicit: bool, length: int, depth: int) -> None:
        end = None if length == _UNDEFINED else self._end_of(length)
        while end is None or self._file.tell() < end:
            tag, vr, value_length = self._header(explicit=explicit)
            if tag == _ITEM_END:
                return
            if value_length == _UNDEFINED or (shared is not None and self._is_sequence(vr, value_length)):
                # A sequence of unknown VR is coded implicitly (PS3.5 section 6.2.2, note on UN).
                inner = explicit and vr != b"UN"
                self._sequence(shared, explicit=inner, length=value_length, depth=depth + 1)
            elif shared is None or value_length > _LARGEST_VALUE:
                self._skip(value_length)
            else:
                shared.setdefault(tag, self._value(value_length))

    def _is_sequence(self, vr: bytes, length: int) -> bool:
        """Whether a value of defined length is a sequence; implicit files do not say, but it starts with an item."""
        if vr or length < 8:
            return vr == b"SQ"
        start = self._file.tell()
        tag, _ = self._bare_header()
        self._file.seek(start)
        return tag == _ITEM

    def _pixel_data(self, found: _Found, length: int) -> None:
        if length != _UNDEFINED:
            found.pixels = (self._file.tell(), length)
            self._skip(length)
            return
        fragments: list[Span] = []
        while True:
            tag, fragment_length = self._bare_header()
            if tag == _SEQUENCE_END:
                break
            if tag != _ITEM:
                raise _DamagedError(
                    f"({tag >> 16:04x},{tag & 0xFFFF:04x}) where a fragment of the pixel data should begin"
                )
            fragments.append((self._file.tell(), fragment_length))
            self._skip(fragment_length)
        if not fragments:
            raise _DamagedError("compressed pixel data without offset table")
        (start, table_length), *spans = fragments
        self._file.seek(start)
        table = self._value(table_length)
        found.fragments = tuple(spans)
        found.offset_table = struct.unpack(f"<{len(table) // 4}I", table[: len(table) // 4 * 4])

    def _header(self, *, explicit: bool) -> tuple[int, bytes, int]:
        """Tag, VR (empty where the coding has none) and length of the next element."""
        tag, length = self._bare_header()
        if not explicit or tag >> 16 == 0xFFFE:
            return tag, b"", length
        raw = length.to_bytes(4, "little")
        vr = raw[:2]
        if not (vr.isalpha() and vr.isupper()):
            raise _DamagedError(f"no VR at ({tag >> 16:04x},{tag & 0xFFFF:04x})")
        if vr in _LONG_VRS:
            return tag, vr, struct.unpack("<I", self._exactly(4))[0]
        return tag, vr, int.from_bytes(raw[2:], "little")

    def _bare_header(self) -> tuple[int, int]:
        group, element, length = struct.unpack("<HHI", self._exactly(8))
        return group << 16 | element, length

    def _value(self, length: int) -> bytes:
        self._end_of(length)
        return self._exactly(length)

    def _skip(self, length: int) -> None:
        self._file.seek(self._end_of(length))

    def _end_of(self, length: int) -> int:
        end = self._file.tell() + length
        if end > self._size:
            raise _DamagedError(f"it ends after {self._size} bytes, {end - self._size} too early")
        return end

    def _exactly(self, length: int) -> bytes:
        value = self._file.read(length)
        if len(value) != length:
            raise _DamagedError(f"it ends after {self._size} bytes, inside an element")
        return value
