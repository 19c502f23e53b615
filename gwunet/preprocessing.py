"""From a raw frame to what a network sees, and the way back.

``crop_frame`` finds the exposed field and cuts it out; ``normalise`` gives the network's input; ``put_back`` places a
result of the crop's size into a frame again. Training reads crops from a ``PreprocessedStore``; prediction makes them
on the way. Both go through the same three functions.
"""

import dataclasses
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gwunet.exposed_field import Border, Box, Frame, Mask, border_sample, bounding_box, estimate_border, exposed_field
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
    """Cut the exposed field out of a ``(H, W)`` frame.

    A frame of an integer type the dataset did not have is judged by its own edges alone.
    """
    border = preprocessing.borders.get(str(frame.dtype)) or _border_of_one(frame)
    return crop_to(frame, exposed_field(frame, border))


def crop_to(frame: Frame, field: Mask) -> CroppedFrame:
    """Cut an exposed field, found before, out of a ``(H, W)`` frame."""
    box = bounding_box(field)
    pixels, inside = frame[box.slices], field[box.slices]
    values = pixels[inside]
    return CroppedFrame(
        pixels=pixels,
        field=inside,
        box=box,
        frame_shape=(frame.shape[0], frame.shape[1]),
        mean=float(values.mean(dtype=np.float64)),
        std=float(values.std(dtype=np.float64)),
    )


def _border_of_one(frame: Frame) -> Border:
    return estimate_border([border_sample(frame)])


def normalise(pixels: Frame, field: Mask, mean: float, std: float) -> NDArray[np.float32]:
    """``(h, w)`` float32: z-scores inside the field, 0 outside.

    Reference: FGA-Net paper, section "Preprocessing" (normalisation). The mask is the exposed field's, since at
    prediction there is no other.
    """
    scores = (pixels.astype(np.float32) - np.float32(mean)) / np.float32(max(std, MIN_STD))
    scores[~field] = 0
    return scores


def put_back(values: NDArray[Scalar], box: Box, frame_shape: tuple[int, int]) -> NDArray[Scalar]:
    """``(H, W)``: ``values`` of the crop's size placed in a frame of zeros."""
    whole = np.zeros(frame_shape, values.dtype)
    whole[box.slices] = values
    return whole
