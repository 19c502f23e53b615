"""A raw dataset written case by case, so that memory does not grow with it, and there whole or not at all."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from gwunet.convert.known_frames import KnownFrames
from gwunet.dataset import IGNORE
from gwunet.errors import DatasetError, FrameError, UsageError
from gwunet.grouping import guessed_origins
from gwunet.io.frames import MIN_SIDE_PX, write_frame, write_mask
from gwunet.io.spacing import PixelSpacing
from gwunet.io.whole_folder import WholeFolder
from gwunet.jsonio import write_json

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST_NAME = 150
"""Characters of a case name: file systems allow 255 bytes, and predictions add endings and suffixes."""
_REASONS_SHOWN = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """What became of the sources."""

    written: tuple[tuple[str, str], ...]
    """Source and case, in the order of writing."""
    skipped: tuple[tuple[str, str], ...]
    """Source and reason."""
    failed: bool = False
    """Whether something was skipped because it could not be read, and not on purpose."""


class DatasetWriter:
    """Writes a raw dataset: ``with DatasetWriter(folder) as writer: ...; conversion = writer.finish()``.

    Everything goes to a ``WholeFolder``. Without ``finish``, or on an exception, nothing is left.
    """

    def __init__(self, folder: Path, *, known: KnownFrames | None = None) -> None:
        """
        Args:
            folder: the raw dataset to make, as ``raw/Dataset501_TACE``; it may exist if it is empty.
            known: where annotated frames are looked for that are in a dataset already; by default where they lie.

        Raises:
            UsageError: there is a file in its place, or something in it.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            what = "a folder that is not empty" if folder.is_dir() else "a file"
            raise UsageError(f"{folder}: found {what}; wanted a new dataset: choose another name, or move it away")
        self.known = known or KnownFrames()
        self._folder = folder
        self._whole = WholeFolder(folder)
        self._sources: dict[str, str] = {}  # by the name asked for
        self._taken: set[str] = set()
        self._cases: dict[str, dict[str, Any]] = {}
        self._halves: dict[str, str] = {}
        self._written: list[tuple[str, str]] = []
        self._skipped: list[tuple[str, str]] = []
        self._failed = False
        self._ignores = False

    def __enter__(self) -> Self:
        self._whole.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._whole.__exit__(kind, problem, trace)

    def add(
        self,
        case: str,
        frame: NDArray[Any],
        mask: NDArray[Any] | None,
        *,
        source: str,
        patient: str | None = None,
        sequence: str | None = None,
        frame_number: int | None = None,
        spacing: PixelSpacing | None = None,
        frame_time_ms: float | None = None,
        site: str | None = None,
    ) -> None:
        """Write one case.

        Args:
            case: its name; characters that a file name should not have become ``_``, and where that makes two names
                equal, a number follows.
            frame: (H, W) uint8 or uint16.
            mask: (H, W) uint8 with 0 background, 1 wire and ``IGNORE``, of the frame's size; None puts the frame into
                imagesTs.
            source: what it was made from, for the person who converts; not kept in the dataset.
            patient: whose it is; any name that tells patients apart.
            sequence: the run it is part of.
            frame_number: position in the sequence.
            spacing: size of its pixels.
            frame_time_ms: time from one frame of the sequence to the next, in milliseconds.
            site: hospital or device.

        Raises:
            DatasetError: another source has the same case name.
            FrameError: frame or mask cannot be used.
            OutputError: the files cannot be written.
        """
        partial = self._whole.partial
        _check(frame, mask, source)
        if case in self._sources:
            raise DatasetError(
                f"{source}: found the case name {case!r}, which {self._sources[case]} has too; wanted different names: "
                "rename one of the two, or convert them into two datasets"
            )
        name = self._safe_name(case)
        half = "Ts" if mask is None else "Tr"
        write_frame(partial / f"images{half}" / f"{name}.png", frame)
        if mask is not None:
            self._write_mask(partial / f"labels{half}" / f"{name}.png", mask)
        entry = {
            "patient": patient,
            "sequence": sequence,
            "frame": frame_number,
            "site": site,
            "pixel_spacing_mm": None if spacing is None else [spacing.row_mm, spacing.column_mm],
            "spacing_plane": None if spacing is None else spacing.plane,
            "frame_time_ms": frame_time_ms,
        }
        self._sources[case] = source
        self._taken.add(name.casefold())
        self._cases[name] = {key: value for key, value in entry.items() if value is not None}
        self._halves[name] = half
        self._written.append((source, name))

    def skip(self, source: str, reason: str, *, on_purpose: bool = False) -> None:
        """Note that a source, or a part of it, was left out, and why.

        Args:
            source: what was left out.
            reason: what was found and what to do about it.
            on_purpose: it is nothing to convert (a copy, a file of another kind), so the conversion has not failed.
        """
        self._skipped.append((source, reason))
        self._failed = self._failed or not on_purpose

    def finish(self) -> Conversion:
        """Write dataset.json, give the dataset its name and say what became of the sources.

        Raises:
            DatasetError: nothing was converted.
            OutputError: the dataset cannot be put in its place.
        """
        partial = self._whole.partial
        if not self._written:
            raise DatasetError(f"{self._folder}: found nothing to convert; wanted at least one frame{self._reasons()}")
        write_json(partial / "dataset.json", self._description())
        self._whole.finish()
        return Conversion(written=tuple(self._written), skipped=tuple(self._skipped), failed=self._failed)

    def _write_mask(self, path: Path, mask: NDArray[Any]) -> None:
        if (mask == IGNORE).any():
            self._ignores = True
            write_frame(path, mask.astype(np.uint8))  # by the values that dataset.json declares
        else:
            write_mask(path, mask)

    def _safe_name(self, case: str) -> str:
        # A leading dot hides a file, a leading dash is taken for an option.
        plain = _UNSAFE.sub("_", case).lstrip(".-")[:_LONGEST_NAME] or "case"
        name, number = plain, 1
        while name.casefold() in self._taken:  # some file systems do not tell A from a
            number += 1
            name = f"{plain}-{number}"
        return name

    def _description(self) -> dict[str, Any]:
        description: dict[str, Any] = {
            "channel_names": {"0": "X-ray"},
            "labels": {"background": 0, "wire": 1} | ({"ignore": IGNORE} if self._ignores else {}),
            "file_ending": ".png",
            "numTraining": sum(half == "Tr" for half in self._halves.values()),
        }
        if any(self._cases.values()):
            self._guess_what_is_undeclared()
            description["cases"] = self._cases
        return description

    def _guess_what_is_undeclared(self) -> None:
        """Give cases without patient and sequence what their names say: a dataset declares all or none."""
        bare = [name for name, entry in self._cases.items() if not {"patient", "sequence"} & entry.keys()]
        training, test = ([name for name in bare if self._halves[name] == half] for half in ("Tr", "Ts"))
        for name, origin in guessed_origins(training, test, str(self._folder)).items():
            self._cases[name].setdefault("sequence", origin.sequence)
            if origin.frame is not None:
                self._cases[name].setdefault("frame", origin.frame)

    def _reasons(self) -> str:
        if not self._skipped:
            return ": check that the source holds files of this kind"
        reasons = Counter(reason for _, reason in self._skipped)
        first = {reason: source for source, reason in reversed(self._skipped)}
        lines = [
            f"\n  {first[reason]}: {reason}" + (f" (and {count - 1} more)" if count > 1 else "")
            for reason, count in reasons.most_common(_REASONS_SHOWN)
        ]
        more = len(reasons) - _REASONS_SHOWN
        return "; skipped was" + "".join(lines) + (f"\n  and {more} other reasons" if more > 0 else "")


def _check(frame: NDArray[Any], mask: NDArray[Any] | None, source: str) -> None:
    if frame.ndim != 2 or frame.dtype not in (np.uint8, np.uint16) or min(frame.shape) < MIN_SIDE_PX:
        raise FrameError(
            f"{source}: found {frame.dtype} pixels of shape {frame.shape}; wanted (height, width) of uint8 or uint16, "
            f"at least {MIN_SIDE_PX} px on each side: export the frame again"
        )
    if mask is None:
        return
    if mask.shape != frame.shape:
        raise FrameError(
            f"{source}: found a mask of shape {mask.shape}; wanted the frame's {frame.shape}: "
            "annotate the frame at its own size"
        )
    if not np.isin(mask, (0, 1, IGNORE)).all():
        raise FrameError(
            f"{source}: found mask values other than 0, 1 and {IGNORE}; wanted 0 background, 1 wire and {IGNORE} to "
            "ignore"
        )
