"""Latency and drops of ``Predictor.stream`` at a frame rate, and Dice beside another plan's.

    python benchmarks/realtime.py -d DATASET --workspace FOLDER [-c fganet_realtime] [--against fganet] [--frames 450]
        [--rate FPS] [--size 512] [--train_minutes M] [--localise] [--track]

DATASET has test frames with masks and both configurations trained (fold 0); with --train_minutes each is trained first
for so long, one after the other. Dice is pooled over the test frames, each plan predicting as it is planned (mirrored
copies where it has them).

Then a source gives frames at the rate, the plan's own unless --rate is given, whether or not they are answered: the
test frames in turn, resized to SIZE x SIZE, without mirrored copies for either. Latency is from the moment the source
gives a frame to the moment its mask is there; with --localise its wires too, with --track tracked. The process keeps
its share of the cores: run it while nothing else runs.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from gwunet.dataset import Dataset
from gwunet.device import available_cores, keep_freed_memory
from gwunet.evaluation import evaluate_folder
from gwunet.exposed_field import Frame
from gwunet.inference import Predictor, predict_folder
from gwunet.prepared import read_plans
from gwunet.training import TrainConfig, train
from gwunet.workspace import Workspace

FOLD = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--dataset", required=True, help="id or folder name")
    parser.add_argument("-c", "--configuration", default="fganet_realtime")
    parser.add_argument("--against", default="fganet", help="the other configuration")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=450, help="given by the source, for each plan")
    parser.add_argument("--rate", type=float, metavar="FPS", help="in place of the plan's")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--train_minutes", type=float, metavar="M")
    parser.add_argument("--localise", action="store_true", help="wires are part of the answer")
    parser.add_argument("--track", action="store_true", help="so are their numbers")
    arguments = parser.parse_args()
    keep_freed_memory()
    workspace = Workspace.find(arguments.workspace)
    dataset = workspace.dataset_name(arguments.dataset)
    raw = Dataset.open(workspace.raw_dataset(dataset))
    rate = arguments.rate or read_plans(workspace, dataset).configuration(arguments.configuration).target.realtime_fps
    if not raw.test or not rate:
        sys.exit(f"{dataset}: found {len(raw.test)} test frames and a rate of {rate}; wanted test frames, and --rate")
    names = (arguments.configuration, arguments.against)
    if arguments.train_minutes:
        for name in names:
            options = TrainConfig(minutes=arguments.train_minutes)
            train(dataset, FOLD, configuration=name, workspace=workspace, options=options, overwrite=True)
    frames = [resized(raw.read_frame(case), arguments.size) for case in raw.test]
    localised = ", tracked" if arguments.track else ", localised" if arguments.localise else ""
    print(f"{available_cores()} cores; {rate:g} frames per second of {arguments.size} x {arguments.size}{localised}\n")
    print("| configuration | network | runtime | Dice | median, ms | 95th percentile, ms | longest, ms | dropped |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        print(row(name, workspace, raw, frames, rate, arguments), flush=True)


def row(
    name: str,
    workspace: Workspace,
    raw: Dataset,
    frames: Sequence[Frame],
    rate: float,
    asked: argparse.Namespace,
) -> str:
    """One line of the table."""
    given: dict[str, Any] = {"configuration": name, "workspace": workspace, "folds": (FOLD,)}
    found = dice(Predictor.from_results(raw.name, **given), raw)
    predictor = Predictor.from_results(raw.name, **given, mirror=False)
    wires: Literal["auto"] | None = "auto" if asked.localise else None
    latency_ms, dropped = stream(predictor, frames, rate, asked.frames, wires=wires, track=asked.track)
    middle, late = np.percentile(latency_ms, (50, 95))
    arguments = predictor.configuration.network.arguments
    network = ", ".join(f"{key}={value}" for key, value in arguments.items() if key != "in_channels")
    return (
        f"| {name} | {network} | {predictor.runtime} | {found:.4f} | {middle:.1f} | {late:.1f} | {max(latency_ms):.1f} "
        f"| {dropped} of {asked.frames} |"
    )


def dice(predictor: Predictor, raw: Dataset) -> float:
    """Pooled over the test frames."""
    with tempfile.TemporaryDirectory() as folder:
        predict_folder(predictor, raw.folder / "imagesTs", Path(folder))
        value = evaluate_folder(raw.folder / "labelsTs", Path(folder)).pooled.dice
    assert value is not None
    return value


def stream(
    predictor: Predictor,
    frames: Sequence[Frame],
    rate: float,
    count: int,
    *,
    wires: Literal["auto"] | None,
    track: bool,
) -> tuple[list[float], int]:
    """Latencies in ms of the frames answered, and how many were dropped."""
    predictor.warm_up((frames[0].shape[0], frames[0].shape[1]))
    _ = predictor.predict_frame(frames[0]).guidewires  # imports what localisation needs
    answers = list(predictor.stream(paced(frames, rate, count), wires=wires, track=track))
    return [1e3 * each.latency_s for each in answers], count - len(answers)


def paced(frames: Sequence[Frame], rate: float, count: int) -> Iterator[Frame]:
    """``count`` frames, each at its time whether or not those before it were taken at theirs."""
    begin = time.perf_counter()
    for number, frame in enumerate(itertools.islice(itertools.cycle(frames), count)):
        time.sleep(max(0.0, begin + number / rate - time.perf_counter()))
        yield frame


def resized(frame: Frame, size: int) -> Frame:
    """``(size, size)`` in the frame's own type."""
    picture = Image.fromarray(frame.astype(np.float32)).resize((size, size), Image.Resampling.BILINEAR)
    levels = np.rint(np.asarray(picture))
    return levels.astype(np.uint8) if frame.dtype == np.uint8 else levels.astype(np.uint16)


if __name__ == "__main__":
    main()
