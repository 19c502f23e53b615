"""Where a trained model's checkpoints stand in a workspace."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from gwunet.checkpoint import BEST, FINAL
from gwunet.errors import ModelError
from gwunet.trained import fold_folders, fold_name, model_name, parts_of, trained_models
from gwunet.workspace import Workspace


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
    return [trained[fold] for fold in wanted]
