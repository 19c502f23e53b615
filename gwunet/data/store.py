"""The preprocessed frames of a dataset: two memory-mapped files and an index.

``frames.bin`` holds the crops one after another in the frames' own integer type, ``labels.bin`` a byte for each of
their pixels, ``store.json`` where each crop begins and how it is normalised. Nothing is inflated to float: a crop is
normalised when it is read, and the operating system decides what stays in memory. A store is a cache: one of another
version is written anew, not converted.
"""

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gwunet.data.centreline import tubed_skeleton
from gwunet.data.unfinished import UnfinishedStore, discard_unfinished
from gwunet.dataset import CENTRELINE, IGNORE, Case, Dataset
from gwunet.errors import NotPreparedError, SchemaError
from gwunet.exposed_field import Box
from gwunet.jsonio import from_json, read_json, to_json, write_json
from gwunet.plans import Preprocessing
from gwunet.preprocessing import CroppedFrame, crop_frame, normalise
from gwunet.progress import Progress, no_progress

SCHEMA_VERSION: Literal[2] = 2
"""2 has the skeleton's bit, 1 had none."""
WIRE_BIT, IGNORE_BIT, FIELD_BIT, SKELETON_BIT = 1, 2, 4, 8
"""Bits of a byte in labels.bin."""
CHUNK = 64
"""Frames in memory at a time while a store is written."""
PREPARING = 1
"""Raised when the same frames are preprocessed to something else, so that earlier stores are no longer up to date."""

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Where one crop lies in the store."""

    case: str
    offset: int
    """Of its first pixel, in pixels."""
    height: int
    width: int
    box: Box
    frame_shape: tuple[int, int]
    mean: float
    std: float
    wire_pixels: int


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    """``store.json``."""

    schema_version: Literal[1, 2]
    dtype: Literal["uint8", "uint16"]
    n_pixels: int
    preprocessing: Preprocessing
    entries: tuple[Entry, ...]
    source: str | None = None
    """What the store was made from (``source_of``); None in stores of before."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One preprocessed frame."""

    frame: NDArray[np.float32]
    """``(h, w)``: z-scores inside the exposed field, 0 outside."""
    target: NDArray[np.uint8]
    """``(h, w)``: 0, 1 (wire), ``CENTRELINE`` (wire on the tubed skeleton) or ``IGNORE``."""
    field: NDArray[np.bool_]
    """``(h, w)``: True where exposed."""

    @property
    def wire(self) -> NDArray[np.bool_]:
        """``(h, w)``: True on wire, on the skeleton or beside it."""
        wire: NDArray[np.bool_] = (self.target == 1) | (self.target == CENTRELINE)
        return wire


def _target_of_bits() -> NDArray[np.uint8]:
    bits = np.arange(256)
    wire, on_skeleton, ignored = (bits & bit > 0 for bit in (WIRE_BIT, SKELETON_BIT, IGNORE_BIT))
    return np.select((ignored, wire & on_skeleton, wire), (IGNORE, CENTRELINE, 1), 0).astype(np.uint8)


TARGET_OF_BITS = _target_of_bits()
"""The training target of each byte in labels.bin."""


class PreprocessedStore:
    """Reads samples of a store by case name, from any number of threads or processes."""

    def __init__(self, folder: Path) -> None:
        """Open the store in ``folder``.

        Raises:
            NotPreparedError: there is none, or its files do not fit each other.
        """
        index_path = folder / "store.json"
        if not index_path.is_file():
            raise NotPreparedError(f"{folder}: no preprocessed frames (store.json); run gw_plan_and_preprocess first")
        self.index = read_json(Index, index_path)
        if self.index.schema_version != SCHEMA_VERSION:
            raise NotPreparedError(
                f"{index_path}: preprocessed by an earlier gwunet (schema version {self.index.schema_version}, wanted "
                f"{SCHEMA_VERSION}); run gw_plan_and_preprocess again, which leaves splits and results as they are"
            )
        for name, size in (("frames.bin", np.dtype(self.index.dtype).itemsize), ("labels.bin", 1)):
            path, wanted = folder / name, size * self.index.n_pixels
            found = path.stat().st_size if path.is_file() else 0
            if found != wanted:
                raise NotPreparedError(
                    f"{path}: {found} bytes, store.json says {wanted}; run gw_plan_and_preprocess --clean again"
                )
        self._frames = np.memmap(folder / "frames.bin", np.dtype(self.index.dtype), mode="r")
        self._labels = np.memmap(folder / "labels.bin", np.uint8, mode="r")
        self._entries = {entry.case: entry for entry in self.index.entries}

    @property
    def cases(self) -> tuple[str, ...]:
        """Names of all cases, in the order of the index."""
        return tuple(self._entries)

    def entry(self, case: str) -> Entry:
        """Where a case lies.

        Raises:
            NotPreparedError: the case is not in the store.
        """
        if case not in self._entries:
            raise NotPreparedError(
                f"case {case!r} is not among the {len(self._entries)} preprocessed frames; the dataset has changed "
                "since: run gw_plan_and_preprocess --clean again"
            )
        return self._entries[case]

    def read(self, case: str) -> Sample:
        """The normalised frame and the target of a case."""
        entry = self.entry(case)
        labels = self._view(self._labels, entry)
        field = (labels & FIELD_BIT) > 0
        frame = normalise(self._view(self._frames, entry), field, entry.mean, entry.std)
        return Sample(frame, TARGET_OF_BITS[labels], field)

    @staticmethod
    def _view(pixels: Any, entry: Entry) -> Any:
        stop = entry.offset + entry.height * entry.width
        return pixels[entry.offset : stop].reshape(entry.height, entry.width)


def source_of(dataset: Dataset, preprocessing: Preprocessing) -> str:
    """The ``source`` of a store that these frames and this preprocessing would make again."""
    parts = [SCHEMA_VERSION, PREPARING, to_json(preprocessing), dataset.digest(dataset.training)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def is_up_to_date(folder: Path, dataset: Dataset, preprocessing: Preprocessing) -> bool:
    """Whether ``folder`` holds the store that ``write_store`` would write."""
    try:
        return PreprocessedStore(folder).index.source == source_of(dataset, preprocessing)
    except (NotPreparedError, SchemaError):
        return False


def discard_store(folder: Path) -> None:
    """Forget a store, whole or half written: its index goes, so that the next one is written anew."""
    (folder / "store.json").unlink(missing_ok=True)
    discard_unfinished(folder)


def write_store(
    folder: Path,
    dataset: Dataset,
    preprocessing: Preprocessing,
    threads: int = 1,
    progress: Progress = no_progress,
) -> None:
    """Preprocess every training frame of a dataset into ``folder``.

    Goes on where a command stopped that was killed while it wrote the same. The index is written last and the others
    are renamed into place, so a store is whole or not there.

    Raises:
        FrameError: a frame or mask cannot be read.
        OutputError: another command is writing there.
    """
    dtype = np.dtype(np.uint16 if "uint16" in preprocessing.borders else np.uint8)
    source = source_of(dataset, preprocessing)
    with UnfinishedStore(folder, source) as unfinished:
        (folder / "store.json").unlink(missing_ok=True)
        done = len(unfinished.entries)
        if done:
            logger.info("%s: going on after %d of %d frames", folder, done, len(dataset.training))
        cases = dataset.training[done:]
        for case, crop, bits in progress(_crops(dataset, cases, preprocessing, threads), len(cases), "preprocess"):
            last = unfinished.entries[-1] if unfinished.entries else {"offset": 0, "height": 0, "width": 0}
            entry = _entry(case, crop, bits, offset=last["offset"] + last["height"] * last["width"])
            pixels = np.ascontiguousarray(crop.pixels, dtype=dtype)
            unfinished.append(pixels.tobytes(), bits.tobytes(), to_json(entry))
        entries = tuple(from_json(Entry, entry, str(folder)) for entry in unfinished.entries)
        unfinished.finish()
        index = Index(
            schema_version=SCHEMA_VERSION,
            dtype="uint16" if dtype == np.uint16 else "uint8",
            n_pixels=sum(entry.height * entry.width for entry in entries),
            preprocessing=preprocessing,
            entries=entries,
            source=source,
        )
        write_json(folder / "store.json", index)


def _crops(
    dataset: Dataset, cases: Sequence[Case], preprocessing: Preprocessing, threads: int
) -> Iterator[tuple[Case, CroppedFrame, NDArray[np.uint8]]]:
    """Each case with its crop and the crop's bits."""

    def prepare(case: Case) -> tuple[Case, CroppedFrame, NDArray[np.uint8]]:
        crop = crop_frame(dataset.read_frame(case), preprocessing)
        return case, crop, _label_bits(crop, dataset.read_mask(case)[crop.box.slices])

    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(cases), CHUNK):
            yield from pool.map(prepare, cases[start : start + CHUNK])


def _label_bits(crop: CroppedFrame, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # Wire counts where it was exposed: elsewhere there is nothing to see, and prediction gives 0.
    wire = (mask == 1) & crop.field
    bits = wire * WIRE_BIT | (mask == IGNORE) * IGNORE_BIT | crop.field * FIELD_BIT
    whole: NDArray[np.uint8] = (bits | tubed_skeleton(wire) * SKELETON_BIT).astype(np.uint8)
    return whole


def _entry(case: Case, crop: CroppedFrame, bits: NDArray[np.uint8], offset: int) -> Entry:
    return Entry(
        case=case.name,
        offset=offset,
        height=crop.box.height,
        width=crop.box.width,
        box=crop.box,
        frame_shape=crop.frame_shape,
        mean=crop.mean,
        std=crop.std,
        wire_pixels=int(np.count_nonzero(bits & WIRE_BIT)),
    )
