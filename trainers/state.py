"""What a run leaves in its checkpoints, and how it goes on from them."""

import contextlib
import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gwunet.checkpoint import LATEST, Checkpoint, load_checkpoint, load_weights, save_checkpoint
from gwunet.errors import ModelError, SplitError, few
from gwunet.jsonio import from_json, to_json
from gwunet.prepared import SPLITS
from gwunet.trainers.choices import began_with, check_division, options_json, other_choices
from gwunet.trainers.history import EpochRecord
from gwunet.training import TrainingTask
from gwunet.validation import check_unseen

if TYPE_CHECKING:
    from gwunet.trainers.base import Division, Trainer

logger = logging.getLogger(__name__)

NEEDED = frozenset({"optimizer", "scaler", "torch_rng", "records"})
"""What the state of training has held in every version."""


@dataclasses.dataclass(slots=True)
class Progress:
    """How far a run is."""

    records: list[EpochRecord] = dataclasses.field(default_factory=list)
    """Of whole epochs."""
    losses: list[float] = dataclasses.field(default_factory=list)
    """Of the steps of the epoch under way."""
    seconds: float = 0.0
    """Spent on it before a break."""


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where a run's weights come from."""

    cases: tuple[str, ...] | None
    """Of the dataset, what they have seen; None where that is unknown."""
    cases_elsewhere: dict[str, tuple[str, ...] | None] = dataclasses.field(default_factory=dict)
    """The same of other datasets that they were trained on before."""
    pretrained: dict[str, Any] | None = None
    """What was loaded at the start."""
    frames: str | None = None
    """Digest of the fold's preprocessed frames; None before the run begins."""


def save(trainer: "Trainer", name: str, progress: Progress, origin: Origin) -> None:
    """Write a checkpoint: ``LATEST`` to go on from, the others to predict with."""
    to_go_on = name == LATEST
    with contextlib.nullcontext() if to_go_on else trainer.averaged():
        checkpoint = Checkpoint(
            dataset=trainer.task.dataset,
            trainer=trainer.name,
            configuration=trainer.configuration,
            preprocessing=trainer.task.preprocessing,
            weights=trainer.network.state_dict(),
            epoch=len(progress.records),
            cases=origin.cases,
            cases_elsewhere=origin.cases_elsewhere,
            training=_state(trainer, progress, origin) if to_go_on else {},
        )
        save_checkpoint(trainer.task.folder / name, checkpoint)


def _state(trainer: "Trainer", progress: Progress, origin: Origin) -> dict[str, Any]:
    """What training needs to go on as if it had not been broken off."""
    on_gpu = trainer.device.type == "cuda"
    return {
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.precision.scaler.state_dict(),
        "average": None if trainer.average is None else trainer.average.state(),
        "torch_rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state(trainer.device) if on_gpu else None,
        "options": options_json(trainer.task.options),
        "pretrained": origin.pretrained,
        "records": [to_json(record) for record in progress.records],
        "fold": to_json(trainer.task.fold),
        "frames": origin.frames,
        "train_cases": list(trainer.train_cases),
        "aside_cases": list(trainer.aside_cases),
        "losses": list(progress.losses),
        "seconds": progress.seconds,
    }


def tell_choices_of_finished(task: TrainingTask) -> None:
    """Name the choices given now that a run which is done was not trained with."""
    path = task.folder / LATEST
    with contextlib.suppress(ModelError):  # gone or damaged; nothing else needs it any more
        checkpoint = load_checkpoint(path)
        if checkpoint.training.keys() >= NEEDED:
            _tell_other_choices(task, checkpoint, "training is done")


def _tell_other_choices(task: TrainingTask, checkpoint: Checkpoint, what: str) -> None:
    began = began_with(task.options, checkpoint.training)
    others = other_choices(task.options, began, checkpoint.configuration)
    if others:
        logger.warning("%s: %s with the choices it began with, not with %s", task.folder, what, ", ".join(others))


def restore(trainer: "Trainer") -> tuple[Progress, Origin]:
    """Bring a fresh trainer to where its ``checkpoint_latest.pt`` is.

    Choices given now that are not those the run began with are named in a warning and not followed: they would give
    other weights.

    Raises:
        ModelError: the checkpoint is damaged or has no state of training, or the frames are others under the same names
            or were preprocessed otherwise.
        SplitError: the fold has other frames than the run began with.
        UsageError: the run's batch cannot be divided among the processes there are now.
    """
    path = trainer.task.folder / LATEST
    checkpoint = load_checkpoint(path)
    state = checkpoint.training
    if not state.keys() >= NEEDED:
        raise ModelError(
            f"{path}: found no state of training in it ({', '.join(sorted(NEEDED - state.keys()))} missing), as in "
            "final and best checkpoints; wanted the one that training left: bring it back, or train anew with "
            "--overwrite"
        )
    frames = _check_frames(checkpoint, trainer.task, path)
    trainer.configuration = checkpoint.configuration
    began = began_with(trainer.task.options, state)
    check_division(trainer.configuration.batch_size, began.accumulate, trainer.world)
    _tell_other_choices(trainer.task, checkpoint, "training goes on")
    trainer.task = dataclasses.replace(trainer.task, options=began)
    # Today's plan may be another than the run's, and today's patients and order of frames would be divided otherwise.
    trainer.build(_division(state))
    load_weights(trainer.network, checkpoint, path)
    trainer.optimizer.load_state_dict(state["optimizer"])
    if state["scaler"]:  # empty where the run had none, on a device with other numbers
        trainer.precision.scaler.load_state_dict(state["scaler"])
    if trainer.average is not None:
        trainer.average.restore(state["average"])
    torch.set_rng_state(state["torch_rng"])
    if trainer.device.type == "cuda" and state.get("cuda_rng") is not None:
        torch.cuda.set_rng_state(state["cuda_rng"], trainer.device)
    pretrained = state.get("pretrained")  # checkpoints of 0.1 have none, and do not say what they have seen
    unknown = checkpoint.cases is None and pretrained is None
    origin = Origin(
        cases=trainer.task.fold.train if unknown else checkpoint.cases,
        cases_elsewhere=checkpoint.cases_elsewhere,
        pretrained=pretrained,
        frames=frames,
    )
    records = [from_json(EpochRecord, record, str(path)) for record in state["records"]]
    return Progress(records, list(state.get("losses", [])), state.get("seconds", 0.0)), origin


def _division(state: Mapping[str, Any]) -> "Division | None":
    """The cases that a run trains on and those it set aside; None of before they were kept."""
    if "train_cases" not in state:
        return None
    return tuple(state["train_cases"]), tuple(state["aside_cases"])


def _check_frames(checkpoint: Checkpoint, task: TrainingTask, path: Path) -> str:
    """A run goes on with the frames it began with: others would be validated as unseen, or trained on otherwise.

    Returns:
        Their digest.
    """
    if checkpoint.preprocessing != task.preprocessing:
        raise ModelError(
            f"{path}: found that the frames have been preprocessed otherwise since the run began; wanted the same: "
            "bring back the plans.json it began with and run gw_plan_and_preprocess, or train anew with --overwrite"
        )
    began = checkpoint.training.get("fold")
    if began is None and checkpoint.training.get("pretrained") is None:  # of before it was kept
        check_unseen(checkpoint, task.fold.val)
    for half, names in (began or {}).items():
        then, now = set(names), set(getattr(task.fold, half))
        if then != now:
            raise SplitError(
                f"{path}: found that {len(then - now)} frames have left the fold's {half} half since the run began and "
                f"{len(now - then)} have come ({few(sorted(then ^ now))}); wanted the same: bring its {SPLITS} back, "
                "or train anew with --overwrite"
            )
    frames = frames_of(task)
    if checkpoint.training.get("frames") not in (None, frames):
        raise ModelError(
            f"{path}: found that frames or masks of the fold are others than when the run began, under the same names; "
            "wanted the same: bring the files back and run gw_plan_and_preprocess, or train anew with --overwrite"
        )
    return frames


def frames_of(task: TrainingTask) -> str:
    """The digest of a fold's preprocessed frames and masks."""
    return task.store.digest((*task.fold.train, *task.fold.val))
