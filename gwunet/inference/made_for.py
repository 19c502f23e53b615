"""Whether the settings of a pair are for the predictions that are averaged, as their run records have it."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gwunet.errors import SchemaError, UsageError
from gwunet.inference.run_record import DIGEST, read_record
from gwunet.io.record_files import run_records
from gwunet.postprocessing.shipped import ShippedPostprocessing, fold_key, stale_checkpoints
from gwunet.trained import fold_folder, model_name

logger = logging.getLogger(__name__)


def check_made_for(file: Path, shipped: ShippedPostprocessing, sources: Sequence[Path]) -> None:
    """Refuse settings that were chosen for other models.

    A warning tells where their weights are others than those now averaged, and where a folder does not say what it was
    predicted with.

    Args:
        file: where the settings stand, for messages.
        shipped: what it holds.
        sources: the folders that are averaged.

    Raises:
        UsageError: a folder was predicted with another model, or there are more or fewer folders than models.
    """
    wanted = " and ".join(shipped.models)
    if len(sources) != len(shipped.models):
        raise UsageError(
            f"--postprocessing {file}: found settings for {wanted}, {len(shipped.models)} in all, and {len(sources)} "
            "folders to average; wanted the file of these models together, below results/<dataset>/ensembles, or "
            "--threshold"
        )
    used: Counter[str] = Counter()
    digests: dict[str, str] = {}
    for source in sources:
        names, found = _models(source)
        if not names:
            logger.warning("%s: does not say which model predicted it, so %s may be for another", source, file)
        for name, dataset in names:
            used[name] += 1
            if dataset != shipped.dataset or used[name] > shipped.models.count(name):
                raise UsageError(
                    f"--postprocessing {file}: found settings for {wanted} of {shipped.dataset}, and {source}, which "
                    f"was predicted with {name} of {dataset}; wanted those of these models: how_to_predict.txt names "
                    "the file, and gw_find_best_configuration makes it"
                )
        digests |= found
    stale = stale_checkpoints(shipped, digests)
    if stale:
        logger.warning(
            "%s: chosen for other weights of %s, which have been trained anew since, or are not the final ones; run "
            "gw_find_best_configuration again",
            file,
            ", ".join(stale),
        )


def _models(source: Path) -> tuple[set[tuple[str, str]], dict[str, str]]:
    """Name and dataset of the models that a folder's records name, and the digests of their weights by fold.

    A model in one file has neither, nor has a folder without records.
    """
    names: set[tuple[str, str]] = set()
    digests: dict[str, str] = {}
    for path in run_records(source):
        try:
            model: Mapping[str, Any] = read_record(path).model
        except SchemaError:  # a warning says so where it is read for sequences and spacings
            continue
        if not {"configuration", "trainer", "dataset"} <= model.keys():
            continue
        name = model_name(model["configuration"], model["trainer"])
        names.add((name, model["dataset"]))
        of_folds = model.get(DIGEST)
        if isinstance(of_folds, dict):
            digests |= {fold_key(fold_folder(Path(name), fold)): digest for fold, digest in of_folds.items()}
    return names, digests
