"""Memory of a long stream: so many frames of 512x512 through ``Predictor.stream``.

    python benchmarks/streaming.py -d DATASET [-c fganet] --workspace FOLDER [--frames 20000]

A trained model, its own predictions, frames made on the way; the network itself is called for every frame unless
--without_network, which puts an addition in its place: memory is then that of everything around it, in minutes instead
of hours. Prints the resident memory after the first 200 frames, at the end, and the largest of the samples between.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gwunet.benchmark.memory import status_kib
from gwunet.device import keep_freed_memory
from gwunet.exposed_field import Frame
from gwunet.inference import Predictor

EDGE, SETTLED, SAMPLED_EVERY = 512, 200, 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--dataset", required=True, help="id or folder name of a trained dataset")
    parser.add_argument("-c", "--configuration", default="fganet")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=20000)
    parser.add_argument("--without_network", action="store_true")
    arguments = parser.parse_args()
    keep_freed_memory()
    predictor = Predictor.from_results(
        arguments.dataset, configuration=arguments.configuration, workspace=arguments.workspace, mirror=False
    )
    if arguments.without_network:
        predictor = Predictor.from_networks(
            [lambda tiles: tiles + 1], predictor.configuration, predictor.preprocessing, runtime="none", mirror=False
        )
    settled = largest = 0.0
    start = time.perf_counter()
    for answered in predictor.stream(frames(arguments.frames), waiting=None):
        if answered.number + 1 == SETTLED:
            settled = resident_mib()
        if answered.number % SAMPLED_EVERY == 0 and settled:
            largest = max(largest, resident_mib())
    seconds = time.perf_counter() - start
    print(f"{arguments.frames} frames in {seconds:.0f} s ({arguments.frames / seconds:.1f} per second)")
    end = resident_mib()
    print(
        f"MiB: {settled:.0f} after {SETTLED} frames, {end:.0f} at the end ({end - settled:+.0f}), at most {largest:.0f}"
    )


def frames(count: int) -> Iterator[Frame]:
    """Noise around a circular field that moves, so that crops vary in size."""
    rng = np.random.default_rng(0)
    grid = np.arange(EDGE)
    noise = rng.integers(60, 180, (EDGE, EDGE), dtype=np.uint8)
    for number in range(count):
        radius = 220 + 30 * np.sin(number / 50)
        inside = np.add.outer((grid - EDGE / 2) ** 2, (grid - EDGE / 2) ** 2) < radius**2
        yield np.where(inside, np.roll(noise, number, axis=0), 0).astype(np.uint8)


def resident_mib() -> float:
    resident = status_kib("VmRSS")
    if resident is None:
        raise SystemExit("found no VmRSS in /proc/self/status; wanted Linux, which tells a process's memory there")
    return resident / 1024


if __name__ == "__main__":
    main()
