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
import collections
import csv
import dataclasses
import functools
import hashlib
import importlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import sysconfig
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

DATASET = "Dataset901_Faults"
MODULES = {
    "gw_synthesize": "synthesize",
    "gw_plan_and_preprocess": "plan_and_preprocess",
    "gw_train": "train",
    "gw_predict": "predict",
    "gw_evaluate": "evaluate",
    "gw_find_best_configuration": "find_best_configuration",
    "gw_ensemble": "ensemble",
    "gw_convert": "convert",
    "gw_export": "export",
    "gw_import": "import_model",
    "gw_report": "report",
    "gw_explain": "explain",
    "gw_benchmark": "benchmark",
    "gw_demo": "demo",
}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SECONDS = 300
"""Longer than any command here takes: one that hangs is an error."""
DEMO_SECONDS = 2.0
"""gw_demo is killed within so many: it takes minutes."""
QUICK = ["--epochs", "2", "--iterations", "2", "--device", "cpu"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A command to kill; ``{}`` in its arguments stands for the workspace."""

    command: str
    arguments: Sequence[str]
    again: Sequence[str] | None = None
    """What a user gives the second time, where that is not the same."""
    later: Sequence[str]
    """A command, with its arguments, that reads what this one writes."""
    removed: Sequence[str] = ()
    """Of the finished workspace, what this command has not made yet."""
    replaces: Sequence[str] = ()
    """Where it may write; everything else stays as it is."""
    again_status: int = 0

    @property
    def second(self) -> Sequence[str]:
        return self.arguments if self.again is None else self.again


RAW, PREPARED, RESULTS = f"raw/{DATASET}", f"preprocessed/{DATASET}", f"results/{DATASET}"
MODEL = f"{RESULTS}/fganet__FGANetTrainer"
W = ("--workspace", "{}")
PREDICT = ("-i", "{}/" + RAW + "/imagesTs", "-d", "901", "--device", "cpu", "--overlay", "--save_probabilities", *W)
PREDICTED = ("gw_predict", *PREDICT, "-o", "{}/again", "--continue")
EVALUATED = ("-r", "{}/" + RAW + "/labelsTs", "-p", "{}/A", "-np", "1")
SYNTHESIZED = ("Dataset905_Made", "--patients", "2", "--sequences", "1", "--frames", "2", "--size", "64", *W)
JOBS = {
    "synthesize": Job(
        command="gw_synthesize",
        arguments=SYNTHESIZED,
        later=("gw_plan_and_preprocess", "-d", "905", "-c", "fganet", "--target_device", "cpu", "-np", "1", *W),
        replaces=["raw/Dataset905_Made"],
    ),
    "plan": Job(
        command="gw_plan_and_preprocess",
        arguments=("-d", "901", "-c", "fganet", "--target_device", "cpu", "-np", "1", *W),
        later=("gw_train", "901", "1", "--continue", "--overwrite", *QUICK, *W),
        removed=[PREPARED],
        replaces=[PREPARED],
    ),
    "train": Job(
        command="gw_train",
        arguments=("901", "0", *QUICK, *W),
        again=("901", "0", "--continue", *QUICK, *W),
        later=PREDICTED,
        removed=[f"{MODEL}/fold_0"],
        replaces=[MODEL + "/fold_0", MODEL + "/plans.json", MODEL + "/dataset.json"],
    ),
    "train again": Job(
        command="gw_train",
        arguments=("901", "0", "--overwrite", *QUICK, *W),
        again=("901", "0", "--continue", *QUICK, *W),
        later=PREDICTED,
        replaces=[MODEL + "/fold_0", MODEL + "/plans.json", MODEL + "/dataset.json"],
    ),
    "predict": Job(
        command="gw_predict",
        arguments=(*PREDICT, "-o", "{}/A", "--continue"),
        later=("gw_evaluate", *EVALUATED),
        removed=["A"],
        replaces=["A"],
    ),
    "track": Job(
        command="gw_predict",
        arguments=(*PREDICT, "-o", "{}/A", "--track"),
        later=("gw_evaluate", *EVALUATED),
        replaces=["A"],
    ),
    "evaluate": Job(
        command="gw_evaluate",
        arguments=EVALUATED,
        later=("gw_report", "901", "-p", "{}/A", "-o", "{}/page.html", *W),
        replaces=["A/summary.json", "A/summary.csv", "A/summary_patients.csv", "A/summary_wires.csv"],
    ),
    "find best": Job(
        command="gw_find_best_configuration",
        arguments=("901", "-np", "1", "--device", "cpu", *W),
        later=PREDICTED,
        removed=[MODEL + "/cross_validation.json", MODEL + "/postprocessing.json"],
        replaces=[RESULTS],
    ),
    "ensemble": Job(
        command="gw_ensemble",
        arguments=("-i", "{}/A", "{}/B", "-o", "{}/E", "--save_probabilities"),
        later=("gw_evaluate", "-r", "{}/" + RAW + "/labelsTs", "-p", "{}/E", "-np", "1"),
        removed=["E"],
        replaces=["E"],
    ),
    "convert masks": Job(
        command="gw_convert",
        arguments=("masks", "{}/" + RAW + "/imagesTr", "Dataset906_M", "--masks", "{}/" + RAW + "/labelsTr", *W),
        later=("gw_plan_and_preprocess", "-d", "906", "-c", "fganet", "--target_device", "cpu", "-np", "1", *W),
        replaces=["raw/Dataset906_M"],
    ),
    "convert dicom": Job(
        command="gw_convert",
        arguments=("dicom", "{}/hospital", "Dataset907_D", *W),
        later=("gw_predict", "-i", "{}/raw/Dataset907_D/imagesTs", "-o", "{}/again", "-d", "901", *W),
        replaces=["raw/Dataset907_D"],
    ),
    "export zip": Job(
        command="gw_export",
        arguments=("901", "-o", "{}/model.zip", "--format", "zip", *W),
        later=("gw_import", "{}/model.zip", "--name", "Dataset908_Given", *W),
        removed=["model.zip"],
        replaces=["model.zip"],
    ),
    "export onnx": Job(
        command="gw_export",
        arguments=("901", "-o", "{}/model.onnx", *W),
        later=("gw_predict", "-i", "{}/" + RAW + "/imagesTs", "-o", "{}/again", "-m", "{}/model.onnx"),
        removed=["model.onnx"],
        replaces=["model.onnx"],
    ),
    "import": Job(
        command="gw_import",
        arguments=("{}/given.zip", "--name", "Dataset909_Given", *W),
        later=("gw_predict", "-i", "{}/" + RAW + "/imagesTs", "-o", "{}/again", "-d", "909", "--device", "cpu", *W),
        replaces=["results/Dataset909_Given"],
    ),
    "report": Job(
        command="gw_report",
        arguments=("901", "-p", "{}/A", "-o", "{}/page.html", *W),
        later=PREDICTED,
        replaces=["page.html"],
    ),
    "explain": Job(
        command="gw_explain",
        arguments=("901", "-n", "1", "--device", "cpu", "-o", "{}/explained", *W),
        later=("gw_report", "901", "-o", "{}/page.html", *W),
        replaces=["explained"],
    ),
    "benchmark": Job(
        command="gw_benchmark",
        arguments=("-d", "901", "--no_timing", "-o", "{}/measured", *W),
        later=PREDICTED,
        replaces=["measured"],
    ),
    "demo": Job(
        command="gw_demo",
        arguments=("-o", "{}/demo", "--minutes", "0.1"),
        later=(
            "gw_predict",
            "-i",
            "{}/" + RAW + "/imagesTs",
            "-d",
            "900",
            "-o",
            "{}/again",
            "--workspace",
            "{}/demo/workspace",
        ),
        again=("-o", "{}/demo", "--minutes", "-1", "--overwrite"),
        replaces=["demo"],
        again_status=2,
    ),
}


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    """Minus the signal's number, where that ended it."""
    said: str
    """Standard output and error."""
    seconds: float


def filled(arguments: Sequence[str], root: Path) -> list[str]:
    return [argument.replace("{}", str(root)) for argument in arguments]


def command_in_fork(command: str, arguments: Sequence[str], log: Path, ready: int) -> int:
    """Run a command in a fork; its process id. A byte comes through ``ready`` when the command itself begins."""
    process = os.fork()
    if process:
        return process
    status = 70
    try:
        os.setpgid(0, 0)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
            signal.signal(number, handler)
        sys.argv[0] = command  # by which it calls itself
        main: Callable[[list[str]], int] = importlib.import_module(f"gwunet.cli.{MODULES[command]}").main
        os.write(ready, b"x")
        status = main(list(arguments))
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except KeyboardInterrupt:  # before main answers it; ``gwunet.cli`` does, as it would at the end of a process
        sys.excepthook(*sys.exc_info())
        status = 130
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def run(
    command: str,
    arguments: Sequence[str],
    root: Path,
    *,
    kill: tuple[signal.Signals, float] | None = None,
    installed: bool = False,
) -> Ended:
    """Run a command to its end, or until ``kill`` seconds have gone.

    Raises:
        TimeoutError: it hangs.
    """
    arguments = filled(arguments, root)
    log = root.with_suffix(".log")
    if installed:
        with log.open("wb") as said:
            script = str(Path(sysconfig.get_path("scripts")) / command)
            to_log = [(os.POSIX_SPAWN_DUP2, said.fileno(), stream) for stream in (1, 2)]
            process = os.posix_spawn(script, [script, *arguments], os.environ, file_actions=to_log, setpgroup=0)
    else:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or the fork prints it again
        reading, writing = os.pipe()
        process = command_in_fork(command, arguments, log, writing)
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
    began = time.monotonic()
    number, at = kill or (signal.SIGKILL, float(SECONDS))
    status = waited(process, at)
    if status is None:
        os.killpg(process, number)
        status = waited(process, SECONDS)
    if status is None or (kill is None and status == -signal.SIGKILL):
        raise TimeoutError(f"{command} {' '.join(arguments)}: still runs after {SECONDS} s, or was killed for memory")
    return Ended(status, log.read_text(errors="replace"), time.monotonic() - began)


def waited(process: int, seconds: float) -> int | None:
    """The status of a process that ends within so many seconds."""
    end = time.monotonic() + seconds
    while True:
        done, code = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(code)
        if time.monotonic() >= end:
            return None
        time.sleep(min(0.002, max(0.0, end - time.monotonic())))


def make_workspace(root: Path, *, folds: int = 4) -> None:
    """A finished workspace: dataset, plan of a very small network, folds, predictions, evaluation, exported models.

    Args:
        root: the workspace to make; predictions ``A`` and ``B``, ``model.zip`` and so on lie in it as well.
        folds: how many are trained; with four, which are all, a best configuration is chosen too.
    """
    run_all = functools.partial(run_here, root)
    run_all(
        "gw_synthesize",
        DATASET,
        "--patients",
        "5",
        "--test_patients",
        "1",
        "--sequences",
        "1",
        "--frames",
        "2",
        "--size",
        "64",
        *W,
    )
    run_all("gw_plan_and_preprocess", "-d", "901", "-c", "fganet", "--target_device", "cpu", "-np", "1", *W)
    make_smaller(root / PREPARED / "plans.json")
    run_all("gw_train", "901", *map(str, range(folds)), *QUICK, *W)
    if folds == 4:
        run_all("gw_find_best_configuration", "901", "-np", "1", "--device", "cpu", *W)
    for name in ("A", "B"):
        run_all("gw_predict", *PREDICT, "-o", f"{{}}/{name}")
    run_all("gw_evaluate", *EVALUATED)
    run_all("gw_export", "901", "-o", "{}/model.zip", "--format", "zip", *W)
    shutil.copy(root / "model.zip", root / "given.zip")


def run_here(root: Path, command: str, *arguments: str) -> None:
    """Run a command in this process."""
    status = importlib.import_module(f"gwunet.cli.{MODULES[command]}").main(filled(arguments, root))
    if status:
        raise RuntimeError(f"{command} {' '.join(arguments)}: status {status}")


def make_smaller(plans: Path) -> None:
    """Edit a plan as a person may: a network that trains in a moment."""
    content = json.loads(plans.read_text())
    planned = content["configurations"]["fganet"]
    planned["network"]["arguments"] |= {"features": [2, 2, 4], "decoder_features": [2, 2]}
    planned |= {"deep_supervision_weights": [0.5, 0.3, 0.2], "patch_size": [32, 32], "batch_size": 2}
    planned["duration"] |= {"epochs": 2, "iterations_per_epoch": 2, "minutes": None}
    planned["inference"] |= {"tile_size": [64, 64], "mirror": False}
    plans.write_text(json.dumps(content))


def write_dicom(folder: Path, frames: int = 6) -> None:
    """Runs of XA, written by SimpleITK."""
    import numpy as np
    import SimpleITK

    folder.mkdir()
    for number in range(frames):
        pixels = np.random.default_rng(number).integers(0, 256, (2, 64, 64), dtype=np.uint16)
        image = SimpleITK.GetImageFromArray(pixels)
        for tag, value in {"0008|0060": "XA", "0010|0020": f"P{number}", "0028|0301": "NO"}.items():
            image.SetMetaData(tag, value)
        SimpleITK.WriteImage(image, str(folder / f"{number}.dcm"))


def visible_files(root: Path) -> Iterator[Path]:
    """Files with final names, in folders with such."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path


def damage_of(path: Path) -> str | None:
    """Why a file is not whole, by a reader of its kind; None where it is."""
    try:
        WHOLE.get(path.suffix, lambda _: None)(path)
    except Exception as problem:  # whatever the reader has
        return f"{type(problem).__name__}: {problem}"
    return None


def read_lines(path: Path) -> None:
    for line in path.read_text().splitlines():
        json.loads(line)


def read_picture(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()


def read_weights(path: Path) -> None:
    from gwunet.checkpoint import load_checkpoint

    load_checkpoint(path)


def read_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
        if broken is not None:
            raise ValueError(broken)


def read_onnx(path: Path) -> None:
    import onnx

    onnx.checker.check_model(onnx.load(str(path)))


def read_page(path: Path) -> None:
    if not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("no end")


def read_table(path: Path) -> None:
    text = path.read_text()
    rows = list(csv.reader(text.splitlines()))
    if not text.endswith("\n") or len({len(row) for row in rows}) != 1:
        raise ValueError("rows of different lengths, or no end")


WHOLE: dict[str, Callable[[Path], None]] = {
    ".json": lambda path: json.loads(path.read_text()),
    ".jsonl": read_lines,
    ".png": read_picture,
    ".npz": read_zip,
    ".pt": read_weights,
    ".zip": read_zip,
    ".onnx": read_onnx,
    ".html": read_page,
    ".csv": read_table,
}


def content_of(path: Path, root: Path) -> str:
    """A digest of what a file says: of a checkpoint the weights, of others the bytes but for the workspace's place."""
    if path.suffix != ".pt":
        return hashlib.sha256(path.read_bytes().replace(str(root).encode(), b"")).hexdigest()
    from gwunet.checkpoint import load_checkpoint

    weights = load_checkpoint(path).weights
    return hashlib.sha256(b"".join(value.numpy().tobytes() for _, value in sorted(weights.items()))).hexdigest()


def contents_of(root: Path) -> dict[str, str]:
    """By place."""
    return {str(path.relative_to(root)): content_of(path, root) for path in visible_files(root)}


def is_below(place: str, folders: Sequence[str]) -> bool:
    return any(place == folder or place.startswith(f"{folder}/") for folder in folders)


def unexplained(ended: Ended, root: Path) -> str | None:
    """What is wrong with the way a command ended that was not killed."""
    if "Traceback" in ended.said:
        return "a traceback"
    if ended.status in (1, 2):
        last = ended.said.replace("\r", "\n").rstrip()
        return None if str(root) in last or "gw_" in last else "a failure that names no file"
    return None if ended.status == 0 else f"status {ended.status}"


def after_kill(ended: Ended, number: signal.Signals, installed: bool) -> str | None:
    """What is wrong with the way a killed command ended."""
    shown = ended.said.replace("\r", "\n")
    if "Traceback" in shown or "Exception ignored" in shown:
        # Before the first line of gwunet.cli has run, Python answers by itself.
        early = installed and "gwunet/cli" not in shown
        return None if early or "init_import_site" in shown else "a traceback"
    if ended.status not in (0, 1, -number, 128 + number):
        return f"status {ended.status} after {number.name}"
    if number == signal.SIGINT and ended.status == 130 and not shown.rstrip().splitlines()[-1].startswith("gw_"):
        return "no line after SIGINT"
    return None


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


def make_all(root: Path) -> None:
    """A finished workspace with what all jobs need."""
    make_workspace(root)
    write_dicom(root / "hospital")
    (root / "grouping.key").write_bytes(bytes(range(32)))
    (root / "grouping.key").chmod(0o600)
    run_here(root, "gw_export", "901", "-o", "{}/model.onnx", *W)


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


STARTING_S = 1.5
"""About what an installed command takes to import everything."""


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
