"""In which order DICOM files of a series were taken: their headers say, their names often do not."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gwunet.errors import few
from gwunet.io.dicom_elements import Elements

ACQUISITION_NUMBER, INSTANCE_NUMBER = 0x00200012, 0x00200013
ACQUISITION_TIME, CONTENT_TIME = 0x00080032, 0x00080033

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderTags:
    """What a header says of a file's place in its series; None where it does not.

    Reference: DICOM PS3.3 section C.7.6.1 (General Image).
    """

    acquisition: float | None = None
    """Acquisition Number."""
    instance: float | None = None
    """Instance Number."""
    acquired: float | None = None
    """Acquisition Time, as the digits HHMMSS.FFFFFF."""
    created: float | None = None
    """Content Time, likewise."""

    @classmethod
    def of(cls, elements: Elements) -> "OrderTags":
        """Those of a file."""
        return cls(
            acquisition=elements.number(ACQUISITION_NUMBER),
            instance=elements.number(INSTANCE_NUMBER),
            acquired=elements.number(ACQUISITION_TIME),
            created=elements.number(CONTENT_TIME),
        )


def in_order(files: Mapping[str, OrderTags]) -> tuple[list[str], bool]:
    """The names of a series' files in the order they were taken, and whether nothing but a name orders some of them.

    By Acquisition Number, then Instance Number; where two files have both in common, by the time before the Instance
    Number, which may begin anew with each acquisition. What not all files have does not count. Where the headers leave
    files equal, names are compared with their numbers as numbers, so that IM2 comes before IM10.
    """
    acquisitions = [tags.acquisition for tags in files.values()]
    instances = [tags.instance for tags in files.values()]
    acquired = [tags.acquired for tags in files.values()]
    times = acquired if None not in acquired else [tags.created for tags in files.values()]
    keys = _keys(acquisitions, instances)
    if len(set(keys)) < len(keys):
        keys = _keys(acquisitions, times, instances)
    key_of = dict(zip(files, keys, strict=True))
    ordered = sorted(files, key=lambda name: (key_of[name], _natural(name)))
    return ordered, len(set(keys)) < len(keys)


def warn_of_names(series: Sequence[str]) -> None:
    """Warn of series in which nothing but a name orders some files.

    Args:
        series: the first file of each.
    """
    if series:
        logger.warning(
            "in %d DICOM series (that of %s) nothing in the headers says which of some files came first, so that their "
            "names decide: see that these follow time",
            len(series),
            few(series),
        )


def _keys(*columns: list[float | None]) -> list[tuple[float, ...]]:
    """The values of each file; a column in which one is missing says nothing."""
    whole = [[value for value in column if value is not None] for column in columns if None not in column]
    return list(zip(*whole, strict=True)) if whole else [()] * len(columns[0])


def _natural(name: str) -> tuple[list[str | int], str]:
    parts = re.split(r"(\d+)", name)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)], name
