"""The estimated exposed field beside the simulator's true one, for every kind of border; real frames as a picture.

    python benchmarks/exposed_field.py [--patients N]
    python benchmarks/exposed_field.py --real FOLDER [-o PICTURE]

The first prints a Markdown table: for each kind and frame size a dataset of its own is simulated, whose border is
estimated from all its frames as ``gw_plan_and_preprocess`` does. The second draws the field's outline on the frames
of a folder, taken as one dataset.
"""

import argparse
import dataclasses
import math
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

from gwunet.device import available_cores
from gwunet.exposed_field import Frame, Mask, border_sample, estimate_border, find_field
from gwunet.io.frames import list_frames, read_frame
from gwunet.synthetic import SimulatedFrame, simulate_sequence

SIZES = ((256, 256), (256, 384), (512, 512), (640, 512), (768, 1024), (1024, 1024))
SHAPES = ("circular", "rectangular")
KINDS: dict[str, dict[str, Any]] = {
    **{f"black {level}, {shape}": {"border": level, "collimator": shape} for level in (0, 15) for shape in SHAPES},
    **{f"JPEG, {shape}": {"border": "jpeg", "collimator": shape} for shape in SHAPES},
    **{f"16 bit, black {level}": {"border": level, "bits": 16} for level in (0, 15)},
    "black and noise drawn": {},
    "16 bit, drawn": {"bits": 16},
    "none": {"border": "none"},
}
"""Options of the simulator."""
MIXED: dict[str, list[dict[str, Any]]] = {
    "8 and 16 bit in 16": [{"border": 15}, {"bits": 16, "border": 15}],
    "12 and 16 bit in 16": [{"bits": 12, "border": 15}, {"bits": 16, "border": 15}],
    "8 and 12 bit in 16": [{"border": 15}, {"bits": 12, "border": 15}],
}
"""Datasets of several depths, kept in one integer type; half of the patients have each."""
WANTED = 0.98
OUTLINE = (255, 80, 0)
GAP_PX = 4
COLUMNS = 8
GREY_STEP = 8
"""Grey levels are rounded to this in the picture, which keeps the file small."""
COLOURS = 256 // GREY_STEP + 1


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """One dataset: for each frame the intersection over union, and the median times."""

    iou: list[float]
    wire_px: int
    """Wire pixels of all frames."""
    wire_cut_px: int
    """Those outside the estimated field."""
    sample_ms: float
    field_ms: float


def measure(simulated: list[SimulatedFrame]) -> Agreement:
    """Estimate the border of frames as one dataset, and each frame's field."""
    frames, truths = [frame.image for frame in simulated], [frame.exposed for frame in simulated]
    samples, sample_ms = zip(*[timed(border_sample, frame) for frame in frames], strict=True)
    border = estimate_border(samples)
    fields, field_ms = zip(*[timed(find_field, frame, border) for frame in frames], strict=True)
    iou = [float((field & truth).sum() / (field | truth).sum()) for field, truth in zip(fields, truths, strict=True)]
    cut = sum(int((frame.mask[~field]).sum()) for frame, field in zip(simulated, fields, strict=True))
    return Agreement(
        iou=iou,
        wire_px=sum(int(frame.mask.sum()) for frame in simulated),
        wire_cut_px=cut,
        sample_ms=statistics.median(sample_ms),
        field_ms=statistics.median(field_ms),
    )


def timed(function: Any, *arguments: Any) -> tuple[Any, float]:
    """A function's result and its time in ms."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, (time.perf_counter() - start) * 1000


def simulate(options: dict[str, Any], size: tuple[int, int], patients: int, seed: int) -> list[SimulatedFrame]:
    """The last of two frames of a sequence of each patient."""
    return [
        list(simulate_sequence(seed=seed, patient=patient, sequence=0, frames=2, size=size, **options))[-1]
        for patient in range(patients)
    ]


def simulate_mixed(
    kinds: list[dict[str, Any]], size: tuple[int, int], patients: int, seed: int
) -> list[SimulatedFrame]:
    """As ``simulate``, but the patients in turn by other options; of more than one kind all frames in 16 bit."""
    if len(kinds) == 1:
        return simulate(kinds[0], size, patients, seed)
    made = [simulate(options, size, patients, seed) for options in kinds]
    frames = [made[patient % len(made)][patient] for patient in range(patients)]
    return [dataclasses.replace(frame, image=frame.image.astype(np.uint16)) for frame in frames]


def print_table(patients: int, seed: int) -> None:
    """A row for each kind, over all sizes; then the times of each size."""
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    print(f"{available_cores()} cores, {versions}")
    print(f"\n| border | frames | least | median | at least {WANTED} | wire pixels cut |")
    print("|" + 6 * "---|")
    by_size: dict[tuple[int, int], list[Agreement]] = {size: [] for size in SIZES}
    for kind, options in {**{kind: [options] for kind, options in KINDS.items()}, **MIXED}.items():
        for size in SIZES:
            by_size[size].append(measure(simulate_mixed(options, size, patients, seed)))
        latest = [measured[-1] for measured in by_size.values()]
        cut, wire = sum(one.wire_cut_px for one in latest), sum(one.wire_px for one in latest)
        print(row(kind, [value for one in latest for value in one.iou]), f"{cut} of {wire} |", flush=True)
    print(
        f"\n| size | frames | least | median | at least {WANTED} | border of a frame, ms | field, ms |\n|{'---|' * 7}"
    )
    for (rows, columns), measured in by_size.items():
        times = [statistics.median(getattr(one, name) for one in measured) for name in ("sample_ms", "field_ms")]
        iou = [value for one in measured for value in one.iou]
        print(row(f"{rows}x{columns}", iou), *[f"{value:.1f} |" for value in times])


def row(name: str, iou: list[float]) -> str:
    """The first columns of both tables."""
    enough = sum(value >= WANTED for value in iou)
    # Rounded down, so that what misses the mark does not seem to meet it.
    least = math.floor(min(iou) * 1e4) / 1e4
    return f"| {name} | {len(iou)} | {least:.4f} | {statistics.median(iou):.4f} | {enough} of {len(iou)} |"


def draw_real(folder: Path, picture: Path) -> None:
    """Frames of a folder, the outline of the field on each where it does not follow the frame's edge."""
    frames = [read_frame(path) for path in list_frames(folder)]
    border = estimate_border([border_sample(frame) for frame in frames])
    fields = [find_field(frame, border) for frame in frames]
    print(f"{len(frames)} frames, {sum(not field.all() for field in fields)} with a border; {border}")
    tiles = [outlined(frame, field) for frame, field in zip(frames, fields, strict=True)]
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
    tiles += [np.full((height, width, 3), 255, np.uint8)] * (-len(tiles) % COLUMNS)
    framed = [
        np.pad(
            tile,
            ((0, height - tile.shape[0] + GAP_PX), (0, width - tile.shape[1] + GAP_PX), (0, 0)),
            constant_values=255,
        )
        for tile in tiles
    ]
    rows = [np.hstack(framed[start : start + COLUMNS]) for start in range(0, len(framed), COLUMNS)]
    # A palette takes a third of the bytes of colours.
    whole = Image.fromarray(np.vstack(rows)).quantize(COLOURS, dither=Image.Dither.NONE)
    whole.save(picture, optimize=True)
    print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")


def outlined(frame: Frame, field: Mask) -> NDArray[np.uint8]:
    """``(H, W, 3)``: a frame in which the whole range is seen, and the border pixels next to the field coloured."""
    white = float(np.percentile(frame, 99.5))
    # A square root shows how dark the dark is.
    grey = 255 * np.sqrt(np.clip(frame / max(white, 1), 0, 1))
    picture = np.repeat((grey.astype(np.uint8) // GREY_STEP * GREY_STEP)[..., None], 3, axis=2)
    beside = np.zeros_like(field)
    beside[1:] |= field[:-1]
    beside[:-1] |= field[1:]
    beside[:, 1:] |= field[:, :-1]
    beside[:, :-1] |= field[:, 1:]
    picture[beside & ~field] = OUTLINE
    return picture


def main() -> None:
    """Measure on simulated frames, or draw real ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=8, help="frames of each kind and size")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", type=Path, help="folder with real frames")
    parser.add_argument("-o", "--output", type=Path, default=Path("documentation/images/exposed_field.png"))
    arguments = parser.parse_args()
    if arguments.real:
        draw_real(arguments.real, arguments.output)
    else:
        print_table(arguments.patients, arguments.seed)


if __name__ == "__main__":
    main()
