"""Wires drawn on a picture: centreline, base, tip, its direction, and the wire's number."""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gwunet.exposed_field import Frame
from gwunet.inference.overlay import FAINT, STRONG, draw_overlay
from gwunet.localization import Guidewire

Colour = tuple[int, int, int]
Picture = NDArray[np.uint8]
Box = tuple[slice, slice]

COLOURS: tuple[Colour, ...] = (
    (240, 228, 66),
    (255, 130, 200),
    (230, 159, 0),
    (86, 180, 233),
    (235, 95, 40),
    (170, 140, 255),
)
"""Yellow, pink, orange, sky blue, vermilion and violet: away from the mask's green, the first ones furthest."""
ARROW_PX, HEAD_PX, HEAD_DEG = 22.0, 7.0, 25.0
TIP_RADIUS_PX, BASE_RADIUS_PX = 4.0, 2.0
DASH_PX = 8
TEXT_PX = 14
FINE = 3
"""Lines are drawn so many times larger and made small again, which smooths them."""
REACH_PX = 64
"""Nothing that is drawn at a point reaches so far."""
STRIP_PX = 256


def colour_of(identity: int | None, index: int) -> Colour:
    """A wire's colour: by its number, from 1, or without one by its place in the frame, from 0."""
    return COLOURS[(index if identity is None else identity - 1) % len(COLOURS)]


def draw_with_wires(frame: Frame, mask: NDArray[np.uint8], wires: Sequence[Guidewire]) -> Picture:
    """A frame, (H, W) uint8 or uint16, with its mask and upon it its wires; (H, W, 3) uint8 RGB."""
    return draw_wires(draw_overlay(frame, mask, outline=FAINT if wires else STRONG), wires)


def draw_wires(picture: Picture, wires: Sequence[Guidewire]) -> Picture:
    """Draw wires, each in a colour of its own.

    The tip has a circle and an arrow where it points to, in white where the wire has the flag ``jump``; the base has a
    dot. The line is dashed in a frame that was bridged. Wires that are tracked carry their number.

    Args:
        picture: (H, W, 3) uint8 RGB.
        wires: with coordinates of its pixels.

    Returns:
        A new picture.
    """
    drawn = picture.copy()
    for box in _boxes(picture.shape[:2], [wire.centreline for wire in wires]):
        # What begins outside the box is drawn as it would be in the whole picture: rounding differs below 0.
        wide = slice(max(0, box[0].start - REACH_PX), box[0].stop), box[1]
        layer = _layer(wide, wires)
        part = Image.fromarray(np.ascontiguousarray(picture[wide])).convert("RGBA")
        part.alpha_composite(layer)
        drawn[box] = np.asarray(part.convert("RGB"))[box[0].start - wide[0].start :]
    return drawn


def _boxes(shape: tuple[int, ...], curves: Sequence[NDArray[np.float64]]) -> Iterator[Box]:
    """What can have anything drawn on it, in strips: many times enlarged, a whole picture takes gigabytes."""
    points = np.concatenate([np.empty((0, 2)), *curves])
    for top in range(0, shape[0], STRIP_PX):
        bottom = min(top + STRIP_PX, shape[0])
        near = points[(points[:, 0] > top - 2 * REACH_PX) & (points[:, 0] < bottom + REACH_PX), 1]
        if near.size:
            left, right = math.floor(near.min()) - REACH_PX, math.ceil(near.max()) + REACH_PX
            yield slice(top, bottom), slice(max(0, left), min(shape[1], right))


def _layer(box: Box, wires: Sequence[Guidewire]) -> Image.Image:
    """The wires alone, as far as they are in a box, on nothing."""
    rows, columns = box
    height, width = rows.stop - rows.start, columns.stop - columns.start
    layer = Image.new("RGBA", (width * FINE, height * FINE))
    pen = ImageDraw.Draw(layer)
    for index, wire in enumerate(wires):
        moved = dataclasses.replace(wire, centreline=wire.centreline - (rows.start, columns.start))
        _draw(pen, moved, colour_of(wire.identity, index))
    return layer.resize((width, height), Image.Resampling.BOX)


def _draw(pen: ImageDraw.ImageDraw, wire: Guidewire, colour: Colour) -> None:
    points = _fine(wire.centreline)
    if "bridged_frame" in wire.flags:
        for start in range(0, len(points) - 1, 2 * DASH_PX):
            pen.line(points[start : start + DASH_PX + 1], colour, FINE)
    else:
        pen.line(points, colour, FINE)
    (base_x, base_y), (tip_x, tip_y) = points[0], points[-1]
    pen.circle((base_x, base_y), BASE_RADIUS_PX * FINE, colour)
    at_tip: Colour = (255, 255, 255) if "jump" in wire.flags else colour
    pen.circle((tip_x, tip_y), TIP_RADIUS_PX * FINE, outline=at_tip, width=FINE)
    angle = math.radians(wire.angle_deg)
    end = _beside((tip_x, tip_y), angle, ARROW_PX)
    pen.line((_beside((tip_x, tip_y), angle, TIP_RADIUS_PX), end), at_tip, FINE)
    for turn in (-HEAD_DEG, HEAD_DEG):
        pen.line((end, _beside(end, angle + math.pi + math.radians(turn), HEAD_PX)), at_tip, FINE)
    if wire.identity is not None:
        place = _beside((tip_x, tip_y), angle, ARROW_PX + TEXT_PX)
        font = ImageFont.load_default(TEXT_PX * FINE)
        pen.text(place, str(wire.identity), colour, font, "mm", stroke_width=FINE, stroke_fill=(0, 0, 0))


def _beside(start: tuple[float, float], angle: float, distance_px: float) -> tuple[float, float]:
    """``x, y`` on the fine grid; y grows downwards, angles upwards."""
    return start[0] + distance_px * FINE * math.cos(angle), start[1] - distance_px * FINE * math.sin(angle)


def _fine(points: NDArray[np.float64]) -> list[tuple[float, float]]:
    """``x, y`` on the fine grid, whose pixel centres lie elsewhere."""
    return [(float(column), float(row)) for row, column in (points + 0.5) * FINE - 0.5]
