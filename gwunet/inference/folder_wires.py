"""The wires of the frames of one command: kept as they are found, tracked and written as tables when all are there."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from gwunet.errors import UsageError
from gwunet.inference.frame_writer import FrameWriter
from gwunet.inference.part import Part
from gwunet.inference.places import Place, Places
from gwunet.inference.prediction import Prediction, Wires
from gwunet.inference.sources import Run
from gwunet.inference.track_plot import Track
from gwunet.inference.wire_store import WireStore
from gwunet.inference.wire_tables import CSV_NAME, JSON_NAME, Centrelines, Located, write_tables
from gwunet.localization import Guidewire, Tracker

PLOTS = "tracks"


def check_tracking(wires: Wires | None, part: Part, *, overlay: bool) -> None:
    """Raises ``UsageError`` where wires cannot be tracked, or not be drawn as they were."""
    if wires is None:
        raise UsageError("--track: found --wires none; wanted wires to track: auto, or how many")
    if overlay and part.count > 1:
        raise UsageError(
            "--track --overlay: one part has not all frames of a sequence; draw them with --continue when all are done"
        )


class FolderWires:
    """Finds, keeps and writes wires. What is found in a frame depends on that frame alone; tracking comes at the end.

    So it does not matter in which order, by how many commands and after how many interruptions frames were predicted.
    """

    def __init__(
        self, writer: FrameWriter, runs: Sequence[Run], part: Part, *, wires: Wires | None, track: bool = False
    ) -> None:
        self.wires = wires
        """How many are looked for in a frame; None: they are left alone."""
        self.track = track
        self.places = Places(runs)
        self._part = part
        self._writer = writer
        self._store = WireStore(writer.output, part)
        self._written: Centrelines | None = None

    def has(self, name: str) -> bool:
        """Whether a frame's wires are kept."""
        return name in self._store

    def find(self, place: Place, prediction: Prediction) -> Prediction:
        """The prediction with its wires, which are kept; without, where none are looked for.

        Raises:
            OutputError: they cannot be written.
        """
        if self.wires is None:
            return prediction
        spacing_mm = None if place.spacing is None else (place.spacing.row_mm, place.spacing.column_mm)
        found = prediction.locate(wires=self.wires, spacing_mm=spacing_mm)
        self._store.add(place, found)
        return prediction.with_guidewires(found)

    def forget(self) -> None:
        """Drop what is kept of this command's frames, and the tables and plots."""

        def is_mine(name: str) -> bool:
            found = self.places.find(name)
            return found is not None and self._part.has(*found)

        mine = {place.sequence for place in self._store.places() if is_mine(place.name)}
        self._store.forget(is_mine)
        folder = self._writer.output
        for path in (folder / CSV_NAME, folder / JSON_NAME, *(self._plot_path(sequence) for sequence in mine)):
            path.unlink(missing_ok=True)

    def write(self) -> None:
        """Write the tables, and with tracking the plots, of all frames that are finished by now.

        Raises:
            OutputError: a file cannot be written.
        """
        if self.wires is None:
            return
        with self._store.alone():
            self._store.look()
            places = [place for place in self._store.places() if self._writer.is_finished(place.name)]
            frames = self._tracked(places) if self.track else (self._store.get(place.name) for place in places)
            folder = self._writer.output
            begins = write_tables(folder, frames, is_tracked=self.track)
            self._written = Centrelines(folder, begins)

    def of(self, name: str) -> list[Guidewire]:
        """The wires of a frame as the tables have them."""
        return [] if self._written is None else self._written.of(name)

    def _tracked(self, places: Sequence[Place]) -> Iterator[Located]:
        """The frames with their wires tracked, sequence by sequence; a plot is drawn at the end of each."""
        tracker, track = Tracker(), Track()
        for place, following in zip(places, [*places[1:], None], strict=True):
            wires = tracker.update(self._store.get(place.name)[1])
            track.add(place.number, wires)
            yield place, wires
            if following is None or following.sequence != place.sequence:
                if track.is_worth_drawing:
                    track.draw(self._plot_path(place.sequence), place.sequence)
                tracker, track = Tracker(), Track()

    def _plot_path(self, sequence: str) -> Path:
        folder, _, name = sequence.rpartition("/")
        return self._writer.output / PLOTS / folder / f"{name or 'frames'}.png"
