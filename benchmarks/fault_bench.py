"""Every command killed at random moments, and what a user would run next: is anything half written taken for whole?

    python benchmarks/fault_bench.py [--kills 200] [--seed 0] [--parallel 2] [--jobs train predict ...]

In a temporary folder, on simulated frames of 64 px and a network of a few thousand weights. SIGKILL, SIGTERM and SIGINT
in turn, at moments uniform over the time that the unbroken command takes. After each kill:

- every file with a final name is whole (parsed by a reader of its kind), and what stood there before and is not the
  command's to write stands there unchanged;
- a later command that reads the results ends with status 0, or with 1 or 2 and a message that names a file or the
  command to run;
- the command run again ends with status 0 and leaves every file that two unbroken runs write alike, alike, and weights
  to the bit;
- no process prints a traceback, and after SIGINT the last line is one message and the status 130.

Most commands run in forks of a process that has imported everything; one kill in ``--installed_every`` is of the
installed command, imports and all. There one thing is not the program's: a signal while Python itself starts.
"""

import argparse
import os
import resource
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faults.jobs import JOBS
from faults.killing import Tally, kill_all


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--parallel", type=int, default=2, help="kills at a time")
    parser.add_argument("--installed_every", type=int, default=6, metavar="N", help="0 for never")
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS), help="those to kill")
    arguments = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it, and all it starts
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tallies = kill_all(
            Path(folder),
            arguments.jobs,
            arguments.kills,
            seed=arguments.seed,
            parallel=arguments.parallel,
            installed_every=arguments.installed_every,
        )
    print(table(tallies))
    cpu_s = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"\n{time.monotonic() - began:.0f} seconds, {cpu_s:.0f} of a core")
    problems = [problem for tally in tallies.values() for problem in tally.wrong]
    print("\n".join(problems))
    if problems:
        raise SystemExit(1)


def table(tallies: dict[str, Tally]) -> str:
    """Rows by job, and a sum."""
    rows = [("killed", "kills", "done before the signal", "later command done / refused", "temporary files", "wrong")]
    total: list[Any] = ["all", 0, 0, 0, 0, 0, 0]
    for name, tally in tallies.items():
        numbers = [
            tally.kills,
            tally.too_late,
            tally.later_done,
            tally.kills - tally.later_done,
            tally.temporary,
            len(tally.wrong),
        ]
        total = ["all", *(before + number for before, number in zip(total[1:], numbers, strict=True))]
        rows.append(_row(name, numbers))
    rows.append(_row("all", total[1:]))
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def _row(name: str, numbers: Sequence[int]) -> tuple[str, ...]:
    kills, late, done, refused, temporary, wrong = map(str, numbers)
    return name, kills, late, f"{done} / {refused}", temporary, wrong


if __name__ == "__main__":
    # One thread: forks must not inherit others, and sums keep their order.
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    torch.set_num_threads(1)
    main()
