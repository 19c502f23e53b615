"""SIGKILL at random moments of a training run, ``--continue`` after each, and the weights against an unbroken run.

    python benchmarks/kills.py [--kills 20] [--epochs 12] [--iterations 4] [--seed 0]

On a simulated dataset of ten small frames, in a temporary folder. Moments are uniform between the start of the command
and the end of about its second epoch; where a run is done before enough kills have come, it is compared and another
begins.
"""

import argparse
import os
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import torch

from gwunet.checkpoint import FINAL, LATEST, load_checkpoint
from shared.installed import installed
from shared.miniature import DATASET, make_planned

SIZE = 80
SHORTEST_S = 0.5
"""Before that a command has hardly been loaded."""


def fold_of(root: Path) -> Path:
    """Where fold 0 is trained."""
    return root / "results" / DATASET / "fganet__FGANetTrainer" / "fold_0"


def start(root: Path, epochs: int, iterations: int) -> subprocess.Popen[bytes]:
    """Begin the run, or go on with it, as a person would after a kill."""
    length = ["--epochs", str(epochs), "--iterations", str(iterations), "--batch_size", "2"]
    command = [installed("gw_train"), "901", "0", *length, "--device", "cpu"]
    if (fold_of(root) / LATEST).exists():
        command.append("--continue")
    return subprocess.Popen(
        [*command, "--workspace", str(root)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )


def environment() -> dict[str, str]:
    """One thread: also where others use the machine, the order of sums is the same."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def run_unbroken(root: Path, epochs: int, iterations: int) -> tuple[float, float]:
    """Seconds until the first checkpoint stands, and between the epochs from there to the end."""
    began = time.monotonic()
    process = start(root, epochs, iterations)
    first = 0.0
    while process.poll() is None:
        if not first and (fold_of(root) / LATEST).exists():
            first = time.monotonic() - began
        time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(f"the unbroken run ended with status {process.returncode}")
    return first, (time.monotonic() - began - first) / epochs


def run_killed(
    root: Path, epochs: int, iterations: int, kills: int, longest_s: float, chance: random.Random
) -> tuple[int, int]:
    """Go on until the run is done, killed at most so often; how often it was, and how often with a checkpoint there."""
    done = within = 0
    while not (fold_of(root) / FINAL).exists():
        process = start(root, epochs, iterations)
        if done == kills:
            process.wait()
        else:
            try:
                process.wait(chance.uniform(SHORTEST_S, longest_s))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                done += 1
                within += (fold_of(root) / LATEST).exists()
                continue
        if process.returncode:
            raise RuntimeError(f"the run ended by itself with status {process.returncode}")
    return done, within


def identical(first: Path, second: Path) -> bool:
    """Whether two final checkpoints hold the same weights bit for bit."""
    weights, others = (load_checkpoint(fold_of(root) / FINAL).weights for root in (first, second))
    return weights.keys() == others.keys() and all(torch.equal(value, others[name]) for name, value in weights.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--iterations", type=int, default=4, help="in an epoch")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    length = (arguments.epochs, arguments.iterations)
    began, chance = time.monotonic(), random.Random(arguments.seed)
    killed = within = runs = same = 0
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder) / "whole", Path(folder) / "broken"
        make_planned(whole, SIZE, preprocess=True)
        shutil.copytree(whole, broken)
        starting_s, epoch_s = run_unbroken(whole, *length)
        while killed < arguments.kills:
            shutil.rmtree(broken / "results", ignore_errors=True)
            more, inside = run_killed(broken, *length, arguments.kills - killed, starting_s + 2 * epoch_s, chance)
            killed, within, runs = killed + more, within + inside, runs + 1
            same += identical(whole, broken)
    print("| kills | of these with a checkpoint there | runs | epochs | runs identical to the unbroken one | seconds |")
    print("|---|---|---|---|---|---|")
    verdict = "yes, all" if same == runs else f"no, {same} of {runs}"
    print(f"| {killed} | {within} | {runs} | {arguments.epochs} | {verdict} | {time.monotonic() - began:.0f} |")
    if same < runs:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
