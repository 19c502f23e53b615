"""Prediction of a folder of frames, a run or a video: masks, overlays and probabilities as files."""

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gwunet.data.lock import alone_in
from gwunet.errors import UsageError
from gwunet.inference.ahead import ahead
from gwunet.inference.annotated_video import write_video
from gwunet.inference.earlier_run import earlier_run
from gwunet.inference.folder_job import FolderJob
from gwunet.inference.folder_pictures import FolderPictures
from gwunet.inference.folder_wires import PLOTS, FolderWires, check_tracking
from gwunet.inference.frame_writer import OVERLAYS, FrameWriter
from gwunet.inference.own_results import check_own, has_record, is_own_video, results_of_runs
from gwunet.inference.part import Part
from gwunet.inference.prediction import Wires
from gwunet.inference.predictor import Predictor
from gwunet.inference.recorder import Recorder
from gwunet.inference.run_record import options_of
from gwunet.inference.sources import Run, find_runs
from gwunet.io.frames import FRAME_ENDINGS
from gwunet.io.record_files import record_name, remove_other_records
from gwunet.progress import Progress, no_progress

DRAW_AHEAD = 4
"""Pictures drawn while others go into the video."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FolderResult:
    """How the prediction of a folder went."""

    n_frames: int
    """Masks written."""
    n_finished_before: int
    """Masks that were there already."""
    failed: tuple[str, ...]
    """One message for each frame that could not be read."""
    seconds: float
    """From the first frame to the last mask; loading the model not counted."""
    video: Path | None
    """The video that was written; None where none was wanted, or no frame has a mask to show."""


def find_frames(
    source: Path,
    output: Path,
    *,
    overlay: bool = False,
    video: Path | None = None,
    track: bool = False,
    overwrite: bool = False,
) -> tuple[Run, ...]:
    """The files with frames at ``source``, after a check that no result lands on one of them.

    Raises:
        UsageError: there is nothing at ``source``, or results would overwrite frames or each other, or without
            ``overwrite`` files in ``output`` that this program did not make.
        DatasetError: it holds no frames, or two files whose masks would have one name.
    """
    if output.is_file():
        raise UsageError(f"{output}: found a file; wanted a folder for the masks")
    if source.is_dir() and output.resolve() == source.resolve():
        raise _holds_frames(output, output)
    runs = _runs_without_own_video(source, output, video)
    writer = FrameWriter(output=output)
    _check_apart(source, writer, runs)
    pictures = [folder for folder, is_used in ((OVERLAYS, overlay), (PLOTS, track)) if is_used]
    for run in runs:
        among = next((folder for folder in pictures if run.name.startswith(f"{folder}/")), None)
        if among is not None:
            raise UsageError(f"{run.path}: its mask would stand among the {among}; rename the folder {among}")
    if not overwrite:
        check_own(output, results_of_runs(writer, runs))
    return runs


def _check_apart(source: Path, writer: FrameWriter, runs: Sequence[Run]) -> None:
    """Refuse masks among frames: the next command would take them for frames."""
    output = writer.output
    of_frames = {folder for run in runs for folder in (run.path.parent.resolve(), run.path.resolve().parent)}
    of_masks = {folder.resolve() for folder in {writer.mask_path(run.name).parent for run in runs}}
    if _is_below(output, source) and _has_pictures(output) and not has_record(output):
        of_frames.add(output.resolve())
    both = of_frames & {output.resolve(), *of_masks}
    if both:
        raise _holds_frames(output, min(both))


def _holds_frames(output: Path, folder: Path) -> UsageError:
    return UsageError(
        f"-o {output}: masks would stand in {folder}, which holds the frames themselves; give another folder for the "
        "masks, such as one beside that of the frames"
    )


def _runs_without_own_video(source: Path, output: Path, video: Path | None) -> tuple[Run, ...]:
    """The files with frames; a video that an earlier command wrote among them is none, any other is not replaced."""
    if video is None:
        return find_runs(source, outside=[output])
    is_own = _is_below(video, source) and is_own_video(video, output)
    runs = find_runs(source, outside=[output, video] if is_own else [output])
    if video.exists() and any(run.path.exists() and video.samefile(run.path) for run in runs):
        raise UsageError(
            f"--video {video}: found one of the videos that are read, and no record in {output} that gwunet wrote it; "
            "wanted another file to write to: choose another name, or move that video away"
        )
    return runs


def predict_folder(
    predictor: Predictor,
    source: Path,
    output: Path,
    *,
    overlay: bool = False,
    save_probabilities: bool = False,
    video: Path | None = None,
    wires: Wires | None = "auto",
    track: bool = False,
    skip_finished: bool = False,
    overwrite: bool = False,
    part: Part | None = None,
    model: dict[str, Any] | None = None,
    runs: Sequence[Run] | None = None,
    progress: Progress = no_progress,
) -> FolderResult:
    """Predict every frame of a folder, run or video and write a mask (0/255 PNG) for each, with the frame's size.

    Masks have the names of the frames and stand in the same folders below ``output``. A frame that cannot be read is
    logged and left out, and the others still come out. Each file is written whole or not at all; ``run.json`` says how
    it went, also where it was interrupted.

    Args:
        predictor: the model.
        source: a folder, with others below, of pictures, DICOM files and videos; or one such file.
        output: folder for ``<name>.png`` and ``run.json``.
        overlay: also ``overlays/<name>.png``.
        save_probabilities: also ``<name>.npz`` with ``probability`` in float16, in steps of 1/255.
        video: also all frames with their masks as one video, at this path.
        wires: how many wires are looked for in a frame, for ``guidewires.csv`` and ``centrelines.json``; None for none.
        track: keep the wires' numbers along each sequence (a DICOM run, a video, pictures whose names differ in the
            number at their end), filter their tips and bridge missing frames; also ``tracks/<sequence>.png``.
        skip_finished: leave frames whose mask is there already. Without it, earlier results of these frames are removed
            first, so that an interrupted command leaves none of another model.
        overwrite: replace files of these names in ``output`` also where no record says that this program made them.
        part: the frames to take, where several commands share them. Its record is ``run_part_<number>.json``.
        model: what the model is called by, for the record.
        runs: what ``find_frames`` found at ``source``, where it was asked already.
        progress: see ``gwunet.progress.Progress``; a total of 0 is not known.

    Raises:
        UsageError: there is nothing at ``source``, or results would overwrite frames, or what others made.
        DatasetError: it holds no frames.
        ModelError: not even one tile fits into the device's memory.
        OutputError: a result cannot be written, or another command without ``part`` writes there.
        InterruptionError: a signal came; the masks so far stand.
    """
    if runs is None:
        runs = find_frames(source, output, overlay=overlay, video=video, track=track, overwrite=overwrite)
    part = part or Part()
    if track:
        check_tracking(wires, part, overlay=overlay)
    writer = FrameWriter(
        output=output, overlay=overlay, probabilities=save_probabilities, wires=wires is not None, draws_later=track
    )
    model = model or {"configuration": predictor.configuration.name}
    path, options = output / record_name(part.count, part.number), options_of(predictor, writer, wires, track)
    with alone_in(output) if part.count == 1 else contextlib.nullcontext():
        found = FolderWires(writer, runs, part, wires=wires, track=track)
        earlier = earlier_run(output, model, options, predictor.runtime, skip_finished=skip_finished)
        job = FolderJob(predictor, runs, writer, skip_finished, part, found, draws_anew=earlier.draws_anew)
        job.remove_temporary_files(video)
        record = Recorder(job, path, source.name, model, options, earlier)
        if not skip_finished:
            job.forget_earlier_results()
        with record:
            if not skip_finished:
                remove_other_records(path, part.count)
            job.predict(progress)
            found.write()
            pictures = FolderPictures(runs, writer, found)
            if overlay:
                _write_overlays(job, pictures, progress)
            if video is not None:
                frame_time_ms = next((run.frame_time_ms for run in runs if run.frame_time_ms is not None), None)
                drawn = progress(pictures.drawn(), job.count(also_finished=True), "video")
                if write_video(video, ahead(drawn, DRAW_AHEAD), frame_time_ms):
                    record.has_written(video)
                else:
                    video = None
    return FolderResult(
        n_frames=job.n_written,
        n_finished_before=job.n_finished,
        failed=tuple(failure.reason for failure in job.failed),
        seconds=job.seconds,
        video=video,
    )


def _write_overlays(job: FolderJob, pictures: FolderPictures, progress: Progress) -> None:
    """Those that were not drawn with their masks."""
    if job.writer.draws_later:
        for _ in progress(pictures.write(), job.count(also_finished=True), "overlays"):
            pass
    elif job.to_draw:
        for _ in progress(pictures.write(job.to_draw), len(job.to_draw), "overlays"):
            pass


def _is_below(path: Path, folder: Path) -> bool:
    return path.resolve() != folder.resolve() and path.resolve().is_relative_to(folder.resolve())


def _has_pictures(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in FRAME_ENDINGS for path in folder.iterdir())
