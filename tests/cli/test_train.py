"""gw_train on one and on several devices: statuses, messages, files, and what a signal or a failure leaves."""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gwunet.checkpoint import digest_of, load_checkpoint
from gwunet.cli import launch as launching
from gwunet.cli.train import main
from gwunet.dataset import Dataset
from gwunet.inference.predictor import Predictor
from gwunet.planning import plan_dataset
from gwunet.plans import Target
from gwunet.synthetic import synthesize_dataset
from gwunet.trainers import history, loop
from gwunet.trainers.fganet import FGANetTrainer
from gwunet.workspace import Workspace

DATASET = "Dataset902_Train"
CPU = Target(device="cpu", memory_gb=4.0)
QUICK = ["--epochs", "2", "--iterations", "2", "--batch_size", "2", "--device", "cpu"]
FAILING = """
import os
from gwunet.errors import FrameError
from gwunet.trainers.fganet import FGANetTrainer

class Failing(FGANetTrainer):
    name = "Failing"

    def train_step(self, batch, iteration):
        if self.world.rank == 1 and self.task.folder.name == "fold_2":
            raise FrameError("frame 17 cannot be read")
        return super().train_step(batch, iteration)
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("prepared")
    synthesize_dataset(root / "raw" / DATASET, patients=6, test_patients=1, sequences=1, frames=2, size=64, seed=3)
    plan_dataset(DATASET, workspace=Workspace.find(root), configurations=["fganet"], target=CPU, preprocess=True)
    return root


@pytest.fixture(scope="module")
def whole(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fold 0, trained without a break."""
    root = tmp_path_factory.mktemp("whole") / "workspace"
    shutil.copytree(prepared, root)
    assert train(root, "0", *QUICK) == 0
    return fold_of(root, 0)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pictures of epochs: they take long beside so short ones."""
    monkeypatch.setattr(history, "draw_progress", lambda *_: None)
    monkeypatch.setattr(loop, "draw_validation", lambda *_: None)


@pytest.fixture
def workspace(prepared: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared, tmp_path / "workspace")
    return tmp_path / "workspace"


def fold_of(workspace: Path, fold: object, trainer: str = "FGANetTrainer") -> Path:
    return workspace / "results" / DATASET / f"fganet__{trainer}" / f"fold_{fold}"


def train(workspace: Path, *arguments: str) -> int:
    """The command in this process."""
    return main(["902", *arguments, "--workspace", str(workspace)])


def begin(workspace: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The installed command in a process of its own."""
    script = Path(sysconfig.get_path("scripts")) / "gw_train"
    return subprocess.Popen(
        [str(script), "902", *arguments, "--workspace", str(workspace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def same_weights(first: Path, second: Path) -> bool:
    weights, others = (load_checkpoint(fold / "checkpoint_final.pt").weights for fold in (first, second))
    return weights.keys() == others.keys() and all(torch.equal(value, others[name]) for name, value in weights.items())


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_gives_one_line_and_its_status_and_loses_nothing(
    workspace: Path,
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    status: int,
) -> None:
    own = FGANetTrainer.train_step

    def signalled(trainer: Any, batch: Any, iteration: int) -> float:
        if iteration == 2:
            signal.raise_signal(number)
        return own(trainer, batch, iteration)

    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(FGANetTrainer, "train_step", signalled)
        assert train(workspace, "0", "1", *QUICK) == status
    stderr = capsys.readouterr().err
    lines = [line for line in stderr.splitlines() if "%|" not in line and line.strip()]
    assert [line for line in lines if not line.startswith("INFO")] == [lines[-1]]
    assert "stopped in epoch 2 after 1 of 2 iterations; --continue goes on from there" in lines[-1]
    assert "Traceback" not in stderr
    assert not fold_of(workspace, 1).exists()
    assert train(workspace, "0", *QUICK, "--continue") == 0
    assert same_weights(whole, fold_of(workspace, 0))


@pytest.mark.usefixtures("undrawn")
def test_several_folds_one_after_another_then_their_validation_alone(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    own = Dataset.open

    def opening(folder: Path) -> Dataset:
        opened.append(folder)
        return own(folder)

    monkeypatch.setattr(Dataset, "open", opening)
    one = ["--epochs", "1", "--iterations", "1", "--batch_size", "2", "--device", "cpu"]
    assert train(workspace, "0", "2", "3", *one) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in said] == ["fold 0", "fold 2", "fold 3"]
    assert opened == [workspace / "raw" / DATASET], "read more than once"
    summary = fold_of(workspace, 3) / "validation" / "summary.json"
    before, weights = summary.read_text(), (fold_of(workspace, 3) / "checkpoint_final.pt").stat()
    summary.unlink()
    assert train(workspace, "3", "--val", "--device", "cpu") == 0
    assert json.loads(summary.read_text())["pooled"] == json.loads(before)["pooled"]
    assert (fold_of(workspace, 3) / "checkpoint_final.pt").stat() == weights
    assert capsys.readouterr().out.splitlines() == [said[-1]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--continue"], "found nothing to continue"),
        (["--accumulate", "2", "--batch_size", "3"], "give a multiple of 2"),
        (["--accumulate", "0"], "must be at least 1"),
        (["--seed", str(2**64)], "must be at least 0 and below 2**64"),
        (["--ema", "1"], "must be between 0 and 1"),
        (["--patience", "0"], "must be at least 1"),
        (["--num_gpus", "0"], "must be at least 1"),
        (["--minutes", "1", "--epochs", "2"], "--minutes and --epochs: give one of them"),
        (["--minutes", "1", "--iterations", "2"], "--minutes and --iterations: give one of them"),
        (["--minutes", "inf"], "--minutes inf: must be a number"),
        (["--lr", "inf"], "--lr inf: must be a number"),
        (["--batch_size", "5000"], "--batch_size 5000: must be at most 4096"),
        (["--num_gpus", "2", "--device", "cuda:1"], "CUDA_VISIBLE_DEVICES"),
    ],
)
def test_wrong_use_is_said_in_one_line(
    workspace: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert train(workspace, "0", "--device", "cpu", *arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not list(workspace.rglob("*.pt"))


def test_a_fold_that_does_not_exist_is_refused_before_the_others_are_trained(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of four patients, which make four folds."""
    path = workspace / "preprocessed" / DATASET / "splits.json"
    splits = json.loads(path.read_text())
    path.write_text(json.dumps({**splits, "folds": splits["folds"][:4]}))
    assert train(workspace, "0", "1", "2", "3", "4", *QUICK) == 2
    assert "fold 4: no such fold; the dataset has folds 0 to 3, and 'all'" in capsys.readouterr().err
    assert not list(workspace.rglob("*.pt"))


@pytest.mark.usefixtures("undrawn")
def test_what_cannot_begin_is_refused_before_the_others_are_trained(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fold 0 has been trained; with --val, fold 2 has not."""
    assert train(trained, "2", "0", *QUICK) == 2
    assert "fold_0: checkpoint_final.pt stands there already" in capsys.readouterr().err
    assert train(trained, "0", "2", "--val", "--device", "cpu") == 1
    captured = capsys.readouterr()
    assert "fold_2/checkpoint_final.pt: no such checkpoint" in captured.err
    assert captured.out == ""
    assert train(trained, "1", "2", "1", *QUICK) == 2
    assert "fold 1: found it named twice; wanted each fold once" in capsys.readouterr().err
    assert train(trained, "all", "--val") == 1
    assert "fold_all/checkpoint_final.pt: no such checkpoint" in capsys.readouterr().err
    assert [path.name for path in fold_of(trained, 0).parent.glob("fold_*")] == ["fold_0"]


def rotate_folds(workspace: Path) -> None:
    path = workspace / "preprocessed" / DATASET / "splits.json"
    splits = json.loads(path.read_text())
    splits["folds"] = splits["folds"][1:] + splits["folds"][:1]
    path.write_text(json.dumps(splits))


@pytest.fixture
def trained(whole: Path, tmp_path: Path) -> Path:
    """A workspace with fold 0 trained."""
    shutil.copytree(whole.parents[3], tmp_path / "trained")
    return tmp_path / "trained"


@pytest.mark.parametrize("flag", ["--val", "--continue"])
def test_a_trained_fold_is_not_judged_on_frames_it_was_trained_on(
    trained: Path, capsys: pytest.CaptureFixture[str], flag: str
) -> None:
    """The folds were changed since."""
    summary = fold_of(trained, 0) / "validation" / "summary.json"
    assert train(trained, "0", *QUICK, flag) == 0
    before = summary.read_text()
    rotate_folds(trained)
    capsys.readouterr()
    assert train(trained, "0", *QUICK, flag) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "checkpoint_final.pt: found that it was trained on 2 of the frames it would be judged on" in said
    assert "bring its splits.json back" in said
    assert summary.read_text() == before


@pytest.mark.usefixtures("undrawn")
def test_a_fold_that_began_with_weights_that_knew_its_frames_is_not_validated(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said before training, and validation refused after it, as by --val."""
    weights = fold_of(trained, 0) / "checkpoint_final.pt"
    assert train(trained, "1", *QUICK, "--pretrained_weights", str(weights)) == 1
    said = capsys.readouterr().err
    assert "the fold will be trained and not validated" in said
    assert "checkpoint_final.pt: found that it was trained on 2 of the frames it would be judged on" in said
    assert (fold_of(trained, 1) / "checkpoint_final.pt").is_file()
    assert not (fold_of(trained, 1) / "validation").exists()


def test_validation_is_of_the_weights_that_were_loaded_and_keeps_other_commands_out(
    trained: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where another file takes the checkpoint's place meanwhile, as an import of a model would."""
    fold = fold_of(trained, 0)
    loaded = digest_of(fold / "checkpoint_final.pt")
    own = Predictor.predict_frames
    statuses: list[int] = []

    def predict(predictor: Predictor, frames: Any) -> Any:
        shutil.copy(fold / "checkpoint_latest.pt", trained / "other.pt")
        (trained / "other.pt").replace(fold / "checkpoint_final.pt")
        statuses.append(train(trained, "0", *QUICK, "--overwrite"))
        return own(predictor, frames)

    monkeypatch.setattr(Predictor, "predict_frames", predict)
    assert train(trained, "0", "--val", "--device", "cpu") == 0
    assert statuses == [1]
    assert "found another command training or validating it" in capsys.readouterr().err
    assert digest_of(fold / "checkpoint_final.pt") != loaded
    assert json.loads((fold / "validation" / "made_by.json").read_text())["checkpoint_sha256"] == loaded


def test_a_fold_that_is_not_trained_is_not_validated_and_nothing_is_made_of_it(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(workspace, "1", "--val") == 1
    assert "checkpoint_final.pt: no such checkpoint; wanted a fold trained to its end" in capsys.readouterr().err
    assert not fold_of(workspace, 1).exists()


def test_tensorboard_that_is_not_installed(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert train(workspace, "0", *QUICK, "--tensorboard") == 2
    assert "TensorBoard is not installed; pip install 'gwunet[tensorboard]'" in capsys.readouterr().err


def test_two_processes_write_one_set_of_files_for_each_fold_until_one_fails(
    workspace: Path, whole: Path, tmp_path: Path
) -> None:
    """Two folds are trained; in the third the second process fails, which ends the command with its reason."""
    (tmp_path / "failing_trainer.py").write_text(FAILING)
    arguments = ("0", "1", "2", *QUICK, "--num_gpus", "2", "-tr", "failing_trainer:Failing")
    process = begin(workspace, *arguments, PYTHONPATH=str(tmp_path))
    stdout, stderr = process.communicate(timeout=90)
    ended = time.time()
    assert process.returncode == 1, stderr
    assert [line.split(":")[0] for line in stdout.splitlines()] == ["fold 0", "fold 1"]
    folds = json.loads((workspace / "preprocessed" / DATASET / "splits.json").read_text())["folds"]
    for fold in (0, 1):
        trained = fold_of(workspace, fold, "Failing")
        summary = json.loads((trained / "validation" / "summary.json").read_text())
        assert sorted(frame["case"] for frame in summary["frames"]) == sorted(folds[fold]["val"])
        assert {path.name for path in trained.iterdir()} == {path.name for path in whole.iterdir()}
        log = (trained / "log.jsonl").read_text().splitlines()
        assert [json.loads(line)["iteration"] for line in log[1:]] == [2, 4]
    assert not list(workspace.rglob(".partial-*"))
    assert "gw_train: process 0 of 2" in stderr or "gw_train: process 1 of 2" in stderr
    assert "process 1 of 2 ended with status 1: " in stderr
    assert "gw_train: frame 17 cannot be read" in stderr
    assert not (fold_of(workspace, 2, "Failing") / "checkpoint_final.pt").exists()
    until_then = fold_of(workspace, 1, "Failing") / "validation" / "summary.json"
    assert ended - until_then.stat().st_mtime < launching.GRACE_S


@pytest.mark.parametrize("status", [0, 2])
def test_processes_know_their_place_and_their_status_is_that_of_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int
) -> None:
    arguments = ["902", "0", "--num_gpus", "2", "--epochs=3"]
    telling = (
        "import os, pathlib, sys\n"
        "place = [os.environ[name] for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR')]\n"
        f"pathlib.Path({str(tmp_path)!r}, place[0]).write_text(' '.join(place + sys.argv[1:]))\n"
        f"sys.exit({status})\n"
    )
    monkeypatch.setattr(launching, "COMMAND", telling)
    monkeypatch.setattr(sys, "argv", ["gw_train", *arguments])
    assert launching.launch(2, "cpu") == status
    told = [path.read_text() for path in sorted(tmp_path.iterdir())]
    assert told == [f"{rank} {rank} 2 127.0.0.1 902 0 --epochs=3" for rank in range(2)]


def test_processes_do_not_look_for_modules_in_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gwunet").mkdir()
    (tmp_path / "gwunet" / "__init__.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launching, "COMMAND", "import gwunet.errors")
    assert launching.launch(1, "cpu") == 0


def test_processes_end_with_a_launcher_that_is_killed(tmp_path: Path) -> None:
    """Each as by SIGTERM, which gw_train takes to save what it did."""
    waiting = (
        "import os, pathlib, signal, time\n"
        "from gwunet.cli.launch import stop_with_launcher\n"
        f"note = pathlib.Path({str(tmp_path)!r}, os.environ['RANK'])\n"
        "signal.signal(signal.SIGTERM, lambda *_: (note.write_text('saved'), os._exit(0)))\n"
        "stop_with_launcher()\n"
        "note.write_text('began')\n"
        "time.sleep(60)\n"
    )
    script = f"from gwunet.cli import launch\nlaunch.COMMAND = {waiting!r}\nlaunch.launch(2, 'cpu')\n"
    launcher = subprocess.Popen([sys.executable, "-c", script])

    def notes() -> list[str]:
        return [path.read_text() for path in sorted(tmp_path.iterdir())]

    await_(lambda: notes() == ["began", "began"])
    launcher.kill()
    launcher.wait()
    await_(lambda: notes() == ["saved", "saved"])


def await_(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_two_processes_repeat_themselves_bit_for_bit_also_over_a_break(workspace: Path, tmp_path: Path) -> None:
    arguments = ["0", "--epochs", "2", "--iterations", "20", "--batch_size", "2", "--device", "cpu", "--num_gpus", "2"]
    process = begin(workspace, *arguments)
    process.communicate(timeout=200)
    assert process.returncode == 0
    shutil.move(fold_of(workspace, 0), tmp_path / "whole")
    process = begin(workspace, *arguments)
    assert process.stderr is not None
    said = ""
    while "loss=" not in said:
        said += process.stderr.read(1)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143, said + stderr
    assert "--continue goes on from there" in stderr
    process = begin(workspace, *arguments, "--continue")
    process.communicate(timeout=200)
    assert process.returncode == 0
    assert same_weights(tmp_path / "whole", fold_of(workspace, 0))


@pytest.mark.parametrize(
    ("statuses", "message"),
    [
        ([0, 0], None),
        ([2, 2], None),
        ([143, 143], None),
        ([143, 128], None),
        ([1, 0], None),
        ([1, 1], "process 1 of 2 ended with status 1: why"),
        ([0, 1], "process 1 of 2 ended with status 1: why"),
        ([1, -9], "process 1 of 2 was ended by SIGKILL: why"),
        ([-9, 0], "process 0 of 2 was ended by SIGKILL"),
    ],
)
def test_what_is_said_of_processes_that_failed(statuses: list[int], message: str | None) -> None:
    if message is None:
        launching._report(statuses, ["", "why"])
        return
    with pytest.raises(launching.TrainingError) as raised:
        launching._report(statuses, ["", "why"])
    assert message in str(raised.value)
