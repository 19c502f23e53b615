"""Training of one fold, from a planned dataset to validated weights (``gwunet.train``)."""

import contextlib
import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from gwunet.checkpoint import BEST, FINAL, LATEST, load_with_digest
from gwunet.data.lock import locked
from gwunet.data.store import PreprocessedStore
from gwunet.dataset import Dataset
from gwunet.device import resolve_device
from gwunet.errors import ModelError, NotPreparedError, SchemaError, SplitError, UsageError
from gwunet.jsonio import write_json
from gwunet.plans import MAX_BATCH_SIZE, Configuration, Plans, Preprocessing
from gwunet.prepared import PLANS, read_plans, read_splits
from gwunet.progress import Progress, no_progress
from gwunet.registry import Registry, class_name
from gwunet.splits import Fold, Splits, group_of, training_wire_px
from gwunet.trained import fold_folder, model_name
from gwunet.workspace import Workspace
from gwunet.world import ALONE, World, joined

if TYPE_CHECKING:
    from gwunet.evaluation import Summary

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """Choices of one run; None leaves what the plan says."""

    epochs: int | None = None
    iterations: int | None = None
    """Training steps in an epoch."""
    minutes: float | None = None
    """Train as many iterations as fit this time, measured once at the start."""
    batch_size: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """``auto``: bf16 where the device computes in it, else fp16 on a GPU and fp32 on a CPU."""
    compile: bool = False
    accumulate: int = 1
    """Parts into which a batch is cut, one after another in memory; batch norm sees each by itself."""
    ema: float | None = None
    """Decay of an exponential moving average of the weights, which is validated and kept in their place; 0.999, say."""
    patience: int | None = None
    """Stop after so many epochs in which the loss on training groups set aside did not fall."""
    deterministic: bool = False
    """Refuse operations whose result varies from run to run on a GPU; slower. On a CPU all are the same anyway."""
    tensorboard: bool = False
    """Write what the log has for TensorBoard too (extra ``tensorboard``)."""
    pretrained_weights: Path | None = None
    """Weights to start from: public ImageNet weights of a ResNet encoder, or a checkpoint of another run. A continued
    run has its own and needs the file no more."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**64:
            raise UsageError(f"--seed {self.seed}: must be at least 0 and below 2**64")
        for flag, number in (("minutes", self.minutes), ("lr", self.learning_rate)):
            if number is not None and not math.isfinite(number):
                raise UsageError(f"--{flag} {number}: must be a number")
        if self.batch_size is not None and self.batch_size > MAX_BATCH_SIZE:
            raise UsageError(f"--batch_size {self.batch_size}: must be at most {MAX_BATCH_SIZE}")
        for name in ("epochs", "iterations", "minutes", "batch_size", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"--{name.replace('learning_rate', 'lr')} {value}: must be above 0")
        for name in ("accumulate", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name} {value}: must be at least 1")
        if self.ema is not None and not 0 < self.ema < 1:
            raise UsageError(f"--ema {self.ema}: must be between 0 and 1; 0.999 is usual")
        for flag, count in (("epochs", self.epochs), ("iterations", self.iterations)):
            if self.minutes is not None and count is not None:
                raise UsageError(f"--minutes and --{flag}: give one of them; minutes decide how many {flag} fit")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainingTask:
    """All that a trainer needs to know."""

    dataset: str
    configuration: Configuration
    preprocessing: Preprocessing
    store: PreprocessedStore
    fold: Fold
    folder: Path
    """The fold's results folder."""
    options: TrainConfig
    progress: Progress = no_progress
    """Where it is not silent, the trainer draws a bar of its own, with the loss in it, on standard error."""
    world: World = ALONE
    """The processes that train together."""
    groups: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Patient (or else sequence) of each training case of the fold, in the order of the frames; schedules that look at
    frames set aside keep a group in one piece."""
    undivided: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """In words, what each of the dataset's training cases belongs to that no fold divides (``splits.group_of``)."""


class TrainerClass(Protocol):
    """What the core asks of a trainer."""

    def __call__(self, task: TrainingTask) -> Any:
        """A trainer with ``fit(resume: bool) -> None``.

        Without ``resume``, ``fit`` replaces the checkpoints in ``task.folder``, and none of them before all that can
        fail at the start has been done.
        """
        ...


AT_WORK = "training or validating"
"""What messages say that another command does to a fold's folder."""
TRAINERS: Registry[TrainerClass] = Registry("trainer", home="gwunet.trainers", base="Trainer")


def results_folder(workspace: Workspace, dataset: str, configuration: str, trainer: str) -> Path:
    """Where the folds of one configuration and trainer lie."""
    return workspace.results_dataset(dataset) / model_name(configuration, trainer)


def train(
    dataset: str | int,
    fold: int | str,
    *,
    configuration: str = "fganet",
    trainer: str | None = None,
    workspace: Workspace | str | Path | None = None,
    options: TrainConfig | None = None,
    resume: bool = False,
    overwrite: bool = False,
    validate_only: bool = False,
    allow_leaking_splits: bool = False,
    progress: Progress = no_progress,
) -> "Summary | None":
    """Train one fold and validate it on its own frames.

    Args:
        dataset: id or folder name.
        fold: number of the fold (as text too), or ``"all"`` to train on every frame.
        configuration: a planned configuration.
        trainer: a registered trainer, or ``module:Class``; None takes the plan's.
        workspace: a workspace or its folder; None looks for it as ``Workspace.find``.
        options: choices of this run.
        resume: go on from ``checkpoint_latest.pt``.
        overwrite: train anew where a trained fold stands already.
        validate_only: only validate ``checkpoint_final.pt`` again.
        allow_leaking_splits: accept a ``splits.json`` that divides a patient or sequence.
        progress: see ``gwunet.progress.Progress``; of the validation. Where it is given, training draws a bar of its
            own, with the loss in it, on standard error.

    Returns:
        The metrics of the fold's validation frames; None for fold ``all``, which has none.

    Raises:
        NotPreparedError: the dataset is not planned or preprocessed.
        ModelError: there is nothing to validate, or a run to go on with is of frames preprocessed otherwise.
        SplitError: no frame to train on shows a wire; or folds were made anew since the fold was trained, so that it
            would be judged on frames it was trained on, or go on with others.
        UsageError: an unknown name, a fold out of range, or a trained fold in the way.
        TrainingError: the loss is no longer finite.
        InterruptionError: SIGTERM or SIGINT came; what was done is saved.
        OutputError: another command is training the fold.
    """
    model = TrainableModel.open(
        dataset,
        configuration=configuration,
        trainer=trainer,
        workspace=workspace,
        allow_leaking_splits=allow_leaking_splits,
    )
    return model.train(
        fold, options=options, resume=resume, overwrite=overwrite, validate_only=validate_only, progress=progress
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TrainableModel:
    """What the folds of a model share, read once: then they are folds of one plan and one division of the cases."""

    raw: Dataset
    prepared: Path
    """The dataset's folder below ``preprocessed``."""
    results: Path
    """Where the model's folds lie."""
    plans: Plans
    splits: Splits
    planned: Configuration
    trainer: str | None
    """In place of the plan's."""

    @classmethod
    def open(
        cls,
        dataset: str | int,
        *,
        configuration: str,
        trainer: str | None,
        workspace: Workspace | str | Path | None,
        allow_leaking_splits: bool = False,
    ) -> "TrainableModel":
        """Arguments and errors as of ``train``."""
        workspace = Workspace.find(workspace)
        name = workspace.dataset_name(dataset)
        plans = read_plans(workspace, name)
        planned = plans.configuration(configuration)
        raw = Dataset.open(workspace.raw_dataset(name))
        prepared = workspace.preprocessed_dataset(name)
        return cls(
            raw=raw,
            prepared=prepared,
            results=results_folder(workspace, name, configuration, class_name(trainer or planned.trainer)),
            plans=plans,
            splits=read_splits(prepared, raw, allow_leaking_splits),
            planned=planned,
            trainer=trainer,
        )

    def fold(self, fold: int | str) -> Fold:
        """The cases of a fold; raises ``UsageError`` where there is no such fold."""
        return self.splits.fold(fold, self.raw.training)

    def has_begun(self, fold: int | str) -> bool:
        """Whether a fold can be continued, or is done."""
        return has_begun(fold_folder(self.results, fold))

    def check(
        self,
        fold: int | str,
        *,
        options: TrainConfig | None = None,
        resume: bool = False,
        overwrite: bool = False,
        validate_only: bool = False,
    ) -> None:
        """Refuse what ``train`` would refuse before it begins, with the same errors; for the last of several folds
        before hours are spent on the first."""
        task = self._task(fold, options or TrainConfig(), no_progress)
        if validate_only:
            _can_be_validated(task)
        else:
            _check_wire(task)
            _check_start(task.folder, task.options, resume, overwrite)

    def train(
        self,
        fold: int | str,
        *,
        options: TrainConfig | None = None,
        resume: bool = False,
        overwrite: bool = False,
        validate_only: bool = False,
        progress: Progress = no_progress,
    ) -> "Summary | None":
        """Train and validate one fold; arguments, result and errors as of ``train``."""
        trainer_class = _trainer_class(self.trainer, self.planned)
        task = self._task(fold, options or TrainConfig(), progress)
        if validate_only and not _can_be_validated(task):
            return None
        with joined(resolve_device(task.options.device).type) as world:
            task = dataclasses.replace(task, world=world)
            if not validate_only:
                _check_wire(task)
                _check_start(task.folder, task.options, resume, overwrite)
            world.wait()  # until all have looked at what stands there
            with _alone(task.folder, world):
                if not validate_only:
                    beside = {PLANS: self.plans, "dataset.json": dict(self.raw.description)}
                    _fit(trainer_class, task, beside, resume, overwrite)
                return _validate(task, self.raw)

    def _task(self, fold: int | str, options: TrainConfig, progress: Progress) -> TrainingTask:
        chosen = self.fold(fold)
        return TrainingTask(
            dataset=self.raw.name,
            configuration=self.planned,
            preprocessing=self.plans.preprocessing,
            store=_open_store(self.prepared, self.plans, chosen),
            fold=chosen,
            folder=fold_folder(self.results, fold),
            options=options,
            progress=progress,
            groups=_groups(self.raw, chosen.train),
            undivided={case.name: group_of(case, self.splits.grouping) for case in self.raw.training},
        )


def _trainer_class(wanted: str | None, planned: Configuration) -> TrainerClass:
    """A name in plans.json leads to what is registered; ``module:Class`` counts where a person or program gives it."""
    if wanted is not None:
        return TRAINERS.find(wanted)
    try:
        return TRAINERS.get(planned.trainer)
    except UsageError as problem:
        raise SchemaError(f"{PLANS}: configurations.{planned.name}.trainer: {problem}") from problem


def _fit(
    trainer_class: TrainerClass, task: TrainingTask, beside: Mapping[str, Any], resume: bool, overwrite: bool
) -> None:
    """Train, alone in the fold's folder; ``beside`` are the files that go with all folds, of the last that began."""
    if task.world.is_writer:
        _check_start(task.folder, task.options, resume, overwrite)  # again: another command may just have been done
    trainer = trainer_class(task)
    if task.world.is_writer and not resume:
        for name, content in beside.items():
            write_json(task.folder.parent / name, content)
    trainer.fit(resume=resume)


def _can_be_validated(task: TrainingTask) -> bool:
    """False of a fold without frames to validate; looked at before a folder is made for a fold that was not trained."""
    final = task.folder / FINAL
    if not final.is_file():
        raise ModelError(f"{final}: no such checkpoint; wanted a fold trained to its end: train it first")
    return bool(task.fold.val)


def _validate(task: TrainingTask, raw: Dataset) -> "Summary | None":
    """On the frames the fold never saw; None where there are none, and of several processes for all but the first.

    The weights may have been trained earlier with other folds, or started from others.
    """
    if not task.fold.val:
        return None
    from gwunet.validation import check_unseen, validate_fold

    checkpoint, digest = load_with_digest(task.folder / FINAL)
    unchecked = check_unseen(checkpoint, task.fold.val, task.undivided)
    if unchecked is not None and task.world.is_writer:
        logger.warning("%s: %s, so it is not sure that it is validated on others", task.folder, unchecked)
    return validate_fold(
        task.folder,
        (checkpoint, digest),
        raw,
        task.fold.val,
        device=task.options.device,
        world=task.world,
        progress=task.progress,
    )


def _alone(folder: Path, world: World) -> contextlib.AbstractContextManager[None]:
    """Two commands that train or validate one fold would each overwrite what the other did."""
    return locked(folder, AT_WORK) if world.is_writer else contextlib.nullcontext()


def _open_store(prepared: Path, plans: Plans, fold: Fold) -> PreprocessedStore:
    """The preprocessed frames, made for these plans and with all of a fold's cases."""
    store = PreprocessedStore(prepared)
    if store.preprocessing != plans.preprocessing:
        raise NotPreparedError(
            f"{prepared}: the frames were preprocessed for an earlier plan; run gw_plan_and_preprocess -d "
            f"{plans.dataset} again"
        )
    for case in (*fold.train, *fold.val):
        store.entry(case)
    return store


def _check_wire(task: TrainingTask) -> None:
    """Without a single wire pixel a network learns to find nothing."""
    cases = task.fold.train
    if not training_wire_px(task.fold, {case: task.store.entry(case).wire_pixels for case in cases}):
        raise SplitError(
            f"{task.folder}: found no wire pixel in the {len(cases)} frames to train on; wanted some: annotate wires "
            "in frames of more patients, train another fold, or bring a splits.json of your own"
        )


def _groups(raw: Dataset, cases: Sequence[str]) -> dict[str, str]:
    """The patient, or where it is not known the sequence, of each case; cases in the order of their sequence.

    Of a single patient the sequences: what is set aside of them is at least another run.
    """
    known = [raw.case(name) for name in cases]
    known.sort(key=lambda case: (case.patient or "", case.sequence, case.frame is None, case.frame or 0, case.name))
    groups = {case.name: case.patient or case.sequence for case in known}
    return groups if len(set(groups.values())) > 1 else {case.name: case.sequence for case in known}


def has_begun(folder: Path) -> bool:
    """Whether a fold's folder holds a run that can be continued, or is done."""
    return (folder / LATEST).exists() or (folder / FINAL).exists()


def _check_start(folder: Path, options: TrainConfig, resume: bool, overwrite: bool) -> None:
    if resume:
        if not has_begun(folder):
            raise UsageError(f"{folder}: found nothing to continue (no {LATEST}); leave --continue out to begin")
        return
    _check_pretrained(options.pretrained_weights, folder)
    _refuse_to_overwrite(folder, overwrite)


def _check_pretrained(path: Path | None, folder: Path) -> None:
    """The weights to start from must be there, and not among what gives way."""
    if path is None:
        return
    if not path.is_file():
        raise UsageError(f"--pretrained_weights {path}: no such file")
    if path.resolve().parent == folder.resolve():
        raise UsageError(
            f"--pretrained_weights {path}: found in the folder of the run that would start from it, which overwrites "
            "it; copy it elsewhere first, or go on with that run by --continue"
        )


def _refuse_to_overwrite(folder: Path, overwrite: bool) -> None:
    """Refuse only: the trainer itself deletes what stands there, once it has loaded the weights it starts from."""
    present = [name for name in (FINAL, LATEST, BEST) if (folder / name).exists()]
    if present and not overwrite:
        raise UsageError(
            f"{folder}: {present[0]} stands there already; --continue goes on with it, --overwrite trains anew"
        )
