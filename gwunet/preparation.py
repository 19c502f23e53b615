"""All of a dataset's frames read twice, and no more: once to inspect them, once to measure and preprocess them.

What each of ``verify_dataset``, ``extract_fingerprint`` and ``write_store`` does by itself happens here in passing,
while a frame is in memory. Two passes it must be, since the border between them is estimated from all frames.
"""

import contextlib
import functools
from pathlib import Path

from gwunet.data.store import is_up_to_date
from gwunet.data.writing import PreparedFrame, StoreWriter, prepare_frame
from gwunet.dataset import Case, Dataset
from gwunet.exposed_field import Border, exposed_field
from gwunet.fingerprint import (
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
from gwunet.parallel import Run
from gwunet.plans import Preprocessing
from gwunet.preprocessing import crop_to
from gwunet.progress import Progress


def inspect_dataset(dataset: Dataset, run: Run, progress: Progress) -> tuple[IntegrityReport, dict[str, Border]]:
    """The first pass: what is wrong with any file, and the border of each integer type among the training frames."""
    jobs = [(case, True) for case in dataset.training] + [(case, False) for case in dataset.test]
    seen = run(functools.partial(_inspect, dataset.reader()), jobs)
    findings, borders = zip(*progress(seen, len(jobs), "verify"), strict=True) if jobs else ((), ())
    report = report_findings(dataset, findings)
    return report, estimate_borders([border for border in borders if border is not None])


def _inspect(dataset: Dataset, job: tuple[Case, bool]) -> tuple[Findings, BorderOfFrame | None]:
    case, for_training = job
    findings, frame = inspect_case(dataset, case)
    return findings, sample_border(frame) if for_training and frame is not None else None


def measure_dataset(
    dataset: Dataset, borders: dict[str, Border], run: Run, progress: Progress, store: Path | None
) -> Fingerprint:
    """The second pass: every training frame measured and, into the folder ``store`` unless it is there, preprocessed.

    Raises:
        FrameError: a frame or mask cannot be read.
        OutputError: another command is writing there.
    """
    preprocessing = Preprocessing(borders=borders)
    source = source_of(dataset)  # before reading: what changes meanwhile is measured again the next time
    frames = []
    if store is not None and is_up_to_date(store, dataset, preprocessing):
        store = None
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(StoreWriter(store, dataset, preprocessing)) if store is not None else None
        missing = {case.name for case in writer.missing} if writer is not None else set()
        jobs = [(case, case.name in missing) for case in dataset.training]
        done = run(functools.partial(_measure_and_prepare, dataset.reader(), preprocessing), jobs)
        for measured, prepared in progress(done, len(jobs), "fingerprint" if store is None else "prepare"):
            frames.append(measured)
            if writer is not None and prepared is not None:
                writer.append(prepared)
    return summarise_measurements(dataset, borders, frames, source)


def _measure_and_prepare(
    dataset: Dataset, preprocessing: Preprocessing, job: tuple[Case, bool]
) -> tuple[FrameMeasurement, PreparedFrame | None]:
    case, is_missing = job
    frame, mask = dataset.read_frame(case), dataset.read_mask(case)
    field = exposed_field(frame, preprocessing.borders[str(frame.dtype)])
    measured = measure_frame(case.name, frame, field, mask)
    return measured, prepare_frame(case.name, crop_to(frame, field), mask) if is_missing else None
