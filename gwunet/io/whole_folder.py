"""A folder of files that is there whole or not at all."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from gwunet.errors import OutputError


class WholeFolder:
    """Write to ``whole.partial``: ``with WholeFolder(folder) as whole: ...; whole.finish()``.

    It lies hidden beside the final folder until ``finish`` gives it that name. Without ``finish``, or on an exception,
    nothing of it is left, and what stood there stays.
    """

    def __init__(self, folder: Path, *, replace: bool = False) -> None:
        """
        Args:
            folder: to be made, with the folders above it.
            replace: take the place of a folder with something in it; else one that is there must be empty.
        """
        self._folder = folder
        self._replace = replace
        self._cleanup = contextlib.ExitStack()
        self._partial: Path | None = None

    @property
    def partial(self) -> Path:
        """Where to write.

        Raises:
            ValueError: outside the with block, or after ``finish``.
        """
        if self._partial is None:
            raise ValueError(f"{self._folder}: can be written to inside the with block only, and before finish()")
        return self._partial

    def __enter__(self) -> Self:
        """
        Raises:
            OutputError: nothing can be written there.
        """
        with self._saying_where("check free space and permissions"):
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            scratch = tempfile.TemporaryDirectory(prefix=f".partial-{self._folder.name}-", dir=self._folder.parent)
            # A temporary folder is its owner's alone; the one inside it has the rights of any new folder.
            self._partial = Path(self._cleanup.enter_context(scratch)) / "whole"
            self._partial.mkdir()
        return self

    def finish(self) -> None:
        """Give it its name.

        Raises:
            OutputError: it cannot be put in its place.
        """
        partial = self.partial
        earlier = partial.with_name("replaced")
        with self._saying_where("check what is in its place"):
            if self._folder.exists():
                if self._replace:
                    self._folder.rename(earlier)
                else:
                    self._folder.rmdir()
            try:
                partial.rename(self._folder)
            except BaseException:
                if earlier.exists():
                    earlier.rename(self._folder)
                raise
        self._partial = None

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()
        self._partial = None

    @contextlib.contextmanager
    def _saying_where(self, remedy: str) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            raise OutputError(f"{self._folder}: cannot be made ({problem}): {remedy}") from problem
