"""A frame with its mask drawn on it, so that a person sees both the mask and the wire beneath."""

import numpy as np
from numpy.typing import NDArray

from gwunet.exposed_field import Frame, border_sample, estimate_border, exposed_field

HIT, FALSE, MISSED = (0, 200, 140), (255, 80, 0), (90, 190, 255)
"""Bluish green, vermilion and sky blue, which colour-blind readers tell apart too; RGB."""
FAINT = 0.3
"""Share of the colour where the wire must stay visible beneath."""
STRONG = 0.9
"""Share of the colour on outlines and on errors."""
WINDOW_PERCENT = (0.5, 99.5)
"""Percentiles of the exposed field that become black and white."""

Mask = NDArray[np.uint8]


def draw_overlay(
    frame: Frame, prediction: Mask, reference: Mask | None = None, *, outline: float = STRONG
) -> NDArray[np.uint8]:
    """Draw a mask on a frame.

    Args:
        frame: (H, W) uint8 or uint16.
        prediction: (H, W) in {0, 1}.
        reference: (H, W) with 1 for wire and 2 for left-out pixels; with it, errors are marked.
        outline: share of the colour on the outline; less where something else is drawn upon the mask.

    Returns:
        (H, W, 3) uint8 RGB: predicted wire tinted and outlined in green, false pixels orange, missed ones blue.
    """
    predicted = prediction == 1
    truth = prediction if reference is None else reference
    wire, background = truth == 1, truth == 0
    hit = predicted & wire
    picture = np.repeat(_windowed(frame)[..., None], 3, axis=2)
    _paint(picture, hit, HIT, FAINT)
    _paint(picture, _dilated(hit) & ~(predicted | wire), HIT, outline)
    _paint(picture, predicted & background, FALSE, STRONG)
    _paint(picture, wire & ~predicted, MISSED, STRONG)
    return np.rint(picture).astype(np.uint8)


def _paint(picture: NDArray[np.float32], pixels: NDArray[np.bool_], colour: tuple[int, int, int], share: float) -> None:
    picture[pixels] = (1 - share) * picture[pixels] + share * np.array(colour, dtype=np.float32)


def _windowed(frame: Frame) -> NDArray[np.float32]:
    """(H, W) grey values from 0 to 255 in which the exposed field uses the whole range."""
    field = exposed_field(frame, estimate_border([border_sample(frame)]))
    black, white = np.percentile(frame[field], WINDOW_PERCENT)
    grey = (frame.astype(np.float32) - black) * (255 / max(white - black, 1))
    return np.asarray(np.clip(grey, 0, 255), dtype=np.float32)


def _dilated(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``mask`` with the four neighbours of its pixels."""
    padded = np.pad(mask, 1)
    grown: NDArray[np.bool_] = mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    return grown
