"""gw_benchmark: cost, time and memory of every network."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gwunet.cli.command import FAILED, add_device_flag, add_workspace_flag, make_parser, run

if TYPE_CHECKING:
    from gwunet.benchmark import Candidate, Conditions, Report, Result, Timing

CPU_REPEATS, CUDA_REPEATS = 5, 50
FREE_OF_PLANS = ("networks", "channels")
FIXED_BY_TABLE1 = ("networks", "channels", "size", "batch_size", "dataset", "configurations")
FLAGS = {"dataset": "-d", "configurations": "-c"}


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = make_parser(
        "Count parameters and multiply-accumulates of networks, and measure their time and memory: of those in their "
        "papers' arguments, or of the configurations planned for a dataset."
    )
    parser.add_argument(
        "--networks", nargs="+", metavar="NAME", help="FGANet, FGANetTable1 (its paper's cost figure), ...; default all"
    )
    parser.add_argument("-d", dest="dataset", metavar="DATASET", help="measure the plans of a dataset instead")
    parser.add_argument("-c", dest="configurations", nargs="+", metavar="NAME", help="with -d: some of its plans")
    parser.add_argument("--table1", action="store_true", help="the FGA-Net paper's cost columns beside ours")
    parser.add_argument(
        "--size",
        type=int,
        nargs="+",
        metavar="EDGE",
        help="of a frame: one edge, or rows and columns; without it 512, with -d the planned tile",
    )
    parser.add_argument("--batch_size", type=int, metavar="N", help="frames in a batch; without it 1")
    parser.add_argument("--channels", type=int, metavar="N", help="of a frame; without it 1")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32", help="of the network")
    parser.add_argument(
        "--repeats",
        type=int,
        metavar="N",
        help=f"timed runs; without it {CPU_REPEATS} on a CPU, {CUDA_REPEATS} on a GPU",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="of the CPU; without it torch's choice")
    parser.add_argument("--no_training", action="store_true", help="leave the training step out")
    parser.add_argument("--no_timing", action="store_true", help="only count")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="for benchmark.json and benchmark.png (cost against time)"
    )
    add_device_flag(parser)
    add_workspace_flag(parser)
    return run(_command, parser, argv)


def _command(arguments: argparse.Namespace) -> int:
    from gwunet.benchmark import Report, benchmark, table1_candidates

    _refuse_contradictions(arguments)
    conditions = _conditions(arguments)
    candidates = table1_candidates() if arguments.table1 else _candidates(arguments)
    results = []
    width = max(len(candidate.label) for candidate in candidates)
    phases = ("forward", "training")[: 0 if arguments.no_timing else 1 + conditions.training]
    print(_heading(width, phases))
    for result in benchmark(candidates, conditions, timing=not arguments.no_timing):
        results.append(result)
        print(_row(result, width, phases), flush=True)
    report = Report.made_now(conditions, results)
    print(_remark(report))
    if arguments.table1:
        print(f"\n{format_table1(report)}")
    if arguments.output is not None:
        _write(arguments.output, report)
    return FAILED if any(result.failure for result in results) else 0


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    from gwunet.errors import UsageError

    ruled = FIXED_BY_TABLE1 if arguments.table1 else FREE_OF_PLANS if arguments.dataset is not None else ()
    given = [FLAGS.get(name, f"--{name}") for name in ruled if getattr(arguments, name) is not None]
    if given:
        ruler = "--table1" if arguments.table1 else "-d"
        raise UsageError(f"{' and '.join(given)}: settled by {ruler} already; leave one of them out")
    if arguments.configurations is not None and arguments.dataset is None:
        raise UsageError("-c: chooses among the plans of a dataset; name the dataset with -d")
    if arguments.size is not None and len(arguments.size) > 2:
        raise UsageError(f"--size {' '.join(map(str, arguments.size))}: wanted one edge, or rows and columns")


def _conditions(arguments: argparse.Namespace) -> "Conditions":
    from gwunet.benchmark import Conditions
    from gwunet.device import resolve_device

    device = resolve_device(arguments.device)
    default = CUDA_REPEATS if device.type == "cuda" else CPU_REPEATS
    return Conditions(
        device=str(device),
        precision=arguments.precision,
        repeats=default if arguments.repeats is None else arguments.repeats,
        threads=arguments.threads,
        training=not (arguments.no_training or arguments.table1),
    )


def _candidates(arguments: argparse.Namespace) -> "list[Candidate]":
    from gwunet.benchmark import named_candidates, planned_candidates

    size = None if arguments.size is None else (arguments.size[0], arguments.size[-1])
    if arguments.dataset is not None:
        from gwunet.prepared import read_plans
        from gwunet.workspace import Workspace

        plans = read_plans(Workspace.find(arguments.workspace), arguments.dataset)
        return planned_candidates(plans, arguments.configurations, size=size, batch_size=arguments.batch_size)
    return named_candidates(
        arguments.networks,
        size=size or (512, 512),
        channels=1 if arguments.channels is None else arguments.channels,
        batch_size=1 if arguments.batch_size is None else arguments.batch_size,
    )


def _write(folder: Path, report: "Report") -> None:
    from gwunet.benchmark import draw_cost_against_latency
    from gwunet.jsonio import replacing, write_json

    write_json(folder / "benchmark.json", report)
    written = ["benchmark.json"]
    if any(result.forward for result in report.results):
        with replacing(folder / "benchmark.png") as partial:
            draw_cost_against_latency(report, partial)
        written.append("benchmark.png")
    print(f"\nwritten in {folder}: {' and '.join(written)}")


def _heading(width: int, phases: Sequence[str]) -> str:
    counted = f"{'parameters':>11}{'G MAC':>9}{'deform.':>9}"
    forward = f"  {'forward':>22}{'frames/s':>9}{'MiB':>7}" if "forward" in phases else ""
    training = f"  {'training step':>22}{'MiB':>7}" if "training" in phases else ""
    return f"{'':{width}}{counted}{forward}{training}"


def _row(result: "Result", width: int, phases: Sequence[str]) -> str:
    cost = result.cost
    cells = f"{'-':>11}{'-':>9}{'-':>9}"
    if cost is not None:
        cells = f"{cost.parameters / 1e6:>9.2f} M{cost.plain / 1e9:>9.2f}{cost.deformable / 1e9:>9.2f}"
    if "forward" in phases:
        speed = "-" if result.forward is None else f"{result.forward.frames_per_second:.1f}"
        cells += f"  {_time(result.forward):>22}{speed:>9}{_memory(result.forward):>7}"
    if "training" in phases:
        cells += f"  {_time(result.training):>22}{_memory(result.training):>7}"
    failure = "" if result.failure is None else f"\n{'':{width}}  failed: {result.failure}"
    return f"{result.label:{width}}{cells}{failure}"


def _time(timing: "Timing | None") -> str:
    return "-" if timing is None else f"{timing.median_ms:.1f} ({timing.min_ms:.1f} to {timing.max_ms:.1f})"


def _memory(timing: "Timing | None") -> str:
    return "-" if timing is None or timing.peak_memory_mib is None else f"{timing.peak_memory_mib:.0f}"


def _remark(report: "Report") -> str:
    """What a reader must know before trusting the table."""
    lines = ["G MAC: 10^9 multiply-accumulates of a frame, those of deformable convolutions apart"]
    if any(result.forward for result in report.results):
        repeats = report.conditions.repeats
        runs = f"{repeats} run{'s' if repeats > 1 else ''}, {report.conditions.precision}"
        lines.append(f"ms of a batch: median (least to most) of {runs}; {report.machine.name}")
    return "\n".join(lines)


def format_table1(report: "Report") -> str:
    """The FGA-Net paper's cost columns beside ours, for the screen."""
    from gwunet.benchmark import TABLE1

    lines = [
        "10^9 multiply-accumulates at 512x512, 3 channels: the paper's figure, ours counted its way (a transposed",
        "convolution by its output, no deformable ones), and truly; milliseconds of a frame there and here",
        f"{'':16}{'paper':>8}{'its way':>9}{'differ':>9}{'truly':>9}{'deform.':>9}  {'paper':>18}{'here':>9}",
    ]
    for result in report.results:
        paper, cost, forward = TABLE1[result.label], result.cost, result.forward
        giga = "-" if paper.giga is None else f"{paper.giga:.2f}"
        there = f"{paper.ms:g} ({paper.gpu})"
        counted: Sequence[str] = ("-",) * 4
        if cost is not None:
            differ = "-" if paper.giga is None else f"{100 * (cost.paper / 1e9 / paper.giga - 1):+.1f} %"
            counted = (f"{cost.paper / 1e9:.2f}", differ, f"{cost.plain / 1e9:.2f}", f"{cost.deformable / 1e9:.2f}")
        cells = f"{giga:>8}" + "".join(f"{cell:>9}" for cell in counted)
        here = "-" if forward is None else f"{forward.frame_ms:.1f}"
        lines.append(f"{paper.name:16}{cells}  {there:>18}{here:>9}")
    if any(result.forward for result in report.results):
        lines.append(f"here: {report.machine.name}, torch {report.machine.torch}, {report.conditions.precision}")
    return "\n".join(lines)
