"""The wires of one sequence, frame by frame."""

import dataclasses

from gwunet.inference.prediction import Prediction, Spacing, Wires
from gwunet.localization import Tracker


class Localizer:
    """Looks for the wires in the predictions of a sequence, and tracks them if that is wanted."""

    def __init__(self, *, wires: Wires = "auto", track: bool = False, spacing_mm: Spacing | None = None) -> None:
        """For one sequence.

        Args:
            wires: how many are looked for in a frame.
            track: keep their numbers from frame to frame, filter their tips and bridge missing frames; predictions
                must then come in their order.
            spacing_mm: of the frames' pixels.
        """
        self._wires = wires
        self._spacing_mm = spacing_mm
        self._tracker = Tracker() if track else None

    def __call__(self, prediction: Prediction, frames_passed: int = 1) -> Prediction:
        """The prediction of the next frame with its wires.

        Args:
            prediction: of a frame.
            frames_passed: since the one before; more than 1 where frames were dropped.
        """
        if self._spacing_mm is not None:
            prediction = dataclasses.replace(prediction, spacing_mm=self._spacing_mm)
        found = prediction.locate(wires=self._wires)
        if self._tracker is not None:
            found = self._tracker.update(found, frames_passed=frames_passed, frame_shape=prediction.mask.shape)
        return prediction.with_guidewires(found)
