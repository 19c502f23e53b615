"""gw_find_best_configuration: cross-validate what is trained, compare it, and say what to predict with."""

import argparse
from typing import TYPE_CHECKING

from gwunet.cli.command import add_device_flag, add_workspace_flag, make_parser, run
from gwunet.cli.named_trainer import trainer_named
from gwunet.cli.processes import add_processes_flag, processes
from gwunet.cli.progress import bar

if TYPE_CHECKING:
    from gwunet.best_configuration import BestConfiguration, Candidate

SHOWN = {"cldice": "clDice", "breaks": "breaks"}
"""Of masks as they ship, beside the Dice."""


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = make_parser(
        "Compare all trained configurations and their pairs by cross-validation, choose threshold and postprocessing, "
        "and write the commands to predict with."
    )
    parser.add_argument("dataset", metavar="DATASET", help="id or folder name")
    parser.add_argument(
        "-c",
        dest="configurations",
        nargs="+",
        metavar="NAME",
        help="configurations to compare; without it all that have every fold trained",
    )
    parser.add_argument("-tr", dest="trainer", metavar="TRAINER", help="of this trainer alone; or module:Class")
    parser.add_argument(
        "--folds", nargs="+", type=int, metavar="FOLD", help="judge on these folds alone; without it on all"
    )
    parser.add_argument("--disable_ensembling", action="store_true", help="no pairs of configurations")
    add_processes_flag(parser)
    parser.add_argument(
        "--allow_leaking_splits", action="store_true", help="accept folds that divide a patient or sequence"
    )
    add_device_flag(parser)
    add_workspace_flag(parser)
    return run(_command, parser, argv)


def _command(arguments: argparse.Namespace) -> None:
    from gwunet.best_configuration import COMMANDS, commands, find_best_configuration
    from gwunet.device import keep_freed_memory
    from gwunet.workspace import Workspace

    at_a_time = processes(arguments)
    keep_freed_memory()
    workspace = Workspace.find(arguments.workspace)
    best = find_best_configuration(
        arguments.dataset,
        configurations=arguments.configurations,
        trainer=trainer_named(arguments.trainer),
        folds=arguments.folds,
        ensembles=not arguments.disable_ensembling,
        workspace=workspace,
        device=arguments.device,
        processes=at_a_time,
        allow_leaking_splits=arguments.allow_leaking_splits,
        progress=bar,
    )
    print("\n".join(describe(best)))
    print("\nto predict:")
    print("\n".join(f"  {line}" for line in commands(best, workspace)))
    print(f"\nwritten: {workspace.results_dataset(best.dataset) / COMMANDS}, and cross_validation.json of each")


def describe(best: "BestConfiguration") -> list[str]:
    """The comparison as a table, and what a reader must know."""
    width = max(len(candidate.name) for candidate in best.candidates) + 2
    folds = f"{len(best.folds)} fold{'s' if len(best.folds) > 1 else ''} by {best.grouping}"
    lines = [
        f"{best.dataset}: {best.n_frames} out-of-fold frames, {folds}; means over frames",
        f"{'':{width}}{'Dice as planned':>16}{'postprocessed':>15}  {'ships':13}  {'95% interval':>16}"
        f"{'clDice':>8}{'breaks':>8}",
        *(_row(candidate, width) for candidate in best.candidates),
        "postprocessed: settings of each fold chosen on the others; what stands right of it is of masks as they ship",
        *(
            f"{SHOWN[metric]} of {candidate.name}: {candidate.left_out[metric]}"
            for candidate in best.candidates
            for metric in SHOWN
            if metric in candidate.left_out
        ),
        "",
    ]
    for difference in best.differences:
        interval = "" if difference.interval is None else " ({:+.4f} to {:+.4f})".format(*difference.interval)
        lines.append(
            f"{difference.one} less {difference.other}: Dice {difference.difference:+.4f}{interval}, "
            f"{difference.n_groups} {difference.unit}s: {difference.verdict}"
        )
    return [*lines, *(f"note: {note}" for note in best.notes), f"recommended: {best.recommended} ({best.reason})"]


def _row(candidate: "Candidate", width: int) -> str:
    interval = "-" if candidate.interval is None else "{:.4f} to {:.4f}".format(*candidate.interval)
    shipped = candidate.as_planned if candidate.ships == "as planned" else candidate.postprocessed
    breaks = "-" if shipped["breaks"] is None else f"{shipped['breaks']:.2f}"
    return (
        f"{candidate.name:{width}}{candidate.as_planned['dice']:16.4f}{candidate.postprocessed['dice']:15.4f}  "
        f"{candidate.ships:13}  {interval:>16}{shipped['cldice']:8.4f}{breaks:>8}"
    )
