"""Time and memory of one network, in the process that calls; ``run_alone`` gives each network a process of its own."""

import dataclasses
import statistics
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

from gwunet.benchmark.candidates import Candidate
from gwunet.benchmark.memory import PeakMemory
from gwunet.benchmark.turns import seconds_in_turn
from gwunet.errors import UsageError
from gwunet.losses import LOSSES, DeepSupervision
from gwunet.networks import NETWORKS
from gwunet.networks.build import in_channels_last
from gwunet.networks.folding import fold_batch_norms

WIRE_SHARE = 0.01
"""Of the pixels of a made-up target, about as in a frame."""
LEARNING_RATE = 1e-4
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}

Phase = Literal["forward", "training"]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """How networks are measured."""

    device: str
    """``cpu``, ``cuda`` or ``cuda:N``."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """The lower ones by autocast, as in training."""
    repeats: int = 5
    """Timed runs, after two that are not."""
    threads: int | None = None
    """CPU threads; None leaves torch's choice."""
    training: bool = True
    """Measure a training step as well."""

    def __post_init__(self) -> None:
        for flag, value in {"--repeats": self.repeats, "--threads": self.threads}.items():
            if value is not None and value < 1:
                raise UsageError(f"{flag} {value}: must be at least 1")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Milliseconds of a batch, and the memory it took."""

    size: tuple[int, int]
    """Rows and columns of a frame or patch."""
    batch_size: int
    min_ms: float
    median_ms: float
    max_ms: float
    frame_ms: float
    """The median divided by the frames of a batch."""
    frames_per_second: float
    peak_memory_mib: float | None
    """On CUDA what tensors took at most, weights included; on a CPU how far the resident memory rose from before the
    network was built, None where the system does not tell."""


def measure(candidate: Candidate, conditions: Conditions) -> Iterator[tuple[Phase, Timing]]:
    """Build a network and time it: first the forward pass, then, if wanted, a training step.

    Both as prediction and training do them: channels_last, and the forward pass with batch norms folded away.

    Sets torch's threads for the whole process. A CPU's memory comes out right only in a fresh process.
    """
    device = torch.device(conditions.device)
    if conditions.threads is not None:
        torch.set_num_threads(conditions.threads)
    torch.manual_seed(0)
    _load_kernels(device)
    memory = PeakMemory(device)
    network = in_channels_last(NETWORKS.get(candidate.network.name)(**candidate.network.arguments)).to(device)
    yield "forward", _forward(network, candidate, conditions, device, memory)
    if conditions.training:
        memory.restart()
        yield "training", _training(network, candidate, conditions, device, memory)


def _forward(
    network: nn.Module, candidate: Candidate, conditions: Conditions, device: torch.device, memory: PeakMemory
) -> Timing:
    frames = _frames(candidate.batch_size, candidate.channels, candidate.frame_size, device)
    folded = fold_batch_norms(network, candidate.channels)

    def step() -> None:
        with _autocast(device, conditions):
            folded(frames)

    with torch.inference_mode():
        ms = _timed(step, conditions.repeats, device)
    return _timing(ms, candidate.frame_size, candidate.batch_size, memory)


def _training(
    network: nn.Module, candidate: Candidate, conditions: Conditions, device: torch.device, memory: PeakMemory
) -> Timing:
    frames = _frames(candidate.training_batch_size, candidate.channels, candidate.patch_size, device)
    target = (torch.rand(frames.shape[0], 1, *candidate.patch_size, device=device) < WIRE_SHARE).to(torch.uint8)
    network.train()
    loss = _loss(network, candidate, frames).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, fused=True)
    scaler = torch.GradScaler(device.type, enabled=conditions.precision == "fp16")

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with _autocast(device, conditions):
            outputs = network(frames)
        scaler.scale(loss(outputs, target)).backward()
        scaler.step(optimizer)
        scaler.update()

    ms = _timed(step, conditions.repeats, device)
    return _timing(ms, candidate.patch_size, candidate.training_batch_size, memory)


def _loss(network: nn.Module, candidate: Candidate, frames: Tensor) -> DeepSupervision:
    loss = LOSSES.get(candidate.loss.name)(**candidate.loss.arguments)
    if candidate.loss_weights is not None:
        return DeepSupervision(loss, candidate.loss_weights)
    with torch.no_grad():
        outputs = network(frames)
    return DeepSupervision(loss, [0.5**index for index in range(1 if isinstance(outputs, Tensor) else len(outputs))])


def _frames(batch_size: int, channels: int, size: tuple[int, int], device: torch.device) -> Tensor:
    return torch.randn(batch_size, channels, *size, device=device).contiguous(memory_format=torch.channels_last)


def _autocast(device: torch.device, conditions: Conditions) -> torch.autocast:
    dtype = DTYPES.get(conditions.precision)
    return torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None)


def _timed(step: Callable[[], None], repeats: int, device: torch.device) -> list[float]:
    """Milliseconds of each run."""
    return [1e3 * seconds for seconds in seconds_in_turn({"step": step}, repeats, device=device)["step"]]


def _timing(ms: list[float], size: tuple[int, int], batch_size: int, memory: PeakMemory) -> Timing:
    median = statistics.median(ms)
    return Timing(
        size=size,
        batch_size=batch_size,
        min_ms=min(ms),
        median_ms=median,
        max_ms=max(ms),
        frame_ms=median / batch_size,
        frames_per_second=1e3 * batch_size / median,
        peak_memory_mib=memory.peak_mib(),
    )


def _load_kernels(device: torch.device) -> None:
    """Fold and train a layer, so that the code this loads does not count as a network's memory."""
    layer = nn.Conv2d(8, 8, 3, padding=1).to(device)
    fold_batch_norms(layer, 8)
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    layer(torch.randn(2, 8, 32, 32, device=device)).square().mean().backward()
    optimizer.step()
