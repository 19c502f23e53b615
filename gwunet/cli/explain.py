"""``gw_explain``: Grad-CAM++ maps, and comparison panels with errors marked."""

import argparse
from pathlib import Path

from gwunet.cli.command import add_device_flag, add_workspace_flag, make_parser, run
from gwunet.cli.named_trainer import trainer_named
from gwunet.cli.progress import bar


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = make_parser(
        "Show on validation frames what trained networks look at (Grad-CAM++), and where they break wires, miss them "
        "or mark what is none; several models side by side, such as FGA-Net with and without SDA."
    )
    parser.add_argument("dataset", metavar="DATASET", help="id or folder name")
    parser.add_argument(
        "-c", dest="configurations", nargs="+", metavar="NAME", help="without it all whose fold is validated"
    )
    parser.add_argument("-tr", dest="trainer", metavar="TRAINER", help="where several were used; or module:Class")
    parser.add_argument("-f", dest="fold", default="0", metavar="FOLD", help="whose validation frames are shown")
    parser.add_argument("-o", dest="output", type=Path, metavar="FOLDER", help="without it among the dataset's results")
    parser.add_argument("-n", dest="n_frames", type=int, default=4, metavar="N", help="frames, from worst to best")
    parser.add_argument("--cases", nargs="+", metavar="CASE", help="these frames instead")
    parser.add_argument(
        "--layer", metavar="NAME", help="of the network; without it the last one at a quarter of the frame's size"
    )
    add_device_flag(parser)
    add_workspace_flag(parser)
    return run(_command, parser, argv)


def _command(arguments: argparse.Namespace) -> None:
    from gwunet.explaining import explain_dataset

    written = explain_dataset(
        arguments.dataset,
        arguments.output,
        workspace=arguments.workspace,
        configurations=arguments.configurations,
        trainer=trainer_named(arguments.trainer),
        fold=arguments.fold,
        cases=arguments.cases,
        n_frames=arguments.n_frames,
        layer=arguments.layer,
        device=arguments.device,
        progress=bar,
    )
    for model, layer in written.layers.items():
        print(f"{model}: layer {layer}")
    print(f"written: {written.grad_cam}, {written.comparison.name} and {written.errors.name}")
