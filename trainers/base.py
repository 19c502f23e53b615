"""What is trained, and what a step does. A variant overrides one method and repeats nothing else."""

import contextlib
import logging
import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from gwunet.checkpoint import LATEST
from gwunet.data.batches import Batch, TrainingBatches
from gwunet.data.store import Sample
from gwunet.dataset import IGNORE
from gwunet.device import resolve_device
from gwunet.errors import TrainingError
from gwunet.inference.lack_of_memory import is_lack_of_memory
from gwunet.inference.sliding_window import predict_probability
from gwunet.losses import DeepSupervision, build_loss
from gwunet.networks.build import build_network
from gwunet.plans import Configuration
from gwunet.trainers.averaging import WeightAverage
from gwunet.trainers.choices import resolve
from gwunet.trainers.loop import Run
from gwunet.trainers.precision import Precision
from gwunet.trainers.schedule import learning_rate
from gwunet.trainers.set_aside import set_aside
from gwunet.training import TrainingTask

logger = logging.getLogger(__name__)

Division = tuple[tuple[str, ...], tuple[str, ...]]
"""The cases trained on, in the order that batches draw from, and those set aside."""
SURE = 1e-7
"""Distance of a probability from 0 and 1 at which its logit is taken at the latest: the last that float32 tells from 1,
some 16 as a logit. A pixel that is wrong by more counts in the validation loss as if it were wrong by that."""


class Trainer:
    """Trains one fold of one configuration.

    Override ``defaults`` to change the plan, ``build_network``, ``build_loss``, ``build_optimizer`` or
    ``build_batches`` to change a part, ``train_step`` or ``validation_step`` to change what a step does. The loop
    around them is ``gwunet.trainers.loop.Run``.
    """

    name: ClassVar[str]

    def __init__(self, task: TrainingTask) -> None:
        self.task = task
        self.world = task.world
        self.configuration = resolve(self.defaults(task.configuration), task.options)
        self.device = resolve_device(task.options.device, self.world.local_rank if self.world.size > 1 else None)
        self.build()

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
        """The training batches by number; of several processes each makes its own part of a batch."""
        task = self.task
        return TrainingBatches(task.store, self.train_cases, self.configuration, task.options.seed, self.world)

    def train_step(self, batch: Batch, iteration: int) -> float:
        """One update of the weights.

        Raises:
            TrainingError: the loss is not finite; the weights are as before the step.
        """
        frames = self._to_device(batch[0])
        targets = batch[1].to(self.device, non_blocking=True)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate(iteration)
        self.optimizer.zero_grad(set_to_none=True)
        parts = self.task.options.accumulate
        value = 0.0
        sums = getattr(self.loss, "sums", False)
        for number, (some, target) in enumerate(zip(frames.chunk(parts), targets.chunk(parts), strict=True), start=1):
            share = 1.0 if sums else len(some) / len(frames)
            with self._sharing_gradients(number == parts):
                loss = self._loss_of(some, target)
                value += share * self._finite(loss, iteration)
                self.precision.scaler.scale(share * loss).backward()  # type: ignore[no-untyped-call]
        self.precision.scaler.unscale_(self.optimizer)
        if self.configuration.optimiser.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.configuration.optimiser.gradient_clip)
        self.precision.scaler.step(self.optimizer)
        self.precision.scaler.update()
        if self.average is not None:
            self.average.update()
        return value

    def validation_step(self, sample: Sample) -> tuple[float, np.ndarray]:
        """Loss and counts (true positives, false positives, false negatives) of one validation frame."""
        target = torch.from_numpy(sample.target)[None, None].to(self.device)
        logits = self.logits(sample)
        loss = float(self.loss.on_final(logits, target))
        wire, field = (torch.from_numpy(mask)[None, None].to(self.device) for mask in (sample.wire, sample.field))
        found = (logits > 0) & field & (target != IGNORE)
        counts = [(found & wire).sum(), (found & ~wire).sum(), (~found & wire).sum()]
        return loss, np.array([int(count) for count in counts])

    # What the loop asks for -------------------------------------------------------------------------------------

    def build(self, division: Division | None = None) -> None:
        """Everything that follows from configuration and options, with fresh weights.

        Args:
            division: that of the run that goes on; None divides the fold's training cases.
        """
        self.precision = Precision(self.task.options.precision, self.device)
        torch.manual_seed(self.task.options.seed)
        self.network: nn.Module = self.build_network().to(self.device)
        if self.world.size > 1 and self.device.type == "cuda":
            self.network = nn.SyncBatchNorm.convert_sync_batchnorm(self.network)  # type: ignore[no-untyped-call]
        self.loss = self.build_loss().to(self.device)
        self.train_cases, self.aside_cases = division or self.divide()
        self.batches = self.build_batches()
        self.start_afresh()
        self._forward: Any = self._joined()

    def fit(self, resume: bool = False) -> None:
        """Train to the end and leave ``checkpoint_final.pt``; see ``Run.fit``."""
        try:
            Run(self).fit(resume)
        except (MemoryError, RuntimeError) as problem:
            if not is_lack_of_memory(problem):
                raise
            raise TrainingError(self._too_little_memory(problem)) from problem
        finally:
            self._forward = self.network  # a joined one must not outlive the processes' connection

    def divide(self) -> Division:
        """The cases to train on, and those set aside where schedule or early stopping look at some."""
        if self.configuration.optimiser.schedule != "plateau" and self.task.options.patience is None:
            return self.task.fold.train, ()
        groups = self.task.groups or dict.fromkeys(self.task.fold.train, self.task.dataset)
        return set_aside(groups, self.task.options.seed, frozenset(self.with_wire(self.task.fold.train)))

    def start_afresh(self) -> None:
        """Optimiser, scaler and average that have seen no step yet."""
        self.optimizer = self.build_optimizer()
        self.precision.reset()
        decay = self.task.options.ema
        self.average = None if decay is None else WeightAverage(self.network, decay)
        self.aside_losses: tuple[float, ...] = ()
        """After each epoch so far, for the schedule."""

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """The network has the weights that are validated and kept."""
        return contextlib.nullcontext() if self.average is None else self.average.in_place()

    def learning_rate(self, iteration: int) -> float:
        """Of a step, counted from 0 over all epochs."""
        plan = self.configuration
        return learning_rate(plan.optimiser, iteration, plan.duration, self.aside_losses)

    def with_wire(self, cases: Sequence[str]) -> list[str]:
        """Those of the cases that show a wire."""
        return [case for case in cases if self.task.store.entry(case).wire_pixels]

    def logits(self, sample: Sample) -> Tensor:
        """``(1, 1, h, w)`` float32 of one frame, in tiles as it will be predicted, but without mirrored copies.

        Tiles are put together as probabilities, so values end at those of ``SURE``.
        """
        frames = torch.from_numpy(sample.frame)[None, None].to(self.device)
        inference = self.configuration.inference
        with torch.no_grad():
            probability = predict_probability(
                [self._of_tiles],
                frames,
                tile_size=inference.tile_size,
                step=inference.step,
                mirror=False,
                batch_size=self._tiles_together(),
            )
        return torch.logit(probability, SURE)[:, None]

    def _of_tiles(self, tiles: Tensor) -> Tensor:
        with self.precision.autocast():
            logits: Tensor = self.network(self._to_device(tiles)).float()
        return logits

    def _tiles_together(self) -> int:
        """No more pixels than a step of training has, which keeps far more of each."""
        plan = self.configuration
        patches = plan.batch_size // (self.world.size * self.task.options.accumulate)
        return max(1, patches * math.prod(plan.patch_size) // math.prod(plan.inference.tile_size))

    # Parts of a step --------------------------------------------------------------------------------------------

    def _loss_of(self, frames: Tensor, target: Tensor) -> Tensor:
        with self.precision.autocast():
            outputs = self._forward(frames)
        several = isinstance(outputs, tuple | list)
        joined = tuple(self.world.gather(each) for each in (outputs if several else (outputs,)))
        loss: Tensor = self.loss(joined if several else joined[0], self.world.gather(target))
        return loss

    def _finite(self, loss: Tensor, iteration: int) -> float:
        value = float(loss.detach())
        if not np.isfinite(value):
            raise TrainingError(
                f"{self.task.folder}: the loss is {value} at iteration {iteration + 1}; the weights of the last epoch "
                f"stand in {LATEST}; a smaller --lr or --precision fp32 may help"
            )
        return value

    def _too_little_memory(self, problem: BaseException) -> str:
        patches = self.configuration.batch_size // self.world.size
        edges = " x ".join(map(str, self.configuration.patch_size))
        reason = (str(problem).splitlines() or [type(problem).__name__])[0]
        return (
            f"{self.task.folder}: found too little memory on {self.device} for {patches} patches of {edges} "
            f"({reason}); end what else uses it and give --continue, or train anew with a smaller --batch_size, or "
            "with --accumulate 2, 4, ..., which computes a batch in so many parts"
        )

    def _sharing_gradients(self, is_last: bool) -> contextlib.AbstractContextManager[None]:
        """Of an accumulated batch the processes share their gradients once."""
        if is_last or not isinstance(self._forward, DistributedDataParallel):
            return contextlib.nullcontext()
        return self._forward.no_sync()

    def _to_device(self, frames: Tensor) -> Tensor:
        return frames.to(self.device, non_blocking=True, memory_format=torch.channels_last)

    def _joined(self) -> Any:
        """The network as a training step calls it: compiled, and joined with the other processes'."""
        forward = torch.compile(self.network) if self.task.options.compile else self.network
        if self.world.size == 1:
            return forward
        # The head of an output that counts nothing gets no gradient, for which the processes would wait.
        some_idle = not all(getattr(self.loss, "weights", ()))
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(forward, device_ids=devices, find_unused_parameters=some_idle)
