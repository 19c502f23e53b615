"""Out-of-fold predictions of all folds as one: scored as planned, and with settings chosen on the other folds."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gwunet.dataset import Dataset
from gwunet.errors import UsageError
from gwunet.evaluation.choice import FEWEST_GROUPS, GAPS_PX, Chosen, OutOfFoldFrame, choose_gap, choose_settings
from gwunet.evaluation.metrics import FrameScore, Mask, Scores, score_frame
from gwunet.evaluation.settings_grid import SettingsGrid, dice_on_grid
from gwunet.evaluation.summary import Summary, mean_scores, pooled_scores, summarise
from gwunet.io.probability import read_average
from gwunet.postprocessing import Postprocessing
from gwunet.postprocessing.gaps import draw_bridges, find_bridges
from gwunet.progress import Progress, no_progress

SCHEMA_VERSION: Literal[1] = 1
FILE_NAME = "cross_validation.json"

Run = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The scores of some of the frames: of a fold, or of a site."""

    name: str
    n_frames: int
    n_groups: int
    """Patients, or else sequences."""
    as_planned: Scores
    """Mean over the frames."""
    postprocessed: Scores
    """The same with the settings chosen on the other folds."""
    pooled: Scores
    """Of all pixels together, as planned."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FoldChoice:
    """What was chosen for one fold."""

    fold: int
    settings: Postprocessing
    chosen_on: tuple[int, ...]
    """The folds whose frames it was chosen on."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CrossValidation:
    """What ``cross_validation.json`` holds."""

    schema_version: Literal[1]
    dataset: str
    models: tuple[str, ...]
    """``<configuration>__<Trainer>``; of an ensemble, each."""
    folds: tuple[int, ...]
    """Those judged on."""
    grouping: str
    """What no fold divides."""
    planned: Postprocessing
    """The plan's threshold alone."""
    shipped: Postprocessing
    """Chosen on all frames, so judged on none; ``postprocessed`` is the honest estimate of its scores. As planned where
    that estimate is no better, cannot be had, or is the plan's own because no fold chose anything else."""
    choices: tuple[FoldChoice, ...]
    """What ``postprocessed`` is made with; empty where a fold leaves fewer than two patients or sequences to choose
    on."""
    as_planned: Summary
    """Scores of the out-of-fold masks with the planned threshold."""
    postprocessed: Summary
    """The same masks by the settings that were chosen on the other folds."""
    per_fold: tuple[Part, ...]
    """By number of the fold."""
    sites: tuple[Part, ...]
    """Empty where no site is declared. Frames of a site were trained on too unless ``grouping`` is site."""
    fold_of: Mapping[str, int]
    """Case -> the fold that predicted it."""
    notes: tuple[str, ...]
    """What a reader must know before trusting the figures."""
    checkpoints: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """``<model>/fold_<k>`` -> SHA-256 of the weights whose predictions these are."""
    masks_sha256: str | None = None
    """Of the masks they were judged against."""


def cross_validate(
    raw: Dataset,
    frames: Sequence[OutOfFoldFrame],
    *,
    models: Sequence[str],
    grouping: str,
    planned: float,
    run: Run = map,
    progress: Progress = no_progress,
    notes: Sequence[str] = (),
) -> CrossValidation:
    """Pool the out-of-fold predictions of a model, or of an ensemble, and judge them.

    Settings (threshold, hysteresis, smallest piece, gap) for a fold's frames are chosen on the other folds' frames
    alone, by their mean Dice and clDice; those that ship are chosen on all. Memory holds one score per frame, and no
    frame's probabilities.

    Args:
        raw: the dataset, for reference masks.
        frames: every frame once.
        models: what predicted them.
        grouping: what no fold divides.
        planned: the threshold to start from.
        run: does the work of frames, as ``gwunet.parallel.workers`` gives it.
        progress: see ``gwunet.progress.Progress``.
        notes: what is known already and a reader must know.

    Raises:
        UsageError: there are no frames.
        SplitError: a patient or sequence is in two folds.
        FrameError: a mask or file of probabilities cannot be read, or does not have its partner's size.
    """
    if not frames:
        raise UsageError("cross-validation: found no out-of-fold frames; train at least one fold")
    judge = _Judge(raw, frames, planned, run, progress)
    plain, dice = judge.first_look()
    folds = tuple(sorted({frame.fold for frame in frames}))
    why = _no_choice(frames, folds)
    others = {fold: [frame for frame in frames if frame.fold != fold] for fold in (() if why else folds)}
    by_fold = {fold: judge.choose(dice, chosen_on) for fold, chosen_on in others.items()}
    scores = judge.scores_with(by_fold, plain)
    as_planned = Postprocessing(threshold=planned)
    shipped = as_planned
    # What ships is chosen on all frames; how good it is, only choices made on some and judged on others can tell.
    if any(chosen.to_ship() != as_planned for chosen in by_fold.values()):
        if _worth(scores) > _worth(plain):
            shipped = judge.choose(dice, frames).to_ship()
        else:
            why = f"{'+'.join(models)}: settings chosen on the other folds did no better than the plan's"
    if why:
        why += ": masks stay as planned"
    groups = {frame.case.name: (frame.case.patient, frame.case.sequence) for frame in frames}
    return CrossValidation(
        schema_version=SCHEMA_VERSION,
        dataset=raw.name,
        models=tuple(models),
        folds=folds,
        grouping=grouping,
        planned=as_planned,
        shipped=shipped,
        choices=tuple(
            FoldChoice(fold=fold, settings=chosen.to_ship(), chosen_on=tuple(sorted({f.fold for f in chosen.frames})))
            for fold, chosen in by_fold.items()
        ),
        as_planned=summarise(plain, groups),
        postprocessed=summarise(scores, groups),
        per_fold=_parts(frames, plain, scores, lambda frame: str(frame.fold)),
        sites=_parts(frames, plain, scores, lambda frame: frame.case.site),
        fold_of={frame.case.name: frame.fold for frame in frames},
        notes=(*notes, why) if why else tuple(notes),
    )


def _no_choice(frames: Sequence[OutOfFoldFrame], folds: Sequence[int]) -> str:
    """Why no settings can be chosen on one part of the frames and judged on the others; empty where they can."""
    if len(folds) < 2:
        return "one fold leaves no other to choose settings on"
    for fold in folds:
        groups = {frame.group for frame in frames if frame.fold != fold}
        if len(groups) < FEWEST_GROUPS:
            return (
                f"fold {fold} leaves {len(groups)} group of frames to choose settings on, wanted {FEWEST_GROUPS} so "
                "that a gain can be told from chance"
            )
    return ""


def _worth(scores: Sequence[FrameScore]) -> tuple[float, float]:
    """Mean Dice and, where two have the same, clDice."""
    means = mean_scores(scores)
    return means.dice or 0.0, means.cldice or 0.0


def judged_summary(validation: CrossValidation) -> Summary:
    """The scores of masks as they ship."""
    as_planned = validation.shipped == validation.planned
    return validation.as_planned if as_planned else validation.postprocessed


class _Judge:
    """The frames of a cross-validation, read again for each pass, so that memory holds none of them."""

    def __init__(
        self, raw: Dataset, frames: Sequence[OutOfFoldFrame], planned: float, run: Run, progress: Progress
    ) -> None:
        self._reader = raw.reader()
        self._frames = frames
        self._grid = SettingsGrid.around(planned)
        self._planned = planned
        self._run = run
        self._progress = progress
        self._number = {frame.case.name: number for number, frame in enumerate(frames)}
        self._without_pixels: set[str] = set()
        """Frames that are left out whole: nothing is chosen on them."""
        self._with_gaps: dict[Postprocessing, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}

    def _map(self, function: Callable[[Any], Any], jobs: Sequence[Any], label: str) -> list[Any]:
        return list(self._progress(self._run(function, jobs), len(jobs), label))

    def first_look(self) -> tuple[list[FrameScore], NDArray[np.float32]]:
        """Scores as planned, and (frames, *grid) Dice of every setting."""
        look = functools.partial(_first_look, self._reader, self._planned, self._grid)
        scores, dice = zip(*self._map(look, self._frames, "score"), strict=True)
        self._without_pixels = {score.case for score in scores if score.scores.dice is None}
        return list(scores), np.stack(dice)

    def choose(self, dice: NDArray[np.float32], frames: Sequence[OutOfFoldFrame]) -> Chosen[Postprocessing]:
        """The settings that are best on ``frames``."""
        frames = [frame for frame in frames if frame.case.name not in self._without_pixels]
        numbers = [self._number[frame.case.name] for frame in frames]
        chosen = choose_settings(self._grid, self._planned, dice[numbers], frames)
        dice_of_gaps, cldice_of_gaps = self._gaps(chosen.to_ship())
        return choose_gap(chosen, dice_of_gaps[numbers], cldice_of_gaps[numbers])

    def _gaps(self, settings: Postprocessing) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(frames, 1 + gaps) Dice and clDice with bridges; folds often choose the same settings, so these are kept."""
        if settings not in self._with_gaps:
            look = functools.partial(_gap_scores, self._reader, settings)
            table = np.array(self._map(look, self._frames, "gaps"))
            self._with_gaps[settings] = table[..., 0], table[..., 1]
        return self._with_gaps[settings]

    def scores_with(
        self, by_fold: Mapping[int, Chosen[Postprocessing]], plain: Sequence[FrameScore]
    ) -> list[FrameScore]:
        """Every frame with its fold's settings."""
        as_planned = Postprocessing(threshold=self._planned)
        scores, jobs = list(plain), []
        for fold, chosen in by_fold.items():
            judged = [frame for frame in self._frames if frame.fold == fold]
            settings = chosen.to_judge(judged)
            if settings != as_planned:
                jobs += [(frame, settings) for frame in judged]
        done = self._map(functools.partial(_score, self._reader), jobs, "judge") if jobs else []
        for (frame, _), score in zip(jobs, done, strict=True):
            scores[self._number[frame.case.name]] = score
        return scores


def _first_look(
    reader: Dataset, planned: float, grid: SettingsGrid, frame: OutOfFoldFrame
) -> tuple[FrameScore, NDArray[np.float32]]:
    reference = reader.read_mask(frame.case)
    levels, top = read_average(frame.probabilities)
    mask = Postprocessing(threshold=planned).mask_of_levels(levels, top)
    score = score_frame(frame.case.name, reference, mask, (levels / top).astype(np.float32), frame.tips)
    return score, dice_on_grid(levels, top, reference, grid)


def _gap_scores(reader: Dataset, settings: Postprocessing, frame: OutOfFoldFrame) -> list[tuple[float, float]]:
    """Dice and clDice without bridges, then for each gap; most frames have no bridge and are scored once."""
    reference = reader.read_mask(frame.case)
    levels, top = read_average(frame.probabilities)
    mask = settings.mask_of_levels(levels, top).astype(bool)
    bridges = find_bridges(mask, GAPS_PX[-1])
    by_number: dict[int, tuple[float, float]] = {}
    found = []
    for gap in (0, *GAPS_PX):
        drawn = [bridge for bridge in bridges if bridge.length_px <= gap]
        if len(drawn) not in by_number:
            by_number[len(drawn)] = _dice_and_cldice(frame.case.name, reference, draw_bridges(mask, drawn))
        found.append(by_number[len(drawn)])
    return found


def _dice_and_cldice(case: str, reference: Mask, mask: NDArray[np.bool_]) -> tuple[float, float]:
    scores = score_frame(case, reference, mask.astype(np.uint8)).scores
    dice, cldice = scores.dice, scores.cldice
    return math.nan if dice is None else dice, math.nan if cldice is None else cldice


def _score(reader: Dataset, job: tuple[OutOfFoldFrame, Postprocessing]) -> FrameScore:
    frame, settings = job
    levels, top = read_average(frame.probabilities)
    mask = settings.mask_of_levels(levels, top)
    probability = (levels / top).astype(np.float32)
    return score_frame(frame.case.name, reader.read_mask(frame.case), mask, probability, frame.tips)


def _parts(
    frames: Sequence[OutOfFoldFrame],
    plain: Sequence[FrameScore],
    scores: Sequence[FrameScore],
    name_of: Callable[[OutOfFoldFrame], str | None],
) -> tuple[Part, ...]:
    names = sorted({name for frame in frames if (name := name_of(frame)) is not None})
    parts = []
    for name in names:
        own = [number for number, frame in enumerate(frames) if name_of(frame) == name]
        parts.append(
            Part(
                name=name,
                n_frames=len(own),
                n_groups=len({frames[number].case.patient or frames[number].case.sequence for number in own}),
                as_planned=mean_scores([plain[number] for number in own]),
                postprocessed=mean_scores([scores[number] for number in own]),
                pooled=pooled_scores([plain[number] for number in own]),
            )
        )
    return tuple(parts)
