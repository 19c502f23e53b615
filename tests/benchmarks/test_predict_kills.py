"""The benchmark of kills in a prediction, cut short: two of them over twenty small frames."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "predict_kills.py"


@pytest.mark.slow
def test_two_kills_leave_the_masks_of_an_unbroken_run() -> None:
    arguments = ["--kills", "2", "--frames", "20", "--size", "96", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kills, frames, _, _, wrong, _ = (cell.strip() for cell in done.stdout.splitlines()[-1].strip("|").split("|"))
    assert (kills, frames, wrong) == ("2", "20", "0")
