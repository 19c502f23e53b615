"""What is written for each frame. A further result of a frame gets its place here."""

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gwunet.exposed_field import Frame
from gwunet.inference.overlay import draw_overlay
from gwunet.inference.prediction import Prediction
from gwunet.io.frames import write_frame, write_mask
from gwunet.jsonio import replacing

OVERLAYS = "overlays"
PROBABILITY_LEVELS = 255
"""Steps between 0 and 1 that saved probabilities are rounded to: then they take a fortieth of the room, since most of a
frame becomes exactly 0."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FrameWriter:
    """Writes a frame's results, each whole or not at all and the mask last.

    So where the mask is there, all that was asked for is there, and the frame is finished.
    """

    output: Path
    overlay: bool = False
    probabilities: bool = False

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
            _write_probability(self.probability_path(name), prediction.probability)
        if self.overlay:
            write_frame(self.overlay_path(name), draw_overlay(frame, prediction.mask))
        write_mask(self.mask_path(name), prediction.mask)


def _write_probability(path: Path, probability: NDArray[np.float32]) -> None:
    """``probability`` as (H, W) float16 in steps of 1/255, in an archive that ``np.load`` reads."""
    steps = np.rint(probability * PROBABILITY_LEVELS) / PROBABILITY_LEVELS
    # Level 1 of deflate takes half the time of np.savez_compressed's for files a quarter larger.
    with (
        replacing(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("probability.npy", "w") as file,
    ):
        np.lib.format.write_array(file, steps.astype(np.float16), allow_pickle=False)
