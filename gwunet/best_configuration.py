"""``gw_find_best_configuration``: what was trained, compared by cross-validation, and what to predict with."""

import contextlib
import dataclasses
import itertools
import logging
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from gwunet.checkpoint import FINAL, load_with_digest
from gwunet.data.lock import locked
from gwunet.dataset import MASKS, Dataset
from gwunet.errors import ModelError, SplitError
from gwunet.evaluation.choice import OutOfFoldFrame
from gwunet.evaluation.cross_validation import FILE_NAME as CROSS_VALIDATION
from gwunet.evaluation.cross_validation import CrossValidation, cross_validate, judged_summary
from gwunet.evaluation.paired import Difference, paired_difference
from gwunet.evaluation.resampling import groups_of_frames
from gwunet.evaluation.wire_sources import read_known_wires
from gwunet.jsonio import replacing, write_json
from gwunet.parallel import workers
from gwunet.postprocessing import Postprocessing
from gwunet.postprocessing.shipped import FILE_NAME as POSTPROCESSING
from gwunet.postprocessing.shipped import ShippedPostprocessing, fold_key, write_shipped
from gwunet.prepared import SPLITS, read_splits
from gwunet.progress import Progress, no_progress
from gwunet.splits import Splits, group_of
from gwunet.trained import fold_folder, parts_of, trained_models, validation_folder
from gwunet.training import AT_WORK
from gwunet.validation import check_unseen, frames_digest, is_validated, masks_digest, validate_fold
from gwunet.workspace import Workspace

logger = logging.getLogger(__name__)

ENSEMBLES = "ensembles"
ENSEMBLE_THRESHOLD = 0.5
SUMMARY, COMMANDS = "best_configuration.json", "how_to_predict.txt"
METRIC: Literal["dice"] = "dice"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A configuration, or an ensemble of two, with its scores: means over the frames."""

    name: str
    """``<configuration>__<Trainer>``, of an ensemble both with + between."""
    models: tuple[str, ...]
    folder: str
    """Below the dataset's results: where its cross_validation.json and postprocessing.json are."""
    as_planned: Mapping[str, float | None]
    postprocessed: Mapping[str, float | None]
    """By settings chosen on the other folds."""
    ships: Literal["as planned", "postprocessed"]
    """Which of them is used for comparison, and by gw_predict."""
    interval: tuple[float, float] | None
    """Of the Dice of masks as they ship; null below six groups."""
    shipped: Postprocessing
    """The settings masks are made with."""
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Metric of masks as they ship -> which frames its mean leaves out, and why: another candidate's may leave out
    others."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BestConfiguration:
    """What ``best_configuration.json`` holds."""

    schema_version: Literal[1]
    dataset: str
    metric: str
    """What candidates are ranked by: the mean over frames, of masks as they ship."""
    folds: tuple[int, ...]
    """Those judged on."""
    grouping: str
    """What no fold divides."""
    n_frames: int
    candidates: tuple[Candidate, ...]
    """Best first."""
    recommended: str
    """The best one; but an ensemble, which takes twice the time, only where it is shown to be better than the best
    single configuration."""
    reason: str
    """Why that one."""
    differences: tuple[Difference, ...]
    """Of the best one from every other."""
    notes: tuple[str, ...]
    """What a reader must know before trusting the figures."""
    checkpoints: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """``<model>/fold_<k>`` -> SHA-256 of the weights that were judged."""
    masks_sha256: str | None = None
    """Of the masks they were judged against."""


def find_best_configuration(
    dataset: str | int,
    *,
    configurations: Sequence[str] | None = None,
    trainer: str | None = None,
    folds: Sequence[int] | None = None,
    ensembles: bool = True,
    workspace: Workspace | str | Path | None = None,
    device: str = "auto",
    processes: int = 1,
    allow_leaking_splits: bool = False,
    progress: Progress = no_progress,
) -> BestConfiguration:
    """Cross-validate trained configurations and their pairs, compare them, and write what to predict with.

    Frames whose out-of-fold probabilities are missing, or of weights or frames that have been replaced, are predicted
    first. Writes ``cross_validation.json`` and ``postprocessing.json`` beside the folds of each configuration (of a
    pair under ``ensembles/``, where those of pairs that are not compared go), and ``best_configuration.json`` and
    ``how_to_predict.txt`` beside the configurations.

    Args:
        dataset: id or folder name.
        configurations: names; None takes all that have every fold trained.
        trainer: of one trainer alone.
        folds: None takes all of ``splits.json``, and refuses where one is not trained.
        ensembles: pairs of configurations too.
        workspace: a workspace or its folder; None looks for it as ``Workspace.find``.
        device: where missing predictions are made.
        processes: how many frames are scored at a time.
        allow_leaking_splits: accept folds that divide a patient or sequence.
        progress: see ``gwunet.progress.Progress``.

    Raises:
        ModelError: nothing is trained, or a wanted fold is not.
        SplitError: a fold was trained on frames it is judged on.
        UsageError: there is no such fold.
    """
    workspace = Workspace.find(workspace)
    name = workspace.dataset_name(dataset)
    raw = Dataset.open(workspace.raw_dataset(name))
    splits = read_splits(workspace.preprocessed_dataset(name), raw, allow_leaking_splits)
    wanted = _wanted_folds(splits, folds)
    results = workspace.results_dataset(name)
    judged = [case for fold in wanted for case in splits.folds[fold].val]
    masks = masks_digest(raw, judged)  # before reading
    frames = {fold: frames_digest(raw, splits.folds[fold].val) for fold in wanted}
    models = {
        base.name: _Model(base, raw, splits, frames, device, progress)
        for base in _trained(results, name, configurations, trainer, wanted)
    }
    pairs = itertools.combinations(models, 2) if ensembles else ()
    found: dict[str, CrossValidation] = {}
    for names in (*((each,) for each in models), *pairs):
        members = [models[each] for each in names]
        with workers(processes, len(raw.training), str(results)) as run:
            validation = cross_validate(
                raw,
                _pooled(raw, splits, wanted, members),
                models=names,
                grouping=splits.grouping,
                planned=members[0].threshold if len(members) == 1 else ENSEMBLE_THRESHOLD,
                run=run,
                progress=progress,
                notes=_notes(splits, wanted, members),
            )
        validation = dataclasses.replace(validation, checkpoints=_checkpoints(members), masks_sha256=masks)
        folder = results / _folder(names)
        write_json(folder / CROSS_VALIDATION, validation)
        write_shipped(folder / POSTPROCESSING, _shipped(name, validation, members))
        found["+".join(names)] = validation
    best = _compare(name, found)
    _forget_other_pairs(results, found)
    write_json(results / SUMMARY, best)
    with replacing(results / COMMANDS) as partial:
        partial.write_text("\n".join(commands(best, workspace)) + "\n", encoding="utf-8", errors="surrogateescape")
    return best


def _forget_other_pairs(results: Path, compared: Iterable[str]) -> None:
    """What an earlier call left of pairs that this one did not judge: they stand in no comparison any more."""
    for folder in sorted((results / ENSEMBLES).glob("*")):
        if folder.name not in compared:
            for name in (CROSS_VALIDATION, POSTPROCESSING):
                (folder / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # somebody put something there
                folder.rmdir()


def _wanted_folds(splits: Splits, folds: Sequence[int] | None) -> tuple[int, ...]:
    wanted = tuple(range(len(splits.folds))) if folds is None else tuple(sorted(set(folds)))
    for fold in wanted:
        splits.fold(fold)
    return wanted


def _trained(
    results: Path, dataset: str, configurations: Sequence[str] | None, trainer: str | None, folds: Sequence[int]
) -> list[Path]:
    """The folders of the models to compare, by name; incomplete ones are refused only if they were asked for."""
    bases = [base for base in trained_models(results) if trainer in (None, parts_of(base.name)[1])]
    for wanted in configurations or ():
        if all(parts_of(base.name)[0] != wanted for base in bases):
            raise ModelError(
                f"{results}: found no trained configuration {wanted!r}"
                + (f" of trainer {trainer}" if trainer else "")
                + f"; trained are {', '.join(base.name for base in bases) or 'none'}: run gw_train {dataset} "
                f"{' '.join(map(str, folds))} -c {wanted}"
            )
    if configurations is not None:
        bases = [base for base in bases if parts_of(base.name)[0] in configurations]
    missing = {base: [fold for fold in folds if not (fold_folder(base, fold) / FINAL).is_file()] for base in bases}
    complete = [base for base in bases if not missing[base]]
    messages = [_incomplete(base, dataset, gone, folds) for base, gone in missing.items() if gone]
    if messages and (configurations is not None or not complete):
        raise ModelError("; ".join(messages))
    for message in messages:
        logger.warning("left out: %s", message)
    if not complete:
        raise ModelError(f"{results}: found nothing trained; run gw_train {dataset} {' '.join(map(str, folds))}")
    return complete


def _incomplete(base: Path, dataset: str, missing: Sequence[int], folds: Sequence[int]) -> str:
    configuration, trainer = parts_of(base.name)
    numbers, there = " ".join(map(str, missing)), [str(fold) for fold in folds if fold not in missing]
    instead = f", or judge those that are with --folds {' '.join(there)}" if there else ""
    return (
        f"{base}: fold{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))} not trained to the end; train "
        f"with gw_train {dataset} {numbers} -c {configuration} -tr {trainer}{instead}"
    )


class _Model:
    """A trained model whose folds are checked, and their out-of-fold probabilities there."""

    def __init__(
        self, base: Path, raw: Dataset, splits: Splits, frames: Mapping[int, str], device: str, progress: Progress
    ) -> None:
        """``frames`` holds the digest of each wanted fold's frames."""
        self.name = base.name
        self.digests: dict[str, str] = {}
        self.threshold: float
        """The first fold's, as in prediction."""
        self.unchecked: dict[int, str] = {}
        """Of folds whose training frames could not be compared with those they are judged on, why."""
        self._base = base
        groups = {case.name: group_of(case, splits.grouping) for case in raw.training}
        for fold, digest_of_frames in frames.items():
            folder, cases = fold_folder(base, fold), splits.folds[fold].val
            checkpoint, digest = loaded = load_with_digest(folder / FINAL)
            unchecked = check_unseen(checkpoint, cases, groups)
            if unchecked is not None:
                self.unchecked[fold] = unchecked
            if not self.digests:
                self.threshold = checkpoint.configuration.inference.threshold
            self.digests[fold_key(folder)] = digest
            if not is_validated(folder, cases, digest, digest_of_frames):
                logger.info("%s: predicting its %d validation frames for their probabilities", folder, len(cases))
                with locked(folder, AT_WORK):
                    validate_fold(folder, loaded, raw, cases, device=device, progress=progress)

    def probability(self, fold: int, case: str) -> Path:
        return validation_folder(fold_folder(self._base, fold)) / f"{case}.npz"


def _pooled(raw: Dataset, splits: Splits, folds: Sequence[int], members: Sequence[_Model]) -> list[OutOfFoldFrame]:
    """Every validation frame once."""
    known = read_known_wires(raw.folder / MASKS)
    frames = []
    seen: dict[str, int] = {}
    for fold in folds:
        for name in splits.folds[fold].val:
            if name in seen:
                raise SplitError(
                    f"{SPLITS}: found {name} in the validation halves of folds {seen[name]} and {fold}; wanted "
                    "it in one, so that each frame counts once: choose folds that share none with --folds"
                )
            seen[name] = fold
            case = raw.case(name)
            group = group_of(case, splits.grouping)
            paths = tuple(member.probability(fold, name) for member in members)
            tips = known[name].tips if name in known else ()
            frames.append(OutOfFoldFrame(case=case, fold=fold, group=group, probabilities=paths, tips=tips))
    return frames


def _notes(splits: Splits, folds: Sequence[int], members: Sequence[_Model]) -> list[str]:
    notes = list(splits.warnings)
    left_out = sorted(set(range(len(splits.folds))) - set(folds))
    if left_out:
        notes.append(f"folds {', '.join(map(str, left_out))} are left out (--folds)")
    for member in members:
        for why in dict.fromkeys(member.unchecked.values()):
            which = ", ".join(str(fold) for fold, reason in member.unchecked.items() if reason == why)
            notes.append(f"{member.name}, fold {which}: {why}, so it is not sure that it is judged on others")
    return notes


def _checkpoints(members: Sequence[_Model]) -> dict[str, str]:
    return {name: digest for member in members for name, digest in member.digests.items()}


def _folder(names: Sequence[str]) -> Path:
    return Path(names[0]) if len(names) == 1 else Path(ENSEMBLES) / "+".join(names)


def _shipped(dataset: str, validation: CrossValidation, members: Sequence[_Model]) -> ShippedPostprocessing:
    return ShippedPostprocessing(
        schema_version=1,
        settings=validation.shipped,
        dataset=dataset,
        models=validation.models,
        n_frames=validation.as_planned.n_frames,
        checkpoints=_checkpoints(members),
    )


def _compare(dataset: str, found: Mapping[str, CrossValidation]) -> BestConfiguration:
    ranked = sorted(found, key=lambda name: (-_dice(found[name]), len(found[name].models), name))
    best = ranked[0]
    single = next(name for name in ranked if len(found[name].models) == 1)
    differences = {other: _difference(found, best, other) for other in ranked[1:]}
    recommended, reason = best, "the highest mean Dice of the cross-validation"
    if single != best and differences[single].verdict != "a difference is shown":
        recommended = single
        reason = f"{best} is not shown to be better ({differences[single].verdict}), and takes twice the time"
    elif len(ranked) == 1:
        reason = "the only one"
    return BestConfiguration(
        schema_version=1,
        dataset=dataset,
        metric=METRIC,
        folds=found[best].folds,
        grouping=found[best].grouping,
        n_frames=found[best].as_planned.n_frames,
        candidates=tuple(_candidate(name, found[name]) for name in ranked),
        recommended=recommended,
        reason=reason,
        differences=tuple(differences.values()),
        notes=tuple(dict.fromkeys(note for each in found.values() for note in each.notes)),
        checkpoints={name: digest for each in found.values() for name, digest in each.checkpoints.items()},
        masks_sha256=found[best].masks_sha256,
    )


def _dice(validation: CrossValidation) -> float:
    dice = judged_summary(validation).per_frame_mean.dice
    assert dice is not None  # defined in every frame that has pixels
    return dice


def _difference(found: Mapping[str, CrossValidation], one: str, other: str) -> Difference:
    unit, group_of = groups_of_frames(found[one].as_planned.frames)
    judged = [judged_summary(found[name]) for name in (one, other)]
    values = [
        {frame["case"]: frame[METRIC] for frame in summary.frames if frame[METRIC] is not None} for summary in judged
    ]
    return paired_difference((one, values[0]), (other, values[1]), METRIC, group_of, unit)


def _candidate(name: str, validation: CrossValidation) -> Candidate:
    shown = ("dice", "iou", "precision", "recall", "cldice", "hd95_px", "breaks", "false_pieces", "wire_found")
    means, tuned = validation.as_planned.per_frame_mean, validation.postprocessed.per_frame_mean
    left_out = judged_summary(validation).per_frame_mean.not_computed
    return Candidate(
        name=name,
        models=validation.models,
        folder=_folder(validation.models).as_posix(),
        as_planned={metric: means.value(metric) for metric in shown},
        postprocessed={metric: tuned.value(metric) for metric in shown},
        ships="as planned" if validation.shipped == validation.planned else "postprocessed",
        interval=judged_summary(validation).confidence_intervals.per_frame_mean.get(METRIC),
        shipped=validation.shipped,
        left_out={metric: left_out[metric] for metric in shown if metric in left_out},
    )


def commands(best: BestConfiguration, workspace: Workspace) -> list[str]:
    """The lines of ``how_to_predict.txt``: the recommended model first, then the best one where it is another."""
    by_name = {candidate.name: candidate for candidate in best.candidates}
    lines = [
        f"# {best.dataset}: {best.recommended} ({best.reason})",
        *_lines(best, by_name[best.recommended], workspace),
    ]
    first = best.candidates[0]
    if first.name != best.recommended:
        lines += ["", f"# the highest mean Dice: {first.name}", *_lines(best, first, workspace)]
    return lines


def _workspace_flag(workspace: Workspace) -> str:
    """`` --workspace FOLDER`` where the commands would not find it by themselves, from wherever they are called."""
    root = workspace.results.parent.resolve()
    by_themselves = workspace == Workspace.find() and workspace.results.is_absolute()
    if by_themselves or Workspace.find(root).results != root / workspace.results.name:
        return ""
    return f" --workspace {shlex.quote(str(root))}"


def _lines(best: BestConfiguration, candidate: Candidate, workspace: Workspace) -> Iterator[str]:
    yield f"# {candidate.shipped.in_words()}"
    folds = " ".join(map(str, best.folds))
    ensemble = len(candidate.models) > 1
    outputs = [shlex.quote(f"OUT/{model}") if ensemble else "OUT" for model in candidate.models]
    for model, output in zip(candidate.models, outputs, strict=True):
        configuration, trainer = parts_of(model)
        probabilities = " --save_probabilities" if ensemble else ""
        model_flags = f"-d {best.dataset} -c {configuration} -tr {trainer} -f {folds}{_workspace_flag(workspace)}"
        yield f"gw_predict -i FRAMES -o {output} {model_flags}{probabilities}"
    if ensemble:
        settings = workspace.results_dataset(best.dataset).resolve() / candidate.folder / POSTPROCESSING
        yield f"gw_ensemble -i {' '.join(outputs)} -o OUT/ensemble --postprocessing {shlex.quote(str(settings))}"
