"""SIGKILL at random moments of a folder's prediction, ``--continue`` after each, and the masks against an unbroken run.

    python benchmarks/predict_kills.py [--kills 20] [--frames 120] [--size 192] [--seed 0]

On simulated frames and a network with random weights, in a temporary folder. Moments are uniform between the first mask
and the end of the unbroken run; where a run is done before enough kills have come, it is compared and another begins.
After every kill each mask that stands is compared with the unbroken run's.
"""

import argparse
import random
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gwunet.checkpoint import FINAL, Checkpoint, save_checkpoint
from gwunet.inference import Predictor
from gwunet.io.frames import read_frame, write_frame
from gwunet.networks import build_network
from shared.installed import installed
from shared.miniature import DATASET, make_planned

WRITTEN = ("*.png", "*.npz", "*.json", "*.csv")


def make_workspace(root: Path, n_frames: int, size: int) -> float:
    """A model with random weights and frames to predict; returns a threshold that half of a frame's pixels reach."""
    plans = make_planned(root, size, preprocess=False)
    configuration = plans.configurations["fganet"]
    torch.manual_seed(0)
    checkpoint = Checkpoint(
        dataset=DATASET,
        trainer=configuration.trainer,
        configuration=configuration,
        preprocessing=plans.preprocessing,
        weights=build_network(configuration).state_dict(),
        epoch=0,
    )
    fold = root / "results" / DATASET / f"{configuration.name}__{configuration.trainer}" / "fold_0"
    save_checkpoint(fold / FINAL, checkpoint)
    first = read_frame(min((root / "raw" / DATASET / "imagesTs").iterdir()))
    for index in range(n_frames):
        write_frame(root / "frames" / f"part_{index % 3}" / f"{index:04d}.png", np.roll(first, 7 * index, axis=1))
    probability = Predictor([checkpoint], device="cpu", mirror=False).predict_frame(first).probability
    return float(np.median(probability))


def start(root: Path, output: Path, threshold: float) -> subprocess.Popen[bytes]:
    """Begin a prediction, or go on with it, as a person would after a kill."""
    command = [installed("gw_predict"), "-i", str(root / "frames"), "-o", str(output)]
    command += [
        "-d",
        "901",
        "--workspace",
        str(root),
        "--device",
        "cpu",
        "--disable_tta",
        "--threshold",
        str(threshold),
    ]
    command += ["--overlay", "--save_probabilities", "--track", "--continue"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finish(process: subprocess.Popen[bytes]) -> None:
    if process.wait():
        raise RuntimeError(f"a prediction ended by itself with status {process.returncode}")


def run_unbroken(root: Path, output: Path, threshold: float) -> tuple[float, float]:
    """Seconds to the first mask, and to the end."""
    began = time.monotonic()
    process = start(root, output, threshold)
    first = 0.0
    while process.poll() is None:
        if not first and list(output.glob("part_*/[!.]*.png")):
            first = time.monotonic() - began
        time.sleep(0.02)
    finish(process)
    return first, time.monotonic() - began


def files_of(folder: Path) -> dict[str, Path]:
    """Results by their place; temporary files, which are hidden, are none."""
    paths = [path for kind in WRITTEN for path in folder.rglob(kind) if not path.name.startswith(".")]
    return {str(path.relative_to(folder)): path for path in paths if path.name != "run.json"}


def temporary_files(folder: Path) -> int:
    return sum(1 for path in folder.rglob(".*") if path.is_file())


def wrong_files(broken: Path, whole: Path) -> list[str]:
    """Results that do not hold what the unbroken run's do."""
    good = files_of(whole)
    return [name for name, path in files_of(broken).items() if not _equal(path, good[name])]


def _equal(path: Path, other: Path) -> bool:
    try:
        return np.array_equal(_values(path), _values(other))
    except (OSError, ValueError, SyntaxError):  # cut short
        return False


def _values(path: Path) -> np.ndarray:
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as saved:
            values: np.ndarray = saved["probability"]
        return values
    if path.suffix in (".json", ".csv"):
        return np.frombuffer(path.read_bytes(), np.uint8)
    with Image.open(path) as picture:
        return np.asarray(picture)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--size", type=int, default=192, help="edge of the frames in pixels")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    began, chance = time.monotonic(), random.Random(arguments.seed)
    killed = runs = wrong = left = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        whole, broken = root / "whole", root / "broken"
        threshold = make_workspace(root, arguments.frames, arguments.size)
        first_s, end_s = run_unbroken(root, whole, threshold)
        while killed < arguments.kills:
            shutil.rmtree(broken, ignore_errors=True)
            runs += 1
            while True:
                process = start(root, broken, threshold)
                try:
                    if killed == arguments.kills:
                        finish(process)
                    else:
                        process.wait(chance.uniform(first_s, end_s))
                        finish(process)
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    killed += 1
                    left += temporary_files(broken)
                    wrong += len(wrong_files(broken, whole))
            missing = files_of(whole).keys() ^ files_of(broken).keys()
            wrong += len(wrong_files(broken, whole)) + len(missing) + temporary_files(broken)
    print("| kills | frames | runs | temporary files the kills left | files other than the unbroken run's | seconds |")
    print("|---|---|---|---|---|---|")
    print(f"| {killed} | {arguments.frames} | {runs} | {left} | {wrong} | {time.monotonic() - began:.0f} |")
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
