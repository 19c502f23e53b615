"""How much memory a process holds, and the most that it held."""

import contextlib
from pathlib import Path
from typing import Literal

import torch

MIB = 1 << 20


class PeakMemory:
    """The most memory that was taken since this was made, or since ``restart``, above what was taken when it was made.

    Reference: proc(5), VmRSS and VmHWM of /proc/PID/status, and /proc/PID/clear_refs. ``getrusage`` would not do: its
    peak is never lower than that of the process which started this one.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before_kib = status_kib("VmRSS")
        self.restart()

    def restart(self) -> None:
        """Forget the peak so far."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def peak_mib(self) -> float | None:
        """In MiB; None where the system does not tell."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / MIB
        peak_kib = status_kib("VmHWM")
        return None if peak_kib is None or self._before_kib is None else max(0, peak_kib - self._before_kib) / 1024


def status_kib(key: str, process: int | Literal["self"] = "self") -> int | None:
    """A figure of a process, ``VmRSS`` say; None where the system does not tell, or the process is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1])
    return None
