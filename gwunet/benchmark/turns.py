"""Several ways to do a thing, timed in turn: whatever else the machine does hits all of them."""

import time
from collections.abc import Callable, Mapping

import torch

WARM_UP = 2
"""Turns before the first that counts: memory is allocated and kernels are chosen in them."""


def seconds_in_turn(
    ways: Mapping[str, Callable[[], object]],
    repeats: int,
    *,
    warm_up: int = WARM_UP,
    device: torch.device | None = None,
) -> dict[str, list[float]]:
    """Seconds of each repeat of each way.

    Args:
        ways: name -> what to time.
        repeats: that count.
        warm_up: turns before them, which do not.
        device: where the work is done; kernels that CUDA has only queued are waited for. None is a CPU.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm_up + repeats):
        for name, way in ways.items():
            _wait_for(device)
            start = time.perf_counter()
            way()
            _wait_for(device)
            if turn >= warm_up:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def _wait_for(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
