"""A trained model's folds: where their checkpoints stand in a workspace, and which of them were read."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from gwunet.checkpoint import BEST, FINAL, Checkpoint, load_with_digest
from gwunet.errors import ModelError
from gwunet.inference.run_record import DIGEST
from gwunet.trained import fold_folders, fold_name, model_name, parts_of, trained_models
from gwunet.workspace import Workspace


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainedFolds:
    """Which folds of a model were read; the weights themselves are not kept here."""

    dataset: str
    model: Path
    """Its results folder."""
    checkpoint: Literal["final", "best"]
    digests: dict[str, str]
    """Of each fold, in the order they were asked for, the SHA-256 of the file that its weights were read from; another
    may have taken its place since."""

    def for_record(self) -> dict[str, Any]:
        """What ``run.json`` calls the model by."""
        configuration, trainer = parts_of(self.model.name)
        return {
            "dataset": self.dataset,
            "configuration": configuration,
            "trainer": trainer,
            "folds": list(self.digests),
            "checkpoint": self.checkpoint,
            DIGEST: dict(self.digests),
        }


def load_folds(
    workspace: Workspace,
    dataset: str | int,
    configuration: str,
    trainer: str | None,
    folds: Sequence[int | str] | None,
    checkpoint: Literal["final", "best"],
) -> tuple[TrainedFolds, list[Checkpoint]]:
    """The wanted folds of a trained model, each file read once, and what was read.

    Raises:
        ModelError: as ``find_model`` and ``fold_checkpoints``; or a checkpoint is damaged.
    """
    name = workspace.dataset_name(dataset)
    model = find_model(workspace, name, configuration, trainer)
    loaded = {fold_name(path.parent): load_with_digest(path) for path in fold_checkpoints(model, folds, checkpoint)}
    digests = {fold: digest for fold, (_, digest) in loaded.items()}
    read = TrainedFolds(dataset=name, model=model, checkpoint=checkpoint, digests=digests)
    return read, [each for each, _ in loaded.values()]


def find_model(workspace: Workspace, dataset: str, configuration: str, trainer: str | None) -> Path:
    """The results folder of a trained configuration.

    Raises:
        ModelError: it was not trained, or with several trainers and none is named.
    """
    results = workspace.results_dataset(dataset)
    present = [path.name for path in trained_models(results)]
    candidates = [name for name in present if parts_of(name)[0] == configuration]
    if trainer is not None:
        candidates = [name for name in candidates if name == model_name(configuration, trainer)]
    if len(candidates) == 1:
        return results / candidates[0]
    found = ", ".join(present) or "nothing"
    if candidates:
        raise ModelError(f"{results}: {configuration} was trained by several trainers ({found}); name one with -tr")
    raise ModelError(
        f"{results}: no trained model of configuration {configuration!r}, found {found}; "
        f"run gw_train {dataset} 0 -c {configuration} first"
    )


def fold_checkpoints(base: Path, folds: Sequence[int | str] | None, checkpoint: Literal["final", "best"]) -> list[Path]:
    """Checkpoint files of the wanted folds of a model; of every trained one where none is named.

    Raises:
        ModelError: a wanted fold is not trained to its end, or none is.
    """
    file_name = FINAL if checkpoint == "final" else BEST
    files = {fold_name(folder): folder / file_name for folder in fold_folders(base)}
    trained = {fold: path for fold, path in files.items() if path.is_file()}
    # Every frame of the folds is in the training half of "all", so it joins them only when asked for.
    wanted = [str(fold) for fold in folds] if folds else [fold for fold in trained if fold != "all"] or list(trained)
    missing = [fold for fold in wanted if fold not in trained]
    if missing or not wanted:
        raise ModelError(
            f"{base}: no {file_name} of fold {', '.join(missing) or '(any)'}, trained are "
            f"{', '.join(trained) or 'none'}; "
            "train it with gw_train, or finish it with gw_train --continue"
        )
    return [trained[fold] for fold in dict.fromkeys(wanted)]
