"""Signals that end a command cleanly."""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from gwunet.errors import InterruptionError


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """SIGINT and SIGTERM raise ``InterruptionError`` in the main thread; a second one leaves the clearing up alone."""

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        for other in before:
            signal.signal(other, signal.SIG_IGN)
        raise InterruptionError(f"ended by {signal.Signals(number).name}", signal=number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
