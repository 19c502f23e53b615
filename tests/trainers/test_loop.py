"""Runs of a tiny trainer: breaks and how they go on, average, early stopping, what the files say."""

import dataclasses
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
from gwunet.data.store import Sample
from gwunet.errors import InterruptionError, ModelError, SplitError, TrainingError, UsageError
from gwunet.exposed_field import Border
from gwunet.losses import DeepSupervision, ModifiedFocalLoss, build_loss
from gwunet.plans import Duration, Preprocessing, Spec
from gwunet.splits import Fold
from gwunet.trainers import duration, history, interruption, loop
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
    for name in ("average", "losses", "seconds", "frames", "train_cases", "aside_cases"):
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


class Planned(nn.Module):
    """As wide as the plan says."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 1))

    def forward(self, frames: Tensor) -> Tensor:
        logits: Tensor = self.layers(frames)
        return logits


def following_its_plan(trainer: type[Trainer]) -> type[Trainer]:
    """Network and loss as the plan has them."""

    class Following(trainer):  # type: ignore[valid-type,misc]
        def build_network(self) -> nn.Module:
            return Planned(self.configuration.network.arguments["width"])

        def build_loss(self) -> DeepSupervision:
            return build_loss(self.configuration)

    return Following


def planned(task: TrainingTask, width: int, alpha: float) -> TrainingTask:
    changed = dataclasses.replace(
        task.configuration,
        network=Spec(name="FGANet", arguments={"width": width}),
        loss=Spec(name="BalancedBCELoss", arguments={"alpha": alpha}),
        deep_supervision_weights=(1.0,),
    )
    return dataclasses.replace(task, configuration=changed)


def test_a_plan_edited_meanwhile_does_not_reach_a_run_that_has_begun(
    made_trainer: type[Trainer], make_task: MakeTask
) -> None:
    """Neither its loss nor its network, so the weights are those of the run without a break."""
    following = following_its_plan(made_trainer)
    whole, broken = (planned(make_task(folder), 3, alpha=7.0) for folder in ("whole", "broken"))
    following(whole).fit()
    with pytest.raises(InterruptionError):
        broken_off(following, signal.SIGTERM, 5)(broken).fit()
    following(planned(make_task("broken"), 5, alpha=70.0)).fit(resume=True)
    assert equal(weights(whole), weights(broken))
    other = planned(make_task("other"), 3, alpha=70.0)
    following(other).fit()
    assert not equal(weights(whole), weights(other))  # the loss does matter


FOLD = Fold(train=tuple(f"case{index}" for index in range(6)), val=("case6", "case7"))


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (Fold(train=(*FOLD.train[1:], "case6"), val=("case0", "case7")), r"1 frames have left the fold's train half"),
        (Fold(train=FOLD.train, val=("case6", "case8")), r"1 frames have left the fold's val half .* 1 have come"),
        (Fold(train=(*FOLD.train, "case9"), val=FOLD.val), r"0 frames have left the fold's train half .* 1 have come"),
    ],
)
def test_a_run_does_not_go_on_with_other_folds(
    made_trainer: type[Trainer], make_task: MakeTask, now: Fold, message: str
) -> None:
    with pytest.raises(InterruptionError):
        broken_off(made_trainer, signal.SIGTERM, 5)(make_task()).fit()
    before = (make_task().folder / LATEST).read_bytes()
    with pytest.raises(SplitError, match=message + r"[\s\S]*splits.json back, or train anew with --overwrite"):
        made_trainer(make_task(fold=now)).fit(resume=True)
    assert (make_task().folder / LATEST).read_bytes() == before
    made_trainer(make_task()).fit(resume=True)


def test_a_checkpoint_that_does_not_say_its_fold_is_compared_by_its_frames(
    made_trainer: type[Trainer], make_task: MakeTask
) -> None:
    task = make_task()
    with pytest.raises(InterruptionError):
        broken_off(made_trainer, signal.SIGTERM, 5)(task).fit()
    content = torch.load(task.folder / LATEST, weights_only=True)
    del content["training"]["fold"]
    torch.save(content, task.folder / LATEST)
    now = Fold(train=(*FOLD.train[1:], "case6"), val=("case0", "case7"))
    with pytest.raises(SplitError, match="trained on 1 of the frames it would be judged on"):
        made_trainer(make_task(fold=now)).fit(resume=True)
    made_trainer(make_task()).fit(resume=True)


def test_a_run_does_not_go_on_with_frames_preprocessed_otherwise(
    made_trainer: type[Trainer], make_task: MakeTask
) -> None:
    with pytest.raises(InterruptionError):
        broken_off(made_trainer, signal.SIGTERM, 5)(make_task()).fit()
    other = Preprocessing(borders={"uint8": Border(level=15.0, threshold=20.0, spread=2.0)})
    with pytest.raises(ModelError, match="preprocessed otherwise since the run began"):
        made_trainer(dataclasses.replace(make_task(), preprocessing=other)).fit(resume=True)


def test_a_run_goes_on_with_the_frames_that_it_set_aside(made_trainer: type[Trainer], make_task: MakeTask) -> None:
    """Also where patients have got other names since, and the fold's frames another order."""
    shuffled: list[tuple[str, ...]] = []

    class Noting(made_trainer):  # type: ignore[valid-type,misc]
        def build_batches(self) -> Any:
            shuffled.append(self.train_cases)
            return super().build_batches()

    whole, broken = (make_task(folder, patience=5) for folder in ("whole", "broken"))
    made_trainer(whole).fit()
    with pytest.raises(InterruptionError):
        broken_off(made_trainer, signal.SIGTERM, 5)(broken).fit()
    other = make_task("broken", fold=Fold(train=FOLD.train[::-1], val=FOLD.val))
    groups = {case: f"{index}" for index, case in enumerate(FOLD.train[::-1])}
    Noting(dataclasses.replace(other, groups=groups)).fit(resume=True)
    assert shuffled[-1] == tuple(log(whole)[0]["train"])
    for name in ("train", "aside"):
        assert log(broken)[0][name] == log(whole)[0][name]
    assert [line["aside_loss"] for line in log(broken)[1:]] == [line["aside_loss"] for line in log(whole)[1:]]


def test_a_run_does_not_go_on_with_other_masks_under_the_same_names(
    made_trainer: type[Trainer], make_task: MakeTask
) -> None:
    with pytest.raises(InterruptionError):
        broken_off(made_trainer, signal.SIGTERM, 5)(make_task()).fit()
    before = (make_task().folder / LATEST).read_bytes()
    with pytest.raises(ModelError, match="frames or masks of the fold are others than when the run began"):
        made_trainer(make_task(empty={"case3"})).fit(resume=True)
    assert (make_task().folder / LATEST).read_bytes() == before
    made_trainer(make_task()).fit(resume=True)


def test_of_validation_frames_those_with_wire_are_looked_at(made_trainer: type[Trainer], make_task: MakeTask) -> None:
    fold = Fold(train=FOLD.train, val=tuple(f"case{index}" for index in range(10, 40)))
    with_wire = {"case13", "case29", "case38"}
    looked: list[float] = []

    class Looking(made_trainer):  # type: ignore[valid-type,misc]
        def validation_step(self, sample: Sample) -> Any:
            looked.append(float(sample.wire.sum()))
            return super().validation_step(sample)

    Looking(make_task(fold=fold, empty={*fold.val} - with_wire, epochs=1)).fit()
    assert looked == [8.0] * 3


def test_without_a_wire_to_validate_there_is_no_dice_and_the_best_is_the_latest(
    made_trainer: type[Trainer], make_task: MakeTask, caplog: pytest.LogCaptureFixture
) -> None:
    """Dice would choose the network that finds the least."""
    task = make_task(empty=FOLD.val, learning_rate=0.05)
    made_trainer(task).fit()
    _, *epochs = log(task)
    assert all(epoch["val_dice"] is None and epoch["val_dice_ema"] is None for epoch in epochs)
    assert all(epoch["val_loss"] is not None for epoch in epochs)
    assert equal(weights(task, BEST), weights(task, FINAL))
    assert load_checkpoint(task.folder / BEST).epoch == 3
    assert "none of the 2 validation frames shows a wire" in caplog.text


def test_fold_all_has_no_best(made_trainer: type[Trainer], make_task: MakeTask) -> None:
    task = make_task(fold=Fold(train=FOLD.train, val=()))
    made_trainer(task).fit()
    assert not (task.folder / BEST).exists()


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_summed_loss_of_an_accumulated_batch_is_that_of_the_whole(
    made_trainer: type[Trainer], make_task: MakeTask, reduction: Any
) -> None:
    found = {}
    for accumulate in (1, 2, 4):
        task = make_task(accumulate=accumulate, precision="fp32")
        unclipped = dataclasses.replace(task.configuration.optimiser, gradient_clip=None)
        configuration = dataclasses.replace(task.configuration, optimiser=unclipped)
        trainer = made_trainer(dataclasses.replace(task, configuration=configuration))
        trainer.network.eval()
        trainer.loss = DeepSupervision(ModifiedFocalLoss(alpha=7.0, gamma=1.0, reduction=reduction), (1.0,))
        value = trainer.train_step(trainer.batches[3], 3)
        gradients = torch.cat([parameter.grad.flatten() for parameter in trainer.network.parameters()])  # type: ignore[union-attr]
        found[accumulate] = (value, gradients.clone())
    for accumulate in (2, 4):
        assert found[accumulate][0] == pytest.approx(found[1][0], rel=1e-5)
        torch.testing.assert_close(found[accumulate][1], found[1][1], rtol=1e-4, atol=1e-5 * found[1][1].abs().max())


def test_an_earlier_validation_goes_before_the_checkpoints_it_is_of(
    made_trainer: type[Trainer], make_task: MakeTask
) -> None:
    task = make_task()
    made_trainer(task).fit()
    validation = task.folder / "validation"
    names = ("made_by.json", "summary.json", "summary.csv")
    for name in names:
        (validation / name).parent.mkdir(exist_ok=True)
        (validation / name).write_text("{}")

    class Looking(made_trainer):  # type: ignore[valid-type,misc]
        def train_step(self, batch: Batch, iteration: int) -> float:
            assert not list(validation.iterdir())
            return float(super().train_step(batch, iteration))

    made_trainer(make_task(patience=None)).fit(resume=True)  # done already: nothing gives way
    assert {path.name for path in validation.iterdir()} == set(names)
    Looking(make_task()).fit()


def test_steps_are_timed_as_they_are_trained(
    made_trainer: type[Trainer], make_task: MakeTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the same loader and under the same settings of the device."""
    within, loaded = [], []

    class Looking(made_trainer):  # type: ignore[valid-type,misc]
        def train_step(self, batch: Batch, iteration: int) -> float:
            within.append(torch.backends.cudnn.benchmark)
            return float(super().train_step(batch, iteration))

    def iterate(batches: Any, start: int, stop: int, workers: int) -> Any:
        loaded.append((start, workers))
        return iter([batches[index] for index in range(start, stop)])

    monkeypatch.setattr(loop, "iterate_batches", iterate)
    monkeypatch.setattr(loop, "TIMED_STEPS", 4)
    monkeypatch.setattr(duration, "TIMED_STEPS", 4)
    monkeypatch.setattr(Run, "_workers", lambda _: 3)
    task = make_task(epochs=None, iterations=None, minutes=0.002)
    Looking(task).fit()
    assert set(within) == {True}
    assert loaded == [(0, 3), (0, 3)]


def test_folds_of_different_plans_are_told(
    made_trainer: type[Trainer], make_task: MakeTask, caplog: pytest.LogCaptureFixture
) -> None:
    made_trainer(make_task("model/fold_0")).fit()
    made_trainer(make_task("model/fold_1")).fit()
    assert "differs" not in caplog.text
    made_trainer(make_task("model/fold_2", learning_rate=0.5, epochs=2)).fit()
    told = [record.getMessage() for record in caplog.records if "differs" in record.getMessage()]
    assert len(told) == 2
    assert "fold_2: its configuration differs from that of fold_0 in optimiser, duration;" in told[0]


def test_folds_that_were_given_the_same_time_do_not_differ(
    made_trainer: type[Trainer], make_task: MakeTask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for fold, steps in enumerate((3, 4)):
        fitted = Duration(epochs=2, iterations_per_epoch=steps, minutes=8.0)
        monkeypatch.setattr(loop, "fit_to_time", lambda *_, fitted=fitted: fitted)
        made_trainer(make_task(f"model/fold_{fold}", epochs=None, iterations=None, minutes=8.0)).fit()
    assert "differs" not in caplog.text


def test_a_schedule_that_is_cut_short_is_told(
    made_trainer: type[Trainer], make_task: MakeTask, caplog: pytest.LogCaptureFixture
) -> None:
    task = make_task()
    optimiser = dataclasses.replace(task.configuration.optimiser, schedule="annealing", annealing_epochs=50)
    configuration = dataclasses.replace(task.configuration, optimiser=optimiser)
    made_trainer(dataclasses.replace(task, configuration=configuration)).fit()
    assert "annealing schedule is to reach 0 after 50 epochs; in 3 the learning rate falls to 100%" in caplog.text


@pytest.mark.parametrize(
    "problem",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore of it"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        MemoryError(),
    ],
)
def test_too_little_memory_is_said_with_what_to_do(
    made_trainer: type[Trainer], make_task: MakeTask, problem: Exception
) -> None:
    class Large(made_trainer):  # type: ignore[valid-type,misc]
        def train_step(self, *_: Any) -> float:
            raise problem

    with pytest.raises(TrainingError, match=r"too little memory on cpu for 4 patches of .*--batch_size.*--accumulate"):
        Large(make_task()).fit()
    problem = RuntimeError("of another kind")
    with pytest.raises(RuntimeError, match="of another kind"):
        Large(make_task()).fit()


def test_a_final_checkpoint_in_the_place_of_the_latest_is_refused(
    made_trainer: type[Trainer], make_task: MakeTask
) -> None:
    task = make_task(epochs=1)
    made_trainer(task).fit()
    (task.folder / FINAL).replace(task.folder / LATEST)
    with pytest.raises(ModelError, match=r"latest\.pt: found no state of training in it \(optimizer, records, scaler"):
        made_trainer(make_task()).fit(resume=True)


def test_choices_that_a_finished_run_was_not_trained_with_are_told(
    made_trainer: type[Trainer], make_task: MakeTask, caplog: pytest.LogCaptureFixture
) -> None:
    task = make_task(seed=3)
    made_trainer(task).fit()
    before = (task.folder / FINAL).read_bytes()
    made_trainer(make_task(seed=3)).fit(resume=True)
    assert "choices" not in caplog.text
    made_trainer(make_task(epochs=50, learning_rate=0.5)).fit(resume=True)
    assert "training is done with the choices it began with, not with --epochs 50, --lr 0.5" in caplog.text
    (task.folder / LATEST).unlink()  # nothing needs it any more
    made_trainer(make_task(epochs=50)).fit(resume=True)
    assert (task.folder / FINAL).read_bytes() == before
