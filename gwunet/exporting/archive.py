"""The archive: a zip of one JSON description and plain ``.npy`` tensors, each weight a file.

Whoever reads one trusts nothing of it. Nothing is unpacked to a disk; names, kinds, sizes and check sums are compared
before a tensor is made, and nothing is unpickled.
"""

import math
import re
import stat
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from gwunet.checkpoint import Checkpoint
from gwunet.errors import ModelError
from gwunet.exporting.description import MAX_CHARACTERS, ModelDescription, describe, from_text, to_text
from gwunet.postprocessing import Postprocessing

DESCRIPTION = "model.json"
MAX_BYTES = 1 << 31
"""2 GiB in all."""
MAX_ENTRIES = 1 << 16
_WEIGHT = re.compile(r"weights/fold_([a-z0-9]{1,4})/([A-Za-z0-9_.]{1,200})\.npy", re.ASCII)
_DTYPES = ("<f4", "<i8")
"""Weights, and the counts of batches in batch norms."""
_DAY = (1980, 1, 1, 0, 0, 0)
"""In place of the time, so that one model is one file, byte for byte."""


def write_archive(
    path: Path,
    checkpoints: Sequence[Checkpoint],
    folds: Sequence[str],
    postprocessing: Postprocessing | None = None,
) -> None:
    """Write the folds of a model; ``path`` is the caller's to rename or remove."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        description = describe(checkpoints, folds, postprocessing=postprocessing)
        archive.writestr(zipfile.ZipInfo(DESCRIPTION, _DAY), to_text(description))
        for fold, checkpoint in zip(folds, checkpoints, strict=True):
            for key, tensor in checkpoint.weights.items():
                entry = zipfile.ZipInfo(f"weights/fold_{fold}/{key}.npy", _DAY)
                with archive.open(entry, "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, _portable(tensor), allow_pickle=False)


def _portable(tensor: torch.Tensor) -> NDArray[Any]:
    array = tensor.detach().cpu().contiguous().numpy()
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def read_archive(path: Path) -> tuple[ModelDescription, tuple[Checkpoint, ...]]:
    """An archive of ``write_archive``, from whomever it comes.

    Returns:
        What it says about itself, and a checkpoint for each of its folds, checked to fit the network it names.

    Raises:
        ModelError: it is damaged, or holds anything but what ``write_archive`` writes.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ModelError(f"{path}: found {path.stat().st_size} bytes, wanted at most {MAX_BYTES} (2 GiB)")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _checked(archive, path)
            text = archive.read(entries[DESCRIPTION]).decode()
            description = from_text(text, f"{path}: {DESCRIPTION}")
            weights: dict[str, dict[str, torch.Tensor]] = {fold: {} for fold in description.folds}
            for name, entry in entries.items():
                if name != DESCRIPTION:
                    fold, key = _fold_and_key(name)
                    if fold not in weights:
                        raise ModelError(
                            f"{path}: {name}: found a fold that {DESCRIPTION} does not list; wanted none such"
                        )
                    weights[fold][key] = _read_tensor(archive, entry, path)
    except ModelError:
        raise
    except Exception as problem:  # zipfile has half a dozen for a damaged file
        raise ModelError(
            f"{path}: not a readable archive ({type(problem).__name__}: {problem}); copy it again, or ask for a new one"
        ) from problem
    wanted = _weights_of(description, max(map(_elements, weights.values())), path)
    for fold in description.folds:
        _check_fit(description, weights[fold], wanted, f"{path}: weights/fold_{fold}")
    return description, tuple(
        Checkpoint(
            dataset=description.dataset,
            trainer=description.trainer,
            configuration=description.configuration,
            preprocessing=description.preprocessing,
            weights=weights[fold],
            epoch=epoch,
        )
        for fold, epoch in zip(description.folds, description.epochs, strict=True)
    )


def _checked(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The entries by name, if they are what gw_export writes and as large as they say."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise ModelError(f"{path}: found {len(entries)} entries, wanted at most {MAX_ENTRIES}")
    by_name: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        # zipfile cuts a name at a NUL; orig_filename has all of it.
        name = entry.orig_filename
        if name != DESCRIPTION and not _WEIGHT.fullmatch(name):
            raise ModelError(
                f"{path}: found the entry {name!r:.120}; wanted {DESCRIPTION} and weights/fold_<k>/<weight>.npy alone"
            )
        mode = entry.external_attr >> 16
        if entry.is_dir() or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
            raise ModelError(f"{path}: {name}: found a link, folder or device; wanted plain files")
        if name in by_name:
            raise ModelError(f"{path}: {name}: found twice; wanted every name once")
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 or entry.compress_size != entry.file_size:
            raise ModelError(
                f"{path}: {name}: found a compressed or encrypted entry of {entry.file_size} bytes; wanted it "
                "stored as it is, as gw_export does: tensors hardly shrink, and what is compressed may be of any size"
            )
        by_name[name] = entry
    total = sum(entry.file_size for entry in entries)
    if total > path.stat().st_size:
        raise ModelError(f"{path}: found entries of {total} bytes in all, more than the file; wanted none to overlap")
    if DESCRIPTION not in by_name:
        raise ModelError(
            f"{path}: found no {DESCRIPTION}; wanted an archive that gw_export --format zip wrote. A checkpoint (.pt) "
            "is an archive too: predict with it through -d"
        )
    if by_name[DESCRIPTION].file_size > 4 * MAX_CHARACTERS:
        raise ModelError(
            f"{path}: found a {DESCRIPTION} of {by_name[DESCRIPTION].file_size} bytes; wanted some thousand"
        )
    return by_name


def _fold_and_key(name: str) -> tuple[str, str]:
    match = _WEIGHT.fullmatch(name)
    assert match is not None
    return match[1], match[2]


def _read_tensor(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> torch.Tensor:
    """A tensor whose header tells the very size that its entry has."""
    where = f"{path}: {entry.filename}"
    with archive.open(entry) as file:
        try:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"version {version}")
            shape, in_columns, dtype = np.lib.format.read_array_header_1_0(file)
        except Exception as problem:  # numpy evaluates the header as a literal, which fails in several ways
            raise ModelError(f"{where}: not a plain .npy of version 1.0 ({problem!s:.100})") from problem
        if dtype.str not in _DTYPES or in_columns:
            raise ModelError(f"{where}: found {dtype.str!r:.40}; wanted rows of {' or '.join(_DTYPES)}")
        content = file.read()
    if min(shape, default=0) < 0 or len(content) != math.prod(shape) * dtype.itemsize:
        raise ModelError(f"{where}: found {len(content)} bytes for {shape!r:.80} of {dtype.str}; wanted as many as fit")
    return torch.from_numpy(np.frombuffer(bytearray(content), dtype).reshape(shape))


def _elements(tensors: Mapping[str, torch.Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


class _AtMost(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types there
    """Refuses to make tensors with more than so many elements in all: a description may name a network of any size."""

    def __init__(self, elements: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.left = elements

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Torch would import its compiler to keep it from this code, which no compiler sees: seconds at every start.
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        if args and isinstance(args[0], list | tuple) and all(isinstance(edge, int) for edge in args[0]):
            self.left -= math.prod(args[0])
            if self.left < 0:
                raise ValueError("it is far larger than the weights that come with it")
        return func(*args, **(kwargs or {}))


def _weights_of(description: ModelDescription, elements: int, path: Path) -> dict[str, torch.Tensor]:
    """Weights of the names, shapes and types that the network has, if it is about as large as ``elements``."""
    from gwunet.networks import build_network

    try:
        # Some are made twice, to be set to random values; small ones are also computed with.
        with _AtMost(4 * elements + (1 << 20)):
            weights: dict[str, torch.Tensor] = build_network(description.configuration).state_dict()
    except Exception as problem:  # whatever its arguments do
        raise ModelError(f"{path}: the network of {DESCRIPTION} cannot be built: {problem!s:.300}") from problem
    return weights


def _check_fit(
    description: ModelDescription, weights: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], where: str
) -> None:
    """Refuse weights that are not those of the network."""
    missing, unknown = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    if missing or unknown:
        raise ModelError(
            f"{where}: found {len(unknown)} weights that the network does not have ({', '.join(unknown)[:80] or 'none'}"
            f") and {len(missing)} missing ({', '.join(missing)[:80] or 'none'}); wanted those of "
            f"{description.configuration.network.name}"
        )
    for key, tensor in weights.items():
        if tensor.shape != wanted[key].shape or tensor.dtype != wanted[key].dtype:
            raise ModelError(
                f"{where}/{key}: found {tuple(tensor.shape)} of {tensor.dtype}, wanted {tuple(wanted[key].shape)} of "
                f"{wanted[key].dtype}"
            )
        if not bool(tensor.isfinite().all()):
            raise ModelError(f"{where}/{key}: found values that are no numbers; wanted finite ones")
