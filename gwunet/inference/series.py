"""Which single-frame DICOM files follow each other: their headers say, their names often do not."""

import dataclasses
import os
from collections.abc import Sequence
from hashlib import blake2b

from gwunet.io.dicom import SERIES_INSTANCE
from gwunet.io.dicom_elements import Elements
from gwunet.io.dicom_order import OrderTags, in_order, warn_of_names

_KEY = os.urandom(32)
"""Of this process alone: what is made of a UID with it leads back to nobody, and is written nowhere."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class InSeries:
    """Where a header puts a file."""

    series: bytes
    """The same for all files of a series, and made with a key of this process."""
    order: OrderTags


def in_series(elements: Elements) -> InSeries | None:
    """Where a file belongs; None where it does not say. DICOM PS3.3 C.7.3.1."""
    uid = elements.text(SERIES_INSTANCE)
    if uid is None:
        return None
    return InSeries(series=blake2b(uid.encode(), key=_KEY).digest(), order=OrderTags.of(elements))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class InSequence:
    """Where a frame stands, in words that come from names of files alone."""

    sequence: str
    """The name of the first frame of its series."""
    number: int
    """Of the frame in its series, from 0 on."""


def sequences_of(files: Sequence[tuple[str, InSeries]]) -> dict[str, InSequence]:
    """Frames by their names, which are those of their files, in sequences; see ``in_order``."""
    by_series: dict[bytes, dict[str, OrderTags]] = {}
    for name, place in files:
        by_series.setdefault(place.series, {})[name] = place.order
    found, named = {}, []
    for members in by_series.values():
        ordered, by_name = in_order(members)
        if by_name:
            named.append(ordered[0])
        found.update({name: InSequence(sequence=ordered[0], number=place) for place, name in enumerate(ordered)})
    warn_of_names(named)
    return found
