"""Checkpoints: tensors and plain values only, read without unpickling objects.

A checkpoint carries all that prediction needs: the weights, the configuration and the preprocessing they were trained
with. What only training needs (optimiser, history) stands in the same file under its own keys.
"""

import contextlib
import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gwunet.errors import ModelError, SchemaError
from gwunet.jsonio import from_json, replacing, to_json
from gwunet.plans import Configuration, Preprocessing

SCHEMA_VERSION = 1
LATEST, BEST, FINAL = "checkpoint_latest.pt", "checkpoint_best.pt", "checkpoint_final.pt"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A trained, or half trained, network."""

    dataset: str
    trainer: str
    configuration: Configuration
    preprocessing: Preprocessing
    weights: dict[str, Any]
    """The network's state dict."""
    epoch: int
    """Epochs done."""
    cases: tuple[str, ...] | None = None
    """Frames of ``dataset`` that the weights have been trained on, by the run or by one it started from, sorted; None
    where that is unknown, as in files of 0.1."""
    cases_elsewhere: dict[str, tuple[str, ...] | None] = dataclasses.field(default_factory=dict)
    """The same of other datasets that the runs were of which it started from, by their names."""
    training: dict[str, Any] = dataclasses.field(default_factory=dict)
    """What training needs to go on; empty in the final and best checkpoints."""
    path: Path | None = dataclasses.field(default=None, compare=False)
    """The file it was read from, for messages."""

    @property
    def where(self) -> str:
        """What messages call it."""
        return f"{self.dataset}/{self.configuration.name}" if self.path is None else str(self.path)


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        OutputError: it cannot be written; what stood there before stands there still.
    """
    import torch

    content = {
        "schema_version": SCHEMA_VERSION,
        "dataset": checkpoint.dataset,
        "trainer": checkpoint.trainer,
        "configuration": to_json(checkpoint.configuration),
        "preprocessing": to_json(checkpoint.preprocessing),
        "weights": checkpoint.weights,
        "epoch": checkpoint.epoch,
        "cases": to_json(checkpoint.cases),
        "cases_elsewhere": to_json(checkpoint.cases_elsewhere),
        "training": checkpoint.training,
    }
    with replacing(path, durable=True) as partial:
        try:
            torch.save(content, partial)
        except RuntimeError as problem:  # what torch makes of a full disk
            raise OSError(str(problem)) from problem


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        ModelError: the file is missing, damaged, or not a checkpoint of this version.
    """
    return as_checkpoint(read_tensors(path, "checkpoint"), path)


def load_with_digest(path: Path) -> tuple[Checkpoint, str]:
    """A checkpoint and the SHA-256 (``digest_of``) of that very file, also where another takes its place meanwhile.

    Raises:
        ModelError: as ``load_checkpoint``.
    """
    with _opened(path, "checkpoint") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        content = _read(file)
    return as_checkpoint(content, path), digest


def read_tensors(path: Path, what: str) -> Any:
    """What ``torch.save`` wrote, onto the CPU; torch's format before 1.6, which is no archive, is read as well.

    Raises:
        ModelError: the file is missing or damaged, or holds objects; the message calls it ``what``.
    """
    with _opened(path, what) as file:
        return _read(file)


@contextlib.contextmanager
def _opened(path: Path, what: str) -> Iterator[io.BufferedReader]:
    if not path.is_file():
        raise ModelError(f"{path}: no such {what}")
    try:
        with path.open("rb") as file:
            yield file
    except Exception as problem:  # torch raises half a dozen types for a damaged file
        reason = str(problem).split("\n")[0]
        raise ModelError(f"{path}: not a readable {what} ({type(problem).__name__}: {reason})") from problem


def _read(file: io.BufferedReader) -> Any:
    import torch

    _check_sums(file)
    file.seek(0)
    return torch.load(file, map_location="cpu", weights_only=True)


def is_checkpoint(content: Any) -> bool:
    """Whether a file's content is a checkpoint of gwunet, of any version, and not somebody else's weights."""
    return isinstance(content, dict) and {"schema_version", "weights"} <= content.keys()


def as_checkpoint(content: Any, path: Path) -> Checkpoint:
    """The checkpoint that a file's content is.

    Raises:
        ModelError: it is none, or none of this version.
    """
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        raise ModelError(f"{path}: not a gwunet checkpoint of schema version {SCHEMA_VERSION}")
    try:
        for key, kind in (("dataset", str), ("trainer", str), ("weights", dict), ("epoch", int), ("training", dict)):
            if not isinstance(content[key], kind):
                raise ModelError(f"{path}: {key}: expected {kind.__name__}, got {type(content[key]).__name__}")
        return Checkpoint(
            dataset=content["dataset"],
            trainer=content["trainer"],
            configuration=from_json(Configuration, content["configuration"], str(path)),
            preprocessing=from_json(Preprocessing, content["preprocessing"], str(path)),
            weights=content["weights"],
            epoch=content["epoch"],
            cases=_names(content.get("cases"), "cases", path),
            cases_elsewhere=_names_elsewhere(content.get("cases_elsewhere"), path),
            training=content["training"],
            path=path,
        )
    except KeyError as problem:
        raise ModelError(f"{path}: the key {problem} is missing from the checkpoint") from problem
    except SchemaError as problem:
        raise ModelError(str(problem)) from problem


def _names(cases: Any, key: str, path: Path) -> tuple[str, ...] | None:
    if cases is None:
        return None
    if not isinstance(cases, list) or not all(isinstance(case, str) for case in cases):
        raise ModelError(f"{path}: {key}: expected a list of names, got {cases!r:.80}")
    return tuple(cases)


def _names_elsewhere(content: Any, path: Path) -> dict[str, tuple[str, ...] | None]:
    """None of files from before they were kept."""
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ModelError(f"{path}: cases_elsewhere: expected lists of names by dataset, got {content!r:.80}")
    return {dataset: _names(cases, f"cases_elsewhere.{dataset}", path) for dataset, cases in content.items()}


def _check_sums(file: io.BufferedReader) -> None:
    """Raise ``BadZipFile`` where a byte has changed: torch itself does not compare the archive's check sums.

    Torch stores tensors as they are; compressed ones could be of any size.
    """
    if not zipfile.is_zipfile(file):
        return
    with zipfile.ZipFile(file) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise zipfile.BadZipFile("found compressed entries, wanted them stored as torch.save does")
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} is damaged")


def load_weights(network: Any, checkpoint: Checkpoint, where: Path) -> None:
    """Copy a checkpoint's weights into a network.

    Raises:
        ModelError: names or shapes differ; the message names the first.
    """
    try:
        network.load_state_dict(checkpoint.weights)
    except RuntimeError as problem:
        lines = str(problem).strip().split("\n")
        raise ModelError(f"{where}: the weights do not fit the network: {' '.join(lines[1:2]).strip()}") from problem


def digest_of(path: Path) -> str:
    """SHA-256 of a checkpoint's file, by which other files say which weights they belong to.

    Raises:
        ModelError: there is no such file.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such checkpoint")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
