"""The frames of one command: which are predicted, and how reading, the network and writing go on at once."""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from gwunet.errors import FrameError
from gwunet.exposed_field import Frame
from gwunet.inference.folder_wires import FolderWires
from gwunet.inference.frame_writer import FrameWriter
from gwunet.inference.own_results import results_of_runs
from gwunet.inference.part import Part
from gwunet.inference.places import Place
from gwunet.inference.prediction import Prediction
from gwunet.inference.predictor import Predictor
from gwunet.inference.run_record import Failure
from gwunet.inference.sources import Run, SourceFrame, frame_name
from gwunet.io.frames import read_mask
from gwunet.io.probability import LEVELS, read_levels
from gwunet.progress import Progress

logger = logging.getLogger(__name__)

WRITERS = 4
WRITE_BEHIND = 8
"""Frames predicted and not written yet, at most."""
WRITTEN = ("png", "npz", "json", "jsonl", "csv")
ABANDONED_S = 3600.0
"""A temporary file of another part that has not changed for so long has lost its command."""


class FolderJob:
    """The frames of one command, and how far it has come."""

    def __init__(
        self,
        predictor: Predictor,
        runs: Sequence[Run],
        writer: FrameWriter,
        skip_finished: bool,
        part: Part,
        wires: FolderWires,
        *,
        draws_anew: bool = False,
    ) -> None:
        """
        Args:
            predictor: the model.
            runs: the files with the frames.
            writer: for the results.
            skip_finished: leave frames whose mask is there.
            part: the frames to take.
            wires: finds and keeps the wires.
            draws_anew: whether overlays of finished frames do not show what this command's would.
        """
        self.predictor = predictor
        self.runs = runs
        self.writer = writer
        self.part = part
        self.wires = wires
        self.failed: list[Failure] = []
        self.n_written = self.n_finished = 0
        self.seconds = 0.0
        self.skips_finished = skip_finished
        self.to_draw: set[str] = set()
        """Finished frames without the overlay that is wanted."""
        self._draws_anew = draws_anew
        self._n_located = 0

    def remove_temporary_files(self, video: Path | None) -> None:
        """Those that a killed command left; of commands that share the work, the ones nobody writes any more."""
        writer = self.writer
        folders = {writer.output} | {
            path.parent for run in self.runs for path in (writer.mask_path(run.name), writer.overlay_path(run.name))
        }
        found = [path for folder in folders for ending in WRITTEN for path in _temporary(folder, ending)]
        if video is not None:
            found += _temporary(video.parent, video.suffix[1:])
        latest = time.time() - (ABANDONED_S if self.part.count > 1 else 0)
        for path in found:
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime <= latest:
                    path.unlink()

    def forget_earlier_results(self) -> None:
        """So that none is taken for finished if this command is interrupted."""
        self.wires.forget()
        for path in results_of_runs(self.writer, self.runs, self.part):
            path.unlink(missing_ok=True)

    def count(self, *, also_finished: bool = False) -> int:
        """Frames to predict, as far as the files say; 0 where one does not."""
        leaves_finished = self.skips_finished and not also_finished
        total = 0
        for number, run in enumerate(self.runs):
            if run.n_frames is None:
                return 0
            mine = (frame_name(run, index) for index in range(run.n_frames) if self.part.has(number, index))
            total += sum(1 for name in mine if not (leaves_finished and self.writer.is_finished(name)))
        return total

    def predict(self, progress: Progress) -> None:
        """Predict the frames and write what is found; reading and writing go on in threads meanwhile."""
        start = time.perf_counter()
        asked: deque[tuple[Place, Frame]] = deque()
        predictions = self.predictor.predict_frames(self._frames(asked))
        pending: deque[Future[None]] = deque()
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="write") as pool:
            try:
                for prediction in progress(predictions, self.count(), "predict"):
                    pending.append(pool.submit(self._write, *asked.popleft(), prediction))
                    while len(pending) > WRITE_BEHIND:
                        self._settle(pending.popleft())
            finally:
                while pending:
                    self._settle(pending.popleft())
                self.seconds = time.perf_counter() - start
        if self._n_located:
            logger.info(
                "wires of %d frames finished before: found in their saved probabilities, or else in their masks",
                self._n_located,
            )

    def _write(self, place: Place, frame: Frame, prediction: Prediction) -> None:
        # The mask comes last: where it is, the frame is finished, and its wires are kept.
        self.writer.write(place.name, frame, self.wires.find(place, prediction))

    def _settle(self, written: Future[None]) -> None:
        written.result()
        self.n_written += 1

    def _frames(self, asked: deque[tuple[Place, Frame]]) -> Iterator[Frame]:
        """The frames without a mask, put into ``asked`` with their places; unreadable ones go to ``failed``."""
        for number, run in enumerate(self.runs):
            for index, item in enumerate(run.frames()):
                if not self.part.has(number, index):
                    continue
                place = self.wires.places.of(run, index, item.name)
                if self.skips_finished and self.writer.is_finished(item.name):
                    self.n_finished += 1
                    is_found_anew = self._find_wires_of_finished(place, item)
                    if self.writer.overlay:
                        self._look_at_overlay(item.name, self._draws_anew or is_found_anew)
                    continue
                try:
                    frame = item.read()
                except FrameError as problem:
                    logger.error("%s", problem)
                    self.failed.append(Failure(frame=item.name, reason=str(problem)))
                    continue
                asked.append((place, frame))
                yield frame

    def _look_at_overlay(self, name: str, is_outdated: bool) -> None:
        path = self.writer.overlay_path(name)
        if is_outdated:  # goes now, so that where this command is killed the next one sees what is missing
            path.unlink(missing_ok=True)
        if not path.is_file():
            self.to_draw.add(name)

    def _find_wires_of_finished(self, place: Place, item: SourceFrame) -> bool:
        """Find the wires of a frame that got its mask when not so many were looked for; the mask stays.

        Returns:
            Whether they were found now.
        """
        if self.wires.wires is None or self.wires.is_found(place.name):
            return False
        try:
            frame, mask = item.read(), read_mask(self.writer.mask_path(place.name))
            path = self.writer.probability_path(place.name)
            probability = (
                read_levels(path).astype(np.float32) / np.float32(LEVELS) if path.is_file() else mask.astype(np.float32)
            )
            if not mask.shape == probability.shape == frame.shape:
                raise FrameError(f"{place.name}: its mask has another size; predict it again")
        except FrameError as problem:
            logger.warning("its wires are not found: %s", problem)
            return False
        field, threshold = self.predictor.exposed_field(frame), self.predictor.postprocessing.threshold
        self.wires.find(place, Prediction(mask, probability, field, threshold))
        self._n_located += 1
        return True


def _temporary(folder: Path, ending: str) -> list[Path]:
    return list(folder.glob(f".partial-*.{ending}")) if folder.is_dir() else []
