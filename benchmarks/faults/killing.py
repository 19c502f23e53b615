"""The kills themselves, each in a copy of a finished workspace, and the tally of what was wrong after them."""

import collections
import dataclasses
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from faults.jobs import JOBS, Job
from faults.judging import after_kill, content_of, contents_of, damage_of, is_below, unexplained, visible_files
from faults.running import Ended, run
from faults.workspace import make_all

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
DEMO_SECONDS = 2.0
"""gw_demo is killed within so many: it takes minutes."""
STARTING_S = 1.5
"""About what an installed command takes to import everything."""


@dataclasses.dataclass
class Tally:
    """Of one job."""

    kills: int = 0
    too_late: int = 0
    """The command was done before the signal came."""
    later_done: int = 0
    """Later commands that ended with 0; the others refused."""
    temporary: int = 0
    """Hidden files that the kills left."""
    wrong: list[str] = dataclasses.field(default_factory=list)


class Bench:
    """Kills commands in copies of a finished workspace."""

    def __init__(self, folder: Path, whole: Path, *, forks: bool = True) -> None:
        """
        Args:
            folder: where to work.
            whole: the finished workspace, which stays as it is.
            forks: run commands in forks of this process, where not told otherwise; else as installed.
        """
        self.folder = folder
        self.whole = whole
        self.forks = forks
        self.known: dict[str, tuple[dict[str, str], float]] = {}
        """What the unbroken command makes, by job."""

    def run(self, command: str, arguments: Sequence[str], root: Path) -> Ended:
        return run(command, arguments, root, installed=not self.forks)

    def begin(self, job: Job, root: Path) -> dict[str, str]:
        """The workspace as it is before the command; what its files hold."""
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(self.whole, root, copy_function=shutil.copy2)
        for place in job.removed:
            path = root / place
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        return contents_of(root)

    def unbroken(self, name: str, root: Path) -> tuple[dict[str, str], float]:
        """What two unbroken runs write alike, and the seconds that one takes."""
        if name not in self.known:
            job = JOBS[name]
            if job.command == "gw_demo":
                self.known[name] = ({}, DEMO_SECONDS)
                return self.known[name]
            made: list[dict[str, str]] = []
            for _ in range(2):
                self.begin(job, root)
                ended = self.run(job.command, job.arguments, root)
                if ended.status:
                    raise RuntimeError(f"{name}: the unbroken command ended with {ended.status}:\n{ended.said}")
                made.append({place: text for place, text in contents_of(root).items() if is_below(place, job.replaces)})
            alike = {
                place: text if made[1].get(place) == text and not place.endswith(".html") else ""  # pages have the time
                for place, text in made[0].items()
            }
            self.known[name] = (alike, ended.seconds)
            print(f"{name}: {ended.seconds:.1f} s unbroken", file=sys.stderr)
        return self.known[name]

    def kill(self, name: str, root: Path, number: signal.Signals, share: float, installed: bool, tally: Tally) -> None:
        """Kill one command at a share of its time, and look at what is left."""
        job = JOBS[name]
        wanted, seconds = self.unbroken(name, root)
        before = self.begin(job, root)
        installed = installed or not self.forks
        whole_s = seconds + (STARTING_S if installed and self.forks else 0.0)
        ended = run(job.command, job.arguments, root, kill=(number, share * whole_s), installed=installed)
        where = f"{name}, {number.name} after {share * whole_s:.2f} s{', installed' if installed else ''}"

        def note(what: str | None, said: str = "") -> None:
            if what is not None:
                tally.wrong.append(f"{where}: {what}" + (f"\n{said[-1500:]}" if said else ""))

        tally.kills += 1
        tally.too_late += ended.status == 0
        note(after_kill(ended, number, installed), ended.said)
        tally.temporary += sum(1 for path in root.rglob(".partial-*"))
        for path in visible_files(root):
            place = str(path.relative_to(root))
            if is_below(place, job.replaces):
                damage = damage_of(path)
                note(damage and f"{place} is not whole: {damage}")
            elif before.get(place) != content_of(path, root):
                note(f"{place} was changed")
        for place in before.keys() - contents_of(root).keys():
            if not is_below(place, job.replaces):
                note(f"{place} is lost")
        command, *arguments = job.later
        later = self.run(command, arguments, root)
        note(unexplained(later, root), later.said)
        tally.later_done += later.status == 0
        self._again(job, root, wanted, note)

    def _again(self, job: Job, root: Path, wanted: dict[str, str], note: Callable[..., None]) -> None:
        have = contents_of(root)
        if job.command in ("gw_synthesize", "gw_convert", "gw_import") and any(is_below(p, job.replaces) for p in have):
            again = None  # it is there, which the command refuses to overwrite
        else:
            again = self.run(job.command, job.second, root)
            note(None if again.status == job.again_status else f"run again, it ended with {again.status}", again.said)
        if again is not None and "Traceback" in again.said:
            note("a traceback when run again", again.said)
        have = contents_of(root)
        for place, text in wanted.items():
            if place not in have:
                note(f"{place} is missing when run again")
            elif text and have[place] != text:
                note(f"{place} is another one than without a kill")


def work(bench: Bench, plan: Sequence[tuple[str, signal.Signals, float, bool]], number: int, answer: Path) -> None:
    """Do a part of the kills, in a process of its own, and write what was found."""
    tallies: dict[str, Tally] = collections.defaultdict(Tally)
    root = bench.folder / f"worker{number}" / "ws"
    root.parent.mkdir()
    for name, which, share, installed in plan:
        began = time.monotonic()
        try:
            bench.kill(name, root, which, share, installed, tallies[name])
        except Exception:
            tallies[name].wrong.append(f"{name}: {traceback.format_exc()}")
        how = f"{which.name} at {share:.2f}{', installed' if installed else ''}"
        print(f"{name}: {how}, looked at in {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    answer.write_text(json.dumps({name: dataclasses.asdict(tally) for name, tally in tallies.items()}))


def planned_kills(
    names: Sequence[str], kills: int, installed_every: int, chance: random.Random
) -> list[tuple[str, signal.Signals, float, bool]]:
    """Jobs in turn, signals in turn within a job, moments at random."""
    rounds = [(names[k % len(names)], SIGNALS[k // len(names) % len(SIGNALS)]) for k in range(kills)]
    return [
        (name, number, chance.random(), installed_every > 0 and k % installed_every == installed_every - 1)
        for k, (name, number) in enumerate(rounds)
    ]


def kill_all(
    folder: Path, names: Sequence[str], kills: int, *, seed: int, parallel: int, installed_every: int
) -> dict[str, Tally]:
    """Make a workspace in ``folder`` and kill; tallies by job."""
    make_all(folder / "whole")
    bench = Bench(folder, folder / "whole")
    for name in names:
        bench.unbroken(name, folder / "unbroken" / "ws")
    plan = planned_kills(names, kills, installed_every, random.Random(seed))
    answers = [folder / f"answer{number}.json" for number in range(parallel)]
    workers = []
    for number, answer in enumerate(answers):
        process = os.fork()
        if not process:
            work(bench, plan[number::parallel], number, answer)
            os._exit(0)
        workers.append(process)
    for process in workers:
        os.waitpid(process, 0)
    tallies: dict[str, Tally] = {name: Tally() for name in names}
    for answer in answers:
        for name, part in json.loads(answer.read_text()).items():
            for key, value in part.items():
                setattr(tallies[name], key, getattr(tallies[name], key) + value)
    return tallies
