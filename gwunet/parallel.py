"""Work on many frames at once: threads for few of them, processes for many, results in order and never far ahead."""

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from gwunet.errors import DatasetError

FRAMES_PER_PROCESS = 150
"""A process pays only with so many frames: it takes a second to start, and decoding and filters run in threads too."""
MAX_PROCESSES = 8
"""Where no number is asked for. Each takes about 80 MB, and files come no faster to more."""
TASKS_AHEAD = 3
"""Frames waiting for each worker; bounds what is in memory whatever the number of frames."""

Run = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]
"""Maps a function over jobs, results in the order of the jobs. Function and jobs must be picklable."""


@contextlib.contextmanager
def workers(count: int, n_jobs: int, where: str, per_process: int | None = None) -> Iterator[Run]:
    """A ``Run`` with ``count`` workers at most, for about ``n_jobs`` jobs; the results are the same for any number.

    Args:
        count: threads or processes at most; 1 does all the work here.
        n_jobs: about as many as there will be.
        where: begins the message of an error.
        per_process: jobs for which another process pays; ``FRAMES_PER_PROCESS`` where a job is to read a frame.

    Raises:
        DatasetError: a worker process died.
    """
    processes = min(count, n_jobs // (per_process or FRAMES_PER_PROCESS))
    if count <= 1:
        yield map
    elif processes <= 1 or not can_start_processes():
        with _closing(ThreadPoolExecutor(count)) as threads:
            yield lambda function, jobs: _in_order(threads, count, function, jobs)
    else:
        made = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_end_with_parent)
        with _closing(made) as pool:
            try:
                yield lambda function, jobs: _in_order(pool, processes, function, jobs)
            except BrokenProcessPool as problem:
                raise DatasetError(
                    f"{where}: a worker process died while at work, for lack of memory or, called from a "
                    'script, for lack of `if __name__ == "__main__":` before the call (processes import the script '
                    "again); run again with -np 1 (processes=1), or with that line"
                ) from problem


@contextlib.contextmanager
def another_process() -> Iterator[Executor]:
    """A process of its own for what would hold up this one's threads (importing torch holds Python's lock)."""
    with _closing(ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_end_with_parent)) as pool:
        yield pool


@contextlib.contextmanager
def _closing(pool: Executor) -> Iterator[Executor]:
    """Left by an error, what has not begun is not done."""
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: Executor, count: int, function: Callable[[Any], Any], jobs: Iterable[Any]) -> Iterator[Any]:
    waiting: deque[Future[Any]] = deque()
    for job in jobs:
        waiting.append(pool.submit(function, job))
        if len(waiting) > TASKS_AHEAD * count:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def can_start_processes() -> bool:
    """Whether new processes can import what runs here, as they will; a script read from a pipe has no file."""
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    return path is None or getattr(main, "__spec__", None) is not None or Path(path).is_file()


def _end_with_parent() -> None:
    """Run in a worker as it starts: a command that is killed cannot end its workers, so they watch it themselves."""
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_exit_after, args=(parent.sentinel,), daemon=True).start()


def _exit_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
