"""FGA-Net's forward time over U-Net's with the same stages and features, beside their multiply-accumulates' ratio.

    python benchmarks/forward_ratio.py [--repeats 15] [--device cpu]

Both as the Predictor runs them (batch norms folded, channels_last) and as they are built; the networks take turns.
The FGA-Net paper's Table 1 has 17.18 over 4.06 ms, a ratio of 4.2, for 75.36 over 54.98 G.
"""

import argparse
import functools
import statistics
from typing import Any

import torch
from torch import nn

from gwunet.benchmark.turns import seconds_in_turn
from gwunet.device import keep_freed_memory
from gwunet.networks import FGANet, UNet
from gwunet.networks.cost import count_cost
from gwunet.networks.folding import fold_batch_norms
from gwunet.planners.fganet import CPU_FEATURES, narrow_decoder

CPU_PLAN: dict[str, Any] = {"features": CPU_FEATURES, "decoder_features": narrow_decoder(CPU_FEATURES)}
TEXT: dict[str, Any] = {"features": (32, 64, 128, 256, 512, 1024)}
CASES: tuple[tuple[str, dict[str, Any], int, int], ...] = (
    ("the CPU plan's network, two patches", CPU_PLAN, 2, 128),
    ("the CPU plan's network, a frame", CPU_PLAN, 1, 512),
    ("the paper's text", TEXT, 1, 512),
)
"""What, arguments of FGA-Net, frames in a batch, edge of a frame."""


def measure(networks: dict[str, nn.Module], frames: torch.Tensor, repeats: int) -> dict[str, float]:
    """Median milliseconds of each network, taking turns."""
    ways = {name: functools.partial(network, frames) for name, network in networks.items()}
    with torch.inference_mode():
        seconds = seconds_in_turn(ways, repeats, device=frames.device)
    return {name: 1e3 * statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    keep_freed_memory()
    for title, given, batch, edge in CASES:
        torch.manual_seed(0)
        pair: dict[str, nn.Module] = {"FGA-Net": FGANet(**given), "U-Net": UNet(features=given["features"])}
        costs = {name: count_cost(network, (1, edge, edge)) for name, network in pair.items()}
        work = costs["FGA-Net"].total / costs["U-Net"].total
        frames = torch.randn(batch, 1, edge, edge, device=arguments.device)
        built = {
            name: each.eval().to(arguments.device, memory_format=torch.channels_last) for name, each in pair.items()
        }
        folded = {name: fold_batch_norms(each) for name, each in built.items()}
        print(f"{title}: {batch} x {edge} x {edge}; multiply-accumulates {work:.3f}")
        for kind, networks in (("folded", folded), ("as built", built)):
            ms = measure(networks, frames, arguments.repeats)
            ratio = ms["FGA-Net"] / ms["U-Net"]
            print(
                f"  {kind:<9} FGA-Net {ms['FGA-Net']:8.1f} ms  U-Net {ms['U-Net']:8.1f} ms  ratio {ratio:.2f}, "
                f"{ratio / work:.2f} times that of the multiply-accumulates"
            )


if __name__ == "__main__":
    main()
