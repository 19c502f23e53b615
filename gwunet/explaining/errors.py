"""Where a predicted mask is broken, misses wire, or marks what is none.

Reference: FGA-Net paper, figure 8 (arrows at breaks, missed and wrong pieces).
"""

import dataclasses
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.evaluation.geometry import EIGHT_NEIGHBOURS, centreline_of, pixels_of

Kind = Literal["break", "missed", "wrong"]

TOLERANCE_PX = 3
"""A centreline this close to the other mask counts as on it."""
SMALLEST_PX = 5
"""Shorter stretches are not marked."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """One error."""

    kind: Kind
    """``break``: missing between two found stretches; ``missed``: missing elsewhere; ``wrong``: on no wire."""
    row: int
    column: int
    """The pixel of its centreline that is nearest to the stretch's mean place."""
    length_px: int
    """Pixels of the centreline."""


def find_errors(reference: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> list[Mark]:
    """Mark the errors in a frame, longest first.

    Args:
        reference: ``(H, W)`` with 1 for wire and 2 for what is left out.
        prediction: ``(H, W)`` with 1 for wire.
    """
    valid = reference != 2
    wire, predicted = reference == 1, (prediction == 1) & valid
    line, predicted_line = centreline_of(wire), centreline_of(predicted)
    found = line & _near(predicted)
    marks = [_mark(_kind(stretch, found), stretch) for stretch in _stretches(line & ~found)]
    marks += [_mark("wrong", stretch) for stretch in _stretches(predicted_line & ~_near(wire))]
    return sorted(marks, key=lambda mark: (-mark.length_px, mark.row, mark.column))


def _near(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if not mask.any():
        return mask
    near: NDArray[np.bool_] = ndimage.distance_transform_edt(~mask) <= TOLERANCE_PX
    return near


def _stretches(line: NDArray[np.bool_]) -> Iterator[NDArray[np.bool_]]:
    """8-connected parts of a centreline that are long enough."""
    parts, count = ndimage.label(line, EIGHT_NEIGHBOURS)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    for number in range(1, count + 1):
        if sizes[number] >= SMALLEST_PX:
            yield parts == number


def _kind(stretch: NDArray[np.bool_], found: NDArray[np.bool_]) -> Kind:
    """A break where the missing stretch touches found ones at two places or more."""
    touching = ndimage.binary_dilation(stretch, EIGHT_NEIGHBOURS) & found
    return "break" if ndimage.label(touching, EIGHT_NEIGHBOURS)[1] > 1 else "missed"


def _mark(kind: Kind, stretch: NDArray[np.bool_]) -> Mark:
    places = pixels_of(stretch)
    nearest = places[np.square(places - places.mean(axis=0)).sum(axis=1).argmin()]
    return Mark(kind=kind, row=int(nearest[0]), column=int(nearest[1]), length_px=len(places))
