"""Progress bars for the commands."""

from collections.abc import Iterable
from typing import Any

from gwunet.progress import seconds_between_draws


def bar(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
    """A progress bar with rate and time left on standard error (a ``gwunet.progress.Progress``)."""
    from tqdm import tqdm

    # The first frames of a prediction warm up, and bursts of batches come at once: the rate is a mean over many.
    wrapped: Iterable[Any] = tqdm(
        items, total=total or None, desc=label, unit="frame", smoothing=0.1, mininterval=seconds_between_draws()
    )
    return wrapped
