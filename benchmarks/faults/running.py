"""Commands run to their end or killed, in forks of this process or as installed."""

import dataclasses
import importlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from shared.installed import installed as installed_path

MODULES = {
    "gw_synthesize": "synthesize",
    "gw_plan_and_preprocess": "plan_and_preprocess",
    "gw_train": "train",
    "gw_predict": "predict",
    "gw_evaluate": "evaluate",
    "gw_find_best_configuration": "find_best_configuration",
    "gw_ensemble": "ensemble",
    "gw_convert": "convert",
    "gw_export": "export",
    "gw_import": "import_model",
    "gw_report": "report",
    "gw_explain": "explain",
    "gw_benchmark": "benchmark",
    "gw_demo": "demo",
}
SECONDS = 300
"""Longer than any command here takes: one that hangs is an error."""


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    """Minus the signal's number, where that ended it."""
    said: str
    """Standard output and error."""
    seconds: float


def filled(arguments: Sequence[str], root: Path) -> list[str]:
    return [argument.replace("{}", str(root)) for argument in arguments]


def command_in_fork(command: str, arguments: Sequence[str], log: Path, ready: int) -> int:
    """Run a command in a fork; its process id. A byte comes through ``ready`` when the command itself begins."""
    process = os.fork()
    if process:
        return process
    status = 70
    try:
        os.setpgid(0, 0)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            signal.signal(number, handler)
        sys.argv[0] = command  # by which it calls itself
        main: Callable[[list[str]], int] = importlib.import_module(f"gwunet.cli.{MODULES[command]}").main
        os.write(ready, b"x")
        status = main(list(arguments))
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except KeyboardInterrupt:  # before main answers it; ``gwunet.cli`` does, as it would at the end of a process
        sys.excepthook(*sys.exc_info())
        status = 130
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def run(
    command: str,
    arguments: Sequence[str],
    root: Path,
    *,
    kill: tuple[signal.Signals, float] | None = None,
    installed: bool = False,
) -> Ended:
    """Run a command to its end, or until ``kill`` seconds have gone.

    Raises:
        TimeoutError: it hangs.
    """
    arguments = filled(arguments, root)
    log = root.with_suffix(".log")
    if installed:
        with log.open("wb") as said:
            script = installed_path(command)
            to_log = [(os.POSIX_SPAWN_DUP2, said.fileno(), stream) for stream in (1, 2)]
            process = os.posix_spawn(script, [script, *arguments], os.environ, file_actions=to_log, setpgroup=0)
    else:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or the fork prints it again
        reading, writing = os.pipe()
        process = command_in_fork(command, arguments, log, writing)
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
    began = time.monotonic()
    number, at = kill or (signal.SIGKILL, float(SECONDS))
    status = waited(process, at)
    if status is None:
        os.killpg(process, number)
        status = waited(process, SECONDS)
    if status is None or (kill is None and status == -signal.SIGKILL):
        raise TimeoutError(f"{command} {' '.join(arguments)}: still runs after {SECONDS} s, or was killed for memory")
    return Ended(status, log.read_text(errors="replace"), time.monotonic() - began)


def waited(process: int, seconds: float) -> int | None:
    """The status of a process that ends within so many seconds."""
    end = time.monotonic() + seconds
    while True:
        done, code = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(code)
        if time.monotonic() >= end:
            return None
        time.sleep(min(0.002, max(0.0, end - time.monotonic())))


def run_here(root: Path, command: str, *arguments: str) -> None:
    """Run a command in this process."""
    status = importlib.import_module(f"gwunet.cli.{MODULES[command]}").main(filled(arguments, root))
    if status:
        raise RuntimeError(f"{command} {' '.join(arguments)}: status {status}")
