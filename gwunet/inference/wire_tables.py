"""``guidewires.csv`` and ``centrelines.json``: the wires of all frames of a folder, for people and programs."""

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from gwunet.inference.places import Place
from gwunet.inference.wire_values import Values, wire_from, wire_values
from gwunet.jsonio import UNENCODABLE, as_utf8, replacing
from gwunet.localization import Guidewire

CSV_NAME, JSON_NAME = "guidewires.csv", "centrelines.json"
SCHEMA_VERSION = 1
COLUMNS = (
    "frame",
    "sequence",
    "number",
    "wire",
    "tip_row_px",
    "tip_column_px",
    "base_row_px",
    "base_column_px",
    "angle_deg",
    "base_angle_deg",
    "length_px",
    "width_px",
    "confidence",
    "tip_confidence",
    "base_confidence",
    "flags",
    "tip_row_mm",
    "tip_column_mm",
    "base_row_mm",
    "base_column_mm",
    "length_mm",
    "width_mm",
    "spacing_plane",
)
MM_DIGITS = 3

Located = tuple[Place, Sequence[Guidewire]]


def write_tables(folder: Path, frames: Iterable[Located], *, is_tracked: bool) -> dict[str, int]:
    """Write both files, each whole or not at all; memory does not grow with the wires.

    Args:
        folder: where.
        frames: the frames in the order of their lines, with their wires.
        is_tracked: whether the wires' numbers are the same from frame to frame.

    Returns:
        Where each frame's line begins in ``centrelines.json``, for ``Centrelines``.

    Raises:
        OutputError: a file cannot be written.
    """
    begins: dict[str, int] = {}
    with (
        replacing(folder / CSV_NAME) as table,
        replacing(folder / JSON_NAME) as objects,
        table.open("w", encoding="utf-8", errors=UNENCODABLE, newline="") as rows,
        objects.open("wb") as file,
    ):
        writer = csv.writer(rows, lineterminator="\n")
        writer.writerow(COLUMNS)
        head = {"schema_version": SCHEMA_VERSION, "tracked": is_tracked}
        file.write((json.dumps(head)[:-1] + ', "cases": {').encode())
        for place, wires in frames:
            file.write(b",\n" if begins else b"\n")
            begins[place.name] = file.tell()
            values = [wire_values(wire, number) for number, wire in enumerate(wires, 1)]
            _write_case(file, place, values)
            writer.writerows(_row(place, wire, of) for wire, of in zip(wires, values, strict=True))
        file.write(b"\n}}\n")
    return begins


def _write_case(file: BinaryIO, place: Place, wires: list[Values]) -> None:
    spacing = place.spacing
    values = {
        "sequence": place.sequence,
        "number": place.number,
        "spacing_mm": None if spacing is None else [spacing.row_mm, spacing.column_mm],
        "spacing_plane": None if spacing is None else spacing.plane,
        "wires": wires,
    }
    texts = (json.dumps(part, ensure_ascii=False, allow_nan=False) for part in (place.name, values))
    file.write(as_utf8(": ".join(texts)))


def _row(place: Place, wire: Guidewire, values: Values) -> list[Any]:
    """One line of the table, by ``COLUMNS``."""
    measured = [values[key] for key in COLUMNS[8:15]]
    row = [place.name, place.sequence, place.number, values["wire"], *values["tip"], *values["base"], *measured]
    row.append(" ".join(values["flags"]))
    if place.spacing is None or wire.length_mm is None:
        return row + [None] * (len(COLUMNS) - len(row))
    row_mm, column_mm = place.spacing.row_mm, place.spacing.column_mm
    ends = (wire.tip[0] * row_mm, wire.tip[1] * column_mm, wire.base[0] * row_mm, wire.base[1] * column_mm)
    # Across a wire that runs in any direction; rows and columns are equally far apart in nearly all files.
    width_mm = wire.mean_width_px * (row_mm * column_mm) ** 0.5
    return [*row, *(round(value, MM_DIGITS) for value in (*ends, wire.length_mm, width_mm)), place.spacing.plane]


class Centrelines:
    """The wires of single frames out of a ``centrelines.json`` that was just written."""

    def __init__(self, folder: Path, begins: dict[str, int]) -> None:
        self._path = folder / JSON_NAME
        self._begins = begins

    def of(self, name: str) -> list[Guidewire]:
        """The wires of a frame; none where none were looked for."""
        if name not in self._begins:
            return []
        with self._path.open("rb") as file:
            file.seek(self._begins[name])
            line = file.readline().decode().rstrip("\n").removesuffix(",")
        (values,) = json.loads("{" + line + "}").values()
        return [wire_from(wire, None) for wire in values["wires"]]
