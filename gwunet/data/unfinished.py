"""A store while it is written: a command that is killed goes on where it stopped.

Beside the growing files stands a journal with a line for each frame that all of them hold completely. They are hidden
under ``.partial-`` names until ``finish`` renames them, so nothing half written is ever taken for a store.
"""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from gwunet.errors import OutputError

JOURNAL = "store.jsonl"
FORMAT = 2
"""Of a journal's lines; another one's are forgotten."""


def discard_unfinished(folder: Path, files: Sequence[str]) -> None:
    """Forget what a killed command left of ``files`` in ``folder``."""
    for name in (*files, JOURNAL):
        _partial(folder, name).unlink(missing_ok=True)


class UnfinishedStore:
    """``with UnfinishedStore(folder, files, source) as unfinished: ...; unfinished.finish()``.

    Left before ``finish``, by an error or a kill, what was appended stays for the next one with the same source.
    One at a time in a folder: see ``gwunet.data.lock``.
    """

    def __init__(self, folder: Path, files: Sequence[str], source: str) -> None:
        """
        Args:
            folder: where the files are to stand.
            files: their names.
            source: says what the store is made from; what was appended for another one is forgotten.
        """
        self._folder = folder
        self._names = tuple(files)
        self._head = {"format": FORMAT, "source": source}
        self._open_files = contextlib.ExitStack()
        self.entries: list[Any] = []
        """What has been appended so far: parsed JSON, one for each frame."""

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            self._journal, *self._files = (
                stack.enter_context(_partial(self._folder, name).open("a+b")) for name in (JOURNAL, *self._names)
            )
            self._recover()
            self._open_files = stack.pop_all()
        return self

    def write(self, parts: Sequence[bytes]) -> list[tuple[int, int]]:
        """Add a frame's part to each file; where it begins and ends there. It counts once ``confirm`` is called.

        Raises:
            OutputError: the disk is full, say.
        """
        with self._saying_where():
            return [_append(file, part) for file, part in zip(self._files, parts, strict=True)]

    def confirm(self, entry: Any) -> None:
        """Add ``entry`` (plain values) to the journal for the frame written last; raises as ``write``."""
        with self._saying_where():
            self._note({"sizes": [file.tell() for file in self._files], "entry": entry})
        self.entries.append(entry)

    def finish(self) -> None:
        """Give the files their names, once a power cut can take nothing of them; the journal goes."""
        with self._saying_where():
            for file in self._files:
                file.flush()
                os.fsync(file.fileno())
        self._open_files.close()
        for name in self._names:
            _partial(self._folder, name).replace(self._folder / name)
        discard_unfinished(self._folder, self._names)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # what a full disk did not take is not in the journal either
            self._open_files.close()

    def _recover(self) -> None:
        """Keep what the journal vouches for and cut off the rest."""
        found = [os.fstat(file.fileno()).st_size for file in self._files]
        self._journal.seek(0)
        lines = self._journal.readlines()
        whole, kept = 0, [0] * len(self._files)
        if lines and _parse(lines[0]) == self._head:
            whole = len(lines[0])
            for line in lines[1:]:
                note = _parse(line)
                if note is None or any(size > there for size, there in zip(note["sizes"], found, strict=True)):
                    break
                kept = note["sizes"]
                whole += len(line)
                self.entries.append(note["entry"])
        for file, size in zip((self._journal, *self._files), (whole, *kept), strict=True):
            file.truncate(size)
            file.seek(0, os.SEEK_END)
        if not whole:
            self._note(self._head)

    @contextlib.contextmanager
    def _saying_where(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            raise OutputError(
                f"{self._folder}: found that no more can be written there ({problem.strerror}); wanted room for the "
                "preprocessed frames: free some, then run again, which goes on after those that are written"
            ) from problem

    def _note(self, note: Any) -> None:
        self._journal.write(json.dumps(note).encode() + b"\n")
        self._journal.flush()


def _append(file: BinaryIO, part: bytes) -> tuple[int, int]:
    start = file.tell()
    file.write(part)
    file.flush()
    return start, file.tell()


def _partial(folder: Path, name: str) -> Path:
    return folder / f".partial-{name}"


def _parse(line: bytes) -> Any:
    """A journal's line; None for the last one of a command that was killed while it wrote it."""
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
