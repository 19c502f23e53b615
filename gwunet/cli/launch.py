"""Start this command again once for each device, as torchrun would on one machine."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import IO

from gwunet.cli.command import FAILED, SIGNALLED
from gwunet.errors import TrainingError, UsageError

POLL_S = 0.2
GRACE_S = 30.0
"""For the other processes once one has failed; they may wait for it for ever."""
TAIL = 2000
"""Characters shown of what a failed process said."""
COMMAND = """
import sys
from gwunet.cli.launch import stop_with_launcher
from gwunet.cli.train import main
stop_with_launcher()
sys.argv[0] = "gw_train"
raise SystemExit(main(sys.argv[1:]))
"""
LAUNCHER = "GWUNET_LAUNCHER"
"""Variable with the number of a pipe's reading end, whose other end is the launcher's alone."""


def launch(count: int, device: str) -> int:
    """Run the command line of this process with ``count`` processes; the first one speaks and writes.

    Returns:
        The exit status of the first process, which has said why.

    Raises:
        UsageError: the machine has not so many devices.
        TrainingError: a process was killed, or another than the first one failed.
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
        reading, writing = os.pipe()
        stack.callback(os.close, reading)
        stack.callback(os.close, writing)
        shared[LAUNCHER] = str(reading)
        said = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(1, count)]
        processes = []
        for rank in range(count):
            place = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
            output = None if rank == 0 else said[rank - 1]
            # -P: else Python would look for modules in the current folder first, as this command does not.
            command = [sys.executable, "-P", "-c", COMMAND, *arguments]
            environment = {**os.environ, **shared, **place}
            processes.append(
                subprocess.Popen(command, env=environment, stdout=output, stderr=output, pass_fds=[reading])
            )
        with _passing_signals_on(processes):
            ended = _wait(processes)
        # Those that were ended here only waited for the others.
        statuses = [0 if process in ended else process.returncode for process in processes]
        _report(statuses, ["", *map(_tail, said)])
        return statuses[0] if statuses[0] >= 0 else SIGNALLED - statuses[0]


def stop_with_launcher() -> None:
    """Run in a launched process: a launcher that is killed cannot pass anything on, so each watches for its end.

    The process ends as by SIGTERM, with what it did saved.
    """

    def wait(pipe: int) -> None:
        os.read(pipe, 1)  # nothing is ever written: it returns as the other end is closed
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, args=(int(os.environ[LAUNCHER]),), daemon=True).start()


def _report(statuses: list[int], said: list[str]) -> None:
    """Raise with what the other processes said, unless all ended alike for a reason that the first one has given.

    The first one's own words do not do where it failed because another one was gone.
    """
    failed = [rank for rank, status in enumerate(statuses) if status]
    alike = len(set(statuses)) == 1 and statuses[0] != FAILED
    if not failed or alike or statuses[0] > SIGNALLED or (failed == [0] and statuses[0] > 0):
        return
    lines = [
        f"process {rank} of {len(statuses)} {_ending(statuses[rank])}: {said[rank]}".rstrip(": ") for rank in failed
    ]
    raise TrainingError("\n".join(lines))


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    return f"was ended by {signal.Signals(-status).name}"


def _tail(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace").strip()[-TAIL:]


def _check(count: int, device: str) -> None:
    if count < 1:
        raise UsageError(f"--num_gpus {count}: must be at least 1")
    if device == "cpu":
        return
    if device.startswith("cuda:"):
        raise UsageError(
            f"--num_gpus {count} --device {device}: one device is named for {count} processes; leave --device out, and "
            "choose devices by CUDA_VISIBLE_DEVICES"
        )
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


def _wait(processes: list[subprocess.Popen[bytes]]) -> list[subprocess.Popen[bytes]]:
    """Until all have ended; those that wait for a failed one for long are ended, and returned."""
    deadline = None
    ended: list[subprocess.Popen[bytes]] = []
    while any(process.poll() is None for process in processes):
        if deadline is None and any(process.returncode for process in processes):
            deadline = time.monotonic() + GRACE_S
        if deadline is not None and time.monotonic() > deadline:
            ended += [process for process in processes if process.poll() is None and process not in ended]
            for process in ended:
                process.kill()
        time.sleep(POLL_S)
    return ended


@contextlib.contextmanager
def _passing_signals_on(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Signals go on to the processes; those that a terminal sent one too take both as one."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
