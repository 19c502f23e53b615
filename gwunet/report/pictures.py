"""Frames as data URIs, small enough for a page that holds many: a grey JPEG, and masks as palette PNGs over it."""

import base64
import dataclasses
import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gwunet.dataset import IGNORE
from gwunet.exposed_field import Frame
from gwunet.inference.overlay import FALSE, HIT, MISSED, draw_overlay

PREDICTED, REFERENCE = (255, 205, 0), (214, 130, 255)
"""Yellow and violet; RGB. The colours of errors are the overlay's."""
LARGEST_EDGE_PX = 480
THUMBNAIL_EDGE_PX = 200
MARGIN_PX = 24
"""Shown around the wires."""
SMALLEST_CROP_PX = 160
JPEG_QUALITY = 82
OPACITY = 190
"""Of masks, of 255: the wire shows through."""

Mask = NDArray[np.uint8]
Colour = tuple[int, int, int]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Layers:
    """One crop of a frame, four times over, as data URIs of one size."""

    frame: str
    prediction: str
    reference: str
    errors: str
    """Found, false and missed pixels."""
    width: int
    height: int


def layers_of(frame: Frame, prediction: Mask, reference: Mask) -> Layers:
    """The layers of a ``(H, W)`` frame, cropped to its wires and scaled down to ``LARGEST_EDGE_PX``."""
    grey, predicted, wire = _cropped(frame, prediction, reference, LARGEST_EDGE_PX)
    height, width = grey.shape
    return Layers(
        frame=_jpeg(grey),
        prediction=_palette(height, width, [(predicted, PREDICTED)]),
        reference=_palette(height, width, [(wire, REFERENCE)]),
        errors=_palette(
            height, width, [(predicted & wire, HIT), (predicted & ~wire, FALSE), (wire & ~predicted, MISSED)]
        ),
        width=width,
        height=height,
    )


def annotated(frame: Frame, reference: Mask, largest_edge_px: int = 320) -> tuple[str, int, int]:
    """A whole ``(H, W)`` frame with its annotation on it: data URI, width and height."""
    colour = draw_overlay(frame, (reference == 1).astype(np.uint8))
    picture = Image.fromarray(colour)
    picture.thumbnail((largest_edge_px, largest_edge_px), Image.Resampling.LANCZOS)
    return _uri("jpeg", picture, quality=JPEG_QUALITY), picture.width, picture.height


def thumbnail(frame: Frame, prediction: Mask, reference: Mask) -> tuple[str, int, int]:
    """A frame's errors on the crop around its wires, small: data URI, width and height."""
    grey, predicted, wire = _cropped(frame, prediction, reference, THUMBNAIL_EDGE_PX)
    colour = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    for pixels, tint in ((predicted & wire, HIT), (predicted & ~wire, FALSE), (wire & ~predicted, MISSED)):
        colour[pixels] = 0.25 * colour[pixels] + 0.75 * np.array(tint, np.float32)
    picture = Image.fromarray(np.rint(colour).astype(np.uint8))
    # A JPEG has half as many colours as pixels each way unless told otherwise: thin lines would be grey.
    uri = _uri("jpeg", picture, quality=JPEG_QUALITY, subsampling=0)
    return uri, picture.width, picture.height


def _cropped(
    frame: Frame, prediction: Mask, reference: Mask, largest_edge_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """The grey picture, what is predicted and what is wire, of the part that holds both, scaled down where it is large.

    What is predicted where the reference says nothing is neither found nor false, and left out.
    """
    grey = draw_overlay(frame, np.zeros(frame.shape, np.uint8))[..., 0]
    predicted, wire = (prediction == 1) & (reference != IGNORE), reference == 1
    box = _box(predicted | wire)
    grey, predicted, wire = grey[box], predicted[box], wire[box]
    scale = min(1.0, largest_edge_px / max(grey.shape))
    size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
    smaller = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.LANCZOS))
    return smaller, _shrunk(predicted, size), _shrunk(wire, size)


def _shrunk(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """At ``size`` (width, height), no larger than the mask: any pixel stands for all, lest a thin line vanish."""
    for axis, edge in ((0, size[1]), (1, size[0])):
        mask = np.logical_or.reduceat(mask, np.arange(edge) * mask.shape[axis] // edge, axis=axis)
    return mask


def _box(wires: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns around all wires, with a margin; everything where there are none."""
    if not wires.any():
        return slice(None), slice(None)
    edges = []
    for axis, length in ((1, wires.shape[0]), (0, wires.shape[1])):
        places = np.flatnonzero(wires.any(axis=axis))
        low, high = int(places[0]) - MARGIN_PX, int(places[-1]) + 1 + MARGIN_PX
        missing = max(0, SMALLEST_CROP_PX - (high - low))
        low, high = low - missing // 2, high + missing - missing // 2
        edges.append(slice(max(0, low), min(length, high)))
    return edges[0], edges[1]


def _jpeg(grey: NDArray[np.uint8]) -> str:
    return _uri("jpeg", Image.fromarray(grey), quality=JPEG_QUALITY)


def _palette(height: int, width: int, coloured: list[tuple[NDArray[np.bool_], Colour]]) -> str:
    """Masks in their colours on nothing."""
    index = np.zeros((height, width), np.uint8)
    for number, (pixels, _) in enumerate(coloured, 1):
        index[pixels] = number
    picture = Image.fromarray(index).convert("P")
    picture.putpalette([0, 0, 0, *(value for _, colour in coloured for value in colour)])
    return _uri("png", picture, transparency=bytes([0] + [OPACITY] * len(coloured)), bits=2, optimize=True)


def _uri(kind: Literal["jpeg", "png"], picture: Image.Image, **options: object) -> str:
    written = io.BytesIO()
    picture.save(written, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(written.getvalue()).decode()}"
