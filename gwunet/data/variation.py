"""What every transform of a training patch's content has in common: parameters that were drawn, and ``apply``."""

import dataclasses
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gwunet.data.store import Sample, StoredFrame
from gwunet.preprocessing import MIN_STD


class Variation(Protocol):
    """A transform with its parameters drawn: a frozen dataclass, so that it can be built and tested by hand."""

    def apply(self, patch: Sample) -> Sample:
        """The patch varied; the one given stays as it is, and outside the exposed field the frame stays 0."""


@dataclasses.dataclass(frozen=True, slots=True)
class GreyScale:
    """What the z-scores of a patch were in its frame: ``mean + std * z`` grey levels."""

    mean: float
    std: float
    highest: float
    """Highest level that a detector of the frame's depth gives."""

    @classmethod
    def of(cls, frame: StoredFrame) -> Self:
        """That of a frame; in 16 bits the brightest pixel tells how many of them the detector has."""
        highest = 255 if frame.pixels.dtype == np.uint8 else 2 ** int(frame.pixels.max()).bit_length() - 1
        return cls(frame.mean, max(frame.std, MIN_STD), float(highest))

    @property
    def black(self) -> float:
        """The z-score of grey level 0."""
        return -self.mean / self.std


def with_frame(patch: Sample, frame: NDArray[np.float32]) -> Sample:
    """The patch with another frame, which is 0 outside the exposed field."""
    inside = frame if patch.field.all() else np.where(patch.field, frame, np.float32(0))
    return Sample(inside.astype(np.float32, copy=False), patch.target, patch.field)


def draw_around_one(rng: np.random.Generator, low: float, high: float) -> float:
    """A factor below 1 and one above equally often, whatever the range's middle; as batchgenerators draws."""
    return float(rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high))
