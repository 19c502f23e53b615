"""One command at a time in a folder."""

import contextlib
import logging
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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("ab")
    except OSError as problem:
        raise OutputError(
            f"{folder}: found that it cannot be written to ({problem.strerror}); wanted a folder of one's own: "
            "change its permissions, or choose another --workspace"
        ) from problem
    with file:
        _lock(file, folder, doing)
        yield


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
