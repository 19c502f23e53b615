"""A wire as plain values for JSON, and back."""

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from gwunet.inference.prediction import Spacing
from gwunet.localization import Flag, Guidewire

PX_DIGITS = 2
"""A hundredth of a pixel is far below what can be seen."""
SHARE_DIGITS = 4
DEGREE_DIGITS = 1

Values = dict[str, Any]


def wire_values(wire: Guidewire, number: int) -> Values:
    """A wire for JSON.

    Args:
        wire: in one frame.
        number: of the wire in its frame, which it is called where it is not tracked.
    """
    return {
        "wire": wire.identity or number,
        "identity": wire.identity,
        "tip": _rounded(wire.centreline[-1]),
        "base": _rounded(wire.centreline[0]),
        "angle_deg": _angle(wire.angle_deg),
        "base_angle_deg": _angle(wire.base_angle_deg),
        "length_px": round(wire.length_px, PX_DIGITS),
        "width_px": round(wire.mean_width_px, PX_DIGITS),
        "confidence": round(wire.confidence, SHARE_DIGITS),
        "tip_confidence": round(wire.tip_confidence, SHARE_DIGITS),
        "base_confidence": round(wire.base_confidence, SHARE_DIGITS),
        "flags": sorted(wire.flags),
        "centreline": _rounded(wire.centreline),
        "widths_px": _rounded(wire.width_px),
    }


def wire_from(values: Values, spacing_mm: Spacing | None) -> Guidewire:
    """The wire that ``wire_values`` wrote, to a hundredth of a pixel.

    Raises:
        KeyError, TypeError, ValueError: they are not such values.
    """
    centreline, width_px = np.array(values["centreline"], np.float64), np.array(values["widths_px"], np.float64)
    if centreline.ndim != 2 or centreline.shape[1] != 2 or width_px.shape != centreline.shape[:1]:
        raise ValueError(f"found {centreline.shape} points and {width_px.shape} widths")
    flags = frozenset(values["flags"])
    if not flags <= frozenset(get_args(Flag)):
        raise ValueError(f"found the flags {sorted(flags)}")
    return Guidewire(
        centreline=centreline,
        width_px=width_px,
        angle_deg=float(values["angle_deg"]),
        base_angle_deg=float(values["base_angle_deg"]),
        confidence=float(values["confidence"]),
        tip_confidence=float(values["tip_confidence"]),
        base_confidence=float(values["base_confidence"]),
        flags=flags,
        identity=None if values["identity"] is None else int(values["identity"]),
        spacing_mm=spacing_mm,
    )


def _rounded(values: NDArray[np.float64]) -> Any:
    return np.round(values, PX_DIGITS).tolist()


def _angle(degrees: float) -> float:
    rounded = round(degrees, DEGREE_DIGITS)
    return 180.0 if rounded == -180.0 else rounded
