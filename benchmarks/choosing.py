"""Time and memory of a cross-validation that chooses threshold and postprocessing, and what scoring anew would take.

    python benchmarks/choosing.py -o OUT [--frames 903] [--size 512] [-np 2]

Makes out-of-fold probabilities of simulated wires in five folds of patients, once, in OUT. Then times
``gwunet.evaluation.cross_validation.cross_validate`` on them, with the peak of memory of this process and of the
largest worker; and for some frames Dice under all settings at once against one mask after another, which must agree.
"""

import argparse
import itertools
import platform
import resource
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.dataset import Dataset
from gwunet.evaluation.choice import OutOfFoldFrame
from gwunet.evaluation.cross_validation import cross_validate
from gwunet.evaluation.settings_grid import SettingsGrid, dice_on_grid
from gwunet.io.frames import write_frame, write_mask
from gwunet.io.probability import read_average, write_probability
from gwunet.jsonio import write_json
from gwunet.parallel import workers
from gwunet.synthetic import simulate_sequence

FOLDS = 5
FRAMES_OF_PATIENT = 20
SIMULATED = 24
COMPARED = 3


def make_frames(folder: Path, frames: int, size: int) -> None:
    """A dataset in ``folder``/raw and probabilities with gaps, faint stretches and specks in ``folder``/out_of_fold."""
    if (folder / "done").is_file():
        return
    rng = np.random.default_rng(0)
    masks = [
        frame.mask
        for patient in range(min(SIMULATED, frames))
        for frame in simulate_sequence(seed=0, patient=patient, sequence=0, frames=1, size=size)
    ]
    cases = {}
    raw = folder / "raw" / "Dataset909_Choosing"
    for number in range(frames):
        patient = f"p{number // FRAMES_OF_PATIENT:03d}"
        case = f"{patient}_f{number % FRAMES_OF_PATIENT:02d}"
        mask = np.rot90(masks[number % len(masks)], number // len(masks) % 4)
        write_mask(raw / "labelsTr" / f"{case}.png", mask)
        write_frame(raw / "imagesTr" / f"{case}.png", mask)
        write_probability(folder / "out_of_fold" / f"{case}.npz", predicted(mask, rng))
        cases[case] = {"patient": patient, "sequence": patient, "frame": number % FRAMES_OF_PATIENT}
    labels = {"background": 0, "wire": 1}
    write_json(raw / "dataset.json", {"labels": labels, "file_ending": ".png", "cases": cases})
    (folder / "done").touch()


def predicted(mask: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float64]:
    """Blurred as a network's, fainter along parts of the wire, with a gap and some specks."""
    size = mask.shape[0]
    strength = ndimage.zoom(rng.uniform(0.4, 1.2, (8, 8)), size / 8, order=1)[:size, :size]
    probability = np.clip(ndimage.gaussian_filter(mask.astype(float), 1.0) * 1.4, 0, 1) * strength
    wire = np.argwhere(mask)
    for reach, filled in ((6, 0.0), (4, 0.7), (4, 0.7)):
        row, column = wire[rng.integers(len(wire))] if filled == 0 else rng.integers(0, size, 2)
        probability[max(0, row - reach) : row + reach, max(0, column - reach) : column + reach] = filled
    return np.clip(probability, 0, 1)


def open_frames(folder: Path) -> tuple[Dataset, list[OutOfFoldFrame]]:
    raw = Dataset.open(next((folder / "raw").iterdir()))
    frames = []
    for case in raw.training:
        patient = str(case.patient)
        path = folder / "out_of_fold" / f"{case.name}.npz"
        frames.append(OutOfFoldFrame(case=case, fold=int(patient[1:]) % FOLDS, group=patient, probabilities=(path,)))
    return raw, frames


def compare(raw: Dataset, frames: list[OutOfFoldFrame], grid: SettingsGrid) -> tuple[float, float, int]:
    """Seconds a frame of all settings at once and of one mask after another, and how many settings there are."""
    seconds = [0.0, 0.0]
    indices = [index for index in itertools.product(*map(range, grid.shape)) if index[0] <= index[1]]
    for frame in frames:
        levels, top = read_average(frame.probabilities)
        reference = raw.read_mask(frame.case)
        start = time.process_time()
        dice = dice_on_grid(levels, top, reference, grid)
        middle = time.process_time()
        for index in indices:
            mask = grid.settings(index).mask_of_levels(levels, top)
            whole = np.count_nonzero(mask) + np.count_nonzero(reference == 1)
            found = 2 * np.count_nonzero(mask & (reference == 1)) / whole if whole else 1.0
            if abs(found - dice[index]) > 1e-6:
                raise AssertionError(f"{frame.case.name}: {grid.settings(index)}: {found} and {dice[index]}")
        seconds[0] += middle - start
        seconds[1] += time.process_time() - middle
    return seconds[0] / len(frames), seconds[1] / len(frames), len(indices)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", dest="output", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=903)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("-np", dest="processes", type=int, default=2)
    arguments = parser.parse_args(argv)
    make_frames(arguments.output, arguments.frames, arguments.size)
    raw, frames = open_frames(arguments.output)
    start = time.perf_counter()
    with workers(arguments.processes, len(frames), "choosing") as run:
        found = cross_validate(raw, frames, models=["made"], grouping="patient", planned=0.5, run=run)
    seconds = time.perf_counter() - start
    own, largest = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    at_once, singly, n_settings = compare(raw, frames[:: max(1, len(frames) // COMPARED)][:COMPARED], SettingsGrid())
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    print(
        f"{len(frames)} frames of {arguments.size}x{arguments.size}: cross-validation {seconds:.1f} s with "
        f"{arguments.processes} processes, {own:.0f} MiB here, {largest:.0f} MiB in the largest worker"
    )
    print(f"Dice of {n_settings} settings: {1000 * at_once:.1f} ms a frame at once, {1000 * singly:.0f} ms one by one")
    planned, tuned = found.as_planned.per_frame_mean.dice, found.postprocessed.per_frame_mean.dice
    print(f"Dice as planned {planned:.4f}, postprocessed {tuned:.4f}; ships: {found.shipped.in_words()}")


if __name__ == "__main__":
    main()
