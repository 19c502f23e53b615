"""Files cut short, removed or unwritable under a command, kills, and two commands at once: named, nothing lost."""

import contextlib
import importlib
import io
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faults.jobs import JOBS
from faults.judging import after_kill, contents_of, damage_of, unexplained, visible_files
from faults.killing import Bench, Tally
from faults.running import Ended

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fault_bench.py"
DATASET = "Dataset901_Faults"
RAW, PREPARED = f"raw/{DATASET}", f"preprocessed/{DATASET}"
MODEL = f"results/{DATASET}/fganet__FGANetTrainer"
FOLD = f"{MODEL}/fold_0"
W = ("--workspace", "{}")
PLAN = ("plan_and_preprocess", "-d", "901", "-c", "fganet", "--target_device", "cpu", "-np", "1", *W)
TRAIN = ("train", "901", "0", "--overwrite", "--epochs", "1", "--iterations", "1", "--device", "cpu", *W)
CONTINUE = ("train", "901", "0", "--continue", "--epochs", "1", "--iterations", "1", "--device", "cpu", *W)
PREDICT = ("predict", "-i", "{}/" + RAW + "/imagesTs", "-o", "{}/out", "-d", "901", "--device", "cpu", *W)
EVALUATE = ("evaluate", "-r", "{}/" + RAW + "/labelsTs", "-p", "{}/A", "-np", "1")
ENSEMBLE = ("ensemble", "-i", "{}/A", "{}/B", "-o", "{}/E")
IMPORT = ("import_model", "{}/model.zip", "--name", "Dataset902_Given", *W)
REPORT = ("report", "901", "-p", "{}/A", "-o", "{}/page.html", *W)
EXPORT = ("export", "901", "--format", "zip", "-o", "{}/new.zip", *W)
REFUSED = {
    f"{RAW}/imagesTr/*.png": PLAN,
    f"{RAW}/labelsTr/*.png": PLAN,
    f"{RAW}/dataset.json": PLAN,
    f"{RAW}/imagesTs/*.png": PREDICT,
    f"{RAW}/labelsTs/*.png": EVALUATE,
    f"{PREPARED}/plans.json": TRAIN,
    f"{PREPARED}/splits.json": TRAIN,
    f"{PREPARED}/store.json": TRAIN,
    f"{PREPARED}/frames.bin": TRAIN,
    f"{PREPARED}/labels.bin": TRAIN,
    f"{PREPARED}/locations.bin": TRAIN,
    f"{FOLD}/checkpoint_final.pt": PREDICT,
    f"{FOLD}/checkpoint_best.pt": (*PREDICT, "-chk", "best"),
    "A/*.png": EVALUATE,
    "A/*.npz": ENSEMBLE,
    "model.zip": IMPORT,
}
"""The command that reads a file and cannot go on without it."""
ALL = (PLAN, TRAIN, PREDICT, EVALUATE, ENSEMBLE, IMPORT, REPORT, EXPORT)


@pytest.fixture
def root(whole: Path, tmp_path: Path) -> Path:
    """A copy of the finished workspace."""
    shutil.copytree(whole, tmp_path / "ws")
    return tmp_path / "ws"


def run(command: tuple[str, ...], root: Path) -> int:
    """A command's ``main`` in this process; ``{}`` stands for the workspace."""
    main: Callable[[list[str]], int] = importlib.import_module(f"gwunet.cli.{command[0]}").main
    return main([argument.replace("{}", str(root)) for argument in command[1:]])


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_a_file_cut_short_is_named(root: Path, kept: float, capsys: pytest.CaptureFixture[str]) -> None:
    """One of each kind, by the command that needs it."""
    wrong = []
    for place, command in REFUSED.items():
        path = min(root.glob(place))
        content = path.read_bytes()
        path.write_bytes(content[: int(kept * len(content))])
        status = run(command, root)
        said = capsys.readouterr().err
        if status not in (1, 2) or path.name not in said:
            wrong.append(f"{place}: status {status}: {said[-300:]}")
        path.write_bytes(content)
        for made in ("out", "E", "results/Dataset902_Given"):
            shutil.rmtree(root / made, ignore_errors=True)
    assert not "\n".join(wrong)


@pytest.mark.slow
def test_every_file_of_a_workspace_cut_short(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All commands after one file of each kind, and every JSON, was cut: they end well, or name what they lack."""
    wrong = []
    of_kind = {(path.parent, path.suffix): path for path in visible_files(whole) if path.suffix != ".json"}
    files = [*of_kind.values(), *whole.rglob("*.json")]
    for number, path in enumerate(files):
        place, kept = path.relative_to(whole), 0.5 * (number % 2)
        root = tmp_path / f"{number}"
        shutil.copytree(whole, root)
        (root / place).write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
        for command in ALL:
            try:
                status = run(command, root)
            except BaseException as problem:
                wrong.append(f"{place} ({kept}), {command[0]}: {type(problem).__name__}: {problem}")
                continue
            said = capsys.readouterr().err
            if status and str(root) not in said and "gw_" not in said:
                wrong.append(f"{place} ({kept}), {command[0]}: status {status}: {said[-300:]}")
        wrong += [f"{place}: {made}" for made in visible_files(root / "out") if damage_of(made)]
        shutil.rmtree(root)
    assert not "\n".join(wrong)


@pytest.mark.parametrize("kind", ["removed", "a folder"])
def test_a_file_that_is_not_there_is_named(root: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Between the planning and the training, say. dataset.json need not be there, nor a folder's frame."""
    wrong = []
    for place, command in REFUSED.items():
        if place.endswith(("dataset.json", "imagesTs/*.png", "imagesTr/*.png", "model.zip")):
            continue
        path = min(root.glob(place))
        content = path.read_bytes()
        path.unlink()
        if kind == "a folder":
            path.mkdir()
        status = run(command, root)
        said = capsys.readouterr().err
        # Of several files of one kind the name without ending may be told; of the store, its folder.
        if status not in (1, 2) or (path.stem not in said and path.parent.name not in said):
            wrong.append(f"{place}: status {status}: {said[-300:]}")
        if kind == "a folder":
            path.rmdir()
        path.write_bytes(content)
        for made in ("out", "E"):
            shutil.rmtree(root / made, ignore_errors=True)
    assert not "\n".join(wrong)


@pytest.mark.parametrize(
    "command",
    [
        TRAIN,
        PREDICT,
        (*EVALUATE, "-o", "{}/new/summary.json"),
        IMPORT,
        REPORT,
        EXPORT,
        ("synthesize", "Dataset905_Made", "--patients", "2", "--frames", "1", "--size", "64", *W),
        ("convert", "masks", "{}/" + RAW + "/imagesTr", "Dataset906_M", "--masks", "{}/" + RAW + "/labelsTr", *W),
    ],
    ids=lambda command: command[0],
)
def test_a_full_disk_is_named_and_what_stood_there_stands(
    command: tuple[str, ...],
    root: Path,
    full_disk: Callable[[], contextlib.AbstractContextManager[None]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = contents_of(root)
    with full_disk():
        assert run(command, root) == 1
    said = capsys.readouterr().err
    assert str(root) in said
    assert "Traceback" not in said
    after = contents_of(root)
    assert {place for place, text in before.items() if after.get(place) != text} == set()
    for place in after.keys() - before.keys():
        assert damage_of(root / place) is None, place
    assert run(command, root) == 0


READ_ONLY = (PLAN, TRAIN, PREDICT, ENSEMBLE, IMPORT, EXPORT)
"""Not gw_report: it imports late, and where Python lies in root's folders, nobody may not."""


def as_nobody(root: Path, answers: Any) -> None:
    """Run commands in folders that nobody may write to, as a user who is not root."""
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    for command in READ_ONLY:
        with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
            try:
                status: Any = run(command, root)
            except BaseException as problem:
                status = repr(problem)
        answers.put((command[0], status, said.getvalue()))


@pytest.mark.skipif(os.getuid() != 0, reason="drops root's rights, which has none")
@pytest.mark.slow
def test_folders_without_the_right_to_write_are_named(root: Path) -> None:
    for path in (root, *root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    for path in root.parents:
        if path.stat().st_uid == 0 and path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(0o755)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    process = context.Process(target=as_nobody, args=(root, answers))
    process.start()
    wrong = []
    for _ in READ_ONLY:
        command, status, said = answers.get(timeout=60)
        if status not in (1, 2) or str(root) not in said or "Traceback" in said:
            wrong.append(f"{command}: {status}: {said[-500:]}")
    process.join()
    assert not "\n".join(wrong)


def test_two_trainings_of_one_fold(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second is refused while the first is at it, whatever it was asked; then --continue finds it done."""
    from gwunet.data.lock import locked

    with locked(root / FOLD, "training"):
        for command in (TRAIN, CONTINUE):
            assert run(command, root) == 1
            assert f"{FOLD}: found another command training or validating it" in capsys.readouterr().err
    assert run(CONTINUE, root) == 0


def test_a_signal_while_modules_are_imported_is_one_line() -> None:
    """Whatever is imported then; ``run`` answers later ones."""
    code = (
        "import signal, sys; import gwunet.cli; sys.argv[0] = '/bin/gw_train'; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "  # which a job in the background ignores
        "signal.raise_signal(signal.SIGINT); import gwunet.cli.train"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == "gw_train: interrupted\n"
    assert done.returncode == -signal.SIGINT  # which a shell shows as 130


def test_other_errors_keep_their_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import gwunet.cli; 1 / 0"], capture_output=True, text=True, check=False, timeout=60
    )
    assert "ZeroDivisionError" in done.stderr
    assert "Traceback" in done.stderr


@pytest.mark.slow
def test_kills_of_every_command(tmp_path: Path) -> None:
    """The bench, cut short: each job three times."""
    command = [sys.executable, str(SCRIPT), "--kills", str(3 * len(JOBS)), "--seed", str(int(time.time()))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]


@pytest.mark.slow
def test_one_kill(whole: Path, tmp_path: Path) -> None:
    """Of the bench's; without forks, since a process of tests has threads."""
    here = Bench(tmp_path, whole, forks=False)
    tally = Tally()
    here.kill("ensemble", tmp_path / "ws", signal.SIGINT, 0.7, True, tally)
    assert (tally.kills, tally.wrong) == (1, [])


def test_the_bench_finds_what_it_looks_for(root: Path) -> None:
    """Damage of each kind is told, and a whole workspace has none."""
    assert [path for path in visible_files(root) if damage_of(path)] == []
    for path in (
        root / FOLD / "checkpoint_final.pt",
        root / PREPARED / "plans.json",
        min((root / "A").glob("*.png")),
        min((root / "A").glob("*.npz")),
        root / "A" / "guidewires.csv",
        root / "model.zip",
    ):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        assert damage_of(path) is not None, path
        path.write_bytes(content)
    killed = Ended(-9, "", 0.1)
    assert after_kill(killed, signal.SIGKILL, False) is None
    assert after_kill(Ended(130, "gw_train: interrupted\n", 0.1), signal.SIGINT, False) is None
    assert after_kill(Ended(130, "Traceback (most recent\n", 0.1), signal.SIGINT, False) == "a traceback"
    assert after_kill(Ended(-11, "", 0.1), signal.SIGINT, False) == "status -11 after SIGINT"
    assert unexplained(Ended(1, "it failed", 0.1), root) == "a failure that names no file"
