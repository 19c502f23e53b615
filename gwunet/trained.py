"""Where trained models lie: ``results/<dataset>/<configuration>__<Trainer>/fold_<k>``; the names made and read."""

from pathlib import Path

SUMMARY = "summary.json"
"""Scores, of a fold's validation and of any folder of masks."""
_BETWEEN = "__"
_FOLD = "fold_"


def model_name(configuration: str, trainer: str) -> str:
    """The name of a model's folder."""
    return f"{configuration}{_BETWEEN}{trainer}"


def parts_of(model: str) -> tuple[str, str]:
    """Configuration and trainer, from the name of a model's folder."""
    configuration, _, trainer = model.partition(_BETWEEN)
    return configuration, trainer


def trained_models(results: Path) -> list[Path]:
    """The folders of all models of a dataset, by name; whether folds are trained to their end is not looked at."""
    models = (path for path in results.glob(f"*{_BETWEEN}*") if path.is_dir())
    return sorted(path for path in models if not path.name.startswith("."))  # one that is being imported


def fold_folder(model: Path, fold: int | str) -> Path:
    """The folder of a model's fold."""
    return model / f"{_FOLD}{fold}"


def fold_name(folder: Path) -> str:
    """The fold's number as text, or ``all``, from its folder."""
    return folder.name.removeprefix(_FOLD)


def validation_folder(fold: Path) -> Path:
    """Where a fold's folder has its validation: masks, probabilities and ``SUMMARY``."""
    return fold / "validation"


def fold_folders(model: Path) -> list[Path]:
    """The folders of all folds that were begun, by name."""
    return sorted(path for path in model.glob(f"{_FOLD}*") if path.is_dir())
