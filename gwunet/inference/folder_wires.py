"""The wires of the frames of one command: kept as they are found, tracked and written as tables when all are there."""

import dataclasses
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from gwunet.errors import UsageError
from gwunet.inference.frame_writer import FrameWriter
from gwunet.inference.part import Part
from gwunet.inference.places import Place, Places
from gwunet.inference.prediction import Prediction, Wires
from gwunet.inference.sources import NamedRun
from gwunet.inference.track_plot import Track
from gwunet.inference.wire_store import NAME as STORE_NAME
from gwunet.inference.wire_store import WireStore
from gwunet.inference.wire_tables import CSV_NAME, JSON_NAME, Centrelines, Located, write_tables
from gwunet.localization import Guidewire, Tracker

logger = logging.getLogger(__name__)

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
        self, writer: FrameWriter, runs: Sequence[NamedRun], part: Part, *, wires: Wires | None, track: bool = False
    ) -> None:
        self.wires = wires
        """How many are looked for in a frame; None: they are left alone."""
        self.track = track
        self.places = Places(runs)
        self._beginning = threading.Lock()
        self._has_begun = False
        self._part = part
        self._writer = writer
        self._store = WireStore(writer.output, part)
        self._written: Centrelines | None = None

    def is_found(self, name: str) -> bool:
        """Whether a frame's wires are kept, as many as are looked for now."""
        return self._store.has(name, self.wires)

    def find(self, place: Place, prediction: Prediction) -> Prediction:
        """The prediction with its wires, which are kept; without, where none are looked for.

        Call it before the frame's mask is written: tables of earlier commands, which lack the frame, go first.

        Raises:
            OutputError: they cannot be written.
        """
        self._begin()
        if self.wires is None:
            return prediction
        spacing_mm = None if place.spacing is None else (place.spacing.row_mm, place.spacing.column_mm)
        found = prediction.locate(wires=self.wires, spacing_mm=spacing_mm)
        self._store.add(dataclasses.replace(place, shape=prediction.mask.shape), found, self.wires)
        return prediction.with_guidewires(found)

    def _begin(self) -> None:
        with self._beginning:
            if self._has_begun:
                return
            self._has_begun = True
            if not self._is_anything_there():
                return
            with self._store.alone():
                self._store.look()
                sequences = {place.sequence for place in self._store.places()}
                if self.wires is None:
                    self._forget_unfinished()
                self._remove_tables()
                self._remove_plots(sequences)

    def _forget_unfinished(self) -> None:
        """Drop what is kept of frames whose masks are made now, without wires."""

        def is_made_now(name: str) -> bool:
            return self._is_mine(name) and not self._writer.is_finished(name)

        if any(is_made_now(place.name) for place in self._store.places()):
            self._store.forget(is_made_now)

    def _is_mine(self, name: str) -> bool:
        found = self.places.find(name)
        return found is not None and self._part.has(*found)

    def forget(self, is_mine: Callable[[str], bool] | None = None) -> None:
        """Drop what is kept of some frames, and the tables and plots.

        Args:
            is_mine: whether a frame of this name is one of them; without it those of this command are.
        """
        is_mine = is_mine or self._is_mine
        if not self._is_anything_there():
            return
        with self._store.alone():
            self._store.look()
            mine = {place.sequence for place in self._store.places() if is_mine(place.name)}
            self._store.forget(is_mine)
            self._remove_tables()
            for path in self._plots(mine):
                path.unlink(missing_ok=True)

    def _is_anything_there(self) -> bool:
        return bool(self._store.files() or self._tables())

    def _tables(self) -> list[Path]:
        return [path for path in (self._writer.output / name for name in (CSV_NAME, JSON_NAME)) if path.is_file()]

    def _remove_tables(self) -> None:
        tables = self._tables()
        for path in tables:
            path.unlink(missing_ok=True)
        if tables and self.wires is None and self._store.places():
            logger.warning(
                "%s: removed %s of an earlier run, which would not have all frames: this run looks for no wires "
                "(--wires none); %s stays, and --continue without --wires none writes them again",
                self._writer.output,
                " and ".join(path.name for path in tables),
                STORE_NAME,
            )

    def _plots(self, sequences: Iterable[str]) -> list[Path]:
        """Those that are there."""
        # Where nothing is tracked, a folder of frames, and of masks then, may have the name of the plots' folder.
        paths = {path.relative_to(self._writer.output): path for path in map(self._plot_path, sequences)}
        return [
            path
            for inside, path in paths.items()
            if path.is_file() and self.places.find(inside.with_suffix("").as_posix()) is None
        ]

    def _remove_plots(self, sequences: Iterable[str]) -> None:
        plots = self._plots(sequences)
        for path in plots:
            path.unlink(missing_ok=True)
        if plots and not self.track:
            logger.warning(
                "%s: removed %d plots of an earlier run that tracked the wires; --continue --track draws them again",
                self._writer.output / PLOTS,
                len(plots),
            )

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
            self._remove_plots({place.sequence for place in places})
            frames = self._tracked(places) if self.track else (self._store.get(place.name) for place in places)
            folder = self._writer.output
            begins = write_tables(folder, frames, is_tracked=self.track)
            if self.track:
                self._written = Centrelines(folder, begins)

    def of(self, name: str) -> list[Guidewire]:
        """The wires of a frame as the tables have them, when these are written."""
        if self._written is not None:
            return self._written.of(name)
        if self.wires is None:
            return []
        try:
            return self._store.get(name)[1]  # not from the tables: another part that ends now may write them anew
        except KeyError:
            return []

    def _tracked(self, places: Sequence[Place]) -> Iterator[Located]:
        """The frames with their wires tracked, sequence by sequence; a plot is drawn at the end of each."""
        tracker, track = Tracker(), Track()
        before: Place | None = None
        for place, following in zip(places, [*places[1:], None], strict=True):
            passed = 1 if before is None else self.places.frames_passed(before.name, place.name)
            wires = tracker.update(self._store.get(place.name)[1], frames_passed=passed, frame_shape=place.shape)
            before = place
            track.add(place.number, wires, frames_passed=passed)
            yield place, wires
            if following is None or following.sequence != place.sequence:
                if track.is_worth_drawing:
                    track.draw(self._plot_path(place.sequence), place.sequence)
                tracker, track, before = Tracker(), Track(), None

    def _plot_path(self, sequence: str) -> Path:
        folder, _, name = sequence.rpartition("/")
        return self._writer.output / PLOTS / folder / f"{name or 'frames'}.png"
