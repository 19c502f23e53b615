"""The training loop around a trainer: epochs, validation, log, checkpoints, breaks."""

import copy
import dataclasses
import logging
import platform
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from gwunet.checkpoint import BEST, FINAL, LATEST
from gwunet.data.batches import Batch, iterate_batches
from gwunet.device import available_cores
from gwunet.errors import InterruptionError
from gwunet.evenly import evenly
from gwunet.jsonio import to_json
from gwunet.networks.build import pretrain
from gwunet.networks.pretrained import count_seen, load_pretrained_file
from gwunet.progress import no_progress, seconds_between_draws
from gwunet.trainers.choices import check_division, options_json
from gwunet.trainers.duration import TIMED_STEPS, fit_to_time
from gwunet.trainers.history import EpochRecord, History, check_tensorboard
from gwunet.trainers.interruption import Interruption, watching
from gwunet.trainers.pictures import draw_validation
from gwunet.trainers.precision import repeatable
from gwunet.trainers.schedule import cut_short, epochs_without_gain
from gwunet.trainers.siblings import differences_from_siblings
from gwunet.trainers.state import Origin, Progress, frames_of, restore, save, tell_choices_of_finished
from gwunet.training import TrainingTask
from gwunet.validation import forget_validation

if TYPE_CHECKING:
    from gwunet.trainers.base import Trainer

logger = logging.getLogger(__name__)

VALIDATION_FRAMES = 8
"""Validation frames looked at after each epoch, spread evenly; all of them are validated at the end."""
ASIDE_FRAMES = 32
"""The same of the frames set aside."""
PICTURED_FRAMES = 4
PICTURES = 10
"""How often in a run validation frames are drawn; the last epoch's always are."""
EMA_DECAY = 0.8
CUDA_WORKERS = 12
"""Processes that make batches for a GPU, at most."""
PREFETCH = 2
"""Batches that each of them makes before they are asked for: torch's default."""
FEWEST_ITERATIONS = 100
"""In a given time; a run of less is warned of."""


class Run:
    """One run of a trainer."""

    def __init__(self, trainer: "Trainer") -> None:
        self.trainer = trainer
        self.task = trainer.task
        self.world = trainer.world
        self.progress = Progress()
        self.origin = Origin(cases=trainer.task.fold.train)

    def fit(self, resume: bool = False) -> None:
        """Train to the end and leave ``checkpoint_final.pt``.

        With ``resume`` and a ``checkpoint_latest.pt``, goes on from there to the same weights as without a break.
        Without ``resume``, the checkpoints of an earlier run stay until this one can begin.

        Raises:
            UsageError: the batch cannot be divided as asked for, or TensorBoard is wanted and not installed.
            TrainingError: the loss is not finite.
            InterruptionError: SIGTERM or SIGINT came; what was done is saved.
        """
        if self.task.options.tensorboard:
            check_tensorboard()
        self.task.folder.mkdir(parents=True, exist_ok=True)
        if resume and (self.task.folder / FINAL).is_file():
            logger.info("%s: training is done already", self.task.folder)
            if self.world.is_writer:
                tell_choices_of_finished(self.task)
            return
        if resume and (self.task.folder / LATEST).is_file():
            self.progress, self.origin = restore(self.trainer)
            self.task = self.trainer.task
        else:
            self._begin()
        self._tell_what_is_odd()
        progress = self.progress
        events = self.task.options.tensorboard and self.world.is_writer
        history = History(self.task.folder, self._log_start(), progress.records, events)
        if self.world.is_writer:
            history.write()
        with repeatable(self.task.options.deterministic), watching() as interruption, self._bar() as bar:
            batches = self._batches(self._iterations_done())
            while len(progress.records) < self.trainer.configuration.duration.epochs and not self._has_stalled():
                self._run_epoch(batches, bar, interruption)
                if self.world.is_writer:
                    history.write()
                # The best comes first: a kill between the two repeats the epoch instead of losing its best weights.
                if self.task.fold.val and _is_best(progress.records):
                    self._save(BEST)
                self._save(LATEST)
            self._save(FINAL)
            if self.world.any(interruption.signal is not None):  # came while the last epoch was closed
                raise InterruptionError(f"{self.task.folder}: trained to the end; --val validates", interruption.signal)

    def _tell_what_is_odd(self) -> None:
        """What a person would rather know before the run than after it."""
        if not self.world.is_writer:
            return
        folder, configuration = self.task.folder, self.trainer.configuration
        lost = cut_short(configuration.optimiser, configuration.duration)
        if lost is not None:
            logger.warning("%s: %s; train for more epochs, or plan another schedule", folder, lost)
        if self.task.fold.val and not self.trainer.with_wire(self.task.fold.val):
            logger.warning(
                "%s: none of the %d validation frames shows a wire, so there is no Dice during training, and "
                "checkpoint_best follows the latest weights",
                folder,
                len(self.task.fold.val),
            )
        for sibling, names in differences_from_siblings(folder, configuration).items():
            logger.warning(
                "%s: its configuration differs from that of %s in %s; folds are averaged and compared as one model: "
                "train them from one plan and with the same flags",
                folder,
                sibling,
                ", ".join(names),
            )

    def _begin(self) -> None:
        check_division(self.trainer.configuration.batch_size, self.task.options.accumulate, self.world)
        self.origin = dataclasses.replace(self._load_pretrained(), frames=frames_of(self.task))
        self._settle_duration()
        self.trainer.start_afresh()
        if self.world.is_writer:
            _delete_earlier(self.task)
        self.world.wait()
        self._save(LATEST)

    def _batches(self, start: int, end: int | None = None) -> Iterator[Batch]:
        """From ``start`` to the run's end, made ahead also over the ends of epochs."""
        duration = self.trainer.configuration.duration
        end = duration.epochs * duration.iterations_per_epoch if end is None else end
        with torch.random.fork_rng(devices=()):  # making a loader draws a number, which dropout would miss
            return iterate_batches(self.trainer.batches, start, end, self._workers())

    def _iterations_done(self) -> int:
        progress, steps = self.progress, self.trainer.configuration.duration.iterations_per_epoch
        return len(progress.records) * steps + len(progress.losses)

    def _run_epoch(self, batches: Iterator[Batch], bar: Any, interruption: Interruption) -> None:
        trainer, progress = self.trainer, self.progress
        start = time.perf_counter() - progress.seconds
        losses_aside = (record.aside_loss for record in progress.records)
        trainer.aside_losses = tuple(loss for loss in losses_aside if loss is not None)
        trainer.network.train()
        for _ in range(trainer.configuration.duration.iterations_per_epoch - len(progress.losses)):
            progress.losses.append(trainer.train_step(next(batches), self._iterations_done()))
            bar.set_postfix(loss=f"{progress.losses[-1]:.3f}", dice=_last_dice(progress.records), refresh=False)
            bar.update()
            if self.world.any(interruption.signal is not None):
                progress.seconds = time.perf_counter() - start
                self._stop(interruption)
        progress.records.append(self._close_epoch(start))
        progress.losses, progress.seconds = [], 0.0

    def _close_epoch(self, start: float) -> EpochRecord:
        records = self.progress.records
        with self.trainer.averaged():
            val_loss, val_dice = self._validate()
            aside_loss = self._loss_aside()
            if self._is_pictured(len(records)):
                samples = [self.task.store.read(case) for case in evenly(self.task.fold.val, PICTURED_FRAMES)]
                draw_validation(self.task.folder, [(sample, self.trainer.logits(sample)) for sample in samples])
        before = records[-1].val_dice_ema if records else None
        smooth = val_dice if before is None or val_dice is None else EMA_DECAY * before + (1 - EMA_DECAY) * val_dice
        return EpochRecord(
            epoch=len(records) + 1,
            iteration=self._iterations_done(),
            learning_rate=self.trainer.learning_rate(self._iterations_done() - 1),
            train_loss=float(np.mean(self.progress.losses)),
            val_loss=val_loss,
            val_dice=val_dice,
            val_dice_ema=smooth,
            aside_loss=aside_loss,
            seconds=round(time.perf_counter() - start, 3),
        )

    def _stop(self, interruption: Interruption) -> None:
        self._save(LATEST)
        self.world.wait()
        done, steps = len(self.progress.records), self.trainer.configuration.duration.iterations_per_epoch
        raise InterruptionError(
            f"{self.task.folder}: stopped in epoch {done + 1} after {len(self.progress.losses)} of {steps} iterations; "
            "--continue goes on from there",
            interruption.signal,
        )

    def _validate(self) -> tuple[float | None, float | None]:
        """Mean loss and pooled Dice of a few validation frames; None without any, or without wire for the Dice."""
        with_wire = self.trainer.with_wire(self.task.fold.val)
        loss, (hits, false, missed) = self._look_at(evenly(with_wire or self.task.fold.val, VALIDATION_FRAMES))
        # Without wire a Dice would be best of a network that finds nothing anywhere.
        return loss, float(2 * hits / (2 * hits + false + missed)) if with_wire and hits + missed else None

    def _loss_aside(self) -> float | None:
        """Mean loss of the frames set aside; None where there are none."""
        return self._look_at(evenly(self.trainer.aside_cases, ASIDE_FRAMES))[0]

    def _look_at(self, cases: Sequence[str]) -> tuple[float | None, np.ndarray]:
        """Mean loss and summed counts of frames, which several processes share."""
        self.trainer.network.eval()
        totals = np.zeros(4)
        for case in self.world.share(cases):
            loss, counts = self.trainer.validation_step(self.task.store.read(case))
            totals += (loss, *counts)
        totals = self.world.sum(totals)
        return float(totals[0]) / len(cases) if cases else None, totals[1:]

    def _has_stalled(self) -> bool:
        patience = self.task.options.patience
        losses = [record.aside_loss for record in self.progress.records if record.aside_loss is not None]
        if patience is None or epochs_without_gain(losses) < patience:
            return False
        logger.info("%s: the loss on frames set aside fell no more for %d epochs", self.task.folder, patience)
        return True

    def _is_pictured(self, epoch: int) -> bool:
        epochs = self.trainer.configuration.duration.epochs
        due = (epoch + 1) % max(1, epochs // PICTURES) == 0 or epoch + 1 == epochs
        return due and self.world.is_writer and bool(self.task.fold.val)

    def _bar(self) -> Any:
        duration = self.trainer.configuration.duration
        return tqdm(
            total=duration.epochs * duration.iterations_per_epoch,
            initial=self._iterations_done(),
            desc=f"{self.trainer.configuration.name} {self.task.folder.name}",
            unit="step",
            disable=self.task.progress is no_progress or not self.world.is_writer,
            mininterval=seconds_between_draws(),
        )

    def _load_pretrained(self) -> Origin:
        """Start from the weights that the run or the plan names; what came of it goes into the log."""
        trainer = self.trainer
        path = self.task.options.pretrained_weights
        if path is None:
            found = pretrain(trainer.network, trainer.configuration)
        else:
            found = load_pretrained_file(trainer.network, path)
        if found is None:
            return Origin(cases=self.task.fold.train)
        elsewhere = found.seen
        before = elsewhere.pop(self.task.dataset, ())
        seen = count_seen(found, self.task.dataset, self.task.fold.val, self.task.undivided)
        return Origin(
            cases=None if before is None else tuple(sorted({*before, *self.task.fold.train})),
            cases_elsewhere=elsewhere,
            pretrained=dict(to_json(found)) | {"validation_frames_seen": seen},
        )

    def _settle_duration(self) -> None:
        """Turn minutes into a number of iterations, once; training then starts from untouched weights."""
        trainer = self.trainer
        minutes = trainer.configuration.duration.minutes
        if minutes is None:
            return
        workers = self._workers()
        ahead = PREFETCH * workers
        state = copy.deepcopy(trainer.network.state_dict())
        trainer.network.train()

        def close_epoch() -> None:
            with trainer.averaged():
                self._validate()
                self._loss_aside()
            trainer.network.train()

        batches = self._batches(0, TIMED_STEPS + ahead + 1)

        def step(index: int) -> None:
            del index
            trainer.train_step(next(batches), 0)

        with repeatable(self.task.options.deterministic):  # as in training
            duration = fit_to_time(minutes, step, close_epoch, self.world, ahead)
        trainer.network.load_state_dict(state)
        trainer.configuration = dataclasses.replace(trainer.configuration, duration=duration)
        epochs, iterations = duration.epochs, duration.iterations_per_epoch
        logger.info(
            "%g minutes are %d epoch%s of %d iterations here", minutes, epochs, "s" if epochs > 1 else "", iterations
        )
        if epochs * iterations < FEWEST_ITERATIONS:
            logger.warning(
                "%d iterations are too few to find a wire: train for longer with --minutes, on an idle machine "
                "(programs beside it can make a step many times as long), or for a fixed number with --epochs and "
                "--iterations",
                epochs * iterations,
            )

    def _workers(self) -> int:
        """On a CPU none: batches would only compete with the network for its cores."""
        if self.trainer.device.type == "cpu":
            return 0
        sharing = torch.cuda.device_count() if self.world.size > 1 else 1
        return min(CUDA_WORKERS, max(1, available_cores() // max(1, sharing) - 1))

    def _save(self, name: str) -> None:
        if self.world.is_writer:
            save(self.trainer, name, self.progress, self.origin)

    def _log_start(self) -> dict[str, Any]:
        return {
            "dataset": self.task.dataset,
            "trainer": self.trainer.name,
            "device": str(self.trainer.device),
            "processes": self.world.size,
            "precision": self.trainer.precision.name,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "seed": self.task.options.seed,
            "options": options_json(self.task.options),
            "train": list(self.trainer.train_cases),
            "aside": list(self.trainer.aside_cases),
            "val": list(self.task.fold.val),
            "pretrained": self.origin.pretrained,
            "configuration": to_json(self.trainer.configuration),
        }


def _delete_earlier(task: TrainingTask) -> None:
    """Before the first save: a final checkpoint that outlived it would end a continued run before it begins.

    The validation goes first, so that no break leaves figures of weights that are gone.
    """
    forget_validation(task.folder)
    present = [task.folder / name for name in (FINAL, LATEST, BEST) if (task.folder / name).exists()]
    if present:
        logger.info("%s: trained anew over what stood there", task.folder)
    for path in present:
        path.unlink()


def _is_best(records: Sequence[EpochRecord]) -> bool:
    """Whether the last epoch is; where there is no Dice, the latest always is."""
    smoothed = [record.val_dice_ema for record in records]
    latest = smoothed[-1]
    return latest is None or all(value is None or latest >= value for value in smoothed)


def _last_dice(records: Sequence[EpochRecord]) -> str:
    latest = records[-1].val_dice if records else None
    return "-" if latest is None else f"{latest:.3f}"
