"""Which single-frame DICOM files follow each other: their headers say, their names often do not."""

import dataclasses
import os
from collections.abc import Sequence
from hashlib import blake2b

from gwunet.io.dicom_elements import Elements

SERIES_INSTANCE_UID, INSTANCE_NUMBER = 0x0020000E, 0x00200013
_KEY = os.urandom(32)
"""Of this process alone: what is made of a UID with it leads back to nobody, and is written nowhere."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class InSeries:
    """Where a header puts a file."""

    series: bytes
    """The same for all files of a series, and made with a key of this process."""
    number: int | None
    """Instance Number; None where the file does not say."""


def in_series(elements: Elements) -> InSeries | None:
    """Where a file belongs; None where it does not say. DICOM PS3.3 C.7.3.1 and C.7.6.1."""
    uid = elements.text(SERIES_INSTANCE_UID)
    if uid is None:
        return None
    number = elements.number(INSTANCE_NUMBER)
    return InSeries(
        series=blake2b(uid.encode(), key=_KEY).digest(),
        number=int(number) if number is not None and number.is_integer() else None,
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class InSequence:
    """Where a frame stands, in words that come from names of files alone."""

    sequence: str
    """The name of the first frame of its series."""
    number: int
    """Of the frame in its series, from 0 on."""


def sequences_of(files: Sequence[tuple[str, InSeries]]) -> dict[str, InSequence]:
    """Frames by their names, which are those of their files, in sequences.

    A series is in the order of its instance numbers; where a file has none, or two have the same, in that of its names.
    """
    by_series: dict[bytes, list[tuple[str, InSeries]]] = {}
    for name, place in files:
        by_series.setdefault(place.series, []).append((name, place))
    found = {}
    for members in by_series.values():
        numbers = {place.number for _, place in members}
        if None in numbers or len(numbers) < len(members):
            ordered = sorted(name for name, _ in members)
        else:
            ordered = [name for name, _ in sorted(members, key=lambda member: member[1].number or 0)]
        found.update({name: InSequence(sequence=ordered[0], number=place) for place, name in enumerate(ordered)})
    return found
