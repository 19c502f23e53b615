"""``gw_evaluate``: score predicted masks against reference masks."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gwunet.cli.command import make_parser, run
from gwunet.errors import UsageError

if TYPE_CHECKING:
    from gwunet.evaluation import Scores, Summary

WORST_SHOWN = 3
TWO_DECIMALS = ("hd95_px", "breaks", "false_pieces", "tip_error_px")  # the others, rates, have four


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = make_parser("Score predicted masks against reference masks, frame by frame and pooled.")
    parser.add_argument(
        "-r", dest="reference", type=Path, required=True, metavar="REFERENCE", help="folder of reference masks"
    )
    parser.add_argument(
        "-p", dest="prediction", type=Path, required=True, metavar="PREDICTION", help="folder of predicted masks"
    )
    parser.add_argument(
        "-o",
        dest="output",
        type=Path,
        metavar="SUMMARY",
        help="JSON file to write, with a CSV of the same name beside it; without it summary.json in PREDICTION",
    )
    parser.add_argument(
        "--allow_missing", action="store_true", help="score the frames that both folders have and name the others"
    )
    return run(_evaluate, parser, argv)


def _evaluate(arguments: argparse.Namespace) -> None:
    output: Path = arguments.output or arguments.prediction / "summary.json"
    if output.suffix != ".json":
        raise UsageError(f"-o {output}: found the ending {output.suffix!r}; wanted the name of a .json file")
    from gwunet.evaluation import evaluate_folder  # heavy, and --help needs none of it

    summary = evaluate_folder(
        arguments.reference, arguments.prediction, output, allow_missing=arguments.allow_missing, progress=True
    )
    print(format_summary(summary))
    print(f"\nwritten: {output} and {output.with_suffix('.csv').name}")


def format_summary(summary: "Summary") -> str:
    """The summary as a table for the screen."""
    intervals = summary.confidence_intervals
    heading = f"{intervals.level:.0%} interval"
    lines = [
        _counted(summary),
        f"{'':14}{'pooled':>9}  {heading:>18}{'mean of frames':>16}  {heading:>18}",
        *(_row(name, summary) for name in _names(summary.pooled)),
        f"intervals: bootstrap over {intervals.n_groups} {intervals.unit}{'s' if intervals.n_groups > 1 else ''}",
        "",
        "as in the paper, %: "
        + "   ".join(f"{name} {'-' if value is None else f'{value:.2f}'}" for name, value in summary.paper.items()),
        *_remarks(summary),
        "",
        "worst frames by Dice:",
    ]
    worst = sorted(summary.frames, key=lambda frame: (frame["dice"], frame["case"]))[:WORST_SHOWN]
    return "\n".join([*lines, *(f"  {_described(frame)}" for frame in worst)])


def _counted(summary: "Summary") -> str:
    parts = [(summary.n_frames, "frame"), (len(summary.sequences), "sequence"), (len(summary.patients), "patient")]
    return ", ".join(f"{n} {name}{'s' if n > 1 else ''}" for n, name in parts if n)


def _names(scores: "Scores") -> Sequence[str]:
    from gwunet.evaluation import METRICS

    return [name for name in METRICS if name not in ("auc", "tip_error_px") or scores.value(name) is not None]


def _row(name: str, summary: "Summary") -> str:
    intervals = summary.confidence_intervals
    cells = (
        f"{name:14}{_number(name, summary.pooled.value(name)):>9}  {_interval(name, intervals.pooled):>18}",
        f"{_number(name, summary.per_frame_mean.value(name)):>16}  {_interval(name, intervals.per_frame_mean):>18}",
    )
    return "".join(cells)


def _number(name: str, value: float | None) -> str:
    return "-" if value is None else f"{value:.{2 if name in TWO_DECIMALS else 4}f}"


def _interval(name: str, limits: Mapping[str, tuple[float, float]]) -> str:
    return "-" if name not in limits else " to ".join(_number(name, limit) for limit in limits[name])


def _remarks(summary: "Summary") -> list[str]:
    """What a reader must know before trusting the table."""
    empty = summary.frames_without_wire
    remarks = {
        "frames without wire, rightly empty (overlap counted as 1)": empty.both_empty,
        "false alarms in frames without wire": empty.reference_empty,
        "frames in which nothing was predicted": empty.prediction_empty,
        "not scored, reference or prediction missing": summary.not_scored,
    }
    return [f"{text}: {len(cases)}" for text, cases in remarks.items() if cases]


def _described(frame: Mapping[str, Any]) -> str:
    rates = ", ".join(f"{name} {frame[name]:.2f}" for name in ("precision", "recall"))
    return f"{frame['dice']:.4f}  {frame['case']}  {rates}, breaks {frame['breaks']:g}"
