"""``gw_synthesize``: a dataset of simulated fluoroscopy in raw/."""

import argparse
import re

from gwunet.cli.command import add_workspace_flag, make_parser, run
from gwunet.cli.progress import bar
from gwunet.errors import UsageError


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = make_parser(
        "Simulate fluoroscopy sequences with guidewires, as a dataset in raw/. The true centrelines and tips are in "
        "centrelines.json beside the masks. The same options give the same files."
    )
    parser.add_argument("dataset", metavar="DATASET", help="folder name, as Dataset900_Simulated, or an id, as 900")
    parser.add_argument("--patients", type=int, default=10, help="number of patients, those for testing included")
    parser.add_argument("--sequences", type=int, default=2, help="sequences of each patient")
    parser.add_argument("--frames", type=int, default=8, help="frames of each sequence")
    parser.add_argument(
        "--size", default="512", help="of the frames in pixels: N for N x N, or ROWSxCOLUMNS, as 480x640"
    )
    parser.add_argument("--wires", default="mixed", help="guidewires in a sequence: 1, 2 (they cross) or mixed")
    parser.add_argument(
        "--wire_width",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        default=(2.0, 3.0),
        help="range of the wires' widths in pixels, within 1.5 to 8",
    )
    parser.add_argument(
        "--bits", type=int, default=8, help="bits of a grey level: 8, or 12 to 16, which are written as 16-bit PNG"
    )
    parser.add_argument(
        "--border",
        default="random",
        help="outside the exposed field: random (a black of 0 to 20 with a little noise, drawn for each sequence), "
        "none, a flat level from 0 to 60 of 255, or jpeg (as random, then compressed so that edges ring)",
    )
    parser.add_argument(
        "--collimator",
        default="random",
        help="outline of the exposed field: circular, rectangular, none, or random (these, or a circle cut by blades)",
    )
    parser.add_argument("--seed", type=int, default=0, help="everything random follows from it")
    parser.add_argument(
        "--test_patients",
        type=int,
        help="patients in imagesTs, never in training; without it a fifth of the patients, so give it where more "
        "patients are to add to training alone",
    )
    parser.add_argument("-np", "--processes", type=int, default=1, help="sequences simulated at the same time")
    parser.add_argument("--overwrite", action="store_true", help="replace the dataset if it exists")
    add_workspace_flag(parser)
    return run(_synthesize, parser, argv)


def _synthesize(arguments: argparse.Namespace) -> None:
    from gwunet.synthetic import synthesize_dataset
    from gwunet.workspace import Workspace

    if arguments.wires not in ("1", "2", "mixed"):
        raise UsageError(f"--wires: found {arguments.wires!r}, wanted 1, 2 or mixed")
    size = _parse_size(arguments.size)
    is_id = re.fullmatch(r"\d{1,9}", arguments.dataset, re.ASCII)
    name = f"Dataset{int(arguments.dataset):03d}_Simulated" if is_id else arguments.dataset
    folder = Workspace.find(arguments.workspace).new_raw_dataset(name)
    synthesize_dataset(
        folder,
        patients=arguments.patients,
        sequences=arguments.sequences,
        frames=arguments.frames,
        size=size,
        wires="mixed" if arguments.wires == "mixed" else 1 if arguments.wires == "1" else 2,
        bits=arguments.bits,
        border=int(arguments.border) if re.fullmatch(r"\d+", arguments.border, re.ASCII) else arguments.border,
        collimator=arguments.collimator,
        wire_width=(arguments.wire_width[0], arguments.wire_width[1]),
        seed=arguments.seed,
        test_patients=arguments.test_patients,
        overwrite=arguments.overwrite,
        processes=arguments.processes,
        progress=bar,
    )
    print(folder)


def _parse_size(text: str) -> int | tuple[int, int]:
    matched = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text, re.ASCII)
    if matched is None:
        raise UsageError(f"--size: found {text!r}, wanted pixels as 512, or rows and columns as 480x640")
    rows, columns = matched.groups()
    return int(rows) if columns is None else (int(rows), int(columns))
