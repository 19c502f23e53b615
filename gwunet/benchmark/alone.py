"""Each network in a process of its own: memory is measured from nothing, and one that crashes takes no other along."""

import multiprocessing
import signal
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from gwunet.benchmark.candidates import Candidate
from gwunet.benchmark.measure import Conditions, Phase, Timing, measure
from gwunet.device import keep_freed_memory

FAILURE_LENGTH = 200
Outcome = tuple[dict[Phase, Timing], str | None]
"""What was measured, and why the rest was not."""


def run_alone(candidate: Candidate, conditions: Conditions) -> Outcome:
    """``measure`` in a fresh process; what was measured before a failure is kept."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_measure_into, args=(sending, candidate, conditions), daemon=True)
    process.start()
    sending.close()  # the child has its own end; with this one open, its death would go unnoticed
    return collect(process, receiving)


def collect(process: BaseProcess, receiving: Connection) -> Outcome:
    """Everything that a started process sends, until it ends."""
    timings: dict[Phase, Timing] = {}
    failure: str | None = None
    try:
        while True:
            key, value = receiving.recv()
            if key == "failure":
                failure = value
            else:
                timings[key] = value
    except EOFError:
        process.join()
    finally:
        process.kill()
        process.join()
        receiving.close()
    return timings, failure or _ending(process.exitcode)


def _ending(exit_code: int | None) -> str | None:
    if not exit_code:
        return None
    if exit_code > 0:
        return f"the process ended with status {exit_code}"
    name = signal.Signals(-exit_code).name
    likely = ", which the system sends where memory runs out" if name == "SIGKILL" else ""
    return f"the process was ended by {name}{likely}"


def _measure_into(sending: Connection, candidate: Candidate, conditions: Conditions) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent answers it and ends this process
    keep_freed_memory()  # as the commands that train and predict do
    message: tuple[str, Any]
    try:
        for message in measure(candidate, conditions):
            sending.send(message)
    except Exception as problem:
        sending.send(("failure", describe(problem)))


def describe(problem: Exception) -> str:
    """Type and first line of an exception."""
    first = (str(problem).strip().splitlines() or ["no message"])[0]
    return f"{type(problem).__name__}: {first}"[:FAILURE_LENGTH]
