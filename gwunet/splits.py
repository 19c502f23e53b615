"""Folds for cross-validation that keep every patient, or at least every sequence, in one piece."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gwunet.dataset import Case
from gwunet.errors import SplitError, UsageError
from gwunet.jsonio import from_json, parse_json

Grouping = Literal["patient", "sequence", "site", "frame blocks", "none"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """Case names of one fold, sorted."""

    train: tuple[str, ...]
    val: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Splits:
    """All folds of a dataset, as ``splits.json`` holds them."""

    schema_version: Literal[1] = 1
    grouping: Grouping
    """What no fold divides. ``"site"``: each fold leaves one hospital or device out. ``"frame blocks"``: runs of frames
    of the only sequence. ``"none"``: a list from elsewhere that divides sequences and was accepted all the same."""
    folds: tuple[Fold, ...]
    warnings: tuple[str, ...] = ()
    """Why the folds are less independent than five folds of patients."""

    def fold(self, which: int | str, cases: Iterable[Case] = ()) -> Fold:
        """One fold by number, or ``"all"``: everything for training and nothing for validation.

        Args:
            which: as above.
            cases: the dataset's training cases; ``"all"`` has those that came after the folds were made too.

        Raises:
            UsageError: there is no such fold.
        """
        if which == "all":
            names = {name for fold in self.folds for name in (*fold.train, *fold.val)} | {case.name for case in cases}
            return Fold(train=tuple(sorted(names)), val=())
        if str(which) in map(str, range(len(self.folds))):
            return self.folds[int(which)]
        raise UsageError(f"fold {which}: no such fold; the dataset has folds 0 to {len(self.folds) - 1}, and 'all'")


@dataclass(frozen=True, slots=True)
class _Group:
    """Cases that stay together, with their shares of all frames and of all wire pixels."""

    names: tuple[str, ...]
    frames: float
    wire: float
    tie_break: bytes


def make_splits(cases: Sequence[Case], wire_pixels: Mapping[str, int], n_folds: int = 5, seed: int = 12345) -> Splits:
    """Divide training cases into folds of nearly equal frames and wire pixels; every case is validated exactly once.

    Groups are patients where every case has one and there are enough of them, else sequences, else blocks of frames
    of the only sequence. Each step down is logged and recorded. The result depends neither on the order of ``cases``
    nor on anything random: ``seed`` only chooses among equally large groups.

    Args:
        cases: the training cases.
        wire_pixels: number of wire pixels by case name.
        n_folds: how many folds are wanted; fewer are made where there are fewer groups.
        seed: another value gives other folds.

    Raises:
        SplitError: there are fewer than two cases.
        UsageError: fewer than two folds are wanted.
    """
    if n_folds < 2:
        raise UsageError(f"n_folds {n_folds}: wanted at least 2, one to validate on and one to train on")
    if len(cases) < 2:
        raise SplitError(
            f"splits: found {len(cases)} training frames; wanted at least 2, one to train on and one to validate on: "
            "add frames with masks"
        )
    cases = sorted(cases, key=lambda case: case.name)
    grouping, warnings = _choose_grouping(cases, n_folds)
    for warning in warnings:
        logger.warning("splits: %s", warning)
    if grouping == "frame blocks":
        validation = _frame_blocks(cases, n_folds)
    else:
        validation = _balance(_make_groups(cases, grouping, wire_pixels, seed), n_folds)
    names = [case.name for case in cases]
    folds = tuple(
        Fold(train=tuple(name for name in names if name not in part), val=tuple(sorted(part))) for part in validation
    )
    return Splits(grouping=grouping, folds=folds, warnings=tuple(warnings))


def make_site_splits(cases: Sequence[Case]) -> Splits:
    """One fold for each site, which it leaves out: what they validate is a site the weights have never seen.

    Args:
        cases: the training cases, each with its site declared.

    Raises:
        SplitError: a case has no site, there is a single site, or a patient (or sequence) was at two of them.
    """
    without = [case.name for case in cases if case.site is None]
    if without:
        raise SplitError(
            f"splits by site: found {len(without)} of {len(cases)} training frames without a site ({without[0]}, for "
            "one); wanted it for all: declare it in dataset.json as cases.<case>.site"
        )
    sites = sorted({str(case.site) for case in cases})
    if len(sites) < 2:
        raise SplitError(f"splits by site: found {len(sites)} site; wanted two at least: leave --split_by site out")
    names = sorted(case.name for case in cases)
    site_of = {case.name: str(case.site) for case in cases}
    folds = tuple(
        Fold(
            train=tuple(name for name in names if site_of[name] != site),
            val=tuple(name for name in names if site_of[name] == site),
        )
        for site in sites
    )
    splits = Splits(grouping="site", folds=folds)
    leaks = _find_leaks(splits, cases, _strictest_grouping(cases))
    if leaks:
        raise SplitError(
            f"splits by site: {leaks[0]}; wanted each patient and sequence at one site: correct dataset.json"
        )
    return splits


def load_splits(path: Path, cases: Sequence[Case], allow_leaking: bool = False) -> Splits:
    """Splits from a file in gwunet's format or as nnU-Net's bare list of folds.

    Args:
        path: the JSON file.
        cases: the training cases.
        allow_leaking: accept folds that divide a patient or sequence, with a warning.

    Raises:
        SplitError: a fold leaks, has an unknown or repeated case or an empty half.
        SchemaError: the file is neither format.
    """
    data = parse_json(path)
    if isinstance(data, list):
        fold_type: Any = tuple[Fold, ...]
        folds: tuple[Fold, ...] = from_json(fold_type, data, str(path))
        splits = Splits(grouping=_strictest_grouping(cases), folds=folds)
    else:
        splits = from_json(Splits, data, str(path))
    _check_names(splits, cases, path)
    grouping = _grouping_to_hold(splits, cases)
    leaks = _find_leaks(splits, cases, grouping) if grouping != "frame blocks" else []
    if grouping == "site":
        leaks += _find_leaks(splits, cases, _strictest_grouping(cases))
    if leaks and not allow_leaking:
        raise SplitError(
            f"{path}: found {'; '.join(leaks)}; wanted each {grouping} in one half only: delete the file to have it "
            "made anew, or give --allow_leaking_splits to use it as it is"
        )
    for leak in leaks:
        logger.warning("%s: %s", path, leak)
    return Splits(grouping="none" if leaks else grouping, folds=splits.folds, warnings=(*splits.warnings, *leaks))


def _patient(case: Case) -> str:
    return str(case.patient)


def _sequence(case: Case) -> str:
    return case.sequence if case.patient is None else f"{case.sequence} of patient {case.patient}"


def _site(case: Case) -> str:
    return str(case.site)


_GROUP_OF: dict[str, Callable[[Case], str]] = {"patient": _patient, "sequence": _sequence, "site": _site}


def _choose_grouping(cases: Sequence[Case], n_folds: int) -> tuple[Grouping, list[str]]:
    """The largest unit that leaves enough groups, and a warning for each step down from folds of patients."""
    n_sequences = len({_sequence(case) for case in cases})
    n_patients = len({case.patient for case in cases})
    if n_sequences == 1:
        return "frame blocks", [
            "there is a single sequence, so each fold validates on a block of consecutive frames; frames next to the "
            "block are almost the same, so the figures will be too good: add sequences or declare them in dataset.json"
        ]
    by_patient = all(case.patient is not None for case in cases) and (
        n_patients >= n_folds or n_patients == n_sequences
    )
    warnings = []
    if not by_patient and all(case.patient is not None for case in cases):
        warnings.append(
            f"there are fewer than {n_folds} patients ({n_patients}), so the folds keep sequences together and "
            "patients are in both halves: the figures hold for new sequences of known patients only"
        )
    n_groups = n_patients if by_patient else n_sequences
    if n_groups < n_folds:
        unit = "patients" if by_patient else "sequences"
        warnings.append(f"there are fewer than {n_folds} {unit}, so there are {n_groups} folds, one for each")
    return "patient" if by_patient else "sequence", warnings


def _make_groups(cases: Sequence[Case], grouping: Grouping, wire_pixels: Mapping[str, int], seed: int) -> list[_Group]:
    members = defaultdict(list)
    for case in cases:
        members[_GROUP_OF[grouping](case)].append(case.name)
    all_wire = max(1, sum(wire_pixels[case.name] for case in cases))
    return [
        _Group(
            names=tuple(names),
            frames=len(names) / len(cases),
            wire=sum(wire_pixels[name] for name in names) / all_wire,
            tie_break=hashlib.blake2b(f"{seed} {key}".encode()).digest(),
        )
        for key, names in members.items()
    ]


def _balance(groups: Sequence[_Group], n_folds: int) -> list[set[str]]:
    """Validation halves: largest group first, each to the fold where it adds least to the sum of squared loads."""
    loads = np.zeros((min(n_folds, len(groups)), 2))  # shares of frames and of wire pixels
    parts: list[set[str]] = [set() for _ in loads]
    for group in sorted(groups, key=lambda group: (-group.frames - group.wire, group.tie_break)):
        share = np.array([group.frames, group.wire])
        # (load + share)^2 - load^2, without the part that is the same for every fold. An empty fold costs nothing, so
        # that every fold gets a group.
        emptiest = int(np.argmin(loads @ share))
        loads[emptiest] += share
        parts[emptiest].update(group.names)
    return parts


def _frame_blocks(cases: Sequence[Case], n_folds: int) -> list[set[str]]:
    ordered = sorted(cases, key=lambda case: (case.frame is None, case.frame or 0, case.name))
    blocks = np.array_split(np.arange(len(ordered)), min(n_folds, len(ordered)))
    return [{ordered[i].name for i in block} for block in blocks]


def _check_names(splits: Splits, cases: Sequence[Case], path: Path) -> None:
    known = {case.name for case in cases}
    if not splits.folds:
        raise SplitError(f"{path}: found no folds; wanted at least one: delete the file to have it made anew")
    for k, fold in enumerate(splits.folds):
        names = (*fold.train, *fold.val)
        unknown = sorted(set(names) - known)
        twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if unknown:
            problem = f"the unknown cases {', '.join(unknown)}; wanted names of training cases with frame and mask"
        elif twice:
            problem = f"{', '.join(twice)} more than once; wanted each case in one half only"
        elif not fold.train or not fold.val:
            problem = f"{len(fold.train)} training and {len(fold.val)} validation cases; wanted at least one of each"
        else:
            continue
        raise SplitError(f"{path}: fold {k}: found {problem}: correct it, or delete the file to have it made anew")
    validated = set(chain.from_iterable(fold.val for fold in splits.folds))
    nowhere = known - validated - set(chain.from_iterable(fold.train for fold in splits.folds))
    if nowhere:
        logger.warning(
            "%s: %d of %d training cases are in no fold, so neither trained on (but by fold all) nor validated; "
            "gw_plan_and_preprocess --clean makes new folds",
            path,
            len(nowhere),
            len(known),
        )
    if known - validated - nowhere:
        count = len(known - validated - nowhere)
        logger.warning("%s: %d of %d training cases are validated in no fold", path, count, len(known))


def _strictest_grouping(cases: Sequence[Case]) -> Grouping:
    return "patient" if all(case.patient is not None for case in cases) else "sequence"


def _grouping_to_hold(splits: Splits, cases: Sequence[Case]) -> Grouping:
    """What the folds must keep together: a recorded step down counts only where ``make_splits`` would step down too."""
    if splits.grouping == "site" and all(case.site is not None for case in cases):
        return "site"
    due, _ = _choose_grouping(cases, max(2, len(splits.folds)))
    return due if splits.grouping == due else _strictest_grouping(cases)


def _find_leaks(splits: Splits, cases: Sequence[Case], grouping: Grouping) -> list[str]:
    """A message for each fold that has a group in both halves."""
    group_of = {case.name: _GROUP_OF[grouping](case) for case in cases}
    leaks = []
    for k, fold in enumerate(splits.folds):
        shared = sorted({group_of[name] for name in fold.train} & {group_of[name] for name in fold.val})
        if shared:
            leaks.append(f"fold {k} has the {grouping} {', '.join(shared)} in training and in validation")
    return leaks
