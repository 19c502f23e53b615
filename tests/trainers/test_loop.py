"""Runs of a tiny trainer: breaks and how they go on, average, early stopping, what the files say."""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from gwunet.checkpoint import BEST, FINAL, LATEST, load_checkpoint
from gwunet.data.batches import Batch
from gwunet.errors import InterruptionError, TrainingError, UsageError
from gwunet.plans import Duration
from gwunet.trainers import history, interruption, loop
from gwunet.trainers.base import Trainer
from gwunet.trainers.loop import Run
from gwunet.training import TrainingTask

MakeTask = Callable[..., TrainingTask]


DRAW_PROGRESS = history.draw_progress


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture of an epoch takes far longer than its steps here."""
    monkeypatch.setattr(history, "draw_progress", lambda *_: None)


def weights(task: TrainingTask, name: str = FINAL) -> dict[str, Tensor]:
    return load_checkpoint(task.folder / name).weights


def equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


def log(task: TrainingTask) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (task.folder / "log.jsonl").read_text().splitlines()]


def broken_off(trainer: type[Trainer], number: int, at: int) -> type[Trainer]:
    """A signal reaches the process while step ``at`` is under way."""

    class BrokenOff(trainer):  # type: ignore[valid-type,misc]
        def train_step(self, batch: Batch, iteration: int) -> float:
            if iteration == at:
                signal.raise_signal(number)
            return float(super().train_step(batch, iteration))

    return BrokenOff


@pytest.mark.parametrize(("number", "at"), [(signal.SIGTERM, 5), (signal.SIGINT, 7), (signal.SIGTERM, 11)])
@pytest.mark.parametrize("options", [{}, {"ema": 0.9, "accumulate": 2, "patience": 2}])
def test_a_signal_within_an_epoch_changes_nothing_in_the_end(
    made_trainer: type[Trainer], make_task: MakeTask, number: int, at: int, options: dict[str, Any]
) -> None:
    """Bit for bit, with dropout, also where the break comes in an epoch's last step or the run's."""
    whole, broken = make_task("whole", **options), make_task("broken", **options)
    made_trainer(whole).fit()
    before = signal.getsignal(number)
    with pytest.raises(InterruptionError, match=f"stopped in epoch {at // 4 + 1} after {at % 4 + 1} of 4") as raised:
        broken_off(made_trainer, number, at)(broken).fit()
    assert raised.value.signal == number
    assert signal.getsignal(number) is before
    assert not (broken.folder / FINAL).exists()
    torch.manual_seed(99)  # another process has another state
    made_trainer(make_task("broken")).fit(resume=True)
    for name in (LATEST, BEST, FINAL):
        assert equal(weights(whole, name), weights(broken, name)), name
    without_seconds = [[{**line, "seconds": 0} for line in log(task)[1:]] for task in (whole, broken)]
    assert without_seconds[0] == without_seconds[1]


def test_a_signal_in_the_last_validation_saves_the_end_and_is_not_lost(
    made_trainer: type[Trainer], make_task: MakeTask
) -> None:
    class Signalled(made_trainer):  # type: ignore[valid-type,misc]
        def validation_step(self, sample: Any) -> Any:
            signal.raise_signal(signal.SIGTERM)
            return super().validation_step(sample)

    task, whole = make_task(epochs=1), make_task("whole", epochs=1)
    with pytest.raises(InterruptionError, match="trained to the end") as raised:
        Signalled(task).fit()
    assert raised.value.signal == signal.SIGTERM
    made_trainer(whole).fit()
    assert equal(weights(task), weights(whole))


def test_an_echo_of_a_signal_is_the_same_signal_and_a_later_one_acts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with interruption.watching() as seen:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert seen.signal == signal.SIGINT
        monkeypatch.setattr(interruption, "ECHO_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_loss_that_is_not_finite_ends_before_the_step(made_trainer: type[Trainer], make_task: MakeTask) -> None:
    class Dark(made_trainer):  # type: ignore[valid-type,misc]
        def train_step(self, batch: Batch, iteration: int) -> float:
            frames = batch[0] * (float("nan") if iteration == 6 else 1.0)
            return float(super().train_step((frames, batch[1]), iteration))

    task, until = make_task(), make_task("until")
    trainer = Dark(task)
    with pytest.raises(TrainingError, match="the loss is nan at iteration 7; the weights of the last epoch"):
        trainer.fit()
    with pytest.raises(InterruptionError):
        broken_off(made_trainer, signal.SIGTERM, 5)(until).fit()
    assert equal(trainer.network.state_dict(), weights(until, LATEST))
    assert load_checkpoint(task.folder / LATEST).epoch == 1


def test_gradients_of_an_accumulated_batch_are_those_of_the_whole(
    made_trainer: type[Trainer], make_task: MakeTask
) -> None:
    """In float64, without dropout, for a loss that is a mean over frames; two parts, and a part for each frame."""

    class MeanLoss(nn.Module):
        def forward(self, logits: Tensor, target: Tensor) -> Tensor:
            return F.binary_cross_entropy_with_logits(logits, target.double())

    found = {}
    for accumulate in (1, 2, 4):
        trainer = made_trainer(make_task(accumulate=accumulate))
        trainer.network.double().eval()
        trainer.loss = MeanLoss()  # the package's are in float32
        trainer.optimizer = trainer.build_optimizer()
        frames, targets = trainer.batches[3]
        value = trainer.train_step((frames.double(), targets), 3)
        gradients = torch.cat([parameter.grad.flatten() for parameter in trainer.network.parameters()])  # type: ignore[union-attr]
        found[accumulate] = (value, gradients.clone())
    for accumulate in (2, 4):
        assert found[accumulate][0] == pytest.approx(found[1][0], rel=1e-12)
        torch.testing.assert_close(found[accumulate][1], found[1][1], rtol=1e-10, atol=1e-12)
    assert found[1][1].abs().max() > 1e-3


def test_the_average_is_that_of_a_loop_by_hand(made_trainer: type[Trainer], make_task: MakeTask) -> None:
    """FINAL and BEST hold it, LATEST what training goes on with."""
    steps: list[dict[str, np.ndarray]] = []

    class Noted(made_trainer):  # type: ignore[valid-type,misc]
        def note(self) -> None:
            state = self.network.state_dict()
            steps.append({name: value.numpy().astype(np.float64) for name, value in state.items()})

        def train_step(self, batch: Batch, iteration: int) -> float:
            if not steps:
                self.note()
            value = float(super().train_step(batch, iteration))
            self.note()
            return value

    task = make_task(ema=0.6, epochs=1, iterations=9, learning_rate=0.05)
    Noted(task).fit()
    expected = steps[0]
    for step, own in enumerate(steps[1:]):
        decay = min(0.6, (1 + step) / (10 + step))
        expected = {name: decay * expected[name] + (1 - decay) * own[name] for name in own}
    for name, value in expected.items():
        for kept in (FINAL, BEST):
            np.testing.assert_allclose(weights(task, kept)[name].numpy(), value, rtol=1e-5, atol=1e-7)
        assert (weights(task, LATEST)[name].numpy() == steps[-1][name].astype(np.float32)).all()
        assert not np.allclose(value, steps[-1][name], rtol=1e-3)


def test_the_average_is_what_is_validated(made_trainer: type[Trainer], make_task: MakeTask) -> None:
    task = make_task(ema=0.9)
    made_trainer(task).fit()
    trainer = made_trainer(make_task("again"))
    trainer.network.load_state_dict(weights(task))
    trainer.network.eval()
    losses = [trainer.validation_step(task.store.read(case))[0] for case in task.fold.val]
    assert log(task)[-1]["val_loss"] == pytest.approx(np.mean(losses), rel=1e-6)


@pytest.mark.parametrize(
    ("losses", "patience", "epochs"),
    [
        ([5, 4, 3, 3.5, 3.4, 1, 1, 1, 1], 2, 5),
        ([5, 4, 3, 3.5, 2, 2.5, 2.4, 2.3, 1], 3, 8),
        ([3, 3, 9, 9, 9, 9, 9, 9, 9], 1, 2),
        ([9, 8, 7, 6, 5, 4, 3, 2, 1], 1, 9),
    ],
)
def test_training_ends_once_the_loss_on_frames_set_aside_stays(
    made_trainer: type[Trainer],
    make_task: MakeTask,
    monkeypatch: pytest.MonkeyPatch,
    losses: list[float],
    patience: int,
    epochs: int,
) -> None:
    told = iter(losses)
    monkeypatch.setattr(Run, "_loss_aside", lambda _: float(next(told)))
    task = make_task(patience=patience, epochs=9)
    made_trainer(task).fit()
    start, *records = log(task)
    assert [record["aside_loss"] for record in records] == losses[:epochs]
    assert load_checkpoint(task.folder / FINAL).epoch == epochs
    assert sorted(start["train"] + start["aside"]) == sorted(task.fold.train)
    assert start["aside"]
    patients = [{task.groups[case] for case in start[part]} for part in ("train", "aside")]
    assert not patients[0] & patients[1]


def test_every_choice_stands_in_log_and_checkpoint(made_trainer: type[Trainer], make_task: MakeTask) -> None:
    chosen = {"seed": 5, "ema": 0.9, "accumulate": 2, "learning_rate": 0.002, "precision": "fp32", "batch_size": 2}
    task = make_task(**chosen)
    made_trainer(task).fit()
    in_log = log(task)[0]
    in_checkpoint = load_checkpoint(task.folder / LATEST)
    for options in (in_log["options"], in_checkpoint.training["options"]):
        assert options == {**options, **chosen}
    assert in_log["configuration"]["optimiser"]["learning_rate"] == 0.002
    assert in_checkpoint.configuration.optimiser.learning_rate == 0.002
    assert in_log["configuration"]["batch_size"] == in_checkpoint.configuration.batch_size == 2


def without_options(path: Path) -> None:
    """The checkpoint as versions wrote it that knew no options, losses or average."""
    content = torch.load(path, weights_only=True)
    training = content["training"]
    options = training.pop("options")
    training |= {"seed": options["seed"], "pretrained_weights": None}
    for name in ("average", "losses", "seconds"):
        del training[name]
    torch.save(content, path)


@pytest.mark.parametrize("given", [{}, {"ema": 0.9}, {"accumulate": 2, "patience": 1, "seed": 8}])
def test_a_checkpoint_of_before_there_were_options_goes_on(
    made_trainer: type[Trainer], make_task: MakeTask, caplog: pytest.LogCaptureFixture, given: dict[str, Any]
) -> None:
    """As it began: what could not be chosen then is warned of and not followed."""
    whole, old = make_task("whole", seed=3), make_task("old", seed=3)
    made_trainer(whole).fit()

    class Killed(made_trainer):  # type: ignore[valid-type,misc]
        def train_step(self, batch: Batch, iteration: int) -> float:
            if iteration == 9:
                raise KeyboardInterrupt
            return float(super().train_step(batch, iteration))

    with pytest.raises(KeyboardInterrupt):
        Killed(old).fit()
    assert load_checkpoint(old.folder / LATEST).epoch == 2
    without_options(old.folder / LATEST)
    made_trainer(make_task("old", **given)).fit(resume=True)
    assert equal(weights(whole), weights(old))
    for name in given:
        assert f"--{name}" in caplog.text


def test_a_run_goes_on_in_the_precision_and_with_the_batch_it_began_with(
    made_trainer: type[Trainer], make_task: MakeTask, caplog: pytest.LogCaptureFixture
) -> None:
    whole, broken = make_task("whole", batch_size=6), make_task("broken", batch_size=6)
    made_trainer(whole).fit()
    with pytest.raises(InterruptionError):
        broken_off(made_trainer, signal.SIGTERM, 5)(broken).fit()
    made_trainer(make_task("broken", precision="bf16", batch_size=3)).fit(resume=True)
    assert equal(weights(whole), weights(broken))
    assert "not with --batch_size 3, --precision bf16" in caplog.text


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_batch_that_does_not_divide_is_refused_before_anything_gives_way(
    made_trainer: type[Trainer], make_task: MakeTask, overwrite: bool
) -> None:
    task = make_task(accumulate=3)
    if overwrite:
        made_trainer(make_task()).fit()
    with pytest.raises(UsageError, match=r"batch of 4 patches.*1 processes.*3 accumulated.*multiple of 3"):
        made_trainer(task).fit()
    assert (task.folder / FINAL).exists() == overwrite


def test_tensorboard_that_is_not_installed_is_named_before_anything_gives_way(
    made_trainer: type[Trainer], make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_trainer(make_task()).fit()
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"--tensorboard: TensorBoard is not installed; pip install"):
        made_trainer(make_task(tensorboard=True)).fit()
    assert (make_task().folder / FINAL).exists()


@pytest.mark.parametrize("wanted", [False, True])
def test_deterministic_mode_ends_with_the_run(made_trainer: type[Trainer], make_task: MakeTask, wanted: bool) -> None:
    within = []

    class Looking(made_trainer):  # type: ignore[valid-type,misc]
        def train_step(self, batch: Batch, iteration: int) -> float:
            within.append((torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark))
            return float(super().train_step(batch, iteration))

    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    Looking(make_task(deterministic=wanted)).fit()
    assert set(within) == {(wanted, not wanted)}
    assert (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark) == before


def test_validation_frames_are_drawn_anew_in_every_tenth_of_a_run(
    made_trainer: type[Trainer], make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr("gwunet.trainers.loop.draw_validation", lambda _, frames: drawn.append(len(frames)))
    made_trainer(make_task(epochs=25, iterations=1)).fit()
    assert drawn == [2] * 13  # epochs 2, 4, ... 24 and the last


def test_pictures_are_written_where_there_are_validation_frames(
    made_trainer: type[Trainer], make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "draw_progress", DRAW_PROGRESS)
    task = make_task()
    made_trainer(task).fit()
    for name in ("validation.png", "progress.png"):
        with Image.open(task.folder / name) as picture:
            assert min(picture.size) >= 16


@pytest.mark.parametrize(("count", "warned"), [(3, True), (60, False)])
def test_a_time_that_holds_hardly_any_iterations_is_warned_of(
    made_trainer: type[Trainer],
    make_task: MakeTask,
    count: int,
    warned: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(loop, "fit_to_time", lambda *_: Duration(epochs=2, iterations_per_epoch=count, minutes=8.0))
    with caplog.at_level("INFO"):
        made_trainer(make_task(epochs=None, iterations=None, minutes=8.0)).fit()
    assert f"8 minutes are 2 epochs of {count} iterations here" in caplog.text
    assert (f"{2 * count} iterations are too few" in caplog.text) == warned
