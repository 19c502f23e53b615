"""Seconds of a training step of FGA-Net with the full hybrid loss over the same step with BCE + Dice, as ratios.

    python benchmarks/loss_step.py [--steps 40] [--device cpu]

The CPU plan's network on two patches of its size, deep supervision on all six outputs. The losses take turns step by
step in one process, so that whatever else the machine does hits all of them.
"""

import argparse
import functools
import statistics

import torch
from torch import nn

from gwunet.benchmark.turns import seconds_in_turn
from gwunet.device import keep_freed_memory
from gwunet.losses import BCEDiceLoss, DeepSupervision, HybridLoss
from gwunet.networks import FGANet
from gwunet.planners.fganet import CPU_FEATURES, narrow_decoder

PATCH, BATCH = 128, 2
WARM_UP = 5
LOSSES: dict[str, nn.Module] = {
    "BCE + Dice": BCEDiceLoss(),
    "hybrid, 3 iterations (wires to 4 px)": HybridLoss(cldice_weight=0.25, skeleton_iterations=3),
    "hybrid, 4 iterations (wires to 6 px)": HybridLoss(cldice_weight=0.25, skeleton_iterations=4),
    "hybrid, 10 iterations (fixed)": HybridLoss(cldice_weight=0.25, skeleton_iterations=10),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40, help="timed steps with each loss")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    keep_freed_memory()
    device = torch.device(arguments.device)
    torch.manual_seed(0)
    network = FGANet(features=CPU_FEATURES, decoder_features=narrow_decoder(CPU_FEATURES))
    network = network.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    frames = torch.randn(BATCH, 1, PATCH, PATCH, device=device)
    target = (torch.rand(BATCH, 1, PATCH, PATCH, device=device) > 0.98).to(torch.uint8)
    weights = [0.5**stage for stage in range(len(CPU_FEATURES))]
    losses = {name: DeepSupervision(loss, weights) for name, loss in LOSSES.items()}

    def step(loss: nn.Module) -> None:
        optimizer.zero_grad()
        loss(network(frames), target).backward()
        optimizer.step()

    ways = {name: functools.partial(step, loss) for name, loss in losses.items()}
    seconds = seconds_in_turn(ways, arguments.steps, warm_up=WARM_UP, device=device)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    least = next(iter(medians.values()))
    for name, median in medians.items():
        print(f"{name:<38} {1e3 * median:7.1f} ms  ratio {median / least:.3f}")


if __name__ == "__main__":
    main()
