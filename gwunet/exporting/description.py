"""What an exported file says about its model, as strict JSON: all that prediction needs besides the weights."""

import dataclasses
import json
import re
from collections.abc import Sequence
from typing import Any, Literal

import gwunet
from gwunet.checkpoint import Checkpoint
from gwunet.errors import ModelError, SchemaError
from gwunet.jsonio import from_json, parse_text, to_json
from gwunet.plans import Configuration, Preprocessing
from gwunet.postprocessing import Postprocessing

SCHEMA_VERSION: Literal[1] = 1
MAX_CHARACTERS = 1 << 22
"""A description has some thousand characters; whoever sends millions means no good."""
FOLD = re.compile(r"all|0|[1-9][0-9]{0,3}", re.ASCII)
_PLAIN_NAME = re.compile(r"[A-Za-z]\w{0,99}", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ModelDescription:
    """Where a model comes from and how it is used.

    Names of frames and patients are left out: the file goes to others.
    """

    schema_version: Literal[1]
    gwunet: str
    """Version that wrote the file."""
    dataset: str
    trainer: str
    folds: tuple[str, ...]
    """``"0"`` to ``"4"``, or ``"all"``; averaged as probabilities."""
    epochs: tuple[int, ...]
    """Epochs each fold was trained."""
    numbers: Literal["float32", "int8"]
    """What convolutions compute in."""
    configuration: Configuration
    preprocessing: Preprocessing
    postprocessing: Postprocessing | None = None
    """How masks are made, where that was chosen by cross-validation; null as planned, and in files of before it was."""

    def __post_init__(self) -> None:
        # These become names of folders where the file is imported.
        for name in (self.configuration.name, self.trainer):
            if not _PLAIN_NAME.fullmatch(name) or "__" in name:
                raise ValueError(f"found the name {name!r:.80}, wanted letters, digits and single underscores")
        if not self.folds or len(set(self.folds)) != len(self.folds) or not all(map(FOLD.fullmatch, self.folds)):
            raise ValueError(f"folds are {self.folds!r:.80}, wanted different ones, such as 0 or all")
        if len(self.epochs) != len(self.folds):
            raise ValueError(f"epochs has {len(self.epochs)} entries, wanted one for each of {len(self.folds)} folds")


def describe(
    checkpoints: Sequence[Checkpoint],
    folds: Sequence[str],
    numbers: Literal["float32", "int8"] = "float32",
    postprocessing: Postprocessing | None = None,
) -> ModelDescription:
    """The description of a model by its folds."""
    first = checkpoints[0]
    return ModelDescription(
        schema_version=SCHEMA_VERSION,
        gwunet=gwunet.__version__,
        dataset=first.dataset,
        trainer=first.trainer,
        folds=tuple(folds),
        epochs=tuple(checkpoint.epoch for checkpoint in checkpoints),
        numbers=numbers,
        configuration=_without_paths(first.configuration),
        preprocessing=first.preprocessing,
        postprocessing=postprocessing,
    )


def _without_paths(configuration: Configuration) -> Configuration:
    """Weights that training started from may be a file of the trainer's machine; who predicts has no use for it."""
    arguments = configuration.network.arguments
    if arguments.get("pretrained") is None:
        return configuration
    network = dataclasses.replace(configuration.network, arguments={**arguments, "pretrained": None})
    return dataclasses.replace(configuration, network=network)


def to_text(description: ModelDescription) -> str:
    """As JSON."""
    return json.dumps(to_json(description), ensure_ascii=False, allow_nan=False)


def from_text(text: str, where: str) -> ModelDescription:
    """The description in a JSON text.

    Raises:
        ModelError: it is no JSON, or of another version or shape; the message starts with ``where``.
    """
    if len(text) > MAX_CHARACTERS:
        raise ModelError(f"{where}: found a description of {len(text)} characters, wanted at most {MAX_CHARACTERS}")
    try:
        content: Any = parse_text(text)
    except (ValueError, RecursionError) as problem:
        raise ModelError(f"{where}: the description is not valid JSON ({problem})") from problem
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise ModelError(
            f"{where}: found schema version {version!r:.80}, wanted {SCHEMA_VERSION}: a file that gw_export of this "
            "version wrote; export it again, or install the gwunet that wrote it"
        )
    try:
        return from_json(ModelDescription, content, where)
    except SchemaError as problem:
        raise ModelError(str(problem)) from problem
