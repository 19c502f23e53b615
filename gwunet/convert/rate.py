"""Frames taken from a run at a chosen rate."""

import logging
import math
from dataclasses import dataclass, field

from gwunet.errors import UsageError

logger = logging.getLogger(__name__)


def check_rate(rate_hz: float | None) -> None:
    """Raises ``UsageError`` unless the rate is above 0 or not given."""
    if rate_hz is not None and not (math.isfinite(rate_hz) and rate_hz > 0):
        raise UsageError(f"--rate: found {rate_hz:g}; wanted frames per second above 0, such as 8")


@dataclass(kw_only=True, slots=True)
class RateSelection:
    """Chooses, one after the other, the frames nearest to the ticks of a clock that starts with the first frame.

    At the rate of the run or above, every frame is chosen; none is made up or repeated.

    Reference: the FGA-Net paper takes its frames at 8 per second.
    """

    rate_hz: float | None
    """None chooses every frame."""
    frame_time_ms: float | None
    """Time from one frame of the run to the next; needed with a rate."""
    _due_ms: float = field(default=0.0, init=False)

    @property
    def chosen_frame_time_ms(self) -> float | None:
        """Time from one chosen frame to the next."""
        if self.rate_hz is None or self.frame_time_ms is None:
            return self.frame_time_ms
        return max(1000 / self.rate_hz, self.frame_time_ms)

    def takes(self, time_ms: float) -> bool:
        """Whether the frame at this time after the first is chosen; to be asked for every frame in turn."""
        if self.rate_hz is None:
            return True
        assert self.frame_time_ms is not None
        latest_ms = time_ms + self.frame_time_ms / 2
        if self._due_ms >= latest_ms:
            return False
        period_ms = 1000 / self.rate_hz
        self._due_ms += period_ms * max(1, math.ceil((latest_ms - self._due_ms) / period_ms))
        return True
