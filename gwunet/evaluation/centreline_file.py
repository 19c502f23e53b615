"""``centrelines.json``: the true wires of a simulated dataset, and those that ``gw_predict`` found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gwunet.errors import SchemaError
from gwunet.evaluation.curves import Curve
from gwunet.evaluation.geometry import Point
from gwunet.evaluation.wires import PlainWire
from gwunet.jsonio import parse_json

CENTRELINES_NAME = "centrelines.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownWires:
    """What such a file says of one frame."""

    tips: tuple[Point, ...]
    wires: tuple[PlainWire, ...] | None
    """None where the file gives the tip alone of any of the frame's wires."""


def read_centrelines(path: Path) -> dict[str, KnownWires]:
    """Frame -> its wires.

    Args:
        path: JSON with ``cases.<name>.wires[]``, as ``gw_synthesize`` and ``gw_predict`` write it. A wire has
            ``centreline``, points (row, column) in pixels from base to tip, or ``tip`` alone, or both. Where
            ``tracked`` is true, ``wire`` is its number in all frames of a sequence.

    Raises:
        SchemaError: the file is missing or has another form.
    """
    content = parse_json(path)
    if not isinstance(content, dict) or not isinstance(cases := content.get("cases"), dict):
        raise SchemaError(f"{path}: wanted an object with cases, as gw_synthesize and gw_predict write it")
    is_tracked = content.get("tracked") is True
    known = {name: _known(found, is_tracked, f"{path}: {name}") for name, found in cases.items()}
    if any(found.wires is None for found in known.values()) and not any(found.wires for found in known.values()):
        # Tips alone: then frames without wires do not make it a file of where wires run.
        return {name: KnownWires(tips=found.tips, wires=None) for name, found in known.items()}
    return known


def _known(found: Any, is_tracked: bool, where: str) -> KnownWires:
    wires = found.get("wires") if isinstance(found, Mapping) else None
    if not isinstance(wires, Sequence) or not all(isinstance(wire, Mapping) for wire in wires):
        raise SchemaError(f"{where}: wanted an object with wires, a list of objects")
    try:
        curves = [_curve(wire["centreline"]) if "centreline" in wire else None for wire in wires]
        tips = [_tip(wire["tip"] if curve is None else curve[-1]) for wire, curve in zip(wires, curves, strict=True)]
        plain = [
            PlainWire(curve, int(wire["wire"]) if is_tracked else None)
            for wire, curve in zip(wires, curves, strict=True)
            if curve is not None
        ]
    except (KeyError, TypeError, ValueError) as problem:
        raise SchemaError(
            f"{where}: wanted for each wire centreline as [[row, column], ...] or tip as [row, column] ({problem!r})"
        ) from problem
    return KnownWires(tips=tuple(tips), wires=tuple(plain) if len(plain) == len(wires) else None)


def _curve(points: Any) -> Curve:
    curve = np.asarray(points, dtype=np.float64)
    if curve.ndim != 2 or curve.shape[1] != 2 or not len(curve):
        raise ValueError(f"found points of the shape {curve.shape}")
    return curve


def _tip(point: Any) -> Point:
    row, column = point
    return float(row), float(column)
