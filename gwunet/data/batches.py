"""Training batches by number: batch ``i`` is the same whoever asks, in whatever order, after whatever interruption."""

import signal
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from gwunet.data.augmentation import cut_patch, vary
from gwunet.data.kept import KEPT_BYTES, KeptFrames
from gwunet.data.sampling import CaseOrder, draw_view, read_window
from gwunet.data.store import PreprocessedStore
from gwunet.data.variation import GreyScale
from gwunet.plans import Configuration
from gwunet.world import ALONE, World

Batch = tuple[Tensor, Tensor]
"""Frames ``(B, 1, h, w)`` float32 and targets ``(B, 1, h, w)`` uint8."""


class TrainingBatches(Dataset[Batch]):
    """Every training batch of a run, drawn from its iteration number and the seed alone."""

    def __init__(
        self,
        store: PreprocessedStore,
        cases: Sequence[str],
        configuration: Configuration,
        seed: int,
        world: World = ALONE,
        kept_bytes: int = KEPT_BYTES,
    ) -> None:
        self._frames = KeptFrames(store, kept_bytes)
        self._configuration = configuration
        self._order = CaseOrder(cases, seed)
        self._seed = seed
        self._world = world

    def __getitem__(self, iteration: int) -> Batch:
        """Batch number ``iteration``, counted from 0 over the whole training; of several processes, this one's part."""
        size = self._configuration.batch_size
        patches = [self._patch(iteration * size + index) for index in self._world.share(range(size))]
        frames = np.stack([frame for frame, _ in patches])[:, None]
        targets = np.stack([target for _, target in patches])[:, None]
        return torch.from_numpy(frames), torch.from_numpy(targets)

    def _patch(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        plan = self._configuration
        rng = np.random.default_rng((self._seed, 1, position))
        frame = self._frames.frame(self._order.case(position))
        view = draw_view(rng, frame, plan.patch_size, plan.augmentation, plan.foreground_oversampling)
        patch = cut_patch(*read_window(frame, view, plan.patch_size), plan.patch_size)
        varied = vary(rng, patch, plan.augmentation, GreyScale.of(frame))
        return varied.frame, varied.target


def iterate_batches(batches: TrainingBatches, start: int, stop: int, workers: int) -> Iterator[Batch]:
    """Batches ``start`` to ``stop - 1`` in order, made ahead by ``workers`` processes (0: made when asked for)."""
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, stop),
        num_workers=workers,
        pin_memory=workers > 0 and torch.cuda.is_available(),
        worker_init_fn=_leave_signals_to_training,
    )
    return iter(loader)


def _leave_signals_to_training(worker: int) -> None:
    """A signal to the whole process group ends training after its step, which still needs the workers."""
    del worker
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
