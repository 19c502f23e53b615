"""What a benchmark finds, with the machine it was found on: ``benchmark.json``."""

import contextlib
import dataclasses
import datetime
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch

import gwunet
from gwunet.benchmark.alone import describe, run_alone
from gwunet.benchmark.candidates import Candidate
from gwunet.benchmark.measure import Conditions, Phase, Timing
from gwunet.device import available_cores
from gwunet.networks import NETWORKS
from gwunet.networks.cost import Cost, count_cost
from gwunet.plans import Spec


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Where and with what a benchmark ran."""

    processor: str
    cores: int
    """That this process may run on."""
    threads: int
    """CPU threads of torch."""
    gpu: str | None
    """None where the CPU was measured."""
    system: str
    python: str
    torch: str
    gwunet: str

    @property
    def name(self) -> str:
        """Of what was measured: the GPU, or the CPU with its threads."""
        return self.gpu or f"{self.processor}, {self.threads} thread{'s' if self.threads > 1 else ''}"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What one network costs and takes."""

    label: str
    network: Spec
    cost: Cost | None
    """Of one frame of the forward pass; None where the network could not be built."""
    forward: Timing | None
    training: Timing | None
    failure: str | None
    """Why something that was asked for is missing."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Content of ``benchmark.json``."""

    schema_version: Literal[1]
    date: str
    """UTC, ISO 8601."""
    machine: Machine
    conditions: Conditions
    results: tuple[Result, ...]

    @classmethod
    def made_now(cls, conditions: Conditions, results: Sequence[Result]) -> "Report":
        """A report of results that were found here just now."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        machine = this_machine(conditions)
        return cls(schema_version=1, date=now, machine=machine, conditions=conditions, results=tuple(results))


def benchmark(candidates: Sequence[Candidate], conditions: Conditions, *, timing: bool = True) -> Iterator[Result]:
    """Count and time networks one after another; one that fails gives its reason and the next one follows.

    Args:
        candidates: the networks.
        conditions: how to time them.
        timing: False only counts, which takes a fraction of a second for each.
    """
    for candidate in candidates:
        cost, failure = _counted(candidate)
        timings: dict[Phase, Timing] = {}
        if timing and failure is None:
            timings, failure = run_alone(candidate, conditions)
        yield Result(
            label=candidate.label,
            network=candidate.network,
            cost=cost,
            forward=timings.get("forward"),
            training=timings.get("training"),
            failure=failure,
        )


def _counted(candidate: Candidate) -> tuple[Cost | None, str | None]:
    spec = candidate.network
    try:
        with torch.device("meta"):
            network = NETWORKS.get(spec.name)(**spec.arguments)
        return count_cost(network, (candidate.channels, *candidate.frame_size)), None
    except Exception as problem:  # arguments come from plans that a person may have edited
        return None, describe(problem)


def this_machine(conditions: Conditions) -> Machine:
    """Names and versions of this machine."""
    device = torch.device(conditions.device)
    return Machine(
        processor=_processor(),
        cores=available_cores(),
        threads=conditions.threads or torch.get_num_threads(),
        gpu=torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        system=platform.platform(),
        python=platform.python_version(),
        torch=torch.__version__,
        gwunet=gwunet.__version__,
    )


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine() or "unknown processor"
