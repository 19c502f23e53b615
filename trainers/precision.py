"""In which numbers a step computes, and whether it gives the same ones again."""

import contextlib
import os
from collections.abc import Iterator

import torch

from gwunet.device import computes_bf16


class Precision:
    """float32, or bf16 or fp16 where torch's autocast finds them safe; the loss is always float32."""

    def __init__(self, name: str, device: torch.device) -> None:
        """
        Args:
            name: ``auto`` (see ``TrainConfig.precision``), ``fp32``, ``bf16`` or ``fp16``.
            device: where the network runs.
        """
        self._device_type = device.type
        self.dtype = _chosen(name, device)
        self.reset()

    def reset(self) -> None:
        """A scaler that has seen nothing yet; it does nothing but for fp16."""
        self.scaler = torch.GradScaler(self._device_type, enabled=self.dtype == torch.float16)

    def autocast(self) -> torch.autocast:
        """For the forward pass."""
        return torch.autocast(self._device_type, self.dtype or torch.bfloat16, enabled=self.dtype is not None)

    @property
    def name(self) -> str:
        """``float32``, ``bfloat16`` or ``float16``."""
        return str(self.dtype or torch.float32).removeprefix("torch.")


def _chosen(name: str, device: torch.device) -> torch.dtype | None:
    if name != "auto":
        return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name]
    if computes_bf16(device):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else None


@contextlib.contextmanager
def repeatable(wanted: bool) -> Iterator[None]:
    """On a GPU: only operations that give the same result in every run, or else the fastest ones."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it matrix products refuse
        torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = not wanted  # patches have one size, so timing kernels once pays
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
