"""Batches made in a second by the loader alone, against the training step of the planned configuration.

    python benchmarks/loader.py -d DATASET [--workspace FOLDER] [-c fganet] [--workers 0 1 2] [--batches 50]
                                [--patch 512 512 --batch_size 8 --everything --no_step]

The step is that of the plan's trainer (forward pass, loss, backward pass, update) on batches that are made already.
Batches are counted with the frames kept in memory (after a first pass, as far as they fit), and with none kept, as
with a dataset far larger than that memory. Worker processes start anew for each measurement, as for each run; the
time to the first batch is given apart. Steps and batches are measured in turn. At last the step waits for its batch as
in training, or finds one that a thread made while the step before ran: the two in turn. ``--everything`` turns each
variation on as often as for a GPU.
"""

import argparse
import concurrent.futures
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gwunet.data.batches import TrainingBatches, iterate_batches
from gwunet.data.kept import KEPT_BYTES
from gwunet.data.store import PreprocessedStore
from gwunet.device import keep_freed_memory
from gwunet.jsonio import read_json
from gwunet.planners import FGANetPlanner
from gwunet.plans import Configuration, Plans, Target
from gwunet.splits import Fold
from gwunet.training import TRAINERS, TrainConfig, TrainingTask
from gwunet.workspace import Workspace

ROUNDS, STEPS = 5, 6


def seconds_of(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def loader_alone(batches: TrainingBatches, start: int, count: int, workers: int) -> tuple[float, float]:
    """Seconds to the first batch, and seconds a batch afterwards."""
    before = time.perf_counter()
    made = iter(iterate_batches(batches, start, start + count + 1, workers))
    next(made)
    first = time.perf_counter()
    for _ in made:
        pass
    return first - before, (time.perf_counter() - first) / count


def beside_a_thread(step: Callable[[int, object], object], batches: TrainingBatches, count: int) -> tuple[float, float]:
    """Seconds a step in all: making each batch before its step, and in a thread during the one before."""

    def in_turn() -> None:
        for index in range(count):
            step(index, batches[index])

    def beside() -> None:
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            coming = thread.submit(batches.__getitem__, 0)
            for index in range(count):
                batch = coming.result()
                coming = thread.submit(batches.__getitem__, index + 1)
                step(index, batch)

    found = [(seconds_of(in_turn) / count, seconds_of(beside) / count) for _ in range(ROUNDS)]
    return statistics.median(one for one, _ in found), statistics.median(other for _, other in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--dataset", required=True)
    parser.add_argument("--workspace")
    parser.add_argument("-c", "--configuration", default="fganet")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batches", type=int, default=50)
    parser.add_argument("--patch", type=int, nargs=2)
    parser.add_argument("--batch_size", type=int)
    parser.add_argument("--everything", action="store_true")
    parser.add_argument("--no_step", action="store_true")
    arguments = parser.parse_args()
    keep_freed_memory()
    workspace = Workspace.find(arguments.workspace)
    name = workspace.dataset_name(arguments.dataset)
    prepared = workspace.preprocessed_dataset(name)
    store, plans = PreprocessedStore(prepared), read_json(Plans, prepared / "plans.json")
    plan = _changed(plans.configuration(arguments.configuration), arguments)
    print(
        f"{name}: {len(store.cases)} frames; {plan.batch_size} patches of {plan.patch_size}, torch {torch.__version__}"
    )
    trainer = None if arguments.no_step else _trainer(name, plan, plans, store)
    ready = [] if trainer is None else [trainer.batches[index] for index in range(STEPS)]
    print("\n| frames kept | workers | first batch, ms | ms a batch | patches a second | step, ms | step / batch |")
    print("|---|---|---|---|---|---|---|")
    for limit in (KEPT_BYTES, 0):
        for workers in arguments.workers:
            batches = TrainingBatches(store, store.cases, plan, 0, kept_bytes=limit)
            if limit and not workers:
                loader_alone(batches, 0, len(store.cases) // plan.batch_size + 1, 0)
            found, steps = [], []
            for turn in range(ROUNDS):
                # The first steps after a pause are slower and not counted.
                steps += [seconds_of(lambda one=one: trainer.train_step(one, 0)) for one in ready][1:]
                found.append(loader_alone(batches, turn * arguments.batches, arguments.batches, workers))
            first, each = (1000 * statistics.median(values) for values in zip(*found, strict=True))
            step_ms = 1000 * statistics.median(steps) if steps else float("nan")
            print(
                f"| {'as planned' if limit else 'none'} | {workers} | {first:.1f} | {each:.1f} | "
                f"{1000 * plan.batch_size / each:.0f} | "
                + (f"{step_ms:.0f} | {step_ms / each:.0f} |" if steps else "| |")
            )
    if trainer is not None:
        apart, beside = beside_a_thread(
            lambda index, batch: trainer.train_step(batch, index), trainer.batches, 2 * STEPS
        )
        print(f"\n{torch.get_num_threads()} threads: batch and step {1000 * apart:.1f} ms; ", end="")
        print(f"with the batch made by a thread during the step before {1000 * beside:.1f} ms")


def _trainer(name: str, plan: Configuration, plans: Plans, store: PreprocessedStore) -> Any:
    task = TrainingTask(
        dataset=name,
        configuration=plan,
        preprocessing=plans.preprocessing,
        store=store,
        fold=Fold(train=store.cases, val=()),
        folder=Path(tempfile.gettempdir()),  # nothing is written before fit
        options=TrainConfig(),
    )
    return TRAINERS.get(plan.trainer)(task)


def _changed(plan: Configuration, arguments: argparse.Namespace) -> Configuration:
    if arguments.everything:
        on_gpu = FGANetPlanner().augmentation(Target(device="cuda", memory_gb=1.0), [])
        plan = dataclasses.replace(plan, augmentation=on_gpu)
    if arguments.patch:
        plan = dataclasses.replace(plan, patch_size=tuple(arguments.patch))
    if arguments.batch_size:
        plan = dataclasses.replace(plan, batch_size=arguments.batch_size)
    return plan


if __name__ == "__main__":
    main()
