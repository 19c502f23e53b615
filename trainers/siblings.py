"""Whether the folds of a model were trained as one: a plan may have changed between them."""

import dataclasses
from pathlib import Path

from gwunet.errors import SchemaError
from gwunet.plans import Configuration, Duration
from gwunet.trained import fold_folders
from gwunet.trainers.history import read_configuration


def differences_from_siblings(folder: Path, configuration: Configuration) -> dict[str, list[str]]:
    """Of each other fold beside ``folder`` that was trained with another configuration, the fields that differ."""
    found = {}
    own = _comparable(configuration)
    for sibling in fold_folders(folder.parent):
        if sibling == folder:
            continue
        try:
            other = _comparable(read_configuration(sibling))
        except (OSError, SchemaError):  # not begun, or of a version that knew other keys
            continue
        names = [
            field.name for field in dataclasses.fields(own) if getattr(own, field.name) != getattr(other, field.name)
        ]
        if names:
            found[sibling.name] = names
    return found


def _comparable(configuration: Configuration) -> Configuration:
    """Without what differs between folds of one plan, iterations measured to fit a time, and without reasons."""
    duration = configuration.duration
    if duration.minutes is not None:
        duration = Duration(epochs=1, iterations_per_epoch=1, minutes=duration.minutes)
    return dataclasses.replace(configuration, duration=duration, decisions=())
