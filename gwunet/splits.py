"""Folds for cross-validation that keep every patient, or at least every sequence, in one piece."""

import dataclasses
import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np

from gwunet.dataset import Case
from gwunet.errors import SplitError, UsageError
from gwunet.jsonio import as_utf8, from_json, parse_json

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
    """What no fold divides. ``"patient"``: nor any sequence whose patient is not known. ``"site"``: each fold leaves
    one hospital or device out. ``"frame blocks"``: runs of frames of the only sequence. ``"none"``: a list from
    elsewhere that divides sequences and was accepted all the same."""
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

    Groups are patients, and sequences where the patient is not known; of a single patient sequences, and of a single
    sequence blocks of frames. Each step down is logged and recorded. The result depends neither on the order of
    ``cases`` nor on anything random: ``seed`` only chooses among equally large groups.

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
    cases = _completed(sorted(cases, key=lambda case: case.name))
    grouping = _due_grouping(cases)
    if grouping == "frame blocks":
        validation = _frame_blocks(cases, n_folds)
    else:
        validation = _balance(_make_groups(cases, grouping, wire_pixels, seed), n_folds)
    names = [case.name for case in cases]
    folds = tuple(
        Fold(train=tuple(name for name in names if name not in part), val=tuple(sorted(part))) for part in validation
    )
    warnings = [*_steps_down(cases, grouping, n_folds), *_warnings_without_wire(folds, wire_pixels)]
    for warning in warnings:
        logger.warning("splits: %s", warning)
    return Splits(grouping=grouping, folds=folds, warnings=tuple(warnings))


def make_site_splits(cases: Sequence[Case], wire_pixels: Mapping[str, int]) -> Splits:
    """One fold for each site, which it leaves out: what they validate is a site the weights have never seen.

    Args:
        cases: the training cases, each with its site declared.
        wire_pixels: number of wire pixels by case name.

    Raises:
        SplitError: as ``check_sites``.
    """
    splits = _by_site(cases)
    warnings = [*_unknown_patients(_completed(cases)), *_warnings_without_wire(splits.folds, wire_pixels)]
    for warning in warnings:
        logger.warning("splits by site: %s", warning)
    return dataclasses.replace(splits, warnings=tuple(warnings))


def check_sites(cases: Sequence[Case]) -> None:
    """Find out before frames are read whether there can be folds by site.

    Raises:
        SplitError: a case has no site, there is a single site, or a patient (or sequence) was at two of them.
    """
    _by_site(cases)


def training_wire_px(fold: Fold, wire_pixels: Mapping[str, int]) -> int:
    """Wire pixels in a fold's training half; from none a network learns that there are no wires.

    Args:
        fold: fold ``all`` too.
        wire_pixels: number of wire pixels by case name, of ``fingerprint.json`` or of a store's entries.
    """
    return sum(wire_pixels[name] for name in fold.train)


def group_of(case: Case, grouping: Grouping) -> str:
    """In words, what a case belongs to and such folds keep whole; the case alone where they keep nothing whole."""
    return " ".join(_group(case, grouping) if grouping in _GROUPS else ("frame", case.name))


def known_to(trained_on: Iterable[str], cases: Iterable[str], undivided: Mapping[str, str]) -> list[str]:
    """Those of ``cases``, sorted, that weights know: they were trained on them, or on others of their patient, say.

    Args:
        trained_on: names of the cases that the weights were trained on.
        cases: names of others.
        undivided: ``group_of`` each case that the dataset has today; a case that is not in it stands for itself.
    """
    known = {undivided.get(name, name) for name in trained_on}
    return sorted(name for name in cases if undivided.get(name, name) in known)


def _by_site(cases: Sequence[Case]) -> Splits:
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
            f"splits by site: found that {leaks[0]}; wanted each patient and sequence at one site: correct dataset.json"
        )
    return splits


def load_splits(path: Path, cases: Sequence[Case], allow_leaking: bool = False) -> Splits:
    """Splits from a file in gwunet's format or as nnU-Net's bare list of folds.

    Args:
        path: the JSON file.
        cases: the training cases.
        allow_leaking: accept folds that divide a patient or sequence, with a warning. What earlier versions recorded is
            accepted without it, with a warning too: folds by sequence that divide patients.

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
    kept = _kept_whole(splits, cases)
    leaks = [leak for each in kept for leak in _find_leaks(splits, cases, each)]
    if leaks and not allow_leaking:
        raise SplitError(
            f"{path}: found {'; '.join(leaks)}; wanted each {kept[0]} in one half only: delete the file to have it "
            "made anew, or give --allow_leaking_splits to use it as it is"
        )
    warnings = leaks or _earlier_leaks(splits, cases, kept)
    for warning in warnings:
        logger.warning("%s: %s", path, warning)
    return Splits(grouping="none" if leaks else kept[0], folds=splits.folds, warnings=(*splits.warnings, *warnings))


_GROUPS: tuple[Grouping, ...] = ("patient", "sequence", "site")


def _group(case: Case, grouping: Grouping) -> tuple[str, str]:
    """Kind and name of what a case belongs to."""
    if grouping == "site":
        return "site", str(case.site)
    if case.patient is None:
        return "sequence", case.sequence
    return ("patient", case.patient) if grouping == "patient" else ("sequence", _sequence(case))


def _sequence(case: Case) -> str:
    return case.sequence if case.patient is None else f"{case.sequence} of patient {case.patient}"


def _completed(cases: Sequence[Case]) -> list[Case]:
    """The cases, and those without a patient in a sequence whose other frames name one as that patient's."""
    owners: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for case in cases:
        if case.patient is not None:  # which stands before the sequence's name where that alone is not unique
            owners[case.sequence.removeprefix(f"{case.patient}/")].add((case.patient, case.sequence))
    known = {sequence: next(iter(found)) for sequence, found in owners.items() if len(found) == 1}
    return [
        dataclasses.replace(case, patient=known[case.sequence][0], sequence=known[case.sequence][1])
        if case.patient is None and case.sequence in known
        else case
        for case in cases
    ]


def _due_grouping(cases: Sequence[Case]) -> Grouping:
    """The largest unit that leaves two groups; patients only where any is known."""
    cases = _completed(cases)
    if len({_sequence(case) for case in cases}) == 1:
        return "frame blocks"
    strictest = _strictest_grouping(cases)
    return strictest if len({_group(case, strictest) for case in cases}) > 1 else "sequence"


def _steps_down(cases: Sequence[Case], grouping: Grouping, n_folds: int) -> list[str]:
    """Why the folds are less than five folds of patients."""
    if grouping == "frame blocks":
        return [
            "there is a single sequence, so each fold validates on a block of consecutive frames; frames next to the "
            "block are almost the same, so the figures will be too good: add sequences or declare them in dataset.json"
        ]
    groups = {_group(case, grouping) for case in cases}
    warnings = _unknown_patients(cases)
    if grouping == "sequence" and not warnings:
        warnings.append(
            f"all {len(groups)} sequences are of one patient ({cases[0].patient}), who is in both halves of every "
            "fold: the figures hold for new sequences of this patient and say nothing of others; add patients"
        )
    if len(groups) < n_folds:
        unit = " and ".join(f"{kind}s" for kind in sorted({kind for kind, _ in groups}))
        warnings.append(
            f"there are fewer than {n_folds} {unit} ({len(groups)}), so there are {len(groups)} folds, one for each: "
            f"0 to {len(groups) - 1}"
        )
    return warnings


def _unknown_patients(cases: Sequence[Case]) -> list[str]:
    """A warning where a patient might be in both halves because nobody said whose the frames are."""
    without = [case.name for case in cases if case.patient is None]
    if not without:
        return []
    which = (
        "no patients are known, so sequences are kept together and no more"
        if len(without) == len(cases)
        else f"the patient of {len(without)} of {len(cases)} training frames is not known ({without[0]}, for one), so "
        "their sequences count as groups of their own"
    )
    return [
        f"{which}; a patient with several sequences may be in both halves, and the figures too good for new patients: "
        "declare patients in dataset.json, by cases or grouping"
    ]


def _warnings_without_wire(folds: Sequence[Fold], wire_pixels: Mapping[str, int]) -> list[str]:
    """A warning of folds with nothing to learn from."""
    without = [str(number) for number, fold in enumerate(folds) if not training_wire_px(fold, wire_pixels)]
    if not without:
        return []
    return [
        f"no wire pixel is in the training half of fold{'s' if len(without) > 1 else ''} {', '.join(without)}, so "
        "there is nothing to learn a wire from: too few patients or sequences have wires; add some, or leave the fold "
        "out"
    ]


def _make_groups(cases: Sequence[Case], grouping: Grouping, wire_pixels: Mapping[str, int], seed: int) -> list[_Group]:
    members = defaultdict(list)
    for case in cases:
        members[_group(case, grouping)].append(case.name)
    all_wire = max(1, sum(wire_pixels[case.name] for case in cases))
    return [
        _Group(
            names=tuple(names),
            frames=len(names) / len(cases),
            wire=sum(wire_pixels[name] for name in names) / all_wire,
            tie_break=hashlib.blake2b(as_utf8(f"{seed} {name}")).digest(),
        )
        for (_, name), names in members.items()
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
    return "sequence" if all(case.patient is None for case in cases) else "patient"


def _kept_whole(splits: Splits, cases: Sequence[Case]) -> tuple[Grouping, ...]:
    """What the folds must keep together, that of the whole first.

    A recorded step down counts only where ``make_splits`` would step down too, or earlier versions did.
    """
    unnamed = any(case.patient is None for case in cases)
    if splits.grouping == "site" and all(case.site is not None for case in cases):
        return "site", "sequence" if unnamed else "patient"
    if splits.grouping == _due_grouping(cases):
        return (splits.grouping,)
    # Earlier versions made folds by sequence where one frame had no patient or patients were fewer than folds.
    few = len({case.patient for case in cases}) < len(splits.folds)
    return (splits.grouping if splits.grouping == "sequence" and (unnamed or few) else _strictest_grouping(cases),)


def _earlier_leaks(splits: Splits, cases: Sequence[Case], kept: Sequence[Grouping]) -> list[str]:
    """A warning where folds of an earlier version divide patients who are known, and a patient need not be divided."""
    if "patient" in kept or _due_grouping(cases) != "patient":
        return []
    divided = [str(number) for number, shared in enumerate(_shared(splits, cases, "patient")) if shared]
    if not divided:
        return []
    return [
        f"patients who are known are in both halves of fold{'s' if len(divided) > 1 else ''} {', '.join(divided)}, "
        "made by an earlier version: the figures hold for new sequences of known patients only; "
        "gw_plan_and_preprocess --clean makes new folds, to be trained anew"
    ]


def _find_leaks(splits: Splits, cases: Sequence[Case], grouping: Grouping) -> list[str]:
    """A message for each fold that has a group in both halves."""
    return [
        f"fold {number} has the {', the '.join(shared)} in training and in validation"
        for number, shared in enumerate(_shared(splits, cases, grouping))
        if shared
    ]


def _shared(splits: Splits, cases: Sequence[Case], grouping: Grouping) -> list[list[str]]:
    """Of each fold, the groups in both halves."""
    if grouping == "frame blocks":
        return []
    group = {case.name: group_of(case, grouping) for case in (_completed(cases) if grouping == "patient" else cases)}
    return [sorted({group[name] for name in fold.train} & {group[name] for name in fold.val}) for fold in splits.folds]
