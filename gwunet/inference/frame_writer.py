"""What is written for each frame. A further result of a frame gets its place here."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gwunet.exposed_field import Frame
from gwunet.inference.prediction import Prediction
from gwunet.inference.wire_overlay import draw_with_wires
from gwunet.io.frames import write_frame, write_mask
from gwunet.io.probability import write_probability
from gwunet.localization import Guidewire

OVERLAYS = "overlays"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FrameWriter:
    """Writes a frame's results, each whole or not at all and the mask last.

    So where the mask is there, all that was asked for is there, and the frame is finished.
    """

    output: Path
    overlay: bool = False
    probabilities: bool = False
    wires: bool = False
    """Whether overlays show the wires."""
    draws_later: bool = False
    """Overlays wait until the wires of all frames are known."""

    def mask_path(self, name: str) -> Path:
        """Where the mask of a frame stands; names may hold folders and points."""
        return self.output / f"{name}.png"

    def overlay_path(self, name: str) -> Path:
        """Where its picture stands."""
        return self.output / OVERLAYS / f"{name}.png"

    def probability_path(self, name: str) -> Path:
        """Where its probabilities stand."""
        return self.output / f"{name}.npz"

    def is_finished(self, name: str) -> bool:
        """Whether a frame's results are there."""
        return self.mask_path(name).is_file()

    def forget(self, name: str) -> None:
        """Remove a frame's results, of which some might be an earlier model's once others are replaced."""
        for path in (self.mask_path(name), self.overlay_path(name), self.probability_path(name)):
            path.unlink(missing_ok=True)

    def write(self, name: str, frame: Frame, prediction: Prediction) -> None:
        """Write a frame's results.

        Raises:
            OutputError: a file cannot be written.
        """
        if self.probabilities:
            write_probability(self.probability_path(name), prediction.probability, prediction.field)
        if self.overlay and not self.draws_later:
            self.write_overlay(name, frame, prediction.mask, prediction.guidewires if self.wires else ())
        write_mask(self.mask_path(name), prediction.mask)

    def write_overlay(self, name: str, frame: Frame, mask: NDArray[np.uint8], wires: Sequence[Guidewire]) -> None:
        """Write the picture of a frame with its mask and wires; errors as ``write``."""
        write_frame(self.overlay_path(name), draw_with_wires(frame, mask, wires))
