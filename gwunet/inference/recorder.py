"""``run.json`` while a command runs, and after it."""

from pathlib import Path
from typing import Any

from gwunet.checkpoint import digest_of
from gwunet.errors import InterruptionError
from gwunet.inference.earlier_run import EarlierRun
from gwunet.inference.folder_job import FolderJob
from gwunet.inference.run_record import RunFile, RunOptions, State, record_of, state_of
from gwunet.inference.sources import PictureFile, Run, VideoFile
from gwunet.jsonio import write_json


class Recorder:
    """Keeps ``run.json`` while a job runs: it says from the first moment what makes the masks."""

    def __init__(
        self,
        job: FolderJob,
        path: Path,
        source: str,
        model: dict[str, Any],
        options: RunOptions,
        earlier: EarlierRun,
    ) -> None:
        """Nothing is written yet.

        Args:
            job: what is recorded.
            path: of the record.
            source: name of the file or folder with the frames.
            model: what the model is called by.
            options: what the masks depend on besides.
            earlier: what the command before left.
        """
        self._job = job
        self._path = path
        self._source = source
        self._model = model
        self._options = options
        self._different = earlier.differs_in
        self._video_sha256 = earlier.video_sha256

    def has_written(self, video: Path) -> None:
        """Record a video, so that the next command knows it."""
        self._video_sha256 = digest_of(video)

    def __enter__(self) -> None:
        self._write("running")

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: object) -> None:
        self._write(state_of(problem))
        if isinstance(problem, InterruptionError):
            n_written = self._job.n_written
            raise InterruptionError(
                f"{problem} after {n_written} frames; their masks stand in {self._path.parent}, and --continue makes "
                "the others",
                signal=problem.signal,
            ) from None

    def _write(self, state: State) -> None:
        job = self._job
        record = record_of(
            job.predictor,
            state=state,
            model=self._model,
            options=self._options,
            source=self._source,
            part=job.part,
            runs=tuple(_run_file(run) for run in job.runs if not isinstance(run, PictureFile)),
            n_frames=job.n_written,
            n_finished_before=job.n_finished,
            finished_before_with=self._different if job.n_finished or state == "running" else (),
            failed=tuple(job.failed),
            seconds=job.seconds,
            video_sha256=self._video_sha256,
        )
        write_json(self._path, record)


def _run_file(run: Run) -> RunFile:
    return RunFile(
        name=run.name,
        n_frames=None if isinstance(run, VideoFile) else run.n_frames,
        frame_time_ms=run.frame_time_ms,
        spacing=run.spacing,
        place=run.place,
    )
