"""The settings that ``gw_find_best_configuration`` left beside a trained model, if they are for its weights."""

import logging
from collections.abc import Sequence
from pathlib import Path

from gwunet.checkpoint import FINAL, digest_of
from gwunet.postprocessing import Postprocessing
from gwunet.postprocessing.shipped import FILE_NAME, read_shipped, stale_checkpoints

logger = logging.getLogger(__name__)


def chosen_settings(checkpoints: Sequence[Path]) -> Postprocessing | None:
    """What to make masks with from the predictions of these checkpoint files of one model; None as planned.

    Settings are for final weights. Where a fold has been trained anew since they were chosen, they are not used, and a
    warning says so.

    Raises:
        SchemaError: ``postprocessing.json`` is damaged.
        ModelError: a checkpoint is missing.
    """
    path = checkpoints[0].parent.parent / FILE_NAME
    if not path.is_file() or any(checkpoint.name != FINAL for checkpoint in checkpoints):
        return None
    shipped = read_shipped(path)
    names = {f"{checkpoint.parent.parent.name}/{checkpoint.parent.name}": checkpoint for checkpoint in checkpoints}
    known = {name: digest_of(file) for name, file in names.items() if name in shipped.checkpoints}
    stale = stale_checkpoints(shipped, known)
    if stale:
        logger.warning(
            "%s: chosen for other weights of %s, which have been trained anew since: masks are as planned; run "
            "gw_find_best_configuration again",
            path,
            ", ".join(stale),
        )
        return None
    return shipped.settings
