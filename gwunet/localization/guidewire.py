"""``Guidewire``: what is known of one wire in one frame."""

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float]
"""Row and column, in pixels, 0 at the centre of the first pixel."""

Flag = Literal[
    "tip_leaves_field",
    "base_uncertain",
    "gap_bridged",
    "crosses_itself",
    "crosses_other",
    "bridged_frame",
    "jump",
]
"""What a reader of a wire should know before trusting it.

``tip_leaves_field``: the tip lies at the border of the exposed field, so the wire's own end is not seen.
``base_uncertain``: not exactly one end lies at the border, so which end is the tip is a guess.
``gap_bridged``: a piece of the centreline lies where no wire was found, or none but by postprocessing.
``crosses_itself``, ``crosses_other``: it was followed through a crossing, with itself or with another wire.
``bridged_frame``: no wire was found in this frame; the wire stands where tracking expects it.
``jump``: the tip moved further since the frame before than its motion so far explains.
"""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Guidewire:
    """One wire in one frame, from its base, where it enters the field, to its tip."""

    centreline: NDArray[np.float64]
    """``(N, 2)`` row, column of pixel centres counted from 0, from the base to the tip, about 1 px apart; N >= 2."""
    width_px: NDArray[np.float64]
    """``(N,)`` local width."""
    angle_deg: float
    """Direction the tip points to, in (-180, 180]: 0 towards growing columns, 90 towards shrinking rows."""
    base_angle_deg: float
    """Direction the base points to, away from the wire; counted as ``angle_deg``."""
    confidence: float
    """Mean probability along the centreline, in [0, 1]."""
    tip_confidence: float
    """How sure the tip's place is, in [0, 1]."""
    base_confidence: float
    """How sure the base's place is, in [0, 1]."""
    flags: frozenset[Flag] = frozenset()
    identity: int | None = None
    """Number of the wire, the same in all frames of a sequence; None where frames are not tracked."""
    spacing_mm: tuple[float, float] | None = None
    """Distance of pixel centres along a column and along a row, as DICOM's Pixel Spacing; None where unknown. Of which
    plane it is, knows who gave it: on the detector, lengths are magnified."""

    @property
    def tip(self) -> Point:
        """The end that is pushed forward."""
        row, column = self.centreline[-1]
        return float(row), float(column)

    @property
    def base(self) -> Point:
        """The end where the wire enters the field."""
        row, column = self.centreline[0]
        return float(row), float(column)

    @property
    def length_px(self) -> float:
        return _length(self.centreline)

    @property
    def length_mm(self) -> float | None:
        """In the plane that ``spacing_mm`` is of, the patient's or the detector's; None where that is unknown."""
        return None if self.spacing_mm is None else _length(self.centreline * self.spacing_mm)

    @property
    def mean_width_px(self) -> float:
        return float(self.width_px.mean())


def _length(points: NDArray[np.float64]) -> float:
    steps = points[1:] - points[:-1]
    return float(np.hypot(steps[:, 0], steps[:, 1]).sum())
