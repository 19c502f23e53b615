"""Does a raw dataset hold what training needs? Every problem is found at once, before hours are spent on it."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from gwunet.dataset import FRAMES, TEST_FRAMES, Case, Dataset
from gwunet.errors import DatasetError, FrameError, few
from gwunet.exposed_field import Border, Frame
from gwunet.io.frames import digest_pixels

CHECKING = 1
"""Raised when more or something else is looked for, so that what was verified before is verified again."""
_INVERTED_FRACTION = 0.5
_THICK_SHARE = 0.05
"""A wire thicker than this share of the frame's shorter side is most likely an area drawn around the wire."""
_THICK_PX = 12.0
"""In small frames this many pixels are no reason to doubt: wires are up to 8 px wide, and two may touch."""
_MIXED_RATIO = 1.5
"""Wires and pixels that differ more from frame to frame are warned of: a network sees pixels and no millimetres."""
_ODD_SHARE = 0.05
"""Of the frames, so many with the thinnest and with the thickest wires are no reason to think of mixed resolution."""
_SHOWN = 5
"""Examples of one kind that are told where there are many."""
_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


@dataclass(frozen=True, kw_only=True, slots=True)
class IntegrityReport:
    """What was found in a dataset; each message names the file, what was found, what was wanted and what to do.

    Of a dataset without errors it is kept as ``integrity.json``.
    """

    schema_version: Literal[1] = 1
    dataset: str
    """Folder name of the dataset."""
    errors: tuple[str, ...]
    """What makes training impossible or wrong."""
    warnings: tuple[str, ...]
    """What is allowed but often a mistake."""
    summary: tuple[str, ...] = ()
    """The warnings again, but of one kind no more than a few, for a person to read."""
    borders: dict[str, Border] | None = None
    """The border of each integer type, where it was estimated from the same reading of the frames."""
    source: str | None = None
    """What was verified and how, once it is known to whom the file belongs; see ``gwunet.planning``."""

    def raise_if_broken(self) -> None:
        """Do nothing if there are no errors.

        Raises:
            DatasetError: there are; the message lists all.
        """
        if self.errors:
            count = "1 error" if len(self.errors) == 1 else f"{len(self.errors)} errors"
            raise DatasetError(f"{self.dataset}: {count}\n" + "\n".join(f"  {error}" for error in self.errors))


@dataclass(frozen=True, slots=True)
class Doubt:
    """A warning, and what kind it is of."""

    kind: str
    """In a few words, for "and 12 more: "."""
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """What one case's files hold."""

    case: Case
    errors: tuple[str, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    has_wire: bool = False
    """Whether there is a mask with a wire pixel."""
    wire_width_px: float = 0.0
    """Mean width of the wires; 0 without."""
    digest: bytes | None = None
    """Hash of the frame's pixels; None for frames that cannot be read or that hold one value only."""


def report_findings(dataset: Dataset, findings: Sequence[Findings]) -> IntegrityReport:
    """What is wrong with a dataset, from its own ``problems`` and the findings of all its cases."""
    errors = (*dataset.problems, *(error for finding in findings for error in finding.errors))
    errors = errors or _no_wire(dataset, findings)
    doubts = (
        *(doubt for finding in findings for doubt in finding.doubts),
        *_duplicates(findings),
        *_spellings(dataset),
        *_trained_and_tested(dataset),
        *_mixed_spacings(dataset),
        *_mixed_widths(dataset, findings),
    )
    return IntegrityReport(
        dataset=dataset.name,
        errors=errors,
        warnings=tuple(doubt.text for doubt in doubts),
        summary=_summarise(doubts, "" if errors else "; integrity.json names all"),
    )


def _no_wire(dataset: Dataset, findings: Iterable[Findings]) -> tuple[str, ...]:
    """Nothing can be learned from masks that are all empty: an export of another label, most likely."""
    training = {case.name for case in dataset.training}
    if not training or any(finding.has_wire for finding in findings if finding.case.name in training):
        return ()
    return (
        f"{dataset.folder / 'labelsTr'}: found no wire pixel in any of the {len(training)} masks; wanted some with a "
        "wire: check which value the masks have on wires, and labels and wire_labels in dataset.json",
    )


def _summarise(doubts: Iterable[Doubt], where: str) -> tuple[str, ...]:
    """A few of each kind, how many more there are, and ``where`` they are."""
    of_kind: dict[str, list[str]] = defaultdict(list)
    for doubt in doubts:
        of_kind[doubt.kind].append(doubt.text)
    told: list[str] = []
    for kind, texts in of_kind.items():
        told += texts[:_SHOWN]
        if len(texts) > _SHOWN:
            told.append(f"and {len(texts) - _SHOWN} more {kind}{where}")
    return tuple(told)


def inspect_case(dataset: Dataset, case: Case) -> tuple[Findings, Frame | None]:
    """What is wrong with a case's files, and its frame where that can be read."""
    errors: list[str] = []
    doubts: list[Doubt] = []
    digest = None
    frame = _read(dataset.read_frame, case, errors)
    mask = None if case.mask is None else _read(dataset.read_mask, case, errors)
    if frame is not None and frame.min() == frame.max():
        text = (
            f"{case.image}: found the value {frame.min()} everywhere; wanted an X-ray frame: "
            "remove it if it is no exposure"
        )
        doubts.append(Doubt("frames of one value", text))
    elif frame is not None:
        digest = digest_pixels(frame)
    if frame is not None and mask is not None and frame.shape != mask.shape:
        errors.append(
            f"{case.mask}: found {_size(mask.shape)} px; wanted the {_size(frame.shape)} px of {case.image.name}: "
            "export frame and mask at the same size"
        )
    width_px = 0.0
    if mask is not None and case.mask is not None:
        wire = mask == 1
        _check_wire(case.mask, wire, errors, doubts)
        width_px = mean_width_px(wire)
    found = Findings(
        case=case,
        errors=tuple(errors),
        doubts=tuple(doubts),
        has_wire=width_px > 0,
        wire_width_px=width_px,
        digest=digest,
    )
    return found, frame


Pixels = TypeVar("Pixels")


def _read(read: Callable[[Case], Pixels], case: Case, errors: list[str]) -> Pixels | None:
    try:
        return read(case)
    except FrameError as problem:
        errors.append(str(problem))
        return None


def _check_wire(path: Path, wire: NDArray[np.bool_], errors: list[str], doubts: list[Doubt]) -> None:
    """Whether a ``(H, W)`` mask shows what a wire can be: there, thin, and not everything else."""
    fraction = float(wire.mean())
    if fraction == 0:
        text = f"{path}: found no wire pixels; trained on as a frame without wire: annotate it if there is a wire"
        doubts.append(Doubt("masks without wire pixels", text))
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
        text = (
            f"{path}: found wire up to {width_px:.0f} px thick; wanted at most about {limit_px:.0f} px in a frame of "
            f"{_size(wire.shape)}: draw the wire itself and not an area around it, nor what it lies in (a catheter)"
        )
        doubts.append(Doubt("masks with too thick a wire", text))


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


def mean_width_px(wire: NDArray[np.bool_]) -> float:
    """Mean width of the wires in a ``(H, W)`` mask, in pixels; 0 without.

    Twice their area over the length of their outline. That is Crofton's formula for four directions, which is within
    6 % of a straight outline's length in any direction, and takes a thirtieth of a skeleton's time.
    """
    rows, columns = np.flatnonzero(wire.any(axis=1)), np.flatnonzero(wire.any(axis=0))
    if not len(rows):
        return 0.0
    inside = np.pad(wire[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)
    across = np.count_nonzero(inside[1:] ^ inside[:-1]) + np.count_nonzero(inside[:, 1:] ^ inside[:, :-1])
    diagonal = np.count_nonzero(inside[1:, 1:] ^ inside[:-1, :-1])
    diagonal += np.count_nonzero(inside[1:, :-1] ^ inside[:-1, 1:])
    outline_px = math.pi / 8 * (across + diagonal / math.sqrt(2))
    return 2 * float(np.count_nonzero(inside)) / outline_px


def _mixed_spacings(dataset: Dataset) -> list[Doubt]:
    """A warning for training frames whose pixels are of different size in the patient, or in the detector."""
    doubts = []
    for plane in ("patient", "detector"):
        known = [
            (math.sqrt(math.prod(case.pixel_spacing_mm)), case.name)
            for case in dataset.training
            if case.spacing_plane == plane and case.pixel_spacing_mm is not None
        ]
        (low, fine), (high, coarse) = (min(known), max(known)) if known else ((1.0, ""), (1.0, ""))
        if high > _MIXED_RATIO * low:
            text = (
                f"{dataset.folder / 'imagesTr'}: found pixels from {low:.3g} mm ({fine}) to {high:.3g} mm ({coarse}) "
                f"in the plane of the {plane}; {_wanted_alike('pixels')}"
            )
            doubts.append(Doubt("pixel spacings", text))
    return doubts


def _mixed_widths(dataset: Dataset, findings: Iterable[Findings]) -> list[Doubt]:
    """A warning for wires of very different width in the training frames, but for a few masks that may be wrong."""
    training = {case.name for case in dataset.training}
    widths = sorted(found.wire_width_px for found in findings if found.has_wire and found.case.name in training)
    few = max(1, round(_ODD_SHARE * len(widths)))
    usual = widths[few:-few]
    if not usual or usual[-1] <= _MIXED_RATIO * usual[0]:
        return []
    text = (
        f"{dataset.folder / 'labelsTr'}: found wires from {usual[0]:.1f} to {usual[-1]:.1f} px wide in {len(usual)} of "
        f"{len(widths)} frames, without the thinnest and thickest; {_wanted_alike('wires')}. If the frames are of one "
        "resolution, draw wires alike"
    )
    return [Doubt("wire widths", text)]


def _wanted_alike(what: str) -> str:
    return (
        f"wanted {what} of about one size (within {_MIXED_RATIO:g} times): frames are not resampled, so a network has "
        "to learn the same wire at several widths, each from fewer frames, and patch and loss are planned for one of "
        "them: resample frames and masks to one pixel spacing before, or make a dataset of each"
    )


def _duplicates(findings: Iterable[Findings]) -> list[Doubt]:
    """One warning for each frame that occurs in several groups, and one for all copies inside groups."""
    cases_of = defaultdict(list)
    for finding in findings:
        if finding.digest is not None:
            cases_of[finding.digest].append(finding.case)
    copied = [cases for cases in cases_of.values() if len(cases) > 1]
    leaking = [cases for cases in copied if len({_group(case) for case in cases}) > 1]
    harmless = [cases for cases in copied if len({_group(case) for case in cases}) == 1]
    doubts = [
        Doubt(
            "frames in several sequences (leaks)",
            f"{cases[0].image}: found the same frame as {', '.join(str(case.image) for case in cases[1:])}; wanted "
            "each frame in one sequence, or training and validation share it (a leak): remove copies or declare one "
            "sequence",
        )
        for cases in leaking
    ]
    if harmless:
        shown = [f"{cases[0].image} = {', '.join(case.image.name for case in cases[1:])}" for cases in harmless]
        count = sum(len(cases) - 1 for cases in harmless)
        more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
        text = (
            f"found {count} {'copy' if count == 1 else 'copies'} of other frames in the same sequence "
            f"({'; '.join(shown[:_SHOWN])}{more}); wanted each frame once, or it counts several times in "
            "training and metrics: remove the copies unless the run really stood still"
        )
        doubts.append(Doubt("copies", text))
    return doubts


def _spellings(dataset: Dataset) -> list[Doubt]:
    """A warning for each patient and site whose names differ in case, spaces around them and leading zeros alone."""
    cases = (*dataset.training, *dataset.test)
    doubts = []
    for kind, names in (("patients", {case.patient for case in cases}), ("sites", {case.site for case in cases})):
        spelled = defaultdict(list)
        for name in sorted(name for name in names if name is not None):
            spelled[_LEADING_ZEROS.sub("", name.strip().casefold())].append(name)
        doubts += [
            Doubt(
                f"{kind} of several spellings",
                f"{dataset.folder / 'dataset.json'}: found the {kind} {', '.join(map(repr, alike))}; wanted one "
                "spelling each, or they are in different folds (a leak): correct it, unless they are not the same",
            )
            for alike in spelled.values()
            if len(alike) > 1
        ]
    return doubts


def _trained_and_tested(dataset: Dataset) -> list[Doubt]:
    """A warning for patients, and for sequences of nobody, that are in imagesTr and in imagesTs."""
    doubts = []
    for kind, name_of in (("patients", _known_patient), ("sequences", _sequence_of_nobody)):
        trained = {name_of(case) for case in dataset.training} - {None}
        tested = Counter(name for case in dataset.test if (name := name_of(case)) in trained and name is not None)
        if tested:
            count = "1 frame" if sum(tested.values()) == 1 else f"{sum(tested.values())} frames"
            text = (
                f"{dataset.folder / TEST_FRAMES}: found {count} of {kind} that are in {FRAMES} too "
                f"({few(sorted(tested), _SHOWN)}); wanted other {kind}, or a model's figures on them are too good "
                "(a leak): move them, unless they are only to be predicted"
            )
            doubts.append(Doubt(f"{kind} in training and test (leaks)", text))
    return doubts


def _known_patient(case: Case) -> str | None:
    return case.patient


def _sequence_of_nobody(case: Case) -> str | None:
    return case.sequence if case.patient is None else None


def _group(case: Case) -> tuple[Path, str | None, str]:
    return case.image.parent, case.patient, case.sequence


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
