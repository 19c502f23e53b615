"""gw_demo: all of it in minutes on a CPU."""

import argparse
from pathlib import Path

from gwunet.cli.command import make_parser, run
from gwunet.cli.progress import bar


def main(argv: list[str] | None = None) -> int:
    """Entry point."""
    parser = make_parser(
        "Simulate fluoroscopy, plan, train, predict patients never seen, evaluate, and report: about five minutes on "
        "two cores."
    )
    parser.add_argument("-o", dest="output", type=Path, default=Path("gwunet_demo"), metavar="DIR", help="folder")
    parser.add_argument("--minutes", type=float, metavar="M", help="of training; without it 3.5")
    parser.add_argument("--seed", type=int, default=0, help="of simulation and training")
    parser.add_argument("--overwrite", action="store_true", help="run again in a folder that is not empty")
    return run(_command, parser, argv)


def _command(arguments: argparse.Namespace) -> int:
    from gwunet.cli.evaluate import format_summary
    from gwunet.demo import DemoSize, run_demo
    from gwunet.device import keep_freed_memory

    keep_freed_memory()
    size = DemoSize() if arguments.minutes is None else DemoSize(training_minutes=arguments.minutes)
    result = run_demo(arguments.output, size=size, seed=arguments.seed, overwrite=arguments.overwrite, progress=bar)
    print(f"\npatients never seen in training:\n{format_summary(result.summary)}\n")
    for step, seconds in result.seconds.items():
        print(f"  {step:<30} {seconds:7.1f} s")
    print(f"  {'all':<30} {sum(result.seconds.values()):7.1f} s")
    print(f"\nopen {result.report} in a browser: frames, plan, training, results, and where they fail")
    print(f"look at {result.sheet} (green found, orange false, blue missed), and at {arguments.output}/overlays")
    return 0
