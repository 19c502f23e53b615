"""A raw dataset on disk: dataset.json, the frames with their masks, and where each case comes from."""

import dataclasses
import difflib
import functools
import hashlib
import logging
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwunet.errors import DatasetError, FrameError
from gwunet.grouping import Origin, declared_origins, guessed_origins, matched_origins
from gwunet.io import frames
from gwunet.io.spacing import Plane
from gwunet.jsonio import from_json, parse_json

FRAMES, MASKS, TEST_FRAMES, TEST_MASKS = "imagesTr", "labelsTr", "imagesTs", "labelsTs"
"""Folders of a dataset, by nnU-Net's names."""
IGNORE = 2
"""Value of pixels that count in neither loss nor metrics, in the masks that ``Dataset.read_mask`` gives."""
CENTRELINE = 3
"""Value of wire pixels on the skeleton, in training targets alone: masks have 1 there."""

_CHANNEL_SUFFIX = re.compile(r"(.+)_(\d{4})")
_Files = dict[str, tuple[Path, Path | None]]  # case name to image and mask

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One frame, with its mask where there is one."""

    name: str
    """File name without ending and without nnU-Net's channel suffix."""
    image: Path
    mask: Path | None
    patient: str | None
    sequence: str
    """Unique in the dataset: where two patients have a sequence of one name, the patient stands before it."""
    frame: int | None
    """Position in the sequence."""
    site: str | None = None
    """Hospital or device."""
    pixel_spacing_mm: tuple[float, float] | None = None
    """Distance of neighbouring rows, and of neighbouring columns."""
    spacing_plane: Plane | None = None
    """Where these millimetres are: in the detector's plane the patient is magnified."""
    frame_time_ms: float | None = None
    """From one frame of the sequence to the next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _DeclaredCase(Origin):
    """One entry of ``cases``: where the frame comes from, and how it was taken where that is known."""

    pixel_spacing_mm: tuple[float, float] | None = None
    spacing_plane: Plane | None = None
    frame_time_ms: float | None = None

    def __post_init__(self) -> None:
        spacing, time_ms = self.pixel_spacing_mm, self.frame_time_ms
        if spacing is not None and not all(0 < edge < math.inf for edge in spacing):
            raise ValueError(f"pixel_spacing_mm is {list(spacing)}, it must be two numbers above 0, rows first")
        if (spacing is None) != (self.spacing_plane is None):
            raise ValueError('pixel_spacing_mm and spacing_plane ("patient" or "detector") must be given together')
        if time_ms is not None and not 0 < time_ms < math.inf:
            raise ValueError(f"frame_time_ms is {time_ms}, it must be above 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Declared:
    """The keys of dataset.json that gwunet acts on; all others are their owner's."""

    labels: dict[str, int | tuple[int, ...]] = field(default_factory=lambda: {"background": 0, "wire": 1})
    wire_labels: tuple[str, ...] | None = None
    channel_names: dict[str, str] = field(default_factory=lambda: {"0": "X-ray"})
    cases: dict[str, _DeclaredCase] | None = None
    grouping: str | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A raw dataset; make one with ``Dataset.open``.

    Opening looks at names only. What is wrong with them is kept in ``problems``, to be reported
    together with what is wrong inside the files; ``training`` holds the complete pairs.
    """

    name: str
    folder: Path
    training: tuple[Case, ...]
    """Cases of imagesTr that have a mask in labelsTr, by name."""
    test: tuple[Case, ...]
    """Cases of imagesTs, by name; with their masks where labelsTs has them."""
    description: Mapping[str, Any]
    """dataset.json as it stands; empty without one."""
    grouping_is_declared: bool
    """Whether dataset.json says which patient or sequence a case belongs to."""
    mask_meaning: Mapping[int, int]
    """From the values in mask files to 0 (background), 1 (wire) or ``IGNORE``."""
    problems: tuple[str, ...] = ()
    """Missing partners, second channels, undeclared cases: one message each."""

    @classmethod
    def open(cls, folder: Path) -> "Dataset":
        """Read dataset.json and pair the files in ``folder``.

        Raises:
            DatasetError: there is no such folder, or dataset.json asks for what gwunet cannot do.
            SchemaError: dataset.json is not JSON, or one of its values has the wrong type.
        """
        if not folder.is_dir():
            raise DatasetError(
                f"{folder}: found no such folder; wanted a dataset with imagesTr and labelsTr: check the path"
            )
        where = str(folder / "dataset.json")
        description = _read_description(folder / "dataset.json")
        declared = _read_declared(description, where)
        problems: list[str] = []
        training, test = _pair_files(folder, problems)
        origins, origin_problems = _find_origins(declared, tuple(training), tuple(test), where)
        build = functools.partial(
            _build_case, origins=origins, sequences=_unique_sequences(origins), declared=declared.cases or {}
        )
        _log_endings(folder, training)
        return cls(
            name=folder.name,
            folder=folder,
            training=tuple(build(name, *files) for name, files in training.items()),
            test=tuple(build(name, *files) for name, files in test.items()),
            description=description,
            grouping_is_declared=declared.cases is not None or declared.grouping is not None,
            mask_meaning=_mask_meaning(declared, where),
            problems=(*problems, *origin_problems),
        )

    @functools.cached_property
    def _cases(self) -> dict[str, Case]:
        return {case.name: case for case in (*self.test, *self.training)}

    def case(self, name: str) -> Case:
        """The case called ``name``.

        Raises:
            DatasetError: there is none.
        """
        if name in self._cases:
            return self._cases[name]
        close = difflib.get_close_matches(name, self._cases, n=1)
        raise DatasetError(
            f"{self.folder}: found no case {name!r}; wanted one of its {len(self._cases)}"
            + (f": did you mean {close[0]!r}?" if close else ": check the name")
        )

    def reader(self) -> "Dataset":
        """What worker processes need: it reads frames and masks, but does not carry the list of all cases."""
        return dataclasses.replace(self, training=(), test=(), description={}, problems=())

    def digest(self, cases: Iterable[Case]) -> str:
        """A hash that changes with what is known of ``cases``: their groups, and their files' names, sizes and times.

        What was made from them is up to date while it stays the same. File contents are not read: that would take as
        long as making most things anew.
        """
        known: list[Any] = [self.name, sorted(self.mask_meaning.items())]
        for case in cases:
            known += [dataclasses.replace(case, image=Path(), mask=None)]
            for path in (case.image, case.mask):
                known += [path and (str(path.relative_to(self.folder)), _state(path))]
        return hashlib.sha256(repr(known).encode()).hexdigest()

    def read_pair(self, case: Case) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Frame and mask of a case, both (H, W) as ``read_frame`` and ``read_mask`` give them.

        Raises:
            FrameError: one of them cannot be read, or they are of different sizes.
        """
        frame, mask = self.read_frame(case), self.read_mask(case)
        if frame.shape != mask.shape:
            raise FrameError(
                f"{case.mask}: found {mask.shape[0]}x{mask.shape[1]} px; wanted the "
                f"{frame.shape[0]}x{frame.shape[1]} px of {case.image.name}: export frame and mask at the same size"
            )
        return frame, mask

    def read_frame(self, case: Case) -> NDArray[Any]:
        """The frame of a case: (H, W) uint8 or uint16; raises ``FrameError``."""
        return frames.read_frame(case.image)

    def read_mask(self, case: Case) -> NDArray[np.uint8]:
        """The mask of a case: (H, W) uint8 with 0 background, 1 wire, 2 (``IGNORE``) ignored; raises ``FrameError``."""
        if case.mask is None:
            raise DatasetError(f"{case.image}: found no mask for it; wanted one: choose a case that has a mask")
        return frames.read_mask(case.mask, self.mask_meaning)


def _state(path: Path) -> tuple[int, int] | None:
    """Size and time of a file; None where there is none, as behind a broken link, which reading it will name."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_size, state.st_mtime_ns


def _read_description(path: Path) -> dict[str, Any]:
    if not path.exists():
        logger.info("%s: not there, so masks are taken as 0 background and 1 (or 255) wire", path)
        return {}
    description = parse_json(path)
    if not isinstance(description, dict):
        raise DatasetError(f"{path}: found {type(description).__name__}; wanted a JSON object: see the documentation")
    return description


def _read_declared(description: Mapping[str, Any], where: str) -> _Declared:
    known = [entry.name for entry in dataclasses.fields(_Declared)]
    for key in description:
        # Owners may add what they like, but a misspelt "grouping" would silently make the folds leak.
        meant = difflib.get_close_matches(key, known, n=1, cutoff=0.8)
        if meant and key not in known:
            logger.warning("%s: the key %r means nothing to gwunet; was %r meant?", where, key, meant[0])
    declared = from_json(_Declared, {key: description[key] for key in known if key in description}, where)
    if len(declared.channel_names) > 1:
        raise DatasetError(
            f"{where}: channel_names: found {len(declared.channel_names)} channels; wanted one: a second channel is "
            "not supported, so keep the X-ray frame only"
        )
    if declared.cases is not None and declared.grouping is not None:
        raise DatasetError(f"{where}: found cases and grouping; wanted one of the two: remove the other")
    return declared


def _mask_meaning(declared: _Declared, where: str) -> dict[int, int]:
    """From mask values to 0, 1 or ``IGNORE``, by ``labels`` and ``wire_labels``."""
    values = {name: (value,) if isinstance(value, int) else value for name, value in declared.labels.items()}
    outside = [str(value) for group in values.values() for value in group if not 0 <= value <= 255]
    if outside or values.pop("background", (0,)) != (0,):
        raise DatasetError(
            f"{where}: labels: found {declared.labels}; wanted background 0 and values up to 255: renumber the labels"
        )
    ignored = values.pop("ignore", ())
    wires = tuple(values) if declared.wire_labels is None else declared.wire_labels
    if not wires or (len(values) > 1 and declared.wire_labels is None):
        raise DatasetError(
            f"{where}: labels: found the foreground labels {', '.join(values) or 'none'}; wanted one: "
            'name those to join as the wire, as in "wire_labels": ["guidewire", "tip"]'
        )
    unknown = [name for name in wires if name not in values]
    if unknown:
        raise DatasetError(
            f"{where}: wire_labels: found {', '.join(unknown)}; wanted some of {', '.join(values)}: correct the name"
        )
    meaning = dict.fromkeys((value for group in values.values() for value in group), 0)
    meaning[0] = 0
    meaning.update({value: 1 for name in wires for value in values[name]})
    meaning.update(dict.fromkeys(ignored, IGNORE))
    if list(values.values()) in ([(1,)], [(255,)]):  # a mask of one label is saved as 0 and 1 or as 0 and 255
        meaning = {1: 1, 255: 1} | meaning
    return meaning


def _pair_files(folder: Path, problems: list[str]) -> tuple[_Files, _Files]:
    """Training and test files by case name; what does not fit together is added to ``problems``."""
    images, masks, test_images, test_masks = (
        _by_stem(folder / name, problems) for name in (FRAMES, MASKS, TEST_FRAMES, TEST_MASKS)
    )
    if _has_channel_suffix(images, masks):
        images = _first_channels(images, problems)
        test_images = _first_channels(test_images, problems)
    endings = " ".join(frames.FRAME_ENDINGS)
    if not images:
        problems.append(_no_frames(folder, endings))
    for name in sorted(images.keys() - masks.keys()):
        problems.append(
            f"{images[name]}: found no mask for this frame; wanted labelsTr/{name} with one of {endings}: "
            "add the mask (all 0 for a frame without wire) or remove the frame"
        )
    for mask in sorted([masks[name] for name in masks.keys() - images.keys()]) + sorted(
        [test_masks[name] for name in test_masks.keys() - test_images.keys()]
    ):
        problems.append(
            f"{mask}: found no frame for this mask; wanted {mask.parent.name.replace('labels', 'images')}/{mask.stem} "
            f"with one of {endings}: add the frame or remove the mask"
        )
    for name in sorted(images.keys() & test_images.keys()):
        problems.append(
            f"{test_images[name]}: found {name} in imagesTr too; wanted different names: rename or remove one"
        )
    training: _Files = {name: (images[name], masks[name]) for name in sorted(images.keys() & masks.keys())}
    return training, {name: (path, test_masks.get(name)) for name, path in sorted(test_images.items())}


def _no_frames(folder: Path, endings: str) -> str:
    where = folder / FRAMES
    below = (path for path in sorted(where.rglob("*")) if path.suffix.lower() in frames.FRAME_ENDINGS)
    nested = next(below, None)
    if nested is None:
        return (
            f"{where}: found no frames; wanted files ending in {endings}: "
            "copy the frames there and their masks to labelsTr"
        )
    return (
        f"{where}: found frames only in folders in it ({nested.relative_to(where)}); wanted files ending in {endings} "
        f"directly in it: make a dataset of them with gw_convert masks {where} Dataset<id>_<name> "
        f"--masks {folder / MASKS}"
    )


def _by_stem(folder: Path, problems: list[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in frames.list_frames(folder) if folder.is_dir() else []:
        if path.stem in files:
            problems.append(
                f"{path}: found {files[path.stem].name} beside it; wanted one file per name: rename or remove one"
            )
        else:
            files[path.stem] = path
    return files


def _has_channel_suffix(images: Collection[str], masks: Collection[str]) -> bool:
    """Whether image names carry nnU-Net's channel suffix ``_0000`` that the names of their masks lack.

    Further channels (``_0001``) of a case count as carrying it. Frames numbered 0000, 0001, ... are told apart by
    their masks, which carry the number too.
    """
    cases = {name.removesuffix("_0000") for name in images if name.endswith("_0000")}
    return (
        not cases.isdisjoint(masks)
        and set(images).isdisjoint(masks)
        and all(name.endswith("_0000") or _is_further_channel(name, images) for name in images)
    )


def _is_further_channel(name: str, images: Collection[str]) -> bool:
    match = _CHANNEL_SUFFIX.fullmatch(name)
    return match is not None and match[2] != "0000" and f"{match[1]}_0000" in images


def _first_channels(images: Mapping[str, Path], problems: list[str]) -> dict[str, Path]:
    """Images by case name, without channel suffix; further channels are added to ``problems``."""
    further = [name for name in images if _is_further_channel(name, images)]
    problems += [
        f"{images[name]}: found a second channel beside {name[:-4]}0000; wanted one channel: a second channel is not "
        "supported, so keep the file ending in _0000 only"
        for name in further
    ]
    return {name.removesuffix("_0000"): path for name, path in images.items() if name not in further}


def _find_origins(
    declared: _Declared, training: tuple[str, ...], test: tuple[str, ...], where: str
) -> tuple[dict[str, Origin], list[str]]:
    """The origin of every case, and what is wrong with their declaration.

    Undeclared training cases are problems. An undeclared test case stands alone: it is in no fold and leaks nowhere.
    """
    if declared.cases is not None:
        origins, problems = declared_origins(declared.cases, training, where)
    elif declared.grouping is not None:
        origins, problems = matched_origins(declared.grouping, training, where)
        origins = matched_origins(declared.grouping, test, where)[0] | origins
    else:
        origins, problems = guessed_origins(training, test, where), []
    return {name: origins.get(name, Origin()) for name in (*training, *test)}, problems


def _unique_sequences(origins: Mapping[str, Origin]) -> dict[str, str]:
    """Sequence of each case by name; if patients share a sequence name ("1", say), all have the patient before them."""
    sequences = {name: origin.sequence or origin.patient or name for name, origin in origins.items()}
    owners = Counter(sequence for sequence, _ in {(sequences[name], origins[name].patient) for name in origins})
    if all(count == 1 for count in owners.values()):
        return sequences
    return {
        name: sequence if origins[name].patient is None else f"{origins[name].patient}/{sequence}"
        for name, sequence in sequences.items()
    }


def _build_case(
    name: str,
    image: Path,
    mask: Path | None,
    origins: Mapping[str, Origin],
    sequences: Mapping[str, str],
    declared: Mapping[str, _DeclaredCase],
) -> Case:
    origin = origins[name]
    taken = declared.get(name, _DeclaredCase())
    return Case(
        name=name,
        image=image,
        mask=mask,
        patient=origin.patient,
        sequence=sequences[name],
        frame=origin.frame,
        site=origin.site,
        pixel_spacing_mm=taken.pixel_spacing_mm,
        spacing_plane=taken.spacing_plane,
        frame_time_ms=taken.frame_time_ms,
    )


def _log_endings(folder: Path, files: _Files) -> None:
    endings = sorted({image.suffix.lower() for image, _ in files.values()})
    if len(endings) > 1:
        logger.info("%s: frames of several formats: %s", folder / FRAMES, ", ".join(endings))
