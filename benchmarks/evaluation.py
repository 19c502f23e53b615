"""Time and memory of gw_evaluate with everything it can compute, on as many frames as the FGA-Net paper tested.

    python benchmarks/evaluation.py -o OUT [--frames 903] [--repeats 5]

Makes frames once, in OUT: wires of the simulator, mirrored and turned, and predictions with gaps, false pieces and
saved probabilities. Then the installed command runs, once as it judges predictions without centrelines (it locates
their wires itself), once with the centrelines that gw_predict would have written, and once without wires.
"""

import argparse
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.device import available_cores
from gwunet.io.frames import write_frame, write_mask
from gwunet.io.probability import write_probability
from gwunet.jsonio import write_json
from gwunet.parallel import another_process
from gwunet.synthetic import simulate_sequence
from shared.datasets import description
from shared.installed import installed

EDGE, FRAMES_OF_PATIENT, SIMULATED = 512, 43, 24
FALSE_PIECES, GAPS = 2, 2
KINDS = {
    "located in masks": ("masks", ["--wires", "auto"]),
    "read from files": ("wires", []),
    "none": ("wires", ["--wires", "none"]),
}
"""Wires -> folder of predictions and flags."""

Points = NDArray[np.float64]


def make_frames(folder: Path, frames: int, edge: int = EDGE) -> None:
    """A dataset of test frames in ``folder``/raw, predictions in ``folder``/masks and with centrelines in /wires."""
    rng = np.random.default_rng(0)
    scenes = list(_scenes(min(SIMULATED, frames), edge))
    raw, cases, truth, found = folder / "raw" / "Dataset908_Evaluation", {}, {}, {}
    for number in range(frames):
        patient = number // FRAMES_OF_PATIENT
        case = f"p{patient:03d}_f{number % FRAMES_OF_PATIENT:03d}"
        mask, curves = _turned(*scenes[number % len(scenes)], turn=number // len(scenes) % 8)
        probability = _predicted(mask, rng)
        for name in ("masks", "wires"):
            write_mask(folder / name / f"{case}.png", (probability >= 0.5).astype(np.uint8))
            write_probability(folder / name / f"{case}.npz", probability)
        write_mask(raw / "labelsTs" / f"{case}.png", mask)
        write_frame(raw / "imagesTs" / f"{case}.png", mask)
        cases[case] = {"patient": f"p{patient:03d}", "sequence": f"p{patient:03d}", "frame": number % FRAMES_OF_PATIENT}
        truth[case] = {"wires": [{"centreline": curve.tolist()} for curve in curves]}
        moved = [curve + rng.normal(0, 0.3, curve.shape) for curve in curves]
        found[case] = {"wires": [{"centreline": curve.tolist()} for curve in moved]}
    write_json(raw / "dataset.json", {**description(), "numTraining": 0, "cases": cases})
    write_json(raw / "centrelines.json", {"schema_version": 1, "cases": truth})
    write_json(folder / "wires" / "centrelines.json", {"schema_version": 1, "cases": found})
    (folder / "done").touch()


def _scenes(count: int, edge: int) -> Iterator[tuple[NDArray[np.uint8], list[Points]]]:
    for patient in range(count):
        (frame,) = simulate_sequence(seed=0, patient=patient, sequence=0, frames=1, size=edge)
        yield frame.mask, [np.asarray(wire.centreline) for wire in frame.wires]


def _turned(mask: NDArray[np.uint8], curves: list[Points], turn: int) -> tuple[NDArray[np.uint8], list[Points]]:
    """One of the eight symmetries of a square."""
    for axis in (0, 1):
        if turn & (1 << axis):
            mask = np.flip(mask, axis)
            mirror = np.arange(2) == axis
            curves = [np.where(mirror, mask.shape[axis] - 1 - curve, curve) for curve in curves]
    if turn & 4:
        mask, curves = mask.T, [curve[:, ::-1] for curve in curves]
    return np.ascontiguousarray(mask), curves


def _predicted(mask: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Probabilities of a fair network: blurred wires with gaps, pieces that are none, a faint haze."""
    wire = mask.astype(np.float32)
    edge = mask.shape[0]
    for row, column in rng.integers(0, edge, (GAPS, 2)):
        wire[row : row + edge // 20, column : column + edge // 20] = 0
    for row, column in rng.integers(0, edge * 9 // 10, (FALSE_PIECES, 2)):
        wire[row : row + 2, column : column + edge // 16] = 1
    haze = ndimage.gaussian_filter(rng.random(mask.shape, np.float32), 2) * 0.2
    return np.clip(1.15 * ndimage.gaussian_filter(wire, 0.8) + haze - 0.1, 0, 1).astype(np.float32)


def run(command: list[str]) -> tuple[float, float, float]:
    """Seconds, seconds of all cores together, and peak MiB of the largest of a command's processes."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main(argv: list[str] | None = None) -> None:
    """Make the frames and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=903)
    parser.add_argument("--size", type=int, default=EDGE, help="edge of the frames")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args(argv)
    folder = arguments.output.resolve() / f"frames_{arguments.frames}_{arguments.size}"
    if not (folder / "done").is_file():
        # A command's peak memory begins with that of the process that starts it, so this one must stay small.
        with another_process() as process:
            process.submit(make_frames, folder, arguments.frames, arguments.size).result()
    command = [installed("gw_evaluate"), "-r"]
    command += [str(folder / "raw" / "Dataset908_Evaluation" / "labelsTs"), "-o", str(folder / "summary.json")]
    found: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in KINDS}
    for _ in range(arguments.repeats):
        for kind, (name, flags) in KINDS.items():
            found[kind].append(run([*command, "-p", str(folder / name), *flags]))
    size = f"{arguments.size}x{arguments.size}"
    print(f"{arguments.frames} frames of {size}, {available_cores()} cores; median of {arguments.repeats}\n")
    print("| predicted wires | s | ms per frame | CPU s | largest process, MiB |\n|---|---|---|---|---|")
    for kind, runs in found.items():
        seconds, cpu_seconds, _ = (statistics.median(values) for values in zip(*runs, strict=True))
        memory = max(each[2] for each in runs)
        print(
            f"| {kind} | {seconds:.1f} | {1000 * seconds / arguments.frames:.1f} | {cpu_seconds:.1f} | {memory:.0f} |"
        )


if __name__ == "__main__":
    main()
