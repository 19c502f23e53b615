"""gw_export: a trained model as one file."""

import argparse
from pathlib import Path

from gwunet.cli.command import add_workspace_flag, make_parser, run
from gwunet.cli.named_trainer import trainer_named


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = make_parser(
        "Write trained folds, with plan and preprocessing, as one file that gw_predict -m needs alone. The file is "
        "kept only if it predicts real frames as the trained folds do."
    )
    parser.add_argument("dataset", metavar="DATASET", help="the model's: id or folder name")
    parser.add_argument("-o", dest="output", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument(
        "--format",
        choices=("onnx", "zip"),
        default="onnx",
        help="onnx: one graph for ONNX Runtime, folds averaged inside; zip: the weights, for gwunet alone",
    )
    parser.add_argument("-c", dest="configuration", default="fganet", metavar="NAME", help="trained configuration")
    parser.add_argument("-tr", dest="trainer", metavar="TRAINER", help="where several were used; or module:Class")
    parser.add_argument("-f", dest="folds", nargs="+", metavar="FOLD", help="folds to average; without it every one")
    parser.add_argument("-chk", dest="checkpoint", choices=("final", "best"), default="final", help="which weights")
    parser.add_argument(
        "--frames", type=Path, metavar="FOLDER", help="frames to compare on; without it some of the raw dataset"
    )
    parser.add_argument(
        "--provider", metavar="NAME", help="ONNX Runtime's execution provider for the comparison; without it CPU"
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="quantise, with ranges from training frames; the cost is measured on validation frames",
    )
    parser.add_argument(
        "--max_dice_loss", type=float, default=0.01, metavar="D", help="Dice that int8 may cost each fold"
    )
    add_workspace_flag(parser)
    return run(_command, parser, argv)


def _command(arguments: argparse.Namespace) -> int:
    from gwunet.exporting import export_model

    done = export_model(
        arguments.dataset,
        arguments.output,
        format=arguments.format,
        configuration=arguments.configuration,
        trainer=trainer_named(arguments.trainer),
        folds=arguments.folds,
        checkpoint=arguments.checkpoint,
        workspace=arguments.workspace,
        frames=arguments.frames,
        provider=arguments.provider,
        int8=arguments.int8,
        max_dice_loss=arguments.max_dice_loss,
    )
    for fold in done.quantised:
        print(
            f"fold {fold.fold}: Dice {fold.dice:.4f} in int8, {fold.float_dice:.4f} in float32, on {fold.n_frames} "
            f"validation frames; left in float32: {', '.join(fold.left_in_float) or 'nothing more than usual'}"
        )
    if done.difference is not None:
        print(
            f"probabilities differ from torch's by at most {done.difference:.2g} on {len(done.compared)} frames "
            f"({', '.join(done.compared)})"
        )
    print(f"{done.path}: fold {', '.join(done.folds)}, {done.n_bytes / 1e6:.1f} MB")
    return 0
