"""A store while it is written: a command that is killed goes on where it stopped.

Beside the two growing files stands a journal with a line for each frame that both hold completely. The files are hidden
under ``.partial-`` names until ``finish`` renames them, so nothing half written is ever taken for a store.
"""

import contextlib
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from gwunet.errors import OutputError

FRAMES, LABELS, JOURNAL = "frames.bin", "labels.bin", "store.jsonl"


def discard_unfinished(folder: Path) -> None:
    """Forget what a killed command left in ``folder``."""
    for name in (FRAMES, LABELS, JOURNAL):
        _partial(folder, name).unlink(missing_ok=True)


class UnfinishedStore:
    """``with UnfinishedStore(folder, source) as unfinished: ...; unfinished.finish()``.

    Left by an error, nothing stays; left by an interruption, what was appended.
    """

    def __init__(self, folder: Path, source: str) -> None:
        """
        Args:
            folder: where ``frames.bin`` and ``labels.bin`` are to stand.
            source: says what the store is made from; what was appended for another one is forgotten.
        """
        self._folder = folder
        self._source = source
        self._open_files = contextlib.ExitStack()
        self.entries: list[Any] = []
        """What has been appended so far: parsed JSON, one for each frame."""

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            self._journal, self._frames, self._labels = (
                stack.enter_context(_partial(self._folder, name).open("a+b")) for name in (JOURNAL, FRAMES, LABELS)
            )
            _lock(self._journal, self._folder)
            self._recover()
            self._open_files = stack.pop_all()
        return self

    def append(self, pixels: bytes, labels: bytes, entry: Any) -> None:
        """Add a frame's bytes to both files, and then ``entry`` (plain values) to the journal."""
        for file, content in ((self._frames, pixels), (self._labels, labels)):
            file.write(content)
            file.flush()
        self._note({"frames": self._frames.tell(), "labels": self._labels.tell(), "entry": entry})
        self.entries.append(entry)

    def finish(self) -> None:
        """Give both files their names."""
        self._open_files.close()
        for name in (FRAMES, LABELS):
            _partial(self._folder, name).replace(self._folder / name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open_files.close()
        if kind is None or issubclass(kind, Exception):
            discard_unfinished(self._folder)

    def _recover(self) -> None:
        """Keep what the journal vouches for and cut off the rest."""
        sizes = {name: os.fstat(file.fileno()).st_size for name, file in self._files.items()}
        self._journal.seek(0)
        lines = self._journal.readlines()
        kept = {"journal": 0, "frames": 0, "labels": 0}
        if lines and _parse(lines[0]) == {"source": self._source}:
            kept["journal"] = len(lines[0])
            for line in lines[1:]:
                note = _parse(line)
                if note is None or note["frames"] > sizes["frames"] or note["labels"] > sizes["labels"]:
                    break
                kept = {**note, "journal": kept["journal"] + len(line)}
                self.entries.append(note["entry"])
        for name, file in self._files.items():
            file.truncate(kept[name])
            file.seek(0, os.SEEK_END)
        if not kept["journal"]:
            self._note({"source": self._source})

    @property
    def _files(self) -> dict[str, BinaryIO]:
        return {"journal": self._journal, "frames": self._frames, "labels": self._labels}

    def _note(self, note: Any) -> None:
        self._journal.write(json.dumps(note).encode() + b"\n")
        self._journal.flush()


def _partial(folder: Path, name: str) -> Path:
    return folder / f".partial-{name}"


def _parse(line: bytes) -> Any:
    """A journal's line; None for the last one of a command that was killed while it wrote it."""
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None


def _lock(journal: BinaryIO, folder: Path) -> None:
    """Two commands that append to the same files would leave neither's frames."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    try:
        fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as problem:
        raise OutputError(
            f"{folder}: found another command preprocessing into it; wanted one at a time: wait until it is done"
        ) from problem
