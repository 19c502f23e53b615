"""The benchmark of kills, cut short: three of them over four epochs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "kills.py"


@pytest.mark.slow
def test_three_kills_leave_the_weights_of_an_unbroken_run() -> None:
    arguments = ["--kills", "3", "--epochs", "4", "--iterations", "3", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kills, _, _, epochs, verdict, _ = (cell.strip() for cell in done.stdout.splitlines()[-1].strip("|").split("|"))
    assert (kills, epochs, verdict) == ("3", "4", "yes, all")
