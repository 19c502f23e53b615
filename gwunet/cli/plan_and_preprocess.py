"""gw_plan_and_preprocess: verify, measure, plan, preprocess."""

import argparse
import functools
import shutil

from gwunet.cli.command import add_workspace_flag, make_parser, run
from gwunet.cli.decisions import describe_plans
from gwunet.cli.processes import add_processes_flag, processes
from gwunet.cli.progress import bar

PIPED_WIDTH = 120
"""Columns where the output goes to a file or another program."""


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = make_parser("Verify datasets, measure them, decide how to train on them, and preprocess their frames.")
    parser.add_argument("-d", dest="datasets", nargs="+", required=True, metavar="DATASET", help="ids or folder names")
    parser.add_argument(
        "-c",
        dest="configurations",
        nargs="+",
        metavar="NAME",
        help="configurations; without it fganet and linknet",
    )
    parser.add_argument(
        "-pl",
        dest="planner",
        metavar="PLANNER",
        help="plan with this planner: its name, or module:Class for one of yours; its configuration alone is planned",
    )
    parser.add_argument("--target_device", default="auto", help="auto (this machine), cpu or cuda")
    parser.add_argument(
        "--memory_gb",
        type=float,
        metavar="GIB",
        help="all that training may take, on a GPU half a GiB for CUDA among it; without it 90 %% of the GPU's, or "
        "half of the machine's (or of a container's limit)",
    )
    parser.add_argument(
        "--realtime",
        type=float,
        metavar="FPS",
        help="plan fganet_realtime as well, as large as keeps so many frames per second on this machine: measured, so "
        "plan while nothing else runs",
    )
    add_processes_flag(parser)
    parser.add_argument(
        "--split_by",
        choices=("patient", "site"),
        default="patient",
        help="what folds keep together; site: a fold for each hospital or device, which leaves it out",
    )
    parser.add_argument(
        "--clean",
        action="store_true",
        help="make everything anew, folds and plans too; what there is stays until it can be replaced",
    )
    parser.add_argument("--no_preprocess", action="store_true", help="stop after planning")
    add_workspace_flag(parser)
    return run(_command, parser, argv)


def _command(arguments: argparse.Namespace) -> int:
    from gwunet.planning import check_rate, check_target, plan_dataset, target_machine
    from gwunet.workspace import Workspace

    workspace = Workspace.find(arguments.workspace)
    at_a_time = processes(arguments)
    check_target(arguments.target_device, arguments.memory_gb)  # the machine is looked at while frames are read
    check_rate(arguments.realtime, arguments.target_device)
    target = functools.partial(target_machine, arguments.target_device, arguments.memory_gb)
    for dataset in arguments.datasets:
        plans = plan_dataset(
            dataset,
            workspace=workspace,
            configurations=arguments.configurations,
            planner=arguments.planner,
            target=target,
            processes=at_a_time,
            clean=arguments.clean,
            preprocess=not arguments.no_preprocess,
            realtime_fps=arguments.realtime,
            split_by=arguments.split_by,
            progress=bar,
        )
        print("\n".join(describe_plans(plans, shutil.get_terminal_size((PIPED_WIDTH, 24)).columns)))
        if not arguments.no_preprocess:
            print(f"{plans.dataset}: preprocessed; next: gw_train {plans.dataset} 0")
    return 0
