"""Seconds of a training step in float32 and in bf16, of the configurations planned for a dataset, as a ratio.

    python benchmarks/precision_step.py -d DATASET --workspace FOLDER [--steps 8]

The two precisions take turns, step by step, on patches of the planned size and number; medians of all but the first
two steps of each. The content of patches does not matter to the time, so they are noise.
"""

import argparse
import functools
import statistics
from pathlib import Path

from gwunet.benchmark.turns import seconds_in_turn
from gwunet.device import available_cores, keep_freed_memory
from gwunet.plans import Configuration
from gwunet.prepared import read_plans
from gwunet.workspace import Workspace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--dataset", required=True, help="id or folder name, planned for a CPU")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=8, help="timed, of each precision")
    arguments = parser.parse_args()
    keep_freed_memory()
    workspace = Workspace.find(arguments.workspace)
    plans = read_plans(workspace, workspace.dataset_name(arguments.dataset))
    print(f"{available_cores()} cores\n")
    print("| configuration | patch | batch | float32, ms | bf16, ms | float32 / bf16 |")
    print("|---|---|---|---|---|---|")
    for name, plan in plans.configurations.items():
        single, half = measure(plan, arguments.steps)
        patch = "x".join(map(str, plan.patch_size))
        print(
            f"| {name} | {patch} | {plan.batch_size} | {1000 * single:.0f} | {1000 * half:.0f} | {single / half:.2f} |",
            flush=True,
        )


def measure(plan: Configuration, steps: int) -> tuple[float, float]:
    """Median seconds of a step in float32 and in bf16."""
    import torch

    from gwunet.losses import build_loss
    from gwunet.networks import build_network

    torch.manual_seed(0)
    network = build_network(plan).to(memory_format=torch.channels_last).train()
    loss = build_loss(plan)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    shape = (plan.batch_size, 1, *plan.patch_size)
    frames = torch.randn(shape).to(memory_format=torch.channels_last)
    target = (torch.rand(shape) > 0.98).to(torch.uint8)

    def step(half: bool) -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            outputs = network(frames)
        loss(outputs, target).backward()
        optimizer.step()

    seconds = seconds_in_turn({str(half): functools.partial(step, half) for half in (False, True)}, steps)
    return statistics.median(seconds["False"]), statistics.median(seconds["True"])


if __name__ == "__main__":
    main()
