"""What is found in one frame."""

import dataclasses
import functools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.localization import Guidewire, locate_guidewires
from gwunet.localization.locating import FOLLOWED_SHARE, Wires

__all__ = ["Prediction", "Spacing", "Wires"]

Spacing = tuple[float, float]
"""Millimetres from a row to the next and from a column to the next."""


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What is found in one frame."""

    mask: NDArray[np.uint8]
    """``(H, W)``: 0 or 1, in the frame's own size."""
    probability: NDArray[np.float32]
    """``(H, W)`` in [0, 1]; 0 outside the exposed field."""
    field: NDArray[np.bool_] | None = None
    """``(H, W)``: True where the frame was exposed; None where it was everywhere."""
    threshold: float = 0.5
    """Probability from which a pixel is wire."""
    spacing_mm: Spacing | None = None
    """Of the frame's pixels, for lengths in millimetres; None where unknown."""

    @functools.cached_property
    def guidewires(self) -> list[Guidewire]:
        """The wires; looked for when they are first asked for, so that masks alone cost nothing."""
        return self.locate()

    def locate(self, *, wires: Wires = "auto", spacing_mm: Spacing | None = None) -> list[Guidewire]:
        """Look for the wires.

        Args:
            wires: how many; see ``gwunet.localization.locate_guidewires``.
            spacing_mm: of the frame's pixels, for lengths in millimetres; None as the prediction has it.
        """
        is_of_threshold = np.array_equal(self.probability >= self.threshold, self.mask)
        return locate_guidewires(
            self.probability if is_of_threshold else self._as_masked(),
            wires=wires,
            field=self.field,
            spacing_mm=spacing_mm or self.spacing_mm,
            threshold=self.threshold,
            support=None if is_of_threshold else self.probability,
        )

    def _as_masked(self) -> NDArray[np.float32]:
        """Probabilities that reach the threshold in the mask's pixels alone: postprocessing may have changed some.

        What it took away as a whole is taken away with its surroundings, so that it is not found again by them.
        """
        masked: NDArray[np.float32] = np.where(
            self.mask == 1,
            np.maximum(self.probability, self.threshold),
            np.where(self.probability < self.threshold, self.probability, 0),
        )
        pieces, count = ndimage.label(self.probability >= FOLLOWED_SHARE * self.threshold, np.ones((3, 3)))
        is_kept = np.zeros(count + 1, np.bool_)
        is_kept[np.unique(pieces[self.mask == 1])] = True
        is_gone = np.zeros(count + 1, np.bool_)
        is_gone[np.unique(pieces[(self.mask == 0) & (self.probability >= self.threshold)])] = True
        masked[(is_gone & ~is_kept)[pieces]] = 0
        return masked

    def with_guidewires(self, guidewires: Iterable[Guidewire]) -> "Prediction":
        """The same with these wires, which were tracked, say."""
        other = dataclasses.replace(self)
        other.__dict__["guidewires"] = list(guidewires)
        return other
