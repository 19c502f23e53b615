"""The settings that ``gw_find_best_configuration`` left beside a trained model, if they are for its weights."""

import logging

from gwunet.inference.trained_folds import TrainedFolds
from gwunet.postprocessing import Postprocessing
from gwunet.postprocessing.shipped import FILE_NAME, fold_key, read_shipped, stale_checkpoints
from gwunet.trained import fold_folder

logger = logging.getLogger(__name__)


def are_wanted(postprocess: bool, threshold: float | None) -> bool:
    """Whether settings that come with a model are used: a threshold that somebody gives takes their place."""
    return postprocess and threshold is None


def chosen_settings(trained: TrainedFolds) -> Postprocessing | None:
    """What to make masks with from the predictions of these folds; None as planned.

    Settings are for final weights. Where a fold has been trained anew since they were chosen, they are not used, and a
    warning says so.

    Raises:
        SchemaError: ``postprocessing.json`` is damaged.
    """
    path = trained.model / FILE_NAME
    if not path.is_file() or trained.checkpoint != "final":
        return None
    shipped = read_shipped(path)
    in_use = {fold_key(fold_folder(trained.model, fold)): digest for fold, digest in trained.digests.items()}
    stale = stale_checkpoints(shipped, in_use)
    if stale:
        logger.warning(
            "%s: chosen for other weights of %s, which have been trained anew since: masks are as planned; run "
            "gw_find_best_configuration again",
            path,
            ", ".join(stale),
        )
        return None
    return shipped.settings
