"""gwunet: self-configuring segmentation of guidewires in X-ray fluoroscopy.

The names below are the public interface. Each is imported when it is first used, so that ``import gwunet`` and every
command's ``--help`` cost milliseconds.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gwunet.dataset import Dataset
    from gwunet.evaluation import evaluate_folder
    from gwunet.inference import Predictor
    from gwunet.planning import plan_dataset, preprocess_dataset
    from gwunet.plans import Plans
    from gwunet.preparation import extract_fingerprint
    from gwunet.training import TrainConfig, train
    from gwunet.workspace import Workspace

__version__ = "0.1.0"

_HOME = {
    "Dataset": "gwunet.dataset",
    "Plans": "gwunet.plans",
    "Predictor": "gwunet.inference",
    "TrainConfig": "gwunet.training",
    "Workspace": "gwunet.workspace",
    "evaluate_folder": "gwunet.evaluation",
    "extract_fingerprint": "gwunet.preparation",
    "plan_dataset": "gwunet.planning",
    "preprocess_dataset": "gwunet.planning",
    "train": "gwunet.training",
}

__all__ = [
    "Dataset",
    "Plans",
    "Predictor",
    "TrainConfig",
    "Workspace",
    "evaluate_folder",
    "extract_fingerprint",
    "plan_dataset",
    "preprocess_dataset",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'gwunet' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
