"""Raw frames to a store of preprocessed ones."""

import dataclasses
import functools
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwunet.data.centreline import tubed_skeleton
from gwunet.data.packing import pack
from gwunet.data.store import (
    FIELD_BIT,
    FILES,
    IGNORE_BIT,
    LOCATION,
    SCHEMA_VERSION,
    SKELETON_BIT,
    WIRE_BIT,
    Entry,
    Index,
    source_of,
)
from gwunet.data.unfinished import UnfinishedStore
from gwunet.dataset import IGNORE, Case, Dataset
from gwunet.jsonio import from_json, to_json, write_json
from gwunet.parallel import workers
from gwunet.plans import Preprocessing
from gwunet.preprocessing import CroppedFrame, crop_frame
from gwunet.progress import Progress, no_progress

MAX_LOCATIONS = 256
"""Wire pixels kept of a frame: with the jitter around them more than enough for patches to lie anywhere on a wire."""

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class PreparedFrame:
    """One crop, ready for the store; its entry lacks the places."""

    parts: tuple[bytes, bytes, bytes]
    """For each of ``FILES``."""
    entry: Entry


def prepare_frame(case: str, crop: CroppedFrame, mask: NDArray[np.uint8]) -> PreparedFrame:
    """Label, pack and describe a crop.

    Args:
        case: its name.
        crop: from ``crop_frame``.
        mask: ``(H, W)`` of the whole frame: 0, 1 or ``IGNORE``.
    """
    labels = label_bits(crop, mask[crop.box.slices])
    pixels = crop.pixels * crop.field  # zeros outside pack to nothing and are never looked at
    wire = np.flatnonzero(labels & WIRE_BIT)
    spread = wire[np.linspace(0, wire.size - 1, min(wire.size, MAX_LOCATIONS)).astype(int)] if wire.size else wire
    return PreparedFrame(
        (pack(pixels), pack(labels), spread.astype(LOCATION).tobytes()),
        Entry(
            case=case,
            frame=(0, 0),
            labels=(0, 0),
            locations=(0, 0),
            dtype="uint16" if pixels.dtype == np.uint16 else "uint8",
            height=crop.box.height,
            width=crop.box.width,
            box=crop.box,
            frame_shape=crop.frame_shape,
            mean=crop.mean,
            std=crop.std,
            wire_pixels=int(wire.size),
        ),
    )


def label_bits(crop: CroppedFrame, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``(h, w)``: the bits of labels.bin for a crop and the same part of its mask."""
    # Wire counts where it was exposed: elsewhere there is nothing to see, and prediction gives 0.
    wire = (mask == 1) & crop.field
    parts = ((wire, WIRE_BIT), (mask == IGNORE, IGNORE_BIT), (crop.field, FIELD_BIT))
    bits = np.zeros(mask.shape, np.uint8)
    for part, bit in (*parts, (tubed_skeleton(wire), SKELETON_BIT)):
        bits |= part.view(np.uint8) * np.uint8(bit)
    return bits


class StoreWriter:
    """Writes a store frame by frame; goes on where a command stopped that was killed while it wrote the same.

    ``with StoreWriter(folder, dataset, preprocessing) as writer: for case in writer.missing: writer.append(...)``. The
    index is written last and the others are renamed into place, so a store is whole or not there.
    """

    def __init__(self, folder: Path, dataset: Dataset, preprocessing: Preprocessing) -> None:
        """
        Args:
            folder: where the store is to stand; nobody else may write there (``gwunet.data.lock``).
            dataset: what to take the frames from.
            preprocessing: how they are prepared.
        """
        self._folder = folder
        self._dataset = dataset
        self._preprocessing = preprocessing
        self._source = source_of(dataset, preprocessing)  # before reading: what changes meanwhile is written again
        self._unfinished = UnfinishedStore(folder, FILES, self._source)

    def __enter__(self) -> "StoreWriter":
        self._unfinished.__enter__()
        (self._folder / "store.json").unlink(missing_ok=True)
        done = len(self._unfinished.entries)
        if done:
            logger.info("%s: going on after %d of %d frames", self._folder, done, len(self._dataset.training))
        return self

    @property
    def missing(self) -> tuple[Case, ...]:
        """Cases still to be appended, in this order."""
        return self._dataset.training[len(self._unfinished.entries) :]

    @property
    def notes(self) -> tuple[Any, ...]:
        """What was noted with each of the cases that are there, which are those before the missing ones."""
        return tuple(there["note"] for there in self._unfinished.entries)

    def append(self, prepared: PreparedFrame, note: Any = None) -> None:
        """Add the next of the missing cases.

        Args:
            prepared: the frame.
            note: plain values that the next command finds in ``notes`` if this one is killed.

        Raises:
            OutputError: the disk is full, say.
        """
        frame, labels, locations = self._unfinished.write(prepared.parts)
        entry = dataclasses.replace(prepared.entry, frame=frame, labels=labels, locations=locations)
        self._unfinished.confirm({"entry": to_json(entry), "note": note})

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self._finish()
        self._unfinished.__exit__(kind, error, None)

    def _finish(self) -> None:
        entries = tuple(from_json(Entry, there["entry"], str(self._folder)) for there in self._unfinished.entries)
        self._unfinished.finish()
        index = Index(
            schema_version=SCHEMA_VERSION, preprocessing=self._preprocessing, entries=entries, source=self._source
        )
        write_json(self._folder / "store.json", index)


def write_locked(
    folder: Path,
    dataset: Dataset,
    preprocessing: Preprocessing,
    processes: int = 1,
    progress: Progress = no_progress,
) -> None:
    """Preprocess every training frame of a dataset into ``folder``, whose lock is held (``gwunet.data.lock``).

    Raises:
        FrameError: a frame or mask cannot be read.
        OutputError: the disk is full, say.
    """
    with StoreWriter(folder, dataset, preprocessing) as writer:
        cases = writer.missing
        for prepared in progress(_prepared(dataset, cases, preprocessing, processes), len(cases), "preprocess"):
            writer.append(prepared)


def _prepared(
    dataset: Dataset, cases: Iterable[Case], preprocessing: Preprocessing, processes: int
) -> Iterator[PreparedFrame]:
    with workers(processes, len(dataset.training), str(dataset.folder)) as run:
        yield from run(functools.partial(_prepare, dataset.reader(), preprocessing), cases)


def _prepare(dataset: Dataset, preprocessing: Preprocessing, case: Case) -> PreparedFrame:
    frame, mask = dataset.read_pair(case)
    return prepare_frame(case.name, crop_frame(frame, preprocessing), mask)
