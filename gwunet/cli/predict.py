"""gw_predict: masks for a folder of frames."""

import argparse
from pathlib import Path

from gwunet.cli.command import DONE, FAILED, add_device_flag, add_workspace_flag, make_parser, run
from gwunet.cli.progress import bar


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = make_parser("Predict a mask for every frame of a folder, or for one frame.")
    parser.add_argument("-i", dest="source", type=Path, required=True, metavar="FRAMES", help="folder, or one frame")
    parser.add_argument("-o", dest="output", type=Path, required=True, metavar="OUT", help="folder for the masks")
    parser.add_argument("-d", dest="dataset", required=True, metavar="DATASET", help="the model's: id or folder name")
    parser.add_argument("-c", dest="configuration", default="fganet", metavar="NAME", help="trained configuration")
    parser.add_argument(
        "-tr",
        dest="trainer",
        metavar="TRAINER",
        help="where several were used; or module:Class",
    )
    parser.add_argument("-f", dest="folds", nargs="+", metavar="FOLD", help="folds to average; without it every one")
    parser.add_argument("-chk", dest="checkpoint", choices=("final", "best"), default="final", help="which weights")
    parser.add_argument("--batch_size", type=int, metavar="N", help="tiles in one forward pass; without it the plan's")
    parser.add_argument("--disable_tta", action="store_true", help="no mirrored copies: four times as fast")
    parser.add_argument("--step_size", type=float, metavar="S", help="distance of tiles as a share of their size")
    parser.add_argument("--threshold", type=float, metavar="P", help="probability from which a pixel is wire")
    parser.add_argument("--overlay", action="store_true", help="also pictures of the masks on the frames")
    parser.add_argument("--save_probabilities", action="store_true", help="also NAME.npz with float16 probabilities")
    parser.add_argument("--continue", dest="skip_finished", action="store_true", help="leave finished masks alone")
    add_device_flag(parser)
    add_workspace_flag(parser)
    return run(_command, parser, argv)


def _command(arguments: argparse.Namespace) -> int:
    from gwunet.device import keep_freed_memory
    from gwunet.inference import Predictor, predict_folder
    from gwunet.inference.folder import find_frames
    from gwunet.registry import class_name
    from gwunet.training import TRAINERS

    keep_freed_memory()
    if arguments.trainer is not None and ":" in arguments.trainer:
        TRAINERS.find(arguments.trainer)  # its module may register the network that the checkpoint names
    find_frames(arguments.source)  # complains before the model is loaded
    predictor = Predictor.from_results(
        arguments.dataset,
        configuration=arguments.configuration,
        trainer=arguments.trainer and class_name(arguments.trainer),
        folds=arguments.folds,
        checkpoint=arguments.checkpoint,
        workspace=arguments.workspace,
        device=arguments.device,
        mirror=False if arguments.disable_tta else None,
        step=arguments.step_size,
        threshold=arguments.threshold,
        batch_size=arguments.batch_size,
    )
    result = predict_folder(
        predictor,
        arguments.source,
        arguments.output,
        overlay=arguments.overlay,
        save_probabilities=arguments.save_probabilities,
        skip_finished=arguments.skip_finished,
        progress=bar,
    )
    rate = result.n_frames / result.seconds if result.seconds else 0.0
    print(f"{result.n_frames} frames in {result.seconds:.1f} s ({rate:.1f} per second) on {predictor.device}")
    print(f"masks in {arguments.output}")
    if result.failed:
        print(f"{len(result.failed)} frames could not be read, see above")
    return FAILED if result.failed else DONE
