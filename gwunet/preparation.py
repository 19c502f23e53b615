"""All of a dataset's frames read twice, and no more: once to inspect them, once to measure and preprocess them.

Verifying, measuring and storing happen in passing, while a frame is in memory. Two passes it must be, since the border
between them is estimated from all frames.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from gwunet.data.store import is_up_to_date
from gwunet.data.writing import PreparedFrame, StoreWriter, prepare_frame
from gwunet.dataset import Case, Dataset
from gwunet.errors import DatasetError, FrameError, SchemaError
from gwunet.exposed_field import Border, find_field
from gwunet.fingerprint import (
    MEASURING,
    BorderOfFrame,
    Fingerprint,
    FrameMeasurement,
    estimate_borders,
    measure_frame,
    sample_border,
    source_of,
    summarise_measurements,
)
from gwunet.integrity import Findings, IntegrityReport, inspect_case, report_findings
from gwunet.jsonio import from_json, to_json
from gwunet.parallel import Run, workers
from gwunet.plans import Preprocessing
from gwunet.preprocessing import crop_to
from gwunet.progress import Progress, no_progress


def inspect_dataset(dataset: Dataset, run: Run, progress: Progress) -> IntegrityReport:
    """The first pass: what is wrong with any file, and the border of each integer type among the training frames.

    The report has the borders too, so that they need not be estimated again.
    """
    jobs = [(case, True) for case in dataset.training] + [(case, False) for case in dataset.test]
    seen = run(functools.partial(_inspect, dataset.reader()), jobs)
    findings, borders = zip(*progress(seen, len(jobs), "verify"), strict=True) if jobs else ((), ())
    report = report_findings(dataset, findings)
    return dataclasses.replace(report, borders=estimate_borders([border for border in borders if border is not None]))


def _inspect(dataset: Dataset, job: tuple[Case, bool]) -> tuple[Findings, BorderOfFrame | None]:
    case, for_training = job
    findings, frame = inspect_case(dataset, case)
    return findings, sample_border(frame) if for_training and frame is not None else None


def extract_fingerprint(dataset: Dataset, processes: int = 1, progress: Progress = no_progress) -> Fingerprint:
    """Measure every training frame of a dataset.

    Args:
        dataset: an opened raw dataset, verified before.
        processes: how many frames are measured at a time; the result is the same for any number.
        progress: see ``gwunet.progress.Progress``.

    Raises:
        FrameError: a frame or mask cannot be read.
        DatasetError: there are no training frames, or a worker process died (out of memory, say).
    """
    cases = dataset.training
    if not cases:
        raise DatasetError(f"{dataset.folder}: there are no training frames to measure")
    source = source_of(dataset)  # before reading: what changes meanwhile is measured again the next time
    with workers(processes, len(cases), str(dataset.folder)) as run:
        sampled = run(functools.partial(_read_border, dataset.reader()), cases)
        borders = estimate_borders(list(progress(sampled, len(cases), "borders")))
        measured = measure_dataset(dataset, borders, run, progress, store=None, unchanged=lambda: None)
    return dataclasses.replace(measured, source=source)


def _read_border(dataset: Dataset, case: Case) -> BorderOfFrame:
    return sample_border(dataset.read_frame(case))


def measure_dataset(
    dataset: Dataset,
    borders: dict[str, Border],
    run: Run,
    progress: Progress,
    store: Path | None,
    unchanged: Callable[[], None],
) -> Fingerprint:
    """The second pass: every training frame measured and, into the folder ``store`` unless it is there, preprocessed.

    After a command that was killed or failed, those it had not come to.

    Args:
        dataset: an opened raw dataset.
        borders: from the first pass.
        run: does the work.
        progress: see ``gwunet.progress.Progress``.
        store: the folder, whose lock is held (``gwunet.data.lock``); None measures only.
        unchanged: raises if files have changed since the first pass; called before the store is finished.

    Raises:
        FrameError: a frame or mask cannot be read, or is another one than in the first pass.
        OutputError: the disk is full, say.
    """
    preprocessing = Preprocessing(borders=borders)
    source = source_of(dataset)
    if store is not None and is_up_to_date(store, dataset, preprocessing):
        store = None
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(StoreWriter(store, dataset, preprocessing)) if store is not None else None
        missing = {case.name for case in writer.missing} if writer is not None else set()
        frames = _measured_before(writer.notes) if writer is not None else {}
        jobs = [(case, case.name in missing) for case in dataset.training if case.name not in frames]
        done = run(functools.partial(_measure_and_prepare, dataset.reader(), preprocessing), jobs)
        for measured, prepared in progress(done, len(jobs), "fingerprint" if store is None else "prepare"):
            frames[measured.case] = measured
            if writer is not None and prepared is not None:
                writer.append(prepared, {"measuring": MEASURING, "frame": to_json(measured)})
        unchanged()
    return summarise_measurements(dataset, borders, [frames[case.name] for case in dataset.training], source)


def _measured_before(notes: Iterable[Any]) -> dict[str, FrameMeasurement]:
    """By case, of those that a killed command measured as they are measured now."""
    frames = {}
    for note in notes:
        if note is not None and note["measuring"] == MEASURING:
            with contextlib.suppress(SchemaError):  # of another gwunet: measured again
                measured = from_json(FrameMeasurement, note["frame"], "journal")
                frames[measured.case] = measured
    return frames


def _measure_and_prepare(
    dataset: Dataset, preprocessing: Preprocessing, job: tuple[Case, bool]
) -> tuple[FrameMeasurement, PreparedFrame | None]:
    case, is_missing = job
    frame, mask = dataset.read_pair(case)
    border = preprocessing.borders.get(str(frame.dtype))
    if border is None:
        raise FrameError(
            f"{case.image}: found {frame.dtype} pixels; wanted {' or '.join(preprocessing.borders)}, as when it was "
            "verified: it has changed since, so run again"
        )
    field = find_field(frame, border)
    measured = measure_frame(case.name, frame, field, mask)
    return measured, prepare_frame(case.name, crop_to(frame, field), mask) if is_missing else None
