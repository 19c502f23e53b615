"""Which device to run on, and what it can do."""

import contextlib
import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gwunet.errors import UsageError

if TYPE_CHECKING:
    import torch

MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""What a container or a batch system leaves of the machine's memory: a number of bytes, or ``max``."""


def resolve_device(name: str, local_rank: int | None = None) -> "torch.device":
    """The device that ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` stands for; ``auto`` takes a GPU where there is one.

    Args:
        name: as above.
        local_rank: of several processes on a machine, each takes the GPU of its number.

    Raises:
        UsageError: the name is unknown or the machine has no such device.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and local_rank is not None:
        name = f"cuda:{local_rank}"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device {name}: unknown; use auto, cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"--device {name}: not supported; use auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices; use cpu or auto")
    return device


def computes_bf16(device: "torch.device") -> bool:
    """Whether bfloat16 is in the device's own arithmetic: Ampere and later, or a CPU with AVX-512 BF16 or AMX."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def available_memory_gb(device_type: str) -> float:
    """Memory a training step may take here, in GiB: 90 % of the first GPU's, or half of what this process may use."""
    import torch

    if device_type == "cuda" and torch.cuda.is_available():
        return round(0.9 * torch.cuda.get_device_properties(0).total_memory / 1024**3, 1)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # there is no such file, or no limit in it
        memory = min(memory, int(MEMORY_LIMIT.read_text()))
    return round(0.5 * memory / 1024**3, 1)


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory() -> None:
    """Keep large freed blocks for the next tensors, in huge pages; for processes that run networks on a CPU.

    By default each large tensor is mapped afresh and faulted in page by page (measured in
    ``benchmarks/training_step.py``). To be called before torch makes its first tensor. Does nothing where the C library
    is another.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by torch's CPU allocator
    if not sys.platform.startswith("linux"):
        return
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX of malloc.h
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)
