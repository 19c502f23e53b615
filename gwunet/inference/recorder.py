"""``run.json`` while a command runs, and after it."""

import logging
from pathlib import Path
from typing import Any

from gwunet.checkpoint import digest_of
from gwunet.errors import InterruptionError, SchemaError
from gwunet.inference.folder_job import FolderJob
from gwunet.inference.frame_writer import FrameWriter
from gwunet.inference.prediction import Wires
from gwunet.inference.predictor import Predictor
from gwunet.inference.run_record import (
    RunFile,
    RunOptions,
    RunRecord,
    State,
    differences,
    earlier_record,
    record_name,
    versions,
)
from gwunet.inference.sources import PictureFile, Run
from gwunet.jsonio import write_json

logger = logging.getLogger(__name__)


class Recorder:
    """Keeps ``run.json`` while a job runs: it says from the first moment what makes the masks."""

    def __init__(self, job: FolderJob, source: str, model: dict[str, Any]) -> None:
        self._job = job
        self._source = source
        self._model = model
        self._path = job.writer.output / record_name(job.part.count, job.part.number)
        self._options = options_of(job.predictor, job.writer, job.wires.wires, job.wires.track)
        self._different: tuple[str, ...] = ()
        self._video_sha256: str | None = None
        self._look_at_earlier()

    def has_written(self, video: Path) -> None:
        """Record a video, so that the next command knows it."""
        self._video_sha256 = digest_of(video)

    def _look_at_earlier(self) -> None:
        try:
            earlier = earlier_record(self._path)
        except SchemaError as problem:
            if self._job.skips_finished:
                logger.warning("it cannot be seen what made the masks that are there already: %s", problem)
            return
        if earlier is None:
            return
        self._video_sha256 = earlier.video_sha256
        if self._job.skips_finished:
            self._compare(earlier)

    def _compare(self, earlier: RunRecord) -> None:
        self._different = differences(earlier, self._model, self._options, self._job.predictor.runtime)
        if self._different:
            logger.warning(
                "%s: frames finished before were made with other options, and their masks stay as they are: %s; "
                "without --continue all are made anew",
                self._path.parent,
                ", ".join(self._different),
            )
        self._compare_overlays(earlier.options)

    def _compare_overlays(self, earlier: RunOptions) -> None:
        """An overlay shows the wires as its command found them."""
        now = self._options
        if (earlier.overlay, earlier.wires, earlier.track) == (True, now.wires, now.track):
            return
        self._job.draws_anew = True
        if earlier.overlay and not now.overlay:
            logger.warning(
                "%s: overlays of finished frames stay, with the wires that the run before found; --overlay draws them "
                "anew",
                self._path.parent,
            )

    def __enter__(self) -> None:
        self._write("running")

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: object) -> None:
        stopped = isinstance(problem, InterruptionError | KeyboardInterrupt)
        self._write("finished" if kind is None else "interrupted" if stopped else "failed")
        if isinstance(problem, InterruptionError):
            n_written = self._job.n_written
            raise InterruptionError(
                f"{problem} after {n_written} frames; their masks stand in {self._path.parent}, and --continue makes "
                "the others",
                signal=problem.signal,
            ) from None

    def _write(self, state: State) -> None:
        write_json(self._path, self._record(state))

    def _record(self, state: State) -> RunRecord:
        job, predictor = self._job, self._job.predictor
        seconds, n_frames = job.seconds, job.n_written
        return RunRecord(
            **versions(),
            state=state,
            runtime=predictor.runtime,
            device=str(predictor.device),
            batch_size=predictor.batch_size,
            model=self._model,
            options=self._options,
            source=self._source,
            num_parts=job.part.count,
            part_id=job.part.number,
            runs=tuple(_run_file(run) for run in job.runs if not isinstance(run, PictureFile)),
            n_frames=n_frames,
            n_finished_before=job.n_finished,
            finished_before_with=self._different if job.n_finished or state == "running" else (),
            failed=tuple(job.failed),
            seconds=round(seconds, 3),
            frames_per_second=round(n_frames / seconds, 2) if n_frames and seconds else None,
            ms_per_frame=round(1000 * seconds / n_frames, 2) if n_frames else None,
            video_sha256=self._video_sha256,
        )


def options_of(predictor: Predictor, writer: FrameWriter, wires: Wires | None, track: bool) -> RunOptions:
    """What the masks of a command depend on, for its record."""
    inference = predictor.inference
    return RunOptions(
        mirror=inference.mirror,
        step=inference.step,
        threshold=inference.threshold,
        overlay=writer.overlay,
        save_probabilities=writer.probabilities,
        wires=wires or "none",
        track=track,
    )


def _run_file(run: Run) -> RunFile:
    return RunFile(
        name=run.name, n_frames=run.n_frames, frame_time_ms=run.frame_time_ms, spacing=run.spacing, place=run.place
    )
