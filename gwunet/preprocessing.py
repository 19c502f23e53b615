"""From a raw frame to what a network sees, and the way back.

``crop_frame`` finds the exposed field and cuts it out; ``normalise`` gives the network's input; ``put_back`` places a
result of the crop's size into a frame again. Training reads crops from a ``PreprocessedStore``; prediction makes them
on the way. Both go through the same three functions.
"""

import dataclasses
import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gwunet.exposed_field import Box, Frame, Mask, bounding_box, find_field
from gwunet.plans import Preprocessing

Scalar = TypeVar("Scalar", bound=np.generic)

MIN_STD = 1e-6
"""A constant frame is divided by this instead of by 0; it comes out as 0 everywhere."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CroppedFrame:
    """The exposed part of a frame, with what is needed to normalise it and to go back."""

    pixels: Frame
    """``(h, w)`` in the frame's own type."""
    field: Mask
    """``(h, w)``: True where exposed."""
    box: Box
    """Where the crop lies in the frame."""
    frame_shape: tuple[int, int]
    mean: float
    """Mean inside the field."""
    std: float
    """Standard deviation inside the field."""


def crop_frame(frame: Frame, preprocessing: Preprocessing) -> CroppedFrame:
    """Cut the exposed field out of a ``(H, W)`` frame."""
    return crop_to(frame, find_field(frame, preprocessing.borders.get(str(frame.dtype))))


def crop_to(frame: Frame, field: Mask) -> CroppedFrame:
    """Cut an exposed field, found before, out of a ``(H, W)`` frame."""
    box = bounding_box(field)
    pixels, inside = frame[box.slices], field[box.slices]
    values = pixels[inside].astype(np.float64)
    mean = float(values.mean())
    values -= mean  # as ``values.std()`` to the bit, without two more arrays of this size
    values *= values
    return CroppedFrame(
        pixels=pixels,
        field=inside,
        box=box,
        frame_shape=(frame.shape[0], frame.shape[1]),
        mean=mean,
        std=math.sqrt(values.mean()),
    )


def normalise(pixels: Frame, field: Mask, mean: float, std: float) -> NDArray[np.float32]:
    """``(h, w)`` float32: z-scores inside the field, 0 outside.

    Reference: FGA-Net paper, section "Preprocessing" (normalisation). The mask is the exposed field's, since at
    prediction there is no other.
    """
    scores = pixels.astype(np.float32)
    scores -= np.float32(mean)
    scores /= np.float32(max(std, MIN_STD))
    np.copyto(scores, 0, where=~field)
    return scores


def put_back(values: NDArray[Scalar], box: Box, frame_shape: tuple[int, int]) -> NDArray[Scalar]:
    """``(H, W)``: ``values`` of the crop's size placed in a frame of zeros."""
    whole = np.zeros(frame_shape, values.dtype)
    whole[box.slices] = values
    return whole
