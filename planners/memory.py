"""How much memory a training step takes: the result of counting, which ``counting`` does."""

import dataclasses

GIB = 1024**3


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StepMemory:
    """Bytes of a training step as a straight line over the number of patches."""

    fixed: float
    """Of weights and moments, and of the process itself."""
    per_patch: float

    def bytes_of(self, batch_size: float) -> float:
        """Bytes of a step with so many patches."""
        return self.fixed + self.per_patch * batch_size

    def largest_batch(self, memory_gb: float) -> int:
        """How many patches fit into ``memory_gb`` GiB; 0 where not even one does."""
        return max(0, int((memory_gb * GIB - self.fixed) // max(1.0, self.per_patch)))
