"""Start this command again once for each device, as torchrun would on one machine."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

from gwunet.errors import TrainingError, UsageError

POLL_S = 0.2
GRACE_S = 30.0
"""For the other processes once one has failed; they may wait for it for ever."""
TAIL = 2000
"""Characters shown of what a failed process said."""
COMMAND = "import sys; from gwunet.cli.train import main; raise SystemExit(main(sys.argv[1:]))"


def launch(count: int, device: str) -> int:
    """Run the command line of this process with ``count`` processes; the first one speaks and writes.

    Returns:
        The exit status of the first process.

    Raises:
        UsageError: the machine has not so many devices.
        TrainingError: another process than the first one failed.
    """
    _check(count, device)
    arguments = _without_flag(sys.argv[1:], "--num_gpus")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    # Several processes with a thread for each core would get in each other's way.
    shared["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // count)))
    with contextlib.ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(1, count)]
        processes = []
        for rank in range(count):
            place = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            output = None if rank == 0 else said[rank - 1]
            command = [sys.executable, "-c", COMMAND, *arguments]
            environment = {**os.environ, **shared, **place}
            processes.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output))
        with _passing_signals_on(processes):
            _wait(processes)
        failed = [rank for rank, process in enumerate(processes) if process.returncode]
        if processes[0].returncode <= 0 and failed and failed[0] > 0:
            file = said[failed[0] - 1]
            file.seek(0)
            text = file.read().decode(errors="replace").strip()[-TAIL:]
            status = processes[failed[0]].returncode
            raise TrainingError(f"process {failed[0]} of {count} ended with status {status}:\n{text}")
        return int(processes[0].returncode)


def _check(count: int, device: str) -> None:
    if count < 1:
        raise UsageError(f"--num_gpus {count}: must be at least 1")
    if device == "cpu":
        return
    import torch

    present = torch.cuda.device_count()
    if count > present:
        raise UsageError(
            f"--num_gpus {count}: this machine has {present} CUDA devices; give no more, or --device cpu for processes "
            "that share its cores"
        )


def _without_flag(arguments: list[str], flag: str) -> list[str]:
    """The arguments without a flag and its value, in either spelling."""
    kept, skip = [], False
    for argument in arguments:
        if skip or argument == flag:
            skip = argument == flag
        elif not argument.startswith(f"{flag}="):
            kept.append(argument)
    return kept


def _wait(processes: list[subprocess.Popen[bytes]]) -> None:
    """Until all have ended; those that wait for a failed one are ended."""
    deadline = None
    while any(process.poll() is None for process in processes):
        if deadline is None and any(process.returncode for process in processes):
            deadline = time.monotonic() + GRACE_S
        if deadline is not None and time.monotonic() > deadline:
            for process in processes:
                process.kill()
        time.sleep(POLL_S)


@contextlib.contextmanager
def _passing_signals_on(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """SIGTERM goes on to the processes; SIGINT from a terminal reaches them anyway, and is left to them."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    handlers: dict[signal.Signals, Any] = {signal.SIGTERM: pass_on, signal.SIGINT: signal.SIG_IGN}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
