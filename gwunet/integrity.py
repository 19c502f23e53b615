"""Does a raw dataset hold what training needs? Every problem is found at once, before hours are spent on it."""

import functools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from gwunet.dataset import Case, Dataset
from gwunet.errors import DatasetError, FrameError
from gwunet.exposed_field import Frame
from gwunet.io.frames import digest_pixels
from gwunet.parallel import workers
from gwunet.progress import Progress, no_progress

_INVERTED_FRACTION = 0.5
_THICK_SHARE = 0.05
"""A wire thicker than this share of the frame's shorter side is most likely an area drawn around the wire."""
_THICK_PX = 12.0
"""In small frames this many pixels are no reason to doubt: wires are up to 8 px wide, and two may touch."""
_COPIES_SHOWN = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class IntegrityReport:
    """What ``verify_dataset`` found; each message names the file, what was found, what was wanted and what to do.

    Of a dataset without errors it is kept as ``integrity.json``.
    """

    schema_version: Literal[1] = 1
    dataset: str
    """Folder name of the dataset."""
    errors: tuple[str, ...]
    """What makes training impossible or wrong."""
    warnings: tuple[str, ...]
    """What is allowed but often a mistake."""
    source: str | None = None
    """``Dataset.digest`` of the cases verified, once it is known to whom the file belongs."""

    def raise_if_broken(self) -> None:
        """Do nothing if there are no errors.

        Raises:
            DatasetError: there are; the message lists all.
        """
        if self.errors:
            count = "1 error" if len(self.errors) == 1 else f"{len(self.errors)} errors"
            raise DatasetError(f"{self.dataset}: {count}\n" + "\n".join(f"  {error}" for error in self.errors))


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What one case's files hold."""

    case: Case
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    digest: bytes | None = None
    """Hash of the frame's pixels; None for frames that cannot be read or that hold one value only."""


def verify_dataset(dataset: Dataset, processes: int = 1, progress: Progress = no_progress) -> IntegrityReport:
    """Read every frame and mask of a dataset and report all that is wrong.

    Args:
        dataset: the opened dataset, whose own ``problems`` are reported too.
        processes: how many files are read at a time.
        progress: see ``gwunet.progress.Progress``; of the training and test cases.
    """
    cases = (*dataset.training, *dataset.test)
    with workers(processes, len(cases), str(dataset.folder)) as run:
        found = run(functools.partial(_inspect, dataset.reader()), cases)
        return report_findings(dataset, list(progress(found, len(cases), "verify")))


def report_findings(dataset: Dataset, findings: Sequence[Findings]) -> IntegrityReport:
    """What is wrong with a dataset, from the findings of all its cases."""
    return IntegrityReport(
        dataset=dataset.name,
        errors=(*dataset.problems, *(error for finding in findings for error in finding.errors)),
        warnings=(*(warning for finding in findings for warning in finding.warnings), *_duplicates(findings)),
    )


def _inspect(dataset: Dataset, case: Case) -> Findings:
    return inspect_case(dataset, case)[0]


def inspect_case(dataset: Dataset, case: Case) -> tuple[Findings, Frame | None]:
    """What is wrong with a case's files, and its frame where that can be read."""
    errors: list[str] = []
    warnings: list[str] = []
    digest = None
    frame = _read(dataset.read_frame, case, errors)
    mask = None if case.mask is None else _read(dataset.read_mask, case, errors)
    if frame is not None and frame.min() == frame.max():
        warnings.append(
            f"{case.image}: found the value {frame.min()} everywhere; wanted an X-ray frame: "
            "remove it if it is no exposure"
        )
    elif frame is not None:
        digest = digest_pixels(frame)
    if frame is not None and mask is not None and frame.shape != mask.shape:
        errors.append(
            f"{case.mask}: found {_size(mask.shape)} px; wanted the {_size(frame.shape)} px of {case.image.name}: "
            "export frame and mask at the same size"
        )
    if mask is not None and case.mask is not None:
        _check_wire(case.mask, mask == 1, errors, warnings)
    return Findings(case=case, errors=tuple(errors), warnings=tuple(warnings), digest=digest), frame


Pixels = TypeVar("Pixels")


def _read(read: Callable[[Case], Pixels], case: Case, errors: list[str]) -> Pixels | None:
    try:
        return read(case)
    except FrameError as problem:
        errors.append(str(problem))
        return None


def _check_wire(path: Path, wire: NDArray[np.bool_], errors: list[str], warnings: list[str]) -> None:
    """Whether a ``(H, W)`` mask shows what a wire can be: there, thin, and not everything else."""
    fraction = float(wire.mean())
    if fraction == 0:
        warnings.append(
            f"{path}: found no wire pixels; trained on as a frame without wire: annotate it if there is a wire"
        )
        return
    if fraction > _INVERTED_FRACTION:
        errors.append(
            f"{path}: found wire on {100 * fraction:.0f} % of the frame; wanted a thin wire: "
            "the mask seems inverted, so exchange its values"
        )
        return
    limit_px = max(_THICK_PX, _THICK_SHARE * min(wire.shape))
    width_px = thickness_px(wire) if may_be_thicker(wire, limit_px) else 0.0
    if width_px > limit_px:
        warnings.append(
            f"{path}: found wire up to {width_px:.0f} px thick; wanted at most about {limit_px:.0f} px in a frame of "
            f"{_size(wire.shape)}: draw the wire itself and not an area around it, nor what it lies in (a catheter)"
        )


def may_be_thicker(wire: NDArray[np.bool_], limit_px: float) -> bool:
    """False only where ``thickness_px`` is no more than ``limit_px`` (3 or more), in a small part of its time.

    A disc of more than that diameter holds a square with sides of ``limit_px / sqrt(2)``, and this one four
    neighbouring points of every grid half as wide.
    """
    step = int(limit_px / math.sqrt(2)) // 2
    grid = wire[::step, ::step]
    return bool((grid[1:, 1:] & grid[1:, :-1] & grid[:-1, 1:] & grid[:-1, :-1]).any())


def thickness_px(wire: NDArray[np.bool_]) -> float:
    """Diameter of the largest disc inside a ``(H, W)`` mask that has any wire, in pixels.

    From the distance transform: the pixel farthest from the background is so far inside, its own extent counted once.
    """
    from scipy import ndimage

    rows, columns = np.flatnonzero(wire.any(axis=1)), np.flatnonzero(wire.any(axis=0))
    inside = np.pad(wire[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)
    return 2 * float(ndimage.distance_transform_edt(inside).max()) - 1


def _duplicates(findings: Iterable[Findings]) -> list[str]:
    """One warning for each frame that occurs in several groups, and one for all copies inside groups."""
    cases_of = defaultdict(list)
    for finding in findings:
        if finding.digest is not None:
            cases_of[finding.digest].append(finding.case)
    copied = [cases for cases in cases_of.values() if len(cases) > 1]
    leaking = [cases for cases in copied if len({_group(case) for case in cases}) > 1]
    harmless = [cases for cases in copied if len({_group(case) for case in cases}) == 1]
    warnings = [
        f"{cases[0].image}: found the same frame as {', '.join(str(case.image) for case in cases[1:])}; wanted "
        "each frame in one sequence, or training and validation share it (a leak): remove copies or declare one "
        "sequence"
        for cases in leaking
    ]
    if harmless:
        shown = [f"{cases[0].image} = {', '.join(case.image.name for case in cases[1:])}" for cases in harmless]
        count = sum(len(cases) - 1 for cases in harmless)
        more = f" and {len(shown) - _COPIES_SHOWN} more" if len(shown) > _COPIES_SHOWN else ""
        warnings.append(
            f"found {count} {'copy' if count == 1 else 'copies'} of other frames in the same sequence "
            f"({'; '.join(shown[:_COPIES_SHOWN])}{more}); wanted each frame once, or it counts several times in "
            "training and metrics: remove the copies unless the run really stood still"
        )
    return warnings


def _group(case: Case) -> tuple[Path, str | None, str]:
    return case.image.parent, case.patient, case.sequence


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
