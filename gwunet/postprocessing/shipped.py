"""``postprocessing.json``: the settings a trained model is used with, and what they were chosen on."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from gwunet.errors import SchemaError
from gwunet.jsonio import read_json, write_json
from gwunet.postprocessing.settings import Postprocessing

FILE_NAME = "postprocessing.json"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ShippedPostprocessing:
    """Settings chosen on the out-of-fold frames of all folds."""

    schema_version: Literal[1]
    settings: Postprocessing
    dataset: str
    models: tuple[str, ...]
    """``<configuration>__<Trainer>``; of an ensemble, each."""
    n_frames: int | None
    """Frames chosen on, each predicted by the fold that did not train on it; null where it came from elsewhere."""
    checkpoints: dict[str, str]
    """``<model>/fold_<k>`` -> SHA-256 of the checkpoint; weights trained anew want settings chosen anew. Empty where
    the model came from elsewhere."""


def fold_key(folder: Path) -> str:
    """What ``ShippedPostprocessing.checkpoints`` calls a fold, by its folder."""
    return f"{folder.parent.name}/{folder.name}"


def write_shipped(path: Path, shipped: ShippedPostprocessing) -> None:
    """Write it; raises ``OutputError``."""
    write_json(path, shipped)


def read_shipped(path: Path) -> ShippedPostprocessing:
    """Read it.

    Raises:
        SchemaError: it is missing or not what gw_find_best_configuration writes.
    """
    try:
        return read_json(ShippedPostprocessing, path)
    except SchemaError as problem:
        raise SchemaError(f"{problem}; run gw_find_best_configuration, which writes it anew, or remove it") from problem


def stale_checkpoints(shipped: ShippedPostprocessing, digests: Mapping[str, str]) -> list[str]:
    """Those of the checkpoints in use that are not what the settings were chosen for.

    Folds it does not know (``fold_all``, say) do not count: nobody can choose on what they predict.
    """
    known = shipped.checkpoints
    return [name for name, digest in digests.items() if name in known and known[name] != digest]
