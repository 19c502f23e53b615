"""One frame on its way: what the network gets of it, and what becomes of the network's answer."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gwunet.errors import FrameError
from gwunet.exposed_field import Frame
from gwunet.inference.prediction import Prediction
from gwunet.plans import Preprocessing
from gwunet.postprocessing import Postprocessing
from gwunet.preprocessing import CroppedFrame, crop_frame, normalise, put_back


@dataclasses.dataclass(frozen=True, slots=True)
class CutFrame:
    """A frame ready for the network."""

    crop: CroppedFrame
    scores: Tensor
    """``(1, h, w)`` float32."""
    field: NDArray[np.bool_] | None
    """``(H, W)``: True where the frame was exposed; None where it was everywhere."""

    @classmethod
    def of(cls, frame: Frame, preprocessing: Preprocessing) -> Self:
        """Cut and normalise a ``(H, W)`` frame.

        Raises:
            FrameError: the array has another shape or type.
        """
        if frame.ndim != 2 or frame.dtype not in (np.uint8, np.uint16) or not frame.size:
            raise FrameError(
                f"a frame must be (H, W) of uint8 or uint16 with at least one pixel, got {frame.shape} of {frame.dtype}"
            )
        crop = crop_frame(frame, preprocessing)
        scores = torch.from_numpy(normalise(crop.pixels, crop.field, crop.mean, crop.std))[None]
        is_whole = crop.field.shape == crop.frame_shape and bool(crop.field.all())
        return cls(crop, scores, None if is_whole else put_back(crop.field, crop.box, crop.frame_shape))

    def answered(self, probability: NDArray[np.float32], settings: Postprocessing) -> Prediction:
        """What is found, from the network's probabilities ``(h, w)``."""
        if self.field is not None:
            inside: NDArray[np.float32] = probability * self.crop.field
            probability = put_back(inside, self.crop.box, self.crop.frame_shape)
        return Prediction(settings.mask(probability), probability, self.field, settings.threshold)


def of_one_size(cuts: Iterable[CutFrame], together: Callable[[CutFrame], int]) -> Iterator[list[CutFrame]]:
    """Neighbours whose crops are of one size, at most so many as ``together`` says for that size.

    What the iterable raises comes after those that were before it.
    """
    group: list[CutFrame] = []
    try:
        for cut in cuts:
            if group and cut.scores.shape != group[0].scores.shape:
                yield group
                group = []
            group.append(cut)
            if len(group) >= together(cut):
                yield group
                group = []
    except Exception:
        if group:
            yield group
        raise
    if group:
        yield group
