"""The installed commands, run as a user runs them."""

import subprocess
import sysconfig
from pathlib import Path


def run_installed(command: str, *flags: str) -> None:
    """Run a command of this environment; what it prints is kept to itself.

    Raises:
        SystemExit: it failed; the message has the end of what it said.
    """
    line = [str(Path(sysconfig.get_path("scripts")) / command), *flags]
    done = subprocess.run(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
