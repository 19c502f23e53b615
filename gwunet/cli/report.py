"""``gw_report``: a dataset, its plan, its training and its results as one HTML page."""

import argparse
from pathlib import Path

from gwunet.cli.command import add_workspace_flag, make_parser, run
from gwunet.errors import UsageError


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = make_parser("Write one self-contained HTML page: frames, plan, training, results, and where they fail.")
    parser.add_argument("dataset", metavar="DATASET", help="id or folder name; planned, trained or not")
    parser.add_argument(
        "-o", dest="output", type=Path, metavar="FILE", help="the page; without it report.html among its results"
    )
    parser.add_argument(
        "-c", dest="configurations", nargs="+", metavar="NAME", help="trained configurations; without it all of them"
    )
    parser.add_argument(
        "-p",
        dest="predictions",
        type=Path,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="folders gw_predict wrote, for speed, and for scores where gw_evaluate was run on them",
    )
    add_workspace_flag(parser)
    return run(_command, parser, argv)


def _command(arguments: argparse.Namespace) -> None:
    output: Path | None = arguments.output
    if output is not None and output.suffix not in (".html", ".htm"):
        raise UsageError(f"-o {output}: found the ending {output.suffix!r}; wanted the name of a .html file")
    missing = [folder for folder in arguments.predictions if not folder.is_dir()]
    if missing:
        raise UsageError(f"-p {missing[0]}: found no such folder; wanted one that gw_predict wrote")
    from gwunet.report import write_report

    written = write_report(
        arguments.dataset,
        output,
        workspace=arguments.workspace,
        configurations=arguments.configurations,
        predictions=dict.fromkeys(arguments.predictions),
    )
    print(f"written: {written}")
