"""Frames that are in a dataset already: what that dataset says of them is kept when their annotations are converted.

Without it, frames from DICOM that were annotated as PNG would lose their patient, and folds would leak.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwunet.dataset import FRAMES, TEST_FRAMES, Case, Dataset
from gwunet.errors import FrameError, GwunetError
from gwunet.io.frames import read_frame
from gwunet.jsonio import parse_json

logger = logging.getLogger(__name__)


class KnownFrames:
    """Finds a frame in the dataset it lies in, or by name and pixels in the datasets of a workspace."""

    def __init__(self, raw: Path | None = None) -> None:
        """
        Args:
            raw: folder of datasets in which the originals of copied frames are looked for; None looks only where the
                frames themselves lie.
        """
        self.found: Counter[Path] = Counter()
        """How many frames were found in each dataset."""
        self._raw = raw
        self._cases: dict[Path, dict[str, Case]] = {}  # by the file's name without ending, by dataset
        self._warned: set[Path] = set()

    def case(self, path: Path, frame: NDArray[Any]) -> Case | None:
        """The case of a frame, if a dataset declares whose it is.

        Args:
            path: the frame's file, or the annotation file that holds it; its name without ending is the case's.
            frame: (H, W) its pixels.
        """
        place = path.resolve()
        for folder in self._folders(place):
            case = self._cases_of(folder).get(path.stem)
            if case is None:
                continue
            if case.image.resolve() == place or _has_pixels(case, frame):
                self.found[folder] += 1
                return case
            if folder not in self._warned:
                self._warned.add(folder)
                logger.warning(
                    "%s: %s has a frame of this name with other pixels, so that this one is taken for another, and for "
                    "its patient and sequence names and folders count; of more such frames nothing is said",
                    path,
                    folder,
                )
        return None

    def _folders(self, place: Path) -> Iterator[Path]:
        own = place.parent.parent if place.parent.name in (FRAMES, TEST_FRAMES) else None
        if own is not None:
            yield own
        if self._raw is not None and self._raw.is_dir():
            yield from (path for path in sorted(self._raw.resolve().glob("[!.]*")) if path != own)

    def _cases_of(self, folder: Path) -> dict[str, Case]:
        if folder not in self._cases:
            self._cases[folder] = _declared_cases(folder)
        return self._cases[folder]


def _declared_cases(folder: Path) -> dict[str, Case]:
    """Cases by the names of their files without ending; none where a dataset declares nothing."""
    path = folder / "dataset.json"
    if not path.is_file():
        return {}
    try:
        description = parse_json(path)
        if not isinstance(description, dict) or not {"cases", "grouping"} & description.keys():
            return {}
        dataset = Dataset.open(folder)
    except (GwunetError, OSError) as problem:
        logger.warning("%s: not looked at for frames that are known already: %s", folder, problem)
        return {}
    # A case without an entry is called a sequence of its own, which nobody said.
    return {
        case.image.stem: case
        for case in (*dataset.training, *dataset.test)
        if case.patient is not None or case.sequence != case.name
    }


def _has_pixels(case: Case, frame: NDArray[Any]) -> bool:
    try:
        return np.array_equal(read_frame(case.image), frame)
    except FrameError:
        return False
