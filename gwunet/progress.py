"""How long work reports that it goes on: the library takes a function, the commands give it a bar."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

Progress = Callable[[Iterable[Any], int, str], Iterable[Any]]
"""Wraps an iterable in a progress bar: ``(items, total, label)``; a total of 0 is not known.

It gives every item on, in order: the work may be done as they are asked for.
"""


def no_progress(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """The silent default where a progress bar may be given."""
    del total, label
    return items


def seconds_between_draws() -> float:
    """How often a bar on standard error is drawn at most: rarely where that is a file, which keeps every state."""
    return 0.1 if sys.stderr.isatty() else 30.0
