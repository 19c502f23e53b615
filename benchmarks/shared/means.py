"""Figures of which some may be undefined."""

import statistics
from collections.abc import Iterable


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """The mean of those that are defined; None where none is."""
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
