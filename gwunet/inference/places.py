"""Where frames stand: in which sequence, and which of its frames they are."""

import dataclasses
from collections.abc import Sequence

from gwunet.grouping import guessed_origins
from gwunet.inference.sources import Run, frame_index
from gwunet.io.spacing import PixelSpacing


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where one frame stands."""

    name: str
    """Of its outputs."""
    sequence: str
    """A DICOM run's or a video's name; of a picture its name without the number at its end."""
    number: int
    """Grows along the sequence."""
    spacing: PixelSpacing | None = None


class Places:
    """The frames of a command by their names."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self._runs = runs
        self._numbers = {run.name: number for number, run in enumerate(runs)}
        single = [run.name for run in runs if not run.is_numbered]
        # Nothing is trained on them, so that the rule for training frames with few sequences does not count.
        self._origins = guessed_origins((), single, "frames")

    def find(self, name: str) -> tuple[int, int] | None:
        """Number of the run and index in it of the frame of this name; None where it is of no run."""
        for run_name in (name, name.rpartition("_")[0]):
            number = self._numbers.get(run_name)
            index = None if number is None else frame_index(self._runs[number], name)
            if number is not None and index is not None:
                return number, index
        return None

    def of(self, run: Run, index: int, name: str) -> Place:
        """Where frame ``index`` of a run stands."""
        if run.is_numbered:
            return Place(name=name, sequence=run.name, number=index, spacing=run.spacing)
        origin = self._origins[run.name]
        return Place(name=name, sequence=origin.sequence or name, number=origin.frame or 0, spacing=run.spacing)
