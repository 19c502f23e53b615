"""A panel of twelve simulated frames beside real ones, and the simulator's contrast, noise and speed.

    python benchmarks/simulator_panel.py FOLDER_OF_REAL_FRAMES

The left four columns of the panel are simulated, the right two real, all in their own pixels.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gwunet.io.frames import list_frames, read_frame, write_frame
from gwunet.synthetic import SimulatedFrame, simulate_sequence

EDGE_PX, GAP_PX = 300, 4
ROWS, SIMULATED_COLUMNS, REAL_COLUMNS = 3, 4, 2
GREY_STEP = 4
"""Grey levels are rounded to this in the panel, which keeps the file small."""

Image = NDArray[np.uint8]


def simulated_frames(seed: int, count: int) -> list[Image]:
    """The last frame of the first sequence of ``count`` patients."""
    last = []
    for patient in range(count):
        *_, frame = simulate_sequence(seed=seed, patient=patient, sequence=0, frames=3, size=EDGE_PX)
        last.append(frame.image)
    return last


def real_frames(folder: Path, count: int) -> list[Image]:
    """Evenly chosen frames of a folder, cropped to the middle."""
    paths = list_frames(folder)
    chosen = [paths[int(index)] for index in np.linspace(0, len(paths) - 1, count)]
    cropped = []
    for path in chosen:
        frame = read_frame(path)
        top, left = ((length - EDGE_PX) // 2 for length in frame.shape)
        if min(top, left) < 0:
            raise SystemExit(f"{path}: found {frame.shape[0]}x{frame.shape[1]} pixels, wanted at least {EDGE_PX}")
        cropped.append(frame[top : top + EDGE_PX, left : left + EDGE_PX].astype(np.uint8))
    return cropped


def tile(images: list[Image], columns: int) -> Image:
    """Images in rows, with white gaps."""
    framed = [np.pad(image // GREY_STEP * GREY_STEP, GAP_PX // 2, constant_values=255) for image in images]
    rows = [np.hstack(framed[start : start + columns]) for start in range(0, len(framed), columns)]
    return np.vstack(rows).astype(np.uint8)


def timed_sequences(size: int, patients: int, frames: int) -> tuple[list[SimulatedFrame], float]:
    """All frames, and the median over the sequences of the time per frame in ms, set-up of the scene included."""
    made: list[SimulatedFrame] = []
    per_frame_ms = []
    for patient in range(patients):
        start = time.perf_counter()
        made += simulate_sequence(seed=1, patient=patient, sequence=0, frames=frames, size=size)
        per_frame_ms.append((time.perf_counter() - start) * 1000 / frames)
    return made, statistics.median(per_frame_ms)


def print_measurements() -> None:
    """Contrast-to-noise ratio, noise and speed."""
    for size, patients in ((256, 40), (512, 10)):
        frames, per_frame_ms = timed_sequences(size, patients, frames=8)
        cnr = [wire.cnr for frame in frames for wire in frame.wires]
        noise = [float((frame.image - frame.noise_free)[frame.exposed].std()) for frame in frames]
        print(f"{size}x{size}, {len(frames)} frames, {len(cnr)} wires: {per_frame_ms:.0f} ms a frame")
        for name, values in (("contrast-to-noise ratio", cnr), ("noise, grey levels", noise)):
            print(f"  {name}: min, 25 %, median, 75 %, max", np.percentile(values, [0, 25, 50, 75, 100]).round(2))
        print(f"  frames without a wire: {np.mean([not frame.wires for frame in frames]):.1%}")
        print(f"  wire pixels: {np.mean([frame.mask.mean() for frame in frames]):.2%}")


def main() -> None:
    """Draw the panel and print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path, help="folder with real frames of at least 300x300 pixels")
    parser.add_argument("-o", "--output", type=Path, default=Path("documentation/images/simulator_panel.png"))
    parser.add_argument("--seed", type=int, default=6)
    arguments = parser.parse_args()
    simulated = tile(simulated_frames(arguments.seed, ROWS * SIMULATED_COLUMNS), SIMULATED_COLUMNS)
    real = tile(real_frames(arguments.real, ROWS * REAL_COLUMNS), REAL_COLUMNS)
    gap = np.full((len(real), 5 * GAP_PX), 255, np.uint8)
    write_frame(arguments.output, np.hstack([simulated, gap, real]))
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1000:.0f} kB")
    print_measurements()


if __name__ == "__main__":
    main()
