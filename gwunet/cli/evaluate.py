"""``gw_evaluate``: score predicted masks against reference masks."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gwunet.cli.command import make_parser, run
from gwunet.cli.evaluation_text import format_comparison, format_summary
from gwunet.cli.processes import add_processes_flag, processes
from gwunet.cli.progress import bar
from gwunet.errors import UsageError
from gwunet.trained import SUMMARY

if TYPE_CHECKING:
    from gwunet.evaluation import Summary

__all__ = ["format_summary", "main"]


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = make_parser("Score predicted masks against reference masks: frame by frame, by patient and pooled.")
    parser.add_argument(
        "-r", dest="reference", type=Path, required=True, metavar="REFERENCE", help="folder of reference masks"
    )
    parser.add_argument(
        "-p",
        dest="predictions",
        type=Path,
        nargs="+",
        required=True,
        metavar="PREDICTION",
        help="folder of predicted masks; of several, each is scored and compared with the first",
    )
    parser.add_argument(
        "-o",
        dest="output",
        type=Path,
        metavar="FILE",
        help="JSON file to write the scores to, tables beside it as CSV; without it summary.json in PREDICTION. Of "
        "several predictions the comparison's file, which is only written if asked for",
    )
    parser.add_argument(
        "--wires",
        choices=("auto", "masks", "none"),
        default="auto",
        help="judge where wires run: where centrelines.json gives the true ones (auto); otherwise located in the "
        "reference masks (masks); not at all (none)",
    )
    parser.add_argument(
        "--allow_missing", action="store_true", help="score the frames that both folders have and name the others"
    )
    add_processes_flag(parser)
    return run(_evaluate, parser, argv)


def _evaluate(arguments: argparse.Namespace) -> None:
    output, predictions = arguments.output, arguments.predictions
    if output is not None and output.suffix != ".json":
        raise UsageError(f"-o {output}: found the ending {output.suffix!r}; wanted the name of a .json file")
    if len(predictions) == 1:
        output = output or predictions[0] / SUMMARY
        print(format_summary(_scored(arguments, predictions[0], output)))
        print(f"\nwritten: {output} and {output.with_suffix('.csv').name}")
        return
    _compare(arguments, _named(predictions))


def _compare(arguments: argparse.Namespace, predictions: dict[str, Path]) -> None:
    from gwunet.evaluation.comparison import compare
    from gwunet.evaluation.tables import check_tables
    from gwunet.jsonio import write_json

    for folder in predictions.values():
        check_tables(folder / SUMMARY)
    summaries = {name: _scored(arguments, folder, folder / SUMMARY) for name, folder in predictions.items()}
    comparison = compare(summaries)
    print(format_comparison(comparison))
    print(f"\nwritten: {SUMMARY} and tables in each folder")
    if arguments.output is not None:
        write_json(arguments.output, comparison)
        print(f"written: {arguments.output}")


def _scored(arguments: argparse.Namespace, prediction: Path, output: Path) -> "Summary":
    from gwunet.evaluation import evaluate_folder  # heavy, and --help needs none of it

    return evaluate_folder(
        arguments.reference,
        prediction,
        output,
        wires=arguments.wires,
        allow_missing=arguments.allow_missing,
        processes=processes(arguments),
        progress=bar,
    )


def _named(predictions: list[Path]) -> dict[str, Path]:
    """Folders by the shortest ends of their paths that tell them apart."""
    resolved = [folder.resolve() for folder in predictions]
    if len(set(resolved)) < len(resolved):
        raise UsageError("-p: found the same folder twice; give each prediction once")
    depth = 1
    while len({folder.parts[-depth:] for folder in resolved}) < len(resolved):
        depth += 1
    return dict(zip(("/".join(folder.parts[-depth:]) for folder in resolved), predictions, strict=True))
