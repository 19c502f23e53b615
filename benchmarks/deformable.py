"""Time and memory of modulated deformable convolution, written in several ways.

    python benchmarks/deformable.py [--repeats 7] [--device cpu]

Each way and size runs in a process of its own, several times, for forward alone, forward with backward, and the memory
that both take above their inputs. ``by_rows`` serves CPUs in ``gwunet.networks.deformable``, ``by_grid`` all else.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gwunet.benchmark.memory import PeakMemory
from gwunet.device import keep_freed_memory
from gwunet.networks.deformable import TAPS, _corners, _sampling_grid, by_grid, by_rows, torchvision_operator

Operator = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
SIZES = ((2, 64, 32), (1, 64, 128), (1, 384, 128), (1, 768, 64))
"""Frames, channels and edge: the CPU plan in training and on a frame of 512x512, the paper's text on such a frame."""


def tap_by_tap(features: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
    """One ``grid_sample`` and one 1x1 convolution for each tap."""
    batch, _, height, width = features.shape
    grids = _sampling_grid(offsets, height, width).view(batch, TAPS, height, width, 2)
    total = torch.zeros(())
    for tap in range(TAPS):
        sampled = F.grid_sample(features, grids[:, tap], align_corners=False) * modulation[:, tap : tap + 1]
        kernel = weight[:, :, tap // 3, tap % 3, None, None]
        total = F.conv2d(sampled, kernel) + (total if tap else 0)
    return total


def gather(features: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
    """The four corners of every tap by indexing, then weighed and added."""
    batch, channels, height, width = features.shape
    indices, factors = _corners(offsets, modulation)
    rows = F.pad(features.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).reshape(-1, channels)
    taps = (rows[indices] * factors.unsqueeze(-1)).sum(1).view(-1, TAPS * channels)
    product = taps @ weight.permute(2, 3, 1, 0).reshape(TAPS * channels, -1)
    return product.view(batch, height, width, -1).permute(0, 3, 1, 2)


def recomputed(features: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
    """``by_grid`` that keeps no samples for the way back but takes them again."""
    output: Tensor = checkpoint(by_grid, features, offsets, modulation, weight, use_reentrant=False)
    return output


def in_bf16(features: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
    """``by_rows`` as prediction has it on a CPU with bf16: without gradients it sums in bf16 too."""
    with torch.autocast("cpu", torch.bfloat16):
        return by_rows(features, offsets, modulation, weight)


def sums_in_float32(features: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
    """The same but for the sums, as training has it."""
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode(False), torch.enable_grad():
        return by_rows(features, offsets, modulation, weight)


def torchvisions(features: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
    """torchvision's operator, where it is installed and agrees."""
    operator = torchvision_operator(features.device.type)
    if operator is None:
        raise SystemExit("torchvision's operator is not installed or disagrees")
    return operator(features, offsets, modulation, weight)


WAYS: dict[str, Operator] = {
    "by_grid": by_grid,
    "by_rows": by_rows,
    "tap_by_tap": tap_by_tap,
    "gather": gather,
    "recomputed": recomputed,
    "in_bf16": in_bf16,
    "sums_in_float32": sums_in_float32,
    "torchvision": torchvisions,
}


def measure(way: str, size: tuple[int, int, int], repeats: int, device: torch.device) -> dict[str, float]:
    """Median milliseconds and peak MiB, in this process."""
    keep_freed_memory()
    torch.manual_seed(0)
    batch, channels, edge = size
    shapes = ((batch, channels, edge, edge), (batch, 2 * TAPS, edge, edge), (batch, TAPS, edge, edge))
    given = [torch.randn(shape, device=device) for shape in (*shapes, (channels, channels, 3, 3))]
    given = [each.contiguous(memory_format=torch.channels_last) for each in given]
    gradient = torch.randn_like(given[0])
    WAYS[way](*(each[:1, :, :8, :8] for each in given[:3]), given[3])
    memory = PeakMemory(device)
    before = _mib(memory)  # on CUDA what the inputs take, on a CPU next to nothing
    seconds: dict[str, list[float]] = {"forward_ms": [], "forward_and_backward_ms": []}
    for _ in range(repeats):
        with torch.inference_mode():
            seconds["forward_ms"].append(_seconds(lambda: WAYS[way](*given), device))
        inputs = [each.detach().requires_grad_() for each in given]
        seconds["forward_and_backward_ms"].append(
            _seconds(lambda inputs=inputs: WAYS[way](*inputs).backward(gradient), device)
        )
    found = {name: 1e3 * statistics.median(values[1:]) for name, values in seconds.items()}
    return {**found, "peak_mib": _mib(memory) - before}


def _seconds(step: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _mib(memory: PeakMemory) -> float:
    peak = memory.peak_mib()
    return math.nan if peak is None else peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        way, *size = arguments.one
        batch, channels, edge = map(int, size)
        found = measure(way, (batch, channels, edge), arguments.repeats, torch.device(arguments.device))
        print(json.dumps(found))
        return
    for size in SIZES:
        print(f"{size[0]} x {size[1]} channels x {size[2]} x {size[2]}")
        for way in WAYS:
            command = [sys.executable, __file__, "--repeats", str(arguments.repeats), "--device", arguments.device]
            done = subprocess.run(
                [*command, "--one", way, *map(str, size)], capture_output=True, text=True, check=False
            )
            if done.returncode:
                print(f"  {way:<15} {done.stderr.strip().splitlines()[-1]}")
                continue
            found = json.loads(done.stdout)
            print(
                f"  {way:<15} forward {found['forward_ms']:8.1f} ms  and backward "
                f"{found['forward_and_backward_ms']:8.1f} ms  peak {found['peak_mib']:7.0f} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
