"""``guidewires.jsonl``: the wires of each frame as they were found, one line a frame.

The tables for people are made from it when a command ends. So a frame's wires are kept as soon as it is finished,
commands that share the frames need not wait for each other, and tracking goes over whole sequences whoever predicted
their frames.
"""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from gwunet.errors import OutputError
from gwunet.inference.part import Part
from gwunet.inference.places import Place
from gwunet.inference.prediction import Wires
from gwunet.inference.wire_values import wire_from, wire_values
from gwunet.io.spacing import PixelSpacing
from gwunet.jsonio import as_utf8, replacing, to_json
from gwunet.localization import Guidewire

NAME, PART_NAME, PATTERN = "guidewires.jsonl", "guidewires_part_{}.jsonl", "guidewires*.jsonl"
LOCK = ".guidewires.lock"


class _Line(NamedTuple):
    path: Path
    offset: int
    looked_for: Wires | None


class WireStore:
    """The lines of all commands on a folder; this one's are added to its own file."""

    def __init__(self, folder: Path, part: Part) -> None:
        self.folder = folder
        self._part = part
        self._own = folder / (NAME if part.count == 1 else PART_NAME.format(part.number))
        self._lines: dict[str, _Line] = {}
        self._adding = threading.Lock()
        self._is_whole = False
        """Whether the own file ends with the end of a line."""
        self.look()

    def files(self) -> list[Path]:
        """Those with lines of any command."""
        return sorted(self.folder.glob(PATTERN))

    def has(self, name: str, looked_for: Wires | None) -> bool:
        """Whether a frame's wires are kept and so many were looked for, or its line does not say how many."""
        line = self._lines.get(name)
        return line is not None and line.looked_for in (None, looked_for)

    def look(self) -> None:
        """Find the lines that are there, those of other commands too; of several for a frame the last one counts.

        Those of commands that share the frames stay where they are found only while this one is ``alone``.
        """
        lines = {}
        for path in [*(path for path in self.files() if path != self._own), self._own]:
            for offset, values in _lines(path):
                lines[values["frame"]] = _Line(path, offset, values.get("looked_for"))
        self._lines = lines

    def add(self, place: Place, wires: Sequence[Guidewire], looked_for: Wires) -> None:
        """Keep the wires of a frame.

        Args:
            place: of the frame.
            wires: found in it.
            looked_for: how many, at most.

        Raises:
            OutputError: they cannot be written.
        """
        values = {
            "frame": place.name,
            "sequence": place.sequence,
            "number": place.number,
            "spacing": to_json(place.spacing),
            "shape": to_json(place.shape),
            "looked_for": looked_for,
            "wires": [wire_values(wire, number) for number, wire in enumerate(wires, 1)],
        }
        line = as_utf8(json.dumps(values, ensure_ascii=False, allow_nan=False, separators=(",", ":"))) + b"\n"
        with self._adding:
            try:
                self._lines[place.name] = _Line(self._own, self._append(line), looked_for)
            except OSError as problem:
                raise OutputError(f"{self._own}: cannot be written ({problem}): check free space") from problem

    def _append(self, line: bytes) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._own.open("ab", buffering=0) as file:
            offset = file.tell()
            if not self._is_whole and offset and not _ends_whole(self._own):
                # What a killed command left of a line stays a line of its own, which nobody can read.
                offset += file.write(b"\n")
            self._is_whole = False
            if file.write(line) != len(line):
                raise OSError("the device took only a part")
            self._is_whole = True
        return offset

    def get(self, name: str) -> tuple[Place, list[Guidewire]]:
        """The wires of a frame that has some or none; KeyError where none were looked for, or they were dropped."""
        values = _line_at(self._lines[name])
        if values.get("frame") != name:  # another part has dropped lines before it since they were looked for
            self.look()
            values = _line_at(self._lines[name])
        if values.get("frame") != name:
            raise KeyError(name)
        return _read(values)

    def places(self) -> list[Place]:
        """All frames, sequence by sequence and in their order."""
        found = [
            _place(values)
            for path in dict.fromkeys(line.path for line in self._lines.values())
            for offset, values in _lines(path)
            if values["frame"] in self._lines and self._lines[values["frame"]][:2] == (path, offset)
        ]
        return sorted(found, key=lambda place: (place.sequence, place.number, place.name))

    def forget(self, is_mine: Callable[[str], bool]) -> None:
        """Drop the lines of some frames from all files that no other part may be adding to.

        Where several commands share the frames, only while ``alone``: each keeps what it has read, and would bring back
        what another drops meanwhile.
        """
        others = {PART_NAME.format(number) for number in range(self._part.count) if number != self._part.number}
        for path in self.files():
            if self._part.count == 1 or path.name not in others:
                _keep(path, lambda name: not is_mine(name))
        self._is_whole = False
        self.look()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """While lines of commands that share the frames are read to the end, or dropped."""
        if self._part.count == 1:
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / LOCK).open("ab") as file:
            _wait_for(file)
            yield


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Where each whole line of a file begins, and what it says; none where there is no file."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        offset = 0
        for line in file:
            with contextlib.suppress(ValueError, KeyError, TypeError, IndexError):
                values = json.loads(line)
                _read(values)
                yield offset, values
            offset += len(line)


def _line_at(line: _Line) -> dict[str, Any]:
    """What the line says that is there by now; nothing where no line begins there any more."""
    with contextlib.suppress(FileNotFoundError, ValueError), line.path.open("rb") as file:
        file.seek(line.offset)
        values = json.loads(file.readline())
        return values if isinstance(values, dict) else {}
    return {}


def _read(values: Any) -> tuple[Place, list[Guidewire]]:
    place = _place(values)
    spacing_mm = None if place.spacing is None else (place.spacing.row_mm, place.spacing.column_mm)
    return place, [wire_from(wire, spacing_mm) for wire in values["wires"]]


def _place(values: Any) -> Place:
    spacing = None if values["spacing"] is None else PixelSpacing(**values["spacing"])
    shape = values.get("shape")
    return Place(
        name=str(values["frame"]),
        sequence=str(values["sequence"]),
        number=int(values["number"]),
        spacing=spacing,
        shape=None if shape is None else (int(shape[0]), int(shape[1])),
    )


def _keep(path: Path, is_kept: Callable[[str], bool]) -> None:
    count = 0
    with replacing(path) as partial, path.open("rb") as old, partial.open("wb") as new:
        for offset, values in _lines(path):
            if is_kept(values["frame"]):
                old.seek(offset)
                new.write(old.readline())
                count += 1
    if not count:
        path.unlink(missing_ok=True)


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _wait_for(file: BinaryIO) -> None:
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
    except (ImportError, OSError):  # not on Windows, and not on some network file systems
        return
