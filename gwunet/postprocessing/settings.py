"""How probabilities become a mask."""

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.postprocessing.gaps import EIGHT_NEIGHBOURS, bridge_gaps

TOLERANCE = 1e-6
"""Of a threshold in levels, which decimal fractions meet only nearly."""


def first_level(threshold: float, top: int) -> int:
    """The lowest of ``top`` levels (``top`` is probability 1) that reaches a threshold."""
    return math.ceil(threshold * top - TOLERANCE)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Postprocessing:
    """The steps from probabilities to a mask, in the order of the fields; what is off changes nothing."""

    threshold: float
    """Probability from which a pixel is wire."""
    low_threshold: float | None = None
    """Probability from which a pixel is wire too where its piece (8-connected) has one that reaches ``threshold``; null
    for none such."""
    smallest_px: int = 0
    """Pieces of fewer pixels are removed."""
    gap_px: int = 0
    """Ends of two pieces that point at each other are joined over so many pixels, measured between the ends of their
    centrelines; 0 joins none."""

    def __post_init__(self) -> None:
        low = self.low_threshold
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold is {self.threshold}, it must be in (0, 1)")
        if low is not None and not 0 < low < self.threshold:
            raise ValueError(f"low_threshold is {low}, it must be above 0 and below the threshold {self.threshold}")
        if self.smallest_px < 0 or self.gap_px < 0:
            raise ValueError(f"smallest_px is {self.smallest_px} and gap_px {self.gap_px}, they must be at least 0")

    def mask(self, probability: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
        """``(H, W)`` 0 or 1 from ``(H, W)`` probabilities."""
        return self._mask(probability, self.threshold, self.low_threshold)

    def mask_of_levels(self, levels: NDArray[np.integer[Any]], top: int) -> NDArray[np.uint8]:
        """The same from whole steps of 1/``top``."""
        low = None if self.low_threshold is None else first_level(self.low_threshold, top)
        return self._mask(levels, first_level(self.threshold, top), low)

    def _mask(self, values: NDArray[Any], threshold: float, low: float | None) -> NDArray[np.uint8]:
        mask: NDArray[np.bool_] = values >= threshold
        if low is not None or self.smallest_px:
            mask = self._pieces_kept(mask, mask if low is None else values >= low)
        if self.gap_px:
            mask = bridge_gaps(mask, self.gap_px)
        return mask.astype(np.uint8)

    def _pieces_kept(self, strong: NDArray[np.bool_], weak: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The pieces of ``weak`` that are large enough and have a pixel of ``strong``."""
        whole = np.zeros_like(weak)
        rows, columns = (np.flatnonzero(weak.any(axis=axis)) for axis in (1, 0))
        if len(rows):  # the frame around the wire need not be looked at
            box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            pieces, count = ndimage.label(weak[box], EIGHT_NEIGHBOURS)
            kept = np.bincount(pieces.ravel(), minlength=count + 1) >= self.smallest_px
            kept &= np.bincount(pieces[strong[box]], minlength=count + 1) > 0
            kept[0] = False
            whole[box] = kept[pieces]
        return whole

    def in_words(self) -> str:
        """One line for people."""
        parts = [f"threshold {self.threshold:g}"]
        if self.low_threshold is not None:
            parts.append(f"pieces followed down to {self.low_threshold:g}")
        if self.smallest_px:
            parts.append(f"pieces below {self.smallest_px} px removed")
        if self.gap_px:
            parts.append(f"gaps up to {self.gap_px} px bridged")
        return ", ".join(parts)
