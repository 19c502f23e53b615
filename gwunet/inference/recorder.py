"""``run.json`` while a command runs, and after it."""

import logging
from typing import Any

from gwunet.errors import InterruptionError, SchemaError
from gwunet.inference.folder_job import FolderJob
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
        inference, writer = job.predictor.inference, job.writer
        self._options = RunOptions(
            mirror=inference.mirror,
            step=inference.step,
            threshold=inference.threshold,
            overlay=writer.overlay,
            save_probabilities=writer.probabilities,
            wires=job.wires.wires or "none",
        )
        self._different = self._compare() if job.skips_finished else ()

    def _compare(self) -> tuple[str, ...]:
        try:
            earlier = earlier_record(self._path)
        except SchemaError as problem:
            logger.warning("it cannot be seen what made the masks that are there already: %s", problem)
            return ()
        if earlier is None:
            return ()
        different = differences(earlier, self._model, self._options, self._job.predictor.runtime)
        if different:
            logger.warning(
                "%s: masks that are there already were made with other options and stay as they are: %s; without "
                "--continue all are made anew",
                self._path.parent,
                ", ".join(different),
            )
        return different

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
        )


def _run_file(run: Run) -> RunFile:
    return RunFile(name=run.name, n_frames=run.n_frames, frame_time_ms=run.frame_time_ms, spacing=run.spacing)
