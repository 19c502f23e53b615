"""Does a raw dataset hold what training needs? Every problem is found at once, before hours are spent on it."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gwunet.dataset import Case, Dataset
from gwunet.errors import DatasetError, FrameError

_INVERTED_FRACTION = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class IntegrityReport:
    """What ``verify_dataset`` found; each message names the file, what was found, what was wanted and what to do."""

    dataset: str
    """Folder name of the dataset."""
    errors: tuple[str, ...]
    """What makes training impossible or wrong."""
    warnings: tuple[str, ...]
    """What is allowed but often a mistake."""

    def raise_if_broken(self) -> None:
        """Do nothing if there are no errors.

        Raises:
            DatasetError: there are; the message lists all.
        """
        if self.errors:
            count = "1 error" if len(self.errors) == 1 else f"{len(self.errors)} errors"
            raise DatasetError(f"{self.dataset}: {count}\n" + "\n".join(f"  {error}" for error in self.errors))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Findings:
    """What one case's files hold."""

    case: Case
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    digest: bytes | None = None
    """Hash of the frame's pixels; None for frames that cannot be read or that hold one value only."""


def verify_dataset(dataset: Dataset, threads: int = 1, progress: Callable[[], object] | None = None) -> IntegrityReport:
    """Read every frame and mask of a dataset and report all that is wrong.

    Args:
        dataset: the opened dataset, whose own ``problems`` are reported too.
        threads: how many files are read at a time; decoding runs in parallel.
        progress: called after each of the training and test cases, such as the ``update`` of a tqdm bar.
    """
    cases = (*dataset.training, *dataset.test)
    findings = []
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for finding in pool.map(lambda case: _inspect(dataset, case), cases):
            findings.append(finding)
            if progress is not None:
                progress()
    return IntegrityReport(
        dataset=dataset.name,
        errors=(*dataset.problems, *(error for finding in findings for error in finding.errors)),
        warnings=(*(warning for finding in findings for warning in finding.warnings), *_duplicates(findings)),
    )


def _inspect(dataset: Dataset, case: Case) -> _Findings:
    errors, warnings = [], []
    frame = mask = digest = None
    try:
        frame = dataset.read_frame(case)
    except FrameError as problem:
        errors.append(str(problem))
    if case.mask is not None:
        try:
            mask = dataset.read_mask(case)
        except FrameError as problem:
            errors.append(str(problem))
    if frame is not None and frame.min() == frame.max():
        warnings.append(
            f"{case.image}: found the value {frame.min()} everywhere; wanted an X-ray frame: "
            "remove it if it is no exposure"
        )
    elif frame is not None:
        digest = hashlib.blake2b(repr((frame.shape, frame.dtype)).encode() + frame.tobytes(), digest_size=16).digest()
    if frame is not None and mask is not None and frame.shape != mask.shape:
        errors.append(
            f"{case.mask}: found {_size(mask.shape)} px; wanted the {_size(frame.shape)} px of {case.image.name}: "
            "export frame and mask at the same size"
        )
    if mask is not None and case.mask is not None:
        _check_wire_area(case.mask, float(np.mean(mask == 1)), errors, warnings)
    return _Findings(case=case, errors=tuple(errors), warnings=tuple(warnings), digest=digest)


def _check_wire_area(path: Path, wire_fraction: float, errors: list[str], warnings: list[str]) -> None:
    if wire_fraction == 0:
        warnings.append(
            f"{path}: found no wire pixels; trained on as a frame without wire: annotate it if there is a wire"
        )
    elif wire_fraction > _INVERTED_FRACTION:
        errors.append(
            f"{path}: found wire on {100 * wire_fraction:.0f} % of the frame; wanted a thin wire: "
            "the mask seems inverted, so exchange its values"
        )


def _duplicates(findings: Iterable[_Findings]) -> list[str]:
    """One warning for each frame that occurs in several sequences, or in training and test."""
    cases_of = defaultdict(list)
    for finding in findings:
        if finding.digest is not None:
            cases_of[finding.digest].append(finding.case)
    return [
        f"{cases[0].image}: found the same frame as {', '.join(str(case.image) for case in cases[1:])}; wanted "
        "each frame in one sequence, or training and validation share it: remove copies or declare one sequence"
        for cases in cases_of.values()
        if len({(case.image.parent, case.patient, case.sequence) for case in cases}) > 1
    ]


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
