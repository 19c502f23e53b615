"""Seconds of a training step of the CPU plan's FGA-Net, with freed memory kept and without, as a ratio.

    python benchmarks/training_step.py [--repeats 5]

Each measurement is a process of its own, the two kinds in turn.
"""

import argparse
import statistics
import subprocess
import sys
import time

PATCH, BATCH, STEPS = 128, 2, 25


def measure(keep: bool) -> float:
    """Median seconds of a step, in this process."""
    from gwunet.device import keep_freed_memory

    if keep:
        keep_freed_memory()
    import torch

    from gwunet.losses import DeepSupervision, HybridLoss
    from gwunet.networks import FGANet
    from gwunet.planners.fganet import CPU_FEATURES, narrow_decoder

    torch.manual_seed(0)
    network = FGANet(features=CPU_FEATURES, decoder_features=narrow_decoder(CPU_FEATURES)).train()
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    loss = DeepSupervision(HybridLoss(cldice_weight=0.0), [0.5**stage for stage in range(len(CPU_FEATURES))])
    frames, target = torch.randn(BATCH, 1, PATCH, PATCH), (torch.rand(BATCH, 1, PATCH, PATCH) > 0.98).to(torch.uint8)
    seconds = []
    for _ in range(STEPS):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss(network(frames), target).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[STEPS // 5 :])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", choices=("kept", "returned"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(measure(arguments.one == "kept"))
        return
    found: dict[str, list[float]] = {"returned": [], "kept": []}
    for _ in range(arguments.repeats):
        for kind, values in found.items():
            done = subprocess.run([sys.executable, __file__, "--one", kind], check=True, capture_output=True, text=True)
            values.append(float(done.stdout))
    for kind, values in found.items():
        print(f"freed memory {kind}: median {statistics.median(values):.3f} s, all {[round(v, 3) for v in values]}")
    ratio = statistics.median(found["returned"]) / statistics.median(found["kept"])
    print(f"returned / kept: {ratio:.2f}")


if __name__ == "__main__":
    main()
