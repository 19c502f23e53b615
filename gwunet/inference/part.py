"""Commands that share frames."""

import dataclasses

from gwunet.errors import UsageError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Which of the frames: those of one command among several that share them."""

    count: int = 1
    number: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.count:
            raise UsageError(
                f"--part_id {self.number} --num_parts {self.count}: parts are numbered from 0 to {self.count - 1}"
            )

    def has(self, run_number: int, index: int) -> bool:
        """Whether frame ``index`` of a run is in it; by turns, however long the other runs are."""
        return (run_number + index) % self.count == self.number
