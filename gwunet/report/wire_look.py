"""How hard a frame's wire is to see: its contrast and its width, measured on the raw frame and the reference."""

import dataclasses
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.dataset import IGNORE, Dataset
from gwunet.device import available_cores
from gwunet.errors import GwunetError
from gwunet.exposed_field import Frame
from gwunet.fingerprint import measure_wire

GAP_PX, RING_PX = 2, 8
"""The surroundings are what lies between so far and so far from the wire: its blurred edge does not count."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WireLook:
    """Of one frame's wires."""

    contrast: float | None
    """Mean grey value around the wire less that on it, in standard deviations of the surroundings; positive for a wire
    darker than they are. None without surroundings, or where they are of one grey value."""
    width_px: float
    """Median along the centreline."""
    length_px: float
    """Of the centreline."""


def look_at_wire(frame: Frame, mask: NDArray[np.uint8]) -> WireLook | None:
    """Measure a ``(H, W)`` frame with its mask of 0, 1 (wire) and 2 (left out); None without wire."""
    wire = mask == 1
    if not wire.any():
        return None
    rows, columns = ndimage.find_objects(wire.astype(np.uint8))[0]
    around = tuple(slice(max(0, edge.start - RING_PX), edge.stop + RING_PX) for edge in (rows, columns))
    wire, grey, left_out = wire[around], frame[around].astype(np.float64), mask[around] == IGNORE
    distance = ndimage.distance_transform_edt(~wire)
    ring = grey[(distance > GAP_PX) & (distance <= RING_PX) & ~left_out]
    spread = float(ring.std()) if ring.size else 0.0
    (width, _), length, _, _ = measure_wire(wire)
    contrast = float(ring.mean() - grey[wire].mean()) / spread if spread > 0 else None
    return WireLook(contrast=contrast, width_px=width, length_px=length)


def look_at_wires(dataset: Dataset, cases: Iterable[str]) -> dict[str, WireLook]:
    """By case; those without wire are left out, and so are those whose files are gone or damaged."""
    names = list(cases)
    with ThreadPoolExecutor(min(8, available_cores())) as pool:
        looks = pool.map(lambda name: _look(dataset, name), names)
        return {name: look for name, look in zip(names, looks, strict=True) if look is not None}


def _look(dataset: Dataset, name: str) -> WireLook | None:
    try:
        return look_at_wire(*dataset.read_pair(dataset.case(name)))
    except GwunetError:
        return None
