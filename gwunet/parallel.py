"""Work on many frames at once: threads for few of them, processes for many, results in order and never far ahead."""

import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from gwunet.errors import DatasetError

FRAMES_PER_PROCESS = 50
"""A process pays only with so many frames: it takes a second to start, and decoding and filters run in threads too."""
FRAMES_OF_TASK = 4
"""Sent to a process at a time."""
TASKS_AHEAD = 3
"""Tasks waiting for each worker; bounds what is in memory whatever the number of frames."""

Run = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
"""Maps a function over jobs, results in the order of the jobs. Function and jobs must be picklable."""


@contextlib.contextmanager
def workers(count: int, n_frames: int, where: str) -> Iterator[Run]:
    """A ``Run`` with ``count`` workers at most, for about ``n_frames`` jobs; the results are the same for any number.

    Raises:
        DatasetError: a worker process died; ``where`` begins the message.
    """
    processes = min(count, n_frames // FRAMES_PER_PROCESS)
    if count <= 1:
        yield map
    elif processes <= 1:
        with _closing(ThreadPoolExecutor(count)) as threads:
            yield lambda function, jobs: _in_order(threads, count, 1, function, jobs)
    else:
        with _closing(ProcessPoolExecutor(processes, mp_context=get_context("spawn"))) as pool:
            try:
                yield lambda function, jobs: _in_order(pool, processes, FRAMES_OF_TASK, function, jobs)
            except BrokenProcessPool as problem:
                raise DatasetError(
                    f"{where}: a worker process died while frames were read, most likely for lack of memory; "
                    "run again with -np 1"
                ) from problem


@contextlib.contextmanager
def _closing(pool: Executor) -> Iterator[Executor]:
    """Left by an error, what has not begun is not done."""
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(
    pool: Executor, count: int, size: int, function: Callable[[Any], Any], jobs: Iterable[Any]
) -> Iterator[Any]:
    waiting: deque[Future[list[Any]]] = deque()
    jobs = iter(jobs)
    while task := list(itertools.islice(jobs, size)):
        waiting.append(pool.submit(_work, function, task))
        if len(waiting) > TASKS_AHEAD * count:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


def _work(function: Callable[[Any], Any], task: list[Any]) -> list[Any]:
    return [function(job) for job in task]
