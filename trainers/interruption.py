"""SIGTERM and SIGINT end training after the step under way, with all of it saved."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
ECHO_S = 2.0
"""Signals that follow the first within this time mean the same: ``timeout`` sends one to a process and one to its
group, and ``gw_train --num_gpus`` passes on what a terminal has sent to its processes too."""


class Interruption:
    """Which signal came, if any."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._came = 0.0

    def note(self, number: int, frame: FrameType | None) -> None:
        """The first signal waits for the step; a later one acts at once."""
        del frame
        now = time.monotonic()
        if self.signal is None:
            self.signal, self._came = number, now
        elif now - self._came > ECHO_S:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            signal.raise_signal(number)


@contextlib.contextmanager
def watching() -> Iterator[Interruption]:
    """Signals are noted for as long as the context lasts; in other threads than the main one they cannot be."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.signal(number, interruption.note) for number in SIGNALS}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
