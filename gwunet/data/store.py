"""The preprocessed frames of a dataset: three files that are mapped into memory, and an index.

``frames.bin`` holds the crops one after another in their own integer types, ``labels.bin`` a byte for each of their
pixels, both packed without loss; ``locations.bin`` some wire pixels of each crop, from which training chooses;
``store.json`` where each crop's parts begin and how it is normalised. Nothing is inflated to float: what a patch shows
of a crop is normalised when it is read, and the operating system decides what stays in memory. A store is a cache: one
of another version is written anew, not converted.
"""

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gwunet.data.packing import unpack
from gwunet.data.unfinished import discard_unfinished
from gwunet.dataset import CENTRELINE, IGNORE, Dataset
from gwunet.errors import NotPreparedError, SchemaError
from gwunet.exposed_field import Box
from gwunet.jsonio import from_json, parse_json, to_json
from gwunet.plans import Preprocessing
from gwunet.preprocessing import normalise

SCHEMA_VERSION: Literal[3] = 3
"""1 had no skeleton's bit, 2 was not packed."""
FRAMES, LABELS, LOCATIONS = FILES = ("frames.bin", "labels.bin", "locations.bin")
KINDS = ("frame", "labels", "locations")
"""What an entry calls the spans of ``FILES``."""
WIRE_BIT, IGNORE_BIT, FIELD_BIT, SKELETON_BIT = 1, 2, 4, 8
"""Bits of a byte in labels.bin."""
LOCATION = np.dtype("<i4")
"""Of a wire pixel in locations.bin: its row times the crop's width plus its column."""
PREPARING = 3
"""Raised when the same frames are preprocessed to something else, so that earlier stores are no longer up to date."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """Where the parts of one crop lie in the store."""

    case: str
    frame: tuple[int, int]
    """First byte in frames.bin, and the one after the last."""
    labels: tuple[int, int]
    """The same in labels.bin."""
    locations: tuple[int, int]
    """The same in locations.bin."""
    dtype: Literal["uint8", "uint16"]
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

    schema_version: Literal[3]
    preprocessing: Preprocessing
    entries: tuple[Entry, ...]
    source: str
    """What the store was made from (``source_of``)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """A preprocessed frame, or a part of one."""

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


@dataclasses.dataclass(frozen=True, slots=True)
class StoredFrame:
    """One crop as it lies in the store, not yet normalised."""

    pixels: NDArray[np.uint8] | NDArray[np.uint16]
    """``(h, w)``."""
    labels: NDArray[np.uint8]
    """``(h, w)``: bits."""
    wire_locations: NDArray[np.int32]
    """``(n,)``: row times width plus column of some wire pixels, spread over all of them."""
    mean: float
    std: float

    @property
    def exposed(self) -> NDArray[np.bool_]:
        """``(h, w)``: True where exposed."""
        exposed: NDArray[np.bool_] = (self.labels & FIELD_BIT) > 0
        return exposed

    def sample(self) -> Sample:
        """Normalised, with the training target."""
        exposed = self.exposed
        return Sample(normalise(self.pixels, exposed, self.mean, self.std), TARGET_OF_BITS[self.labels], exposed)


def _target_of_bits() -> NDArray[np.uint8]:
    bits = np.arange(256)
    wire, on_skeleton, ignored = (bits & bit > 0 for bit in (WIRE_BIT, SKELETON_BIT, IGNORE_BIT))
    return np.select((ignored, wire & on_skeleton, wire), (IGNORE, CENTRELINE, 1), 0).astype(np.uint8)


TARGET_OF_BITS = _target_of_bits()
"""The training target of each byte in labels.bin."""


class PreprocessedStore:
    """Reads frames of a store by case name, from any number of threads or processes."""

    def __init__(self, folder: Path) -> None:
        """Open the store in ``folder``.

        Raises:
            NotPreparedError: there is none, or its files do not fit each other.
        """
        index = _read_index(folder)
        self._files = {name: _map(folder / name, index) for name in FILES}
        self._folder = folder
        self._entries = {entry.case: entry for entry in index.entries}
        self.source = index.source
        self.preprocessing = index.preprocessing

    def __reduce__(self) -> tuple[type["PreprocessedStore"], tuple[Path]]:
        """Sent to another process, it is opened there: pickled maps would be copies."""
        return PreprocessedStore, (self._folder,)

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

    def frame(self, case: str) -> StoredFrame:
        """A case as it lies in the store.

        Raises:
            NotPreparedError: the case is not in the store, or its bytes are damaged.
        """
        entry = self.entry(case)
        return StoredFrame(
            self._unpack(FRAMES, entry, entry.frame, np.dtype(entry.dtype)),
            self._unpack(LABELS, entry, entry.labels, np.dtype(np.uint8)),
            self._files[LOCATIONS][slice(*entry.locations)].view(LOCATION),
            entry.mean,
            entry.std,
        )

    def digest(self, cases: Iterable[str]) -> str:
        """SHA-256 of what the store holds of some cases, in whatever order and wherever it lies; reads all of it.

        Raises:
            NotPreparedError: a case is not in the store.
        """
        digest = hashlib.sha256()
        for case in sorted(cases):
            entry = to_json(self.entry(case))
            spans = [entry.pop(kind) for kind in KINDS]
            sums = [zlib.crc32(self._files[name][slice(*span)].data) for name, span in zip(FILES, spans, strict=True)]
            digest.update(json.dumps([entry, sums], sort_keys=True).encode())
        return digest.hexdigest()

    def read(self, case: str) -> Sample:
        """The normalised frame and the target of a case; raises as ``frame``."""
        return self.frame(case).sample()

    def _unpack(self, name: str, entry: Entry, span: tuple[int, int], dtype: np.dtype[Any]) -> Any:
        try:
            return unpack(self._files[name][slice(*span)].data, (entry.height, entry.width), dtype)
        except ValueError as problem:
            raise NotPreparedError(
                f"{self._folder / name}: {entry.case}: damaged ({problem}); run gw_plan_and_preprocess --clean again"
            ) from problem


def _read_index(folder: Path) -> Index:
    path = folder / "store.json"
    if not path.is_file():
        raise NotPreparedError(f"{folder}: no preprocessed frames (store.json); run gw_plan_and_preprocess first")
    content = parse_json(path)
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version in (1, 2):
        raise NotPreparedError(
            f"{path}: preprocessed by an earlier gwunet (schema version {version}, wanted {SCHEMA_VERSION}); "
            "run gw_plan_and_preprocess again, which leaves splits and results as they are"
        )
    return from_json(Index, content, str(path))


def _map(path: Path, index: Index) -> NDArray[np.uint8]:
    """A file of the store as bytes; an empty one cannot be mapped."""
    kind = dict(zip(FILES, KINDS, strict=True))[path.name]
    wanted = max((getattr(entry, kind)[1] for entry in index.entries), default=0)
    found = path.stat().st_size if path.is_file() else 0
    if found != wanted:
        raise NotPreparedError(
            f"{path}: {found} bytes, store.json says {wanted}; run gw_plan_and_preprocess --clean again"
        )
    return np.memmap(path, np.uint8, mode="r") if wanted else np.empty(0, np.uint8)


def source_of(dataset: Dataset, preprocessing: Preprocessing) -> str:
    """The ``source`` of a store that these frames and this preprocessing would make again."""
    parts = [SCHEMA_VERSION, PREPARING, to_json(preprocessing), dataset.digest(dataset.training)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def is_up_to_date(folder: Path, dataset: Dataset, preprocessing: Preprocessing) -> bool:
    """Whether ``folder`` holds the store that would be written now."""
    try:
        return PreprocessedStore(folder).source == source_of(dataset, preprocessing)
    except (NotPreparedError, SchemaError):
        return False


def discard_store(folder: Path) -> None:
    """Forget a store, whole or half written: its index goes, so that the next one is written anew."""
    (folder / "store.json").unlink(missing_ok=True)
    discard_unfinished(folder, FILES)
