"""Where frames stand: in which sequence, and which of its frames they are."""

import dataclasses
from collections.abc import Sequence

from gwunet.grouping import guessed_origins
from gwunet.inference.sources import NamedRun, frame_index
from gwunet.io.spacing import PixelSpacing


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where one frame stands."""

    name: str
    """Of its outputs."""
    sequence: str
    """A DICOM run's or a video's name; of DICOM files with one frame the name of the first one of their series; of a
    picture its name without the number at its end, and with ``_`` behind it where another sequence has that name."""
    number: int
    """Grows along the sequence."""
    spacing: PixelSpacing | None = None
    shape: tuple[int, ...] | None = None
    """Rows and columns of the frame; None before it was looked at, and where an earlier version did."""


class Places:
    """The frames of a command by their names."""

    def __init__(self, runs: Sequence[NamedRun]) -> None:
        self._runs = runs
        self._numbers = {run.name: number for number, run in enumerate(runs)}
        single = [run.name for run in runs if not run.is_numbered and run.place is None]
        # Nothing is trained on them, so that the rule for training frames with few sequences does not count.
        self._origins = guessed_origins((), single, "frames")
        self._names = _distinct_names(
            {origin.sequence or name for name, origin in self._origins.items()},
            {run.name if run.place is None else run.place.sequence for run in runs if run.name not in self._origins},
        )
        self._ranks = self._ranked()

    def _ranked(self) -> dict[str, int]:
        """How many frames of its sequence come before a frame that is alone in its file."""
        by_sequence: dict[str, list[Place]] = {}
        for run in self._runs:
            if not run.is_numbered:
                place = self.of(run, 0, run.name)
                by_sequence.setdefault(place.sequence, []).append(place)
        return {
            place.name: rank
            for places in by_sequence.values()
            for rank, place in enumerate(sorted(places, key=lambda place: (place.number, place.name)))
        }

    def find(self, name: str) -> tuple[int, int] | None:
        """Number of the run and index in it of the frame of this name; None where it is of no run."""
        for run_name in (name, name.rpartition("_")[0]):
            number = self._numbers.get(run_name)
            index = None if number is None else frame_index(self._runs[number], name)
            if number is not None and index is not None:
                return number, index
        return None

    def at(self, name: str) -> Place | None:
        """Where the frame of this name stands; None where it is of no run."""
        found = self.find(name)
        return None if found is None else self.of(self._runs[found[0]], found[1], name)

    def of(self, run: NamedRun, index: int, name: str) -> Place:
        """Where frame ``index`` of a run stands."""
        if run.is_numbered:
            return Place(name=name, sequence=run.name, number=index, spacing=run.spacing)
        if run.place is not None:
            return Place(name=name, sequence=run.place.sequence, number=run.place.number, spacing=run.spacing)
        origin = self._origins[run.name]
        sequence = self._names[origin.sequence or run.name]
        return Place(name=name, sequence=sequence, number=origin.frame or 0, spacing=run.spacing)

    def frames_passed(self, earlier: str, later: str) -> int:
        """From one frame of a sequence to a later one, by their names: those between them that cannot be read count.

        Numbers in the names of pictures do not say it, which may be tens or milliseconds.
        """
        if earlier in self._ranks and later in self._ranks:
            passed = self._ranks[later] - self._ranks[earlier]
        else:
            one, other = self.find(earlier), self.find(later)
            passed = other[1] - one[1] if one is not None and other is not None and one[0] == other[0] else 1
        return max(1, passed)


def _distinct_names(pictures: set[str], others: set[str]) -> dict[str, str]:
    """What sequences of pictures are called, so that ``run7_1.png`` does not follow the frames of ``run7.dcm``."""
    names = {sequence: sequence for sequence in pictures - others}
    taken = pictures | others
    for sequence in sorted(pictures & others):
        name = sequence
        while name in taken:
            name += "_"
        names[sequence] = name
        taken.add(name)
    return names
