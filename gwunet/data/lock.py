"""One command at a time in a folder."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gwunet.errors import OutputError

LOCK = ".lock"

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def locked(folder: Path, doing: str = "preparing") -> Iterator[None]:
    """Keep other commands out of ``folder``, which is made if it is not there; ``doing`` says in messages what is done.

    What is locked is a file that is never removed: two commands that held different files of one name would both go
    on. The lock goes with the process, however that ends.

    Raises:
        OutputError: another command holds it, or the folder cannot be written to.
    """
    with _opened(folder, "choose another --workspace") as file:
        _lock(file, folder, doing)
        yield


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other commands from writing to a folder of results, which is made if it is not there.

    The file that is locked goes in the end, so that nothing but results is left to those who look at them.

    Raises:
        OutputError: as ``locked``.
    """
    path = folder / LOCK
    with contextlib.ExitStack() as stack:
        is_current = False
        while not is_current:
            file = stack.enter_context(_opened(folder, "give another folder"))
            _lock(file, folder, "writing to")
            # The command that held it may have ended in between, and taken the name away from this file.
            is_current = path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _opened(folder: Path, otherwise: str) -> BinaryIO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / LOCK).open("ab")
    except OSError as problem:
        raise OutputError(
            f"{folder}: found that it cannot be written to ({problem.strerror}); wanted a folder of one's own: "
            f"change its permissions, or {otherwise}"
        ) from problem


def _lock(file: BinaryIO, folder: Path, doing: str) -> None:
    try:
        import fcntl
    except ImportError:  # not on Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as problem:
        raise OutputError(
            f"{folder}: found another command {doing} it; wanted one at a time: wait until it is done"
        ) from problem
    except OSError as problem:  # some network file systems cannot; nothing is lost but the warning above
        logger.info("%s: cannot be locked (%s)", folder, problem.strerror)
