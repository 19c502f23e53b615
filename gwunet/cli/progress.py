"""Progress bars for the commands."""

from collections.abc import Iterable
from typing import Any


def bar(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """A progress bar with rate and time left on standard error (a ``gwunet.progress.Progress``)."""
    from tqdm import tqdm

    wrapped: Iterable[Any] = tqdm(items, total=total, desc=label, unit="frame")
    return wrapped
