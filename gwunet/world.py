"""The processes of one training run: one alone, or several that share its work.

``torchrun`` and ``gw_train --num_gpus`` start a process for each device and tell it its place in the environment
(RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT). Code asks the ``World`` it is given and is the same for one
process, where every question has a trivial answer.
"""

import contextlib
import dataclasses
import gc
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True, slots=True)
class World:
    """Which of how many processes this is."""

    rank: int = 0
    """Counted from 0 over all machines."""
    size: int = 1
    local_rank: int = 0
    """Counted from 0 on this machine: the number of its GPU."""

    @classmethod
    def from_environment(cls) -> "World":
        """As the launcher says; a process that was not launched is alone."""
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:  # a cluster may set the others all the same
            return ALONE
        names = {"rank": "RANK", "size": "WORLD_SIZE", "local_rank": "LOCAL_RANK"}
        return cls(**{field: int(os.environ[name]) for field, name in names.items() if name in os.environ})

    @property
    def is_writer(self) -> bool:
        """Whether this process writes files and draws bars: one does."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of ``items``; all parts together are all items."""
        return items[self.rank :: self.size]

    def sum(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of all processes' arrays of one shape, on every process."""
        if self.size == 1:
            return values
        import torch.distributed as dist

        total = _on_device(values)
        dist.all_reduce(total)
        summed: NDArray[np.float64] = total.cpu().numpy()
        return summed

    def any(self, flag: bool) -> bool:
        """Whether any process says so."""
        return bool(self.sum(np.array([float(flag)]))[0] > 0)

    def first(self, value: float) -> float:
        """What the first process says."""
        return float(self.sum(np.array([value if self.rank == 0 else 0.0]))[0])

    def gather(self, own: "Tensor") -> "Tensor":
        """The batches of all processes one after another, as if one process had them all.

        Of a loss on it every process gets the gradient of its own part, times the number of processes: averaged over
        processes, as DistributedDataParallel does, gradients are those of the joint batch whatever the loss is.
        """
        if self.size == 1:
            return own
        from gwunet.gathering import Gather

        gathered: Tensor = Gather.apply(own, self.rank, self.size)  # type: ignore[no-untyped-call]
        return gathered

    def collect(self, items: Sequence[Item]) -> list[Item]:
        """The items of all processes, on every process."""
        if self.size == 1:
            return list(items)
        import torch.distributed as dist

        parts: list[list[Item]] = [[] for _ in range(self.size)]
        dist.all_gather_object(parts, list(items))
        return [item for part in parts for item in part]

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            import torch.distributed as dist

            dist.barrier()


ALONE = World()


def _on_device(values: NDArray[np.float64]) -> "torch.Tensor":
    """Where the processes' backend can reach it."""
    import torch
    import torch.distributed as dist

    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    return torch.from_numpy(np.array(values, np.float64)).to(device)


@contextlib.contextmanager
def joined(device_type: str) -> Iterator[World]:
    """The world of this process, connected to the others for as long as the context lasts.

    Inside another such context that one's connection serves: processes that part and meet again may miss each other, so
    whoever trains several folds joins once around them.

    Args:
        device_type: ``cuda`` talks through NCCL, ``cpu`` through Gloo.
    """
    world = World.from_environment()
    if world.size == 1:
        yield world
        return
    import torch
    import torch.distributed as dist

    if dist.is_initialized():
        yield world
        return
    if device_type == "cuda":
        torch.cuda.set_device(world.local_rank)
    dist.init_process_group("nccl" if device_type == "cuda" else "gloo")
    try:
        yield world
    finally:
        # A joined network that lives on in a ring of references would end Gloo's threads after Python itself, which
        # then aborts now and then.
        gc.collect()
        dist.destroy_process_group()
