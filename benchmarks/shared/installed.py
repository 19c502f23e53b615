"""The installed commands, run as a user runs them."""

import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path


def installed(command: str) -> str:
    """Where a command of this environment is."""
    return str(Path(sysconfig.get_path("scripts")) / command)


def run_installed(command: str, *flags: str) -> None:
    """Run a command of this environment; what it prints is kept to itself.

    Raises:
        SystemExit: it failed; the message has the end of what it said.
    """
    line = [installed(command), *flags]
    done = subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} ended with {done.returncode}:\n{done.stderr[-2000:]}")


def without_folders(arguments: Sequence[str], stand_ins: Mapping[str, str]) -> list[str]:
    """A command line for others to read, whose folders and files mean nothing elsewhere.

    Args:
        arguments: of the command.
        stand_ins: flag -> what stands for the name after it.
    """
    return [stand_ins.get(before, argument) for before, argument in zip(["", *arguments], arguments, strict=False)]
