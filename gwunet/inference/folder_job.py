"""The frames of one command: which are predicted, and how reading, the network and writing go on at once."""

import contextlib
import dataclasses
import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from gwunet.errors import FrameError, UsageError
from gwunet.exposed_field import Frame
from gwunet.inference.annotated_video import Picture
from gwunet.inference.frame_writer import FrameWriter
from gwunet.inference.overlay import draw_overlay
from gwunet.inference.predictor import Predictor
from gwunet.inference.run_record import Failure
from gwunet.inference.sources import Run, VideoFile, frame_index, frame_name
from gwunet.io.frames import read_mask
from gwunet.progress import Progress

logger = logging.getLogger(__name__)

WRITERS = 4
WRITE_BEHIND = 8
"""Frames predicted and not written yet, at most."""
ABANDONED_S = 3600.0
"""A temporary file of another part that has not changed for so long has lost its command."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """Which of the frames: those of one command among several that share them."""

    count: int = 1
    number: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.count:
            raise UsageError(
                f"--part_id {self.number} --num_parts {self.count}: parts are numbered from 0 to {self.count - 1}"
            )

    def has(self, run_number: int, index: int) -> bool:
        """Whether frame ``index`` of a run is in it; by turns, however long the other runs are."""
        return (run_number + index) % self.count == self.number


class FolderJob:
    """The frames of one command, and how far it has come."""

    def __init__(
        self, predictor: Predictor, runs: Sequence[Run], writer: FrameWriter, skip_finished: bool, part: Part
    ) -> None:
        self.predictor = predictor
        self.runs = runs
        self.writer = writer
        self.part = part
        self.failed: list[Failure] = []
        self.n_written = self.n_finished = 0
        self.seconds = 0.0
        self.skips_finished = skip_finished

    def remove_temporary_files(self, video: Path | None) -> None:
        """Those that a killed command left; of commands that share the work, the ones nobody writes any more."""
        writer = self.writer
        folders = {writer.output} | {
            path.parent for run in self.runs for path in (writer.mask_path(run.name), writer.overlay_path(run.name))
        }
        found = [path for folder in folders for ending in ("png", "npz", "json") for path in _temporary(folder, ending)]
        if video is not None:
            found += _temporary(video.parent, video.suffix[1:])
        latest = time.time() - (ABANDONED_S if self.part.count > 1 else 0)
        for path in found:
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime <= latest:
                    path.unlink()

    def forget_earlier_results(self) -> None:
        """So that none is taken for finished if this command is interrupted."""
        for number, run in enumerate(self.runs):
            for name in self._names_that_may_be_there(run):
                index = frame_index(run, name)
                if index is not None and self.part.has(number, index):
                    self.writer.forget(name)

    def _names_that_may_be_there(self, run: Run) -> list[str]:
        if not isinstance(run, VideoFile):  # the others know how many frames they have
            return [frame_name(run, index) for index in range(run.n_frames or 0)]
        output = self.writer.output
        folder = self.writer.mask_path(run.name).parent
        paths = folder.glob("*.png") if folder.is_dir() else ()
        return [path.relative_to(output).with_suffix("").as_posix() for path in paths]

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
        asked: deque[tuple[str, Frame]] = deque()
        predictions = self.predictor.predict_frames(self._frames(asked))
        pending: deque[Future[None]] = deque()
        with ThreadPoolExecutor(WRITERS, thread_name_prefix="write") as pool:
            try:
                for prediction in progress(predictions, self.count(), "predict"):
                    pending.append(pool.submit(self.writer.write, *asked.popleft(), prediction))
                    while len(pending) > WRITE_BEHIND:
                        self._settle(pending.popleft())
            finally:
                while pending:
                    self._settle(pending.popleft())
                self.seconds = time.perf_counter() - start

    def _settle(self, written: Future[None]) -> None:
        written.result()
        self.n_written += 1

    def _frames(self, asked: deque[tuple[str, Frame]]) -> Iterator[Frame]:
        """The frames without a mask, put into ``asked`` with their names; unreadable ones go to ``failed``."""
        for number, run in enumerate(self.runs):
            for index, item in enumerate(run.frames()):
                if not self.part.has(number, index):
                    continue
                if self.skips_finished and self.writer.is_finished(item.name):
                    self.n_finished += 1
                    continue
                try:
                    frame = item.read()
                except FrameError as problem:
                    logger.error("%s", problem)
                    self.failed.append(Failure(frame=item.name, reason=str(problem)))
                    continue
                asked.append((item.name, frame))
                yield frame

    def pictures(self) -> Iterator[Picture]:
        """All frames that have a mask, with it drawn on them; read again, so that memory does not grow."""
        for item in (item for run in self.runs for item in run.frames()):
            if not self.writer.is_finished(item.name):
                continue
            try:
                frame, mask = item.read(), read_mask(self.writer.mask_path(item.name))
            except FrameError as problem:
                logger.warning("not in the video: %s", problem)
                continue
            if mask.shape == frame.shape:
                yield draw_overlay(frame, mask)
            else:
                logger.warning("not in the video: %s: its mask has another size; predict it again", item.name)


def _temporary(folder: Path, ending: str) -> list[Path]:
    return list(folder.glob(f".partial-*.{ending}")) if folder.is_dir() else []
