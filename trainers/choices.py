"""What a run was asked for, beside what its plan says."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gwunet.errors import UsageError
from gwunet.jsonio import to_json
from gwunet.plans import Configuration
from gwunet.trainers.duration import planned
from gwunet.training import TrainConfig
from gwunet.world import World

KEPT = ("seed", "precision", "accumulate", "ema", "patience", "pretrained_weights")
"""Choices that stand in no configuration but change the weights: a continued run keeps those it began with."""


def resolve(configuration: Configuration, options: TrainConfig) -> Configuration:
    """The configuration of a run: the plan with what was asked for in its place."""
    return dataclasses.replace(
        configuration,
        batch_size=options.batch_size or configuration.batch_size,
        optimiser=dataclasses.replace(
            configuration.optimiser, learning_rate=options.learning_rate or configuration.optimiser.learning_rate
        ),
        duration=planned(configuration.duration, options.epochs, options.iterations, options.minutes),
    )


def check_division(batch: int, accumulate: int, world: World) -> None:
    """Of a run about to begin or go on, whose batch may be neither the plan's nor what was asked for now.

    Raises:
        UsageError: the batch cannot be divided evenly.
    """
    parts = world.size * accumulate
    if batch % parts:
        raise UsageError(
            f"--batch_size: found a batch of {batch} patches, wanted one to divide evenly among {world.size} processes "
            f"and {accumulate} accumulated parts; give a multiple of {parts}, or other numbers of parts or processes"
        )


def options_json(options: TrainConfig) -> dict[str, Any]:
    """As plain values, for log and checkpoint."""
    path = options.pretrained_weights
    return dict(to_json(options)) | {"pretrained_weights": None if path is None else str(path)}


def began_with(options: TrainConfig, state: Mapping[str, Any]) -> TrainConfig:
    """The options with the choices that a checkpoint's training state says the run began with."""
    kept = state.get("options")
    if kept is None:  # of before there were others: what is kept now had no other value then, or was not noted
        path = state.get("pretrained_weights")
        kept = {"seed": state["seed"], "precision": options.precision, "accumulate": 1, "ema": None, "patience": None}
    else:
        path = kept["pretrained_weights"]
    began = {name: kept[name] for name in KEPT[:-1]} | {"pretrained_weights": None if path is None else Path(path)}
    return dataclasses.replace(options, **began)


def other_choices(options: TrainConfig, began: TrainConfig, configuration: Configuration) -> list[str]:
    """The flags given now whose values are not those of the run that is continued."""
    duration, nothing = configuration.duration, TrainConfig()
    choices = [
        ("--epochs", options.epochs, duration.epochs),
        ("--iterations", options.iterations, duration.iterations_per_epoch),
        ("--minutes", options.minutes, duration.minutes),
        ("--batch_size", options.batch_size, configuration.batch_size),
        ("--lr", options.learning_rate, configuration.optimiser.learning_rate),
    ]
    for name in KEPT:
        given = getattr(options, name)
        choices.append((f"--{name}", None if given == getattr(nothing, name) else given, getattr(began, name)))
    return [f"{flag} {given}" for flag, given, kept in choices if given is not None and given != kept]
