"""Whether the folds of a model were trained as one: a plan may have changed between them."""

from pathlib import Path

from gwunet.errors import SchemaError
from gwunet.plans import Configuration
from gwunet.trained import fold_folders
from gwunet.trainers.history import read_configuration


def differences_from_siblings(folder: Path, configuration: Configuration) -> dict[str, list[str]]:
    """Of each other fold beside ``folder`` that was trained with another configuration, the fields that differ."""
    found = {}
    for sibling in fold_folders(folder.parent):
        if sibling == folder:
            continue
        try:
            names = configuration.differing_fields(read_configuration(sibling))
        except (OSError, SchemaError):  # not begun, or of a version that knew other keys
            continue
        if names:
            found[sibling.name] = names
    return found
