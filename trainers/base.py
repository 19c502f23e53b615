"""The training loop. A variant overrides one method and repeats nothing else."""

import copy
import dataclasses
import logging
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from gwunet.checkpoint import BEST, FINAL, LATEST, Checkpoint, load_checkpoint, load_weights, save_checkpoint
from gwunet.data.batches import Batch, TrainingBatches, iterate_batches
from gwunet.data.store import Sample
from gwunet.dataset import IGNORE
from gwunet.device import available_cores, resolve_device
from gwunet.errors import TrainingError
from gwunet.jsonio import from_json, to_json
from gwunet.losses import DeepSupervision, build_loss
from gwunet.networks.build import build_network, pretrain
from gwunet.networks.pretrained import count_seen, load_pretrained_file
from gwunet.plans import Configuration
from gwunet.trainers.duration import fit_to_time, planned
from gwunet.trainers.history import EpochRecord, History
from gwunet.trainers.schedule import learning_rate
from gwunet.trainers.set_aside import set_aside
from gwunet.training import TrainConfig, TrainingTask

logger = logging.getLogger(__name__)

VALIDATION_FRAMES = 8
"""Validation frames looked at after each epoch, spread evenly; all of them are validated at the end."""
ASIDE_FRAMES = 32
"""The same of the frames set aside."""
EMA_DECAY = 0.8
CUDA_WORKERS = 12
"""Processes that make batches for a GPU, at most."""


class Trainer:
    """Trains one fold of one configuration.

    Override ``defaults`` to change the plan, ``build_network``, ``build_loss``, ``build_optimizer`` or
    ``build_batches`` to change a part, ``train_step`` or ``validation_step`` to change what a step does.
    """

    name: ClassVar[str]

    def __init__(self, task: TrainingTask) -> None:
        self.task = task
        self.configuration = self._resolve(self.defaults(task.configuration))
        self.device = resolve_device(task.options.device)
        self.autocast_type = self._autocast_type()
        torch.manual_seed(task.options.seed)
        self.network = self.build_network().to(self.device)
        self.loss = self.build_loss().to(self.device)
        self.optimizer = self.build_optimizer()
        self.scaler = self._make_scaler()
        self._train, self._aside = self._divide()
        self._aside_losses: tuple[float, ...] = ()
        self.batches = self.build_batches()
        self._pretrained: dict[str, Any] | None = None
        self._cases: tuple[str, ...] | None = task.fold.train
        self._forward: Any = torch.compile(self.network) if task.options.compile else self.network

    # What variants override -------------------------------------------------------------------------------------

    def defaults(self, configuration: Configuration) -> Configuration:
        """The plan, changed as a variant wants it."""
        return configuration

    def build_network(self) -> nn.Module:
        """The network with fresh weights."""
        return build_network(self.configuration)

    def build_loss(self) -> DeepSupervision:
        """The loss on the network's outputs in training."""
        return build_loss(self.configuration)

    def build_optimizer(self) -> torch.optim.Optimizer:
        """The optimiser over all parameters; its learning rate is set before each step."""
        plan = self.configuration.optimiser
        parameters = self.network.parameters()
        if plan.name == "adamw":
            return torch.optim.AdamW(parameters, lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True)
        return torch.optim.SGD(
            parameters,
            lr=plan.learning_rate,
            momentum=plan.momentum,
            weight_decay=plan.weight_decay,
            nesterov=plan.nesterov and plan.momentum > 0,
        )

    def build_batches(self) -> TrainingBatches:
        """The training batches by number."""
        task = self.task
        return TrainingBatches(task.store, self._train, self.configuration, task.options.seed)

    def train_step(self, batch: Batch, iteration: int) -> float:
        """One update of the weights.

        Raises:
            TrainingError: the loss is not finite; the weights are as before the step.
        """
        frames = self._to_device(batch[0])
        target = batch[1].to(self.device, non_blocking=True)
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(iteration)
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            outputs = self._forward(frames)
        loss = self.loss(outputs, target)
        value = float(loss.detach())
        if not np.isfinite(value):
            raise TrainingError(
                f"{self.task.folder}: the loss is {value} at iteration {iteration + 1}; the weights of the last epoch "
                f"stand in {LATEST}; a smaller --lr or --precision fp32 may help"
            )
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        if self.configuration.optimiser.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.configuration.optimiser.gradient_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return value

    def validation_step(self, sample: Sample) -> tuple[float, np.ndarray]:
        """Loss and counts (true positives, false positives, false negatives) of one validation frame."""
        frames = self._to_device(torch.from_numpy(sample.frame)[None, None])
        target = torch.from_numpy(sample.target)[None, None].to(self.device)
        with torch.no_grad(), self._autocast():
            logits: Tensor = self.network(frames).float()
        loss = float(self.loss.on_final(logits, target))
        wire, field = (torch.from_numpy(mask)[None, None].to(self.device) for mask in (sample.wire, sample.field))
        found = (logits > 0) & field & (target != IGNORE)
        counts = [(found & wire).sum(), (found & ~wire).sum(), (~found & wire).sum()]
        return loss, np.array([int(count) for count in counts])

    # The loop ---------------------------------------------------------------------------------------------------

    def fit(self, resume: bool = False) -> None:
        """Train to the end and leave ``checkpoint_final.pt``.

        With ``resume`` and a ``checkpoint_latest.pt``, goes on from there to the same weights as without a break.
        Without ``resume``, the checkpoints of an earlier run stay until this one can begin.
        """
        self.task.folder.mkdir(parents=True, exist_ok=True)
        if resume and (self.task.folder / FINAL).is_file():
            logger.info("%s: training is done already", self.task.folder)
            return
        records = self._restore() if resume else None
        if records is None:
            records = []
            self._pretrained = self._load_pretrained()
            self._settle_duration()
            if not resume:
                _delete_earlier(self.task.folder)
            self._save(LATEST, records, for_training=True)
        history = History(self.task.folder, self._log_start(), records)
        history.write()
        duration = self.configuration.duration
        first = len(records)
        with tqdm(
            total=duration.epochs * duration.iterations_per_epoch,
            initial=first * duration.iterations_per_epoch,
            desc=f"{self.configuration.name} {self.task.folder.name}",
            unit="step",
            disable=not self.task.show_progress,
        ) as bar:
            for epoch in range(first, duration.epochs):
                history.append(self._run_epoch(epoch, history.records, bar))
                # The best comes first: a kill between the two repeats the epoch instead of losing its best weights.
                if _is_best(history.records):
                    self._save(BEST, history.records)
                self._save(LATEST, history.records, for_training=True)
        self._save(FINAL, history.records)

    def _run_epoch(self, epoch: int, records: Sequence[EpochRecord], bar: Any) -> EpochRecord:
        start = time.perf_counter()
        steps = self.configuration.duration.iterations_per_epoch
        first = epoch * steps
        self._aside_losses = tuple(record.aside_loss for record in records if record.aside_loss is not None)
        self.network.train()
        losses = []
        for offset, batch in enumerate(iterate_batches(self.batches, first, first + steps, self._workers())):
            losses.append(self.train_step(batch, first + offset))
            bar.set_postfix(loss=f"{losses[-1]:.3f}", dice=_last_dice(records), refresh=False)
            bar.update()
        val_loss, val_dice = self._validate()
        previous = records[-1].val_dice_ema if records else None
        smooth = val_dice if previous is None or val_dice is None else EMA_DECAY * previous + (1 - EMA_DECAY) * val_dice
        return EpochRecord(
            epoch=epoch + 1,
            iteration=first + steps,
            learning_rate=self._learning_rate(first + steps - 1),
            train_loss=float(np.mean(losses)),
            val_loss=val_loss,
            val_dice=val_dice,
            val_dice_ema=smooth,
            aside_loss=self._loss_aside(),
            seconds=round(time.perf_counter() - start, 3),
        )

    def _validate(self) -> tuple[float | None, float | None]:
        """Mean loss and pooled Dice of a few validation frames; None without any."""
        cases = self.task.fold.val
        if not cases:
            return None, None
        self.network.eval()
        results = [self.validation_step(self.task.store.read(case)) for case in _spread(cases, VALIDATION_FRAMES)]
        hits, false, missed = np.sum([counts for _, counts in results], axis=0)
        dice = 2 * hits / (2 * hits + false + missed) if hits + false + missed else 1.0
        return float(np.mean([loss for loss, _ in results])), float(dice)

    def _loss_aside(self) -> float | None:
        """Mean loss of the frames set aside; None where there are none."""
        if not self._aside:
            return None
        self.network.eval()
        cases = _spread(self._aside, ASIDE_FRAMES)
        return float(np.mean([self.validation_step(self.task.store.read(case))[0] for case in cases]))

    def _divide(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The cases to train on, and those set aside where the schedule looks at some."""
        if self.configuration.optimiser.schedule != "plateau":
            return self.task.fold.train, ()
        groups = self.task.groups or dict.fromkeys(self.task.fold.train, self.task.dataset)
        return set_aside(groups, self.task.options.seed)

    # State ------------------------------------------------------------------------------------------------------

    def _resolve(self, configuration: Configuration) -> Configuration:
        options = self.task.options
        rate = options.learning_rate or configuration.optimiser.learning_rate
        return dataclasses.replace(
            configuration,
            batch_size=options.batch_size or configuration.batch_size,
            optimiser=dataclasses.replace(configuration.optimiser, learning_rate=rate),
            duration=planned(configuration.duration, options.epochs, options.iterations, options.minutes),
        )

    def _load_pretrained(self) -> dict[str, Any] | None:
        """Start from the weights that the run or the plan names; what came of it goes into the log."""
        path = self.task.options.pretrained_weights
        found = pretrain(self.network, self.configuration) if path is None else load_pretrained_file(self.network, path)
        if found is None:
            return None
        if found.dataset == self.task.dataset:
            known = found.cases
            self._cases = None if known is None else tuple(sorted({*known, *self.task.fold.train}))
        seen = count_seen(found, self.task.dataset, self.task.fold.val)
        return dict(to_json(found)) | {"validation_frames_seen": seen}

    def _settle_duration(self) -> None:
        """Turn minutes into a number of iterations, once; training then starts from untouched weights."""
        minutes = self.configuration.duration.minutes
        if minutes is None:
            return
        state = copy.deepcopy(self.network.state_dict())
        self.network.train()

        def close_epoch() -> None:
            self._validate()
            self._loss_aside()
            self.network.train()

        duration = fit_to_time(minutes, lambda index: self.train_step(self.batches[index], 0), close_epoch)
        self.network.load_state_dict(state)
        self.optimizer = self.build_optimizer()
        self.scaler = self._make_scaler()
        self.configuration = dataclasses.replace(self.configuration, duration=duration)
        logger.info(
            "%g minutes are %d epochs of %d iterations here", minutes, duration.epochs, duration.iterations_per_epoch
        )

    def _save(self, name: str, records: Sequence[EpochRecord], for_training: bool = False) -> None:
        training: dict[str, Any] = {}
        if for_training:
            path = self.task.options.pretrained_weights
            training = {
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict(),
                "torch_rng": torch.get_rng_state(),
                "seed": self.task.options.seed,
                "pretrained": self._pretrained,
                "pretrained_weights": None if path is None else str(path),
                "records": [to_json(record) for record in records],
            }
        checkpoint = Checkpoint(
            dataset=self.task.dataset,
            trainer=self.name,
            configuration=self.configuration,
            preprocessing=self.task.preprocessing,
            weights=self.network.state_dict(),
            epoch=len(records),
            cases=self._cases,
            training=training,
        )
        save_checkpoint(self.task.folder / name, checkpoint)

    def _restore(self) -> list[EpochRecord] | None:
        path = self.task.folder / LATEST
        if not path.is_file():
            logger.warning("%s: nothing to continue, training starts from the beginning", path)
            return None
        checkpoint = load_checkpoint(path)
        self.configuration = checkpoint.configuration
        load_weights(self.network, checkpoint, path)
        state = checkpoint.training
        self._pretrained = state.get("pretrained")  # checkpoints of 0.1 have none
        if checkpoint.cases is not None or self._pretrained is not None:
            self._cases = checkpoint.cases
        self._keep_choices(state)
        self._train, self._aside = self._divide()
        self.batches = self.build_batches()
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["torch_rng"])
        return [from_json(EpochRecord, record, str(path)) for record in state["records"]]

    def _keep_choices(self, state: Mapping[str, Any]) -> None:
        """A continued run keeps the choices it began with: others would not give the same weights."""
        options, weights = self.task.options, state.get("pretrained_weights")
        began = dataclasses.replace(
            options, seed=state["seed"], pretrained_weights=None if weights is None else Path(weights)
        )
        others = _other_choices(options, began, self.configuration)
        if others:
            logger.warning(
                "%s: training goes on with the choices it began with, not with %s", self.task.folder, ", ".join(others)
            )
        self.task = dataclasses.replace(self.task, options=began)

    def _log_start(self) -> dict[str, Any]:
        return {
            "dataset": self.task.dataset,
            "trainer": self.name,
            "device": str(self.device),
            "precision": str(self.autocast_type or torch.float32).removeprefix("torch."),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "seed": self.task.options.seed,
            "train": list(self._train),
            "aside": list(self._aside),
            "val": list(self.task.fold.val),
            "pretrained": self._pretrained,
            "configuration": to_json(self.configuration),
        }

    # Device -----------------------------------------------------------------------------------------------------

    def _autocast_type(self) -> torch.dtype | None:
        precision = self.task.options.precision
        if precision == "auto":
            if self.device.type != "cuda":
                return None
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]

    def _make_scaler(self) -> torch.GradScaler:
        return torch.GradScaler(self.device.type, enabled=self.autocast_type == torch.float16)

    def _autocast(self) -> torch.autocast:
        dtype = self.autocast_type or torch.bfloat16
        return torch.autocast(self.device.type, dtype, enabled=self.autocast_type is not None)

    def _to_device(self, frames: Tensor) -> Tensor:
        return frames.to(self.device, non_blocking=True, memory_format=torch.channels_last)

    def _workers(self) -> int:
        """On a CPU none: batches would only compete with the network for its cores."""
        return 0 if self.device.type == "cpu" else min(CUDA_WORKERS, max(1, available_cores() - 1))

    def _learning_rate(self, iteration: int) -> float:
        plan = self.configuration
        return learning_rate(plan.optimiser, iteration, plan.duration, self._aside_losses)


def _spread(cases: Sequence[str], count: int) -> Sequence[str]:
    """At most so many of the cases, evenly."""
    return cases[:: max(1, len(cases) // count)][:count]


def _delete_earlier(folder: Path) -> None:
    """Before the first save: a final checkpoint that outlived it would end a continued run before it begins."""
    present = [folder / name for name in (FINAL, LATEST, BEST) if (folder / name).exists()]
    if present:
        logger.info("%s: trained anew over what stood there", folder)
    for path in present:
        path.unlink()


def _other_choices(options: TrainConfig, began: TrainConfig, configuration: Configuration) -> list[str]:
    """The flags given now whose values are not those of the run that is continued."""
    duration = configuration.duration
    choices = (
        ("--epochs", options.epochs, duration.epochs),
        ("--iterations", options.iterations, duration.iterations_per_epoch),
        ("--minutes", options.minutes, duration.minutes),
        ("--batch_size", options.batch_size, configuration.batch_size),
        ("--lr", options.learning_rate, configuration.optimiser.learning_rate),
        ("--pretrained_weights", options.pretrained_weights, began.pretrained_weights),
        ("--seed", options.seed or None, began.seed),  # 0 where none is given
    )
    return [f"{flag} {given}" for flag, given, kept in choices if given is not None and given != kept]


def _is_best(records: Sequence[EpochRecord]) -> bool:
    smoothed = [record.val_dice_ema for record in records]
    latest = smoothed[-1]
    return latest is not None and all(value is None or latest >= value for value in smoothed)


def _last_dice(records: Sequence[EpochRecord]) -> str:
    latest = records[-1].val_dice if records else None
    return "-" if latest is None else f"{latest:.3f}"
