"""How many iterations a run has: planned, asked for, or as many as fit a time."""

import dataclasses
import math
import statistics
import time
from collections.abc import Callable

from gwunet.plans import Duration
from gwunet.world import ALONE, World

EPOCHS_IN_TIME = 20
"""A run limited in time is cut into so many epochs at most, each with validation, log and checkpoint."""
FEWEST_EPOCHS = 5
CLOSING_SHARE = 0.06
"""The epochs' ends take no more than this share of the time, unless there are only ``FEWEST_EPOCHS``."""
LARGEST_SHARE = 0.4
"""Nor more than this then."""
TIMED_STEPS = 30
TIMED_SHARE = 0.06
"""Steps are timed until there are ``TIMED_STEPS`` of them or this share of the time is spent."""
RESERVE = 0.93
"""Share of the time that is planned; the rest absorbs what the measurement did not see."""


def fit_to_time(
    minutes: float, step: Callable[[int], object], close_epoch: Callable[[], None], world: World = ALONE, ahead: int = 0
) -> Duration:
    """The number of iterations that fits, measured on a few real steps.

    Args:
        minutes: wall-clock time for all of training.
        step: does training step number ``i``; called a few times, the caller restores the weights afterwards.
        close_epoch: does what an epoch ends with (validation).
        world: the processes that step together; the first one's clock counts.
        ahead: batches that workers have made before they are asked for; steps on those do not wait as later ones may.
    """
    began = time.perf_counter()
    step(0)  # the first one allocates and is left out
    seconds: list[float] = []
    while len(seconds) < TIMED_STEPS + ahead and (
        not seconds or world.first(time.perf_counter() - began) < TIMED_SHARE * minutes * 60
    ):
        start = time.perf_counter()
        step(len(seconds) + 1)
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    close_epoch()
    closing = world.first(time.perf_counter() - start)
    left = minutes * 60 * RESERVE - world.first(time.perf_counter() - began)
    # The later half: the first steps still claim memory. The median: a machine that stalls for a moment does not halve
    # the training. But workers deliver in bursts, between which steps wait: only a mean sees that.
    typical = statistics.fmean if ahead else statistics.median
    per_step = world.first(typical(seconds[max(len(seconds) // 2, min(ahead, len(seconds) - 1)) :]))
    epochs = EPOCHS_IN_TIME
    while epochs > 1 and epochs * closing > (CLOSING_SHARE if epochs > FEWEST_EPOCHS else LARGEST_SHARE) * left:
        epochs -= 1
    iterations = max(1, math.floor((left - epochs * closing) / per_step / epochs))
    return Duration(epochs=epochs, iterations_per_epoch=iterations, minutes=minutes)


def planned(duration: Duration, epochs: int | None, iterations: int | None, minutes: float | None) -> Duration:
    """The plan's duration with what was asked for in its place."""
    changed = dataclasses.replace(
        duration,
        epochs=epochs or duration.epochs,
        iterations_per_epoch=iterations or duration.iterations_per_epoch,
    )
    asked_for_count = epochs is not None or iterations is not None
    return dataclasses.replace(changed, minutes=minutes or (None if asked_for_count else duration.minutes))
