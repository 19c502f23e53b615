"""How busy training keeps a device: frames per second, waiting for batches, kernels' share of the time, peak memory.

    python benchmarks/device_busy.py -d DATASET [--workspace FOLDER] [-c fganet] [--device cuda] [--steps 100]

Trains a planned configuration for so many steps after a warm-up, with the loader and workers of ``gw_train``; nothing
is kept. Plan for the device first: gw_plan_and_preprocess -d DATASET --target_device cuda --memory_gb GIB. On a GPU the
share of the time in which a kernel runs comes from torch's profiler, over ``PROFILED`` further steps.
"""

import argparse
import platform
import tempfile
import time
from pathlib import Path

import torch

from gwunet.data.batches import iterate_batches
from gwunet.data.store import PreprocessedStore
from gwunet.device import available_cores, keep_freed_memory
from gwunet.jsonio import read_json
from gwunet.prepared import read_plans
from gwunet.splits import Splits
from gwunet.trainers.loop import Run
from gwunet.training import TRAINERS, TrainConfig, TrainingTask
from gwunet.workspace import Workspace

WARM_UP, PROFILED = 20, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", dest="dataset", required=True)
    parser.add_argument("--workspace")
    parser.add_argument("-c", dest="configuration", default="fganet")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps", type=int, default=100)
    arguments = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as scratch:
        measure(arguments, Path(scratch))


def measure(arguments: argparse.Namespace, scratch: Path) -> None:
    workspace = Workspace.find(arguments.workspace)
    name = workspace.dataset_name(arguments.dataset)
    prepared = workspace.preprocessed_dataset(name)
    plans = read_plans(workspace, name)
    configuration = plans.configuration(arguments.configuration)
    options = TrainConfig(
        device=arguments.device,
        precision=arguments.precision,
        compile=arguments.compile,
        epochs=1,
        iterations=WARM_UP + arguments.steps + PROFILED,
    )
    task = TrainingTask(
        dataset=name,
        configuration=configuration,
        preprocessing=plans.preprocessing,
        store=PreprocessedStore(prepared),
        fold=read_json(Splits, prepared / "splits.json").fold(0),
        folder=scratch,
        options=options,
    )
    trainer = TRAINERS.get(configuration.trainer)(task)
    on_gpu = trainer.device.type == "cuda"
    workers = Run(trainer)._workers()
    batches = iterate_batches(trainer.batches, 0, options.iterations or 0, workers)
    trainer.network.train()
    for step in range(WARM_UP):
        trainer.train_step(next(batches), step)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    waited, start = 0.0, time.perf_counter()
    for step in range(arguments.steps):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        trainer.train_step(batch, WARM_UP + step)
    seconds = time.perf_counter() - start
    frames = arguments.steps * trainer.configuration.batch_size
    device = torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine()
    size = "x".join(map(str, trainer.configuration.patch_size))
    print(f"{device}, torch {torch.__version__}, {available_cores()} cores, {workers} workers, {time.strftime('%F')}")
    plan = trainer.configuration
    print(f"{plan.name}, patches of {size}, batch {plan.batch_size}, {trainer.precision.name}\n")
    columns = ("patches a second", "ms a step", "waiting for batches", "kernels running", "peak memory, GiB")
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")
    busy = f"{busy_share(trainer, batches):.0%}" if on_gpu else "not measured"
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:.2f}" if on_gpu else "not measured"
    step_ms = 1000 * seconds / arguments.steps
    print(f"| {frames / seconds:.1f} | {step_ms:.1f} | {waited / seconds:.0%} | {busy} | {memory} |")


def busy_share(trainer, batches) -> float:
    """The share of wall-clock time in which at least one kernel runs."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        start = time.perf_counter()
        for step in range(PROFILED):
            trainer.train_step(next(batches), step)
        torch.cuda.synchronize()
        wall = time.perf_counter() - start
    kernels = (event for event in seen.events() if event.device_type.name == "CUDA")
    spans = sorted((event.time_range.start, event.time_range.end) for event in kernels)
    busy, until = 0.0, float("-inf")
    for begin, end in spans:
        busy += max(0.0, end - max(begin, until))
        until = max(until, end)
    return busy / 1e6 / wall


if __name__ == "__main__":
    main()
