"""Batch number i is the same whoever asks, in whatever order."""

import dataclasses
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gwunet.data.batches import TrainingBatches, iterate_batches
from gwunet.data.store import PreprocessedStore
from gwunet.data.writing import write_locked
from gwunet.dataset import CENTRELINE, Dataset
from gwunet.exposed_field import NO_BORDER
from gwunet.plans import Configuration, Preprocessing
from gwunet.trainers.interruption import watching

CASES = ("a", "b", "c", "d", "e")


@pytest.fixture
def store(make_raw_dataset: Callable[..., Dataset], tmp_path: Path) -> PreprocessedStore:
    """Frames without border; the wire of each is a square of another size."""
    pairs = {}
    for index, name in enumerate(CASES):
        frame = np.random.default_rng(index).integers(60, 200, (40, 48), np.uint8)
        mask = np.zeros((40, 48), np.uint8)
        mask[10 : 12 + index, 10 : 12 + index] = 1
        pairs[name] = (frame, mask)
    write_locked(tmp_path / "store", make_raw_dataset(pairs), Preprocessing(borders={"uint8": NO_BORDER}))
    return PreprocessedStore(tmp_path / "store")


@pytest.fixture
def varied(make_configuration: Callable[..., Configuration]) -> Configuration:
    configuration = make_configuration()
    augmentation = dataclasses.replace(
        configuration.augmentation,
        spatial_probability=0.8,
        flip=True,
        brightness_probability=0.5,
        noise_probability=0.5,
        gamma_probability=0.5,
    )
    return dataclasses.replace(configuration, augmentation=augmentation)


def equal(first: tuple[torch.Tensor, torch.Tensor], second: tuple[torch.Tensor, torch.Tensor]) -> bool:
    return torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


def test_shapes_types_and_values(store: PreprocessedStore, varied: Configuration) -> None:
    frames, targets = TrainingBatches(store, CASES, varied, seed=0)[0]
    assert (frames.shape, frames.dtype) == ((2, 1, 16, 24), torch.float32)
    assert (targets.shape, targets.dtype) == ((2, 1, 16, 24), torch.uint8)
    assert set(targets.unique().tolist()) <= {0, 1, CENTRELINE}


def test_a_batch_depends_on_its_number_and_the_seed_alone(store: PreprocessedStore, varied: Configuration) -> None:
    batches = TrainingBatches(store, CASES, varied, seed=0)
    first = [batches[index] for index in range(8)]
    np.random.seed(123)
    torch.manual_seed(5)
    others = TrainingBatches(store, CASES, varied, seed=0)
    for index in (7, 3, 3, 0):
        assert equal(others[index], first[index])
    assert not equal(first[0], first[1])
    assert not equal(TrainingBatches(store, CASES, varied, seed=1)[0], first[0])


def test_the_global_random_state_is_left_alone(store: PreprocessedStore, varied: Configuration) -> None:
    np.random.seed(0)
    torch.manual_seed(0)
    expected = (np.random.random(), torch.rand(1).item())
    np.random.seed(0)
    torch.manual_seed(0)
    TrainingBatches(store, CASES, varied, seed=0)[0]
    assert (np.random.random(), torch.rand(1).item()) == expected


@pytest.mark.parametrize("workers", [0, 1])
def test_iterating_gives_the_numbered_batches_in_order(
    store: PreprocessedStore, varied: Configuration, workers: int
) -> None:
    batches = TrainingBatches(store, CASES, varied, seed=0)
    made = list(iterate_batches(batches, 3, 7, workers))
    assert len(made) == 4
    assert all(equal(batch, batches[index]) for index, batch in zip(range(3, 7), made, strict=True))


class WorkerNumbers(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """In place of batches: which process made them."""

    def __getitem__(self, index: int) -> tuple[int, int]:
        time.sleep(0.01)
        return index, os.getpid()


def test_a_signal_to_all_processes_leaves_those_that_make_batches_to_training() -> None:
    """As torchrun and a terminal send it: training ends its step, for which it still needs them."""
    batches: Any = WorkerNumbers()
    with watching() as seen:
        made = iterate_batches(batches, 0, 30, workers=2)
        workers = {next(made)[1] for _ in range(4)}
        assert len(workers) == 2
        for number in (signal.SIGTERM, signal.SIGINT):
            for process in (*workers, os.getpid()):
                os.kill(process, number)
        assert [int(index) for index, _ in made] == list(range(4, 30))
    assert seen.signal == signal.SIGTERM


def test_a_lap_shows_each_case_once(store: PreprocessedStore, make_configuration: Callable[..., Configuration]) -> None:
    """Patches as large as the frames: the wire's size tells the case."""
    whole = make_configuration(patch_size=(40, 48), batch_size=5)
    batches = TrainingBatches(store, CASES, whole, seed=0)
    for lap in range(3):
        wires = sorted(int((target > 0).sum()) for target in batches[lap][1])
        assert wires == [(2 + index) ** 2 for index in range(5)]
    frames, _ = TrainingBatches(store, ("c",), make_configuration(patch_size=(40, 48), batch_size=1), seed=0)[0]
    np.testing.assert_allclose(frames[0, 0].numpy(), store.read("c").frame, atol=1e-4)


def test_batches_are_the_same_whether_frames_are_kept_or_not(store: PreprocessedStore, varied: Configuration) -> None:
    kept, read = (TrainingBatches(store, CASES, varied, seed=0, kept_bytes=limit) for limit in (10**9, 0))
    for index in (0, 1, 2, 7, 0):
        assert equal(kept[index], read[index])
