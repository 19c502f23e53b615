"""gw_train: train and validate folds."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gwunet.cli.command import add_device_flag, add_workspace_flag, make_parser, run
from gwunet.cli.progress import bar

if TYPE_CHECKING:
    from gwunet.evaluation import Summary


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = make_parser("Train folds of a planned dataset, each validated on its own frames at the end.")
    parser.add_argument("dataset", metavar="DATASET", help="id or folder name")
    parser.add_argument(
        "folds", metavar="FOLD", nargs="+", help="0 to 4 (fewer where the data make fewer), several of them, or all"
    )
    parser.add_argument("-c", dest="configuration", default="fganet", metavar="NAME", help="a planned configuration")
    parser.add_argument(
        "-tr", dest="trainer", metavar="TRAINER", help="in place of the plan's: a name, or module:Class"
    )
    parser.add_argument("--continue", dest="resume", action="store_true", help="go on from the latest checkpoint")
    parser.add_argument("--overwrite", action="store_true", help="train anew where a fold has been trained")
    parser.add_argument("--val", dest="validate_only", action="store_true", help="only validate the final checkpoint")
    parser.add_argument("--epochs", type=int, metavar="N", help="in place of the plan's")
    parser.add_argument("--iterations", type=int, metavar="N", help="training steps in an epoch")
    parser.add_argument("--minutes", type=float, metavar="M", help="as many iterations as fit, measured at the start")
    parser.add_argument("--batch_size", type=int, metavar="N", help="in place of the plan's")
    parser.add_argument("--lr", type=float, metavar="RATE", help="learning rate in place of the plan's")
    parser.add_argument("--seed", type=int, default=0, help="of weights, patches and augmentation")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto", help="of the network")
    parser.add_argument("--compile", action="store_true", help="torch.compile the network")
    parser.add_argument("--accumulate", type=int, default=1, metavar="N", help="parts a batch is computed in")
    parser.add_argument("--ema", type=float, metavar="DECAY", help="keep an average of the weights; 0.999 is usual")
    parser.add_argument(
        "--patience", type=int, metavar="N", help="stop after N epochs without gain on training groups set aside"
    )
    parser.add_argument("--deterministic", action="store_true", help="same result on a GPU in every run; slower")
    parser.add_argument("--tensorboard", action="store_true", help="write events for TensorBoard beside the log")
    parser.add_argument("--num_gpus", type=int, default=1, metavar="N", help="train on so many devices of this machine")
    parser.add_argument(
        "--pretrained_weights",
        type=Path,
        metavar="FILE",
        help="start from a checkpoint of another run, or a ResNet encoder from torchvision's ImageNet weights",
    )
    parser.add_argument(
        "--allow_leaking_splits", action="store_true", help="accept folds that divide a patient or sequence"
    )
    add_device_flag(parser)
    add_workspace_flag(parser)
    return run(_command, parser, argv)


def _command(arguments: argparse.Namespace) -> int:
    from gwunet.cli.launch import launch
    from gwunet.device import keep_freed_memory, resolve_device
    from gwunet.errors import UsageError
    from gwunet.training import TrainableModel, TrainConfig
    from gwunet.world import joined

    options = TrainConfig(
        epochs=arguments.epochs,
        iterations=arguments.iterations,
        minutes=arguments.minutes,
        batch_size=arguments.batch_size,
        learning_rate=arguments.lr,
        seed=arguments.seed,
        device=arguments.device,
        precision=arguments.precision,
        compile=arguments.compile,
        accumulate=arguments.accumulate,
        ema=arguments.ema,
        patience=arguments.patience,
        deterministic=arguments.deterministic,
        tensorboard=arguments.tensorboard,
        pretrained_weights=arguments.pretrained_weights,
    )
    model = TrainableModel.open(
        arguments.dataset,
        configuration=arguments.configuration,
        trainer=arguments.trainer,
        workspace=arguments.workspace,
        allow_leaking_splits=arguments.allow_leaking_splits,
    )
    twice = sorted({fold for fold in arguments.folds if arguments.folds.count(fold) > 1})
    if twice:
        raise UsageError(f"fold {twice[0]}: found it named twice; wanted each fold once")
    for fold in arguments.folds:
        model.fold(fold)
    # Of several folds some may not have begun when training was broken off.
    begun = [fold for fold in arguments.folds if arguments.resume and model.has_begun(fold)]
    choices = {
        fold: {
            "options": options,
            "resume": arguments.resume and (fold in begun or not begun),
            "overwrite": arguments.overwrite,
            "validate_only": arguments.validate_only,
        }
        for fold in arguments.folds
    }
    for fold, chosen in choices.items():  # before hours are spent on those before it
        model.check(fold, **chosen)
    if arguments.num_gpus != 1:
        return launch(arguments.num_gpus, arguments.device)
    keep_freed_memory()
    with joined(resolve_device(arguments.device).type):
        for fold, chosen in choices.items():
            _tell(fold, model.train(fold, **chosen, progress=bar))
    return 0


def _tell(fold: str, summary: "Summary | None") -> None:
    from gwunet.world import World

    if not World.from_environment().is_writer:
        return
    if summary is None:
        print(f"fold {fold}: trained on every frame, none left to validate")
        return
    pooled = summary.pooled
    print(
        f"fold {fold}: {summary.n_frames} validation frames, pooled Dice {pooled.dice:.3f}, "
        f"precision {pooled.precision:.3f}, recall {pooled.recall:.3f}, clDice {pooled.cldice:.3f}"
    )
