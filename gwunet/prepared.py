"""What is prepared of a dataset lies in ``preprocessed/<dataset>``; the names made, plans and folds read."""

from pathlib import Path

from gwunet.dataset import Dataset
from gwunet.errors import NotPreparedError, SchemaError
from gwunet.jsonio import read_json
from gwunet.plans import Plans
from gwunet.splits import Splits, load_splits
from gwunet.workspace import Workspace

INTEGRITY = "integrity.json"
FINGERPRINT = "fingerprint.json"
SPLITS = "splits.json"
PLANS = "plans.json"
"""A copy of it goes beside the folds that are trained from it."""


def read_plans(workspace: Workspace, dataset: str) -> Plans:
    """The plans of a dataset.

    Raises:
        NotPreparedError: it has not been planned.
        SchemaError: the file is damaged.
    """
    prepared = workspace.preprocessed_dataset(dataset)
    plans = earlier_plans(prepared)
    if plans is None:
        raise NotPreparedError(
            f"{prepared / PLANS}: {dataset} has not been planned; run gw_plan_and_preprocess -d {dataset} first"
        )
    return plans


def earlier_plans(prepared: Path) -> Plans | None:
    """The plans in a dataset's folder below ``preprocessed``; None where there are none; raises as ``read_plans``."""
    path = prepared / PLANS
    if not path.is_file():
        return None
    try:
        return read_json(Plans, path)
    except SchemaError as problem:
        raise SchemaError(
            f"{problem}; correct it, or remove the file and run gw_plan_and_preprocess, which makes it anew"
        ) from problem


def read_splits(prepared: Path, raw: Dataset, allow_leaking: bool = False) -> Splits:
    """The folds of a dataset, checked against its frames.

    Args:
        prepared: the dataset's folder below ``preprocessed``.
        raw: the dataset.
        allow_leaking: accept folds that divide a patient or sequence, with a warning.

    Raises:
        NotPreparedError: there are none yet.
        SplitError: they leak, or are of other frames.
    """
    path = prepared / SPLITS
    if not path.is_file():
        raise NotPreparedError(f"{path}: no folds yet; run gw_plan_and_preprocess first")
    return load_splits(path, raw.training, allow_leaking=allow_leaking)
