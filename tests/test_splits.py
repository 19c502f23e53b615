"""Folds that divide no patient or sequence, validate every case once, and are balanced."""

import dataclasses
import json
import logging
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwunet.dataset import Case
from gwunet.errors import SchemaError, SplitError, UsageError
from gwunet.jsonio import write_json
from gwunet.splits import (
    Fold,
    Splits,
    check_sites,
    group_of,
    load_splits,
    make_site_splits,
    make_splits,
    training_wire_px,
)


def make_cases(patients: Sequence[Sequence[int]], with_patients: bool = True) -> list[Case]:
    """Cases of patients, each given by the number of frames in each of its sequences."""
    return [
        Case(
            name=f"p{p}_s{s}_{frame:03d}",
            image=Path(),
            mask=Path(),
            patient=f"p{p}" if with_patients else None,
            sequence=f"p{p}_s{s}",
            frame=frame,
        )
        for p, sequences in enumerate(patients)
        for s, count in enumerate(sequences)
        for frame in range(count)
    ]


def wire(cases: Sequence[Case], pixels: int = 100) -> dict[str, int]:
    return {case.name: pixels for case in cases}


def divided(splits: Splits, cases: Sequence[Case], group: Callable[[Case], str | None]) -> bool:
    """Brute force: does any group stand in both halves of a fold?"""
    by_name = {case.name: case for case in cases}
    return any(group(by_name[a]) == group(by_name[b]) for fold in splits.folds for a in fold.train for b in fold.val)


def assert_each_case_is_validated_once(splits: Splits, cases: Sequence[Case]) -> None:
    everything = sorted(case.name for case in cases)
    assert sorted(name for fold in splits.folds for name in fold.val) == everything
    for fold in splits.folds:
        assert sorted(fold.train + fold.val) == everything
        assert fold.train
        assert fold.val


patients_strategy = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=3), min_size=1, max_size=9)


@given(patients=patients_strategy, with_patients=st.booleans(), seed=st.integers(0, 99), data=st.data())
def test_properties_of_any_split(
    patients: list[list[int]], with_patients: bool, seed: int, data: st.DataObject
) -> None:
    cases = make_cases(patients, with_patients)
    if len(cases) < 2:
        return
    pixels = {case.name: data.draw(st.integers(0, 500)) for case in cases}
    splits = make_splits(cases, pixels, seed=seed)
    assert_each_case_is_validated_once(splits, cases)
    if splits.grouping == "patient":
        assert not divided(splits, cases, lambda case: case.patient)
    if splits.grouping != "frame blocks":
        assert not divided(splits, cases, lambda case: case.sequence)
    shuffled = random.Random(seed).sample(cases, len(cases))
    assert make_splits(shuffled, pixels, seed=seed) == splits


def forget_patients(cases: Sequence[Case], forgotten: Callable[[Case], bool]) -> list[Case]:
    """The cases, some of them without the patient."""
    return [dataclasses.replace(case, patient=None) if forgotten(case) else case for case in cases]


def patients_divided(splits: Splits, cases: Sequence[Case]) -> set[str]:
    """Brute force: the known patients that stand in both halves of a fold."""
    patient = {case.name: case.patient for case in cases}
    return {
        str(patient[a])
        for fold in splits.folds
        for a in fold.train
        for b in fold.val
        if patient[a] is not None and patient[a] == patient[b]
    }


@given(patients=st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=3), min_size=2, max_size=9), data=st.data())
def test_known_patients_are_never_divided(patients: list[list[int]], data: st.DataObject) -> None:
    """Whoever else is unknown, and also where a run is declared in part only."""
    whole = make_cases(patients)
    forgotten = set(data.draw(st.lists(st.sampled_from([case.name for case in whole]))))
    cases = forget_patients(whole, lambda case: case.name in forgotten)
    splits = make_splits(cases, wire(cases))
    assert_each_case_is_validated_once(splits, cases)
    assert not divided(splits, cases, lambda case: case.sequence)
    known = {case.patient for case in cases} - {None}
    if len(known) > 1:
        assert splits.grouping == "patient"
        assert not patients_divided(splits, cases)
    still_unknown = {case.sequence for case in cases} - {case.sequence for case in cases if case.patient is not None}
    assert any("declare patients" in text for text in splits.warnings) == bool(still_unknown)


def test_one_frame_without_a_patient_divides_nobody(tmp_path: Path) -> None:
    cases = make_cases([[3, 3]] * 10)
    stray = Case(name="x_1", image=Path(), mask=Path(), patient=None, sequence="x", frame=1)
    splits = make_splits([*cases, stray], wire([*cases, stray]))
    assert (splits.grouping, len(splits.folds)) == ("patient", 5)
    assert not patients_divided(splits, [*cases, stray])
    (warning,) = splits.warnings
    assert "the patient of 1 of 61 training frames is not known (x_1, for one)" in warning
    write_json(tmp_path / "splits.json", splits)
    assert load_splits(tmp_path / "splits.json", [*cases, stray]) == splits


def test_a_frame_without_a_patient_goes_with_the_other_frames_of_its_run() -> None:
    """Also where the patient stands before the run's name, because two have a run of that name."""
    cases = [
        dataclasses.replace(case, sequence=case.sequence.replace("_", "/")) for case in make_cases([[3, 3]] * 6)
    ]  # sequences p0/s0, p0/s1, ...
    only = dataclasses.replace(cases[0], name="only", patient=None, sequence="unique")
    first = dataclasses.replace(cases[0], name="first", sequence="p0/unique")
    splits = make_splits([*cases, first, only], wire([*cases, first, only]))
    assert splits.warnings == ()
    assert any({"only", "first", cases[0].name} <= set(fold.val) for fold in splits.folds)
    shared = dataclasses.replace(only, sequence="s0")  # six patients have one
    splits = make_splits([*cases, shared], wire([*cases, shared]))
    assert "the patient of 1 of 37" in splits.warnings[0]
    assert group_of(shared, "patient") == "sequence s0"


def test_a_group_is_told_in_words() -> None:
    (case,) = make_sited(["north"])[:1]
    told = [group_of(case, grouping) for grouping in ("patient", "sequence", "site", "frame blocks", "none")]
    frame = "frame p0_s0_000"
    assert told == ["patient p0", "sequence p0_s0 of patient p0", "site north", frame, frame]
    assert group_of(dataclasses.replace(case, patient=None), "patient") == "sequence p0_s0"


def test_a_training_half_without_wire_is_named(caplog: pytest.LogCaptureFixture) -> None:
    cases = make_cases([[3]] * 6)
    pixels = {case.name: 100 if case.patient == "p0" else 0 for case in cases}
    splits = make_splits(cases, pixels)
    (without,) = (number for number, fold in enumerate(splits.folds) if "p0_s0_000" in fold.val)
    assert [training_wire_px(fold, pixels) for fold in splits.folds] == [
        0 if number == without else 300 for number in range(5)
    ]
    (warning,) = splits.warnings
    assert f"training half of fold {without}, so there is nothing to learn" in warning
    assert warning in caplog.text
    assert training_wire_px(splits.fold("all"), pixels) == 300


@given(sizes=st.lists(st.integers(1, 12), min_size=5, max_size=20))
def test_folds_are_balanced(sizes: list[int]) -> None:
    # With equal wire in every frame there is one size to balance, where greedy filling has a known bound.
    cases = make_cases([[size] for size in sizes])
    folds = [len(fold.val) for fold in make_splits(cases, wire(cases)).folds]
    assert max(folds) <= sum(sizes) / 5 + max(sizes)
    assert max(folds) - min(folds) <= max(sizes)


def test_wire_pixels_are_balanced_too() -> None:
    cases = make_cases([[10]] * 10)
    pixels = {case.name: 1000 if case.patient in ("p0", "p1", "p2", "p3", "p4") else 10 for case in cases}
    for fold in make_splits(cases, pixels).folds:
        assert len(fold.val) == 20
        assert sum(pixels[name] for name in fold.val) == 10_100


def test_seven_patients_of_unequal_size_stay_whole() -> None:
    cases = make_cases([[9, 4], [30], [2], [7, 7], [12], [1], [5]])
    splits = make_splits(cases, wire(cases))
    assert (splits.grouping, len(splits.folds), splits.warnings) == ("patient", 5, ())
    assert not divided(splits, cases, lambda case: case.patient)
    assert_each_case_is_validated_once(splits, cases)


def test_the_seed_chooses_among_equal_groups() -> None:
    cases = make_cases([[2]] * 12)
    assert len({make_splits(cases, wire(cases), seed=seed).folds[0].val for seed in range(8)}) > 1


def test_frames_without_any_wire_are_split_all_the_same() -> None:
    cases = make_cases([[3]] * 5)
    assert [len(fold.val) for fold in make_splits(cases, wire(cases, 0)).folds] == [3] * 5


@pytest.mark.parametrize(
    ("patients", "with_patients", "grouping", "n_folds", "warning"),
    [
        ([[2]] * 5, True, "patient", 5, None),
        ([[2]] * 5, False, "sequence", 5, "no patients are known"),
        ([[2, 2, 2]] * 4, True, "patient", 4, "fewer than 5 patients (4), so there are 4 folds, one for each: 0 to 3"),
        ([[2, 2], [3]], True, "patient", 2, "fewer than 5 patients (2)"),
        ([[2, 2, 2]], True, "sequence", 3, "all 3 sequences are of one patient (p0), who is in both halves"),
        ([[2]] * 3, False, "sequence", 3, "fewer than 5 sequences"),
        ([[2]] * 3, True, "patient", 3, "fewer than 5 patients"),
        ([[12]], True, "frame blocks", 5, "a single sequence"),
        ([[3]], False, "frame blocks", 3, "a single sequence"),
        ([[2]], False, "frame blocks", 2, "a single sequence"),
    ],
)
def test_each_step_down_is_warned_of_and_recorded(
    patients: list[list[int]],
    with_patients: bool,
    grouping: str,
    n_folds: int,
    warning: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cases = make_cases(patients, with_patients)
    splits = make_splits(cases, wire(cases))
    assert (splits.grouping, len(splits.folds)) == (grouping, n_folds)
    assert_each_case_is_validated_once(splits, cases)
    if warning is None:
        assert splits.warnings == ()
    else:
        assert any(warning in text for text in splits.warnings)
        assert warning in caplog.text


def test_one_sequence_is_cut_into_runs_of_frames() -> None:
    cases = [Case(name=f"f{k}", image=Path(), mask=None, patient=None, sequence="s", frame=k) for k in range(12)]
    for fold in make_splits(cases, wire(cases)).folds:
        numbers = sorted(int(name[1:]) for name in fold.val)
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert len(numbers) in (2, 3)


def test_too_little_to_split_is_an_error() -> None:
    with pytest.raises(SplitError, match="found 1 training frames; wanted at least 2"):
        make_splits(make_cases([[1]]), {"p0_s0_000": 1})
    with pytest.raises(UsageError, match="wanted at least 2"):
        make_splits(make_cases([[2]]), {}, n_folds=1)


def test_folds_are_taken_by_number_or_all() -> None:
    cases = make_cases([[2]] * 5)
    splits = make_splits(cases, wire(cases))
    assert splits.fold(4) is splits.folds[4]
    assert splits.fold("3") is splits.folds[3]
    assert splits.fold("all") == Fold(train=tuple(case.name for case in cases), val=())
    assert splits.fold("all", make_cases([[2]] * 6)).train == tuple(case.name for case in make_cases([[2]] * 6))
    for wrong in (9, -1, "x"):
        with pytest.raises(UsageError, match=f"fold {wrong}: no such fold; the dataset has folds 0 to 4"):
            splits.fold(wrong)


class TestFiles:
    def save(self, path: Path, data: Any) -> Path:
        path.write_text(json.dumps(data))
        return path

    @given(patients=patients_strategy)
    def test_what_is_made_is_read_back(
        self, tmp_path_factory: pytest.TempPathFactory, patients: list[list[int]]
    ) -> None:
        cases = make_cases(patients)
        if len(cases) < 2:
            return
        splits = make_splits(cases, wire(cases))
        path = tmp_path_factory.mktemp("splits") / "splits.json"
        write_json(path, splits)
        assert load_splits(path, cases) == splits

    def test_version_1_is_read_for_ever(self, tmp_path: Path) -> None:
        cases = make_cases([[1]] * 2)
        fold = {"train": ["p0_s0_000"], "val": ["p1_s0_000"]}
        path = self.save(tmp_path / "splits.json", {"schema_version": 1, "grouping": "patient", "folds": [fold]})
        assert load_splits(path, cases).folds == (Fold(train=("p0_s0_000",), val=("p1_s0_000",)),)

    def test_the_bare_list_of_nnunet_is_read(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        cases = make_cases([[2]] * 3)
        names = [case.name for case in cases]
        path = self.save(tmp_path / "splits_final.json", [{"train": names[:4], "val": names[4:]}])
        splits = load_splits(path, cases)
        assert splits == Splits(grouping="patient", folds=(Fold(train=tuple(names[:4]), val=tuple(names[4:])),))
        assert "4 of 6 training cases are validated in no fold" in caplog.text

    def test_a_list_that_divides_a_known_patient_leaks_whoever_else_is_unknown(self, tmp_path: Path) -> None:
        cases = forget_patients(make_cases([[2, 2]] * 6), lambda case: case.patient == "p5")
        names = [case.name for case in cases]
        path = self.save(tmp_path / "splits.json", [{"train": names[2:], "val": names[:2]}])
        with pytest.raises(SplitError, match="fold 0 has the patient p0 in training and in validation"):
            load_splits(path, cases)
        unknown = self.save(path, [{"train": names[:-2], "val": names[-2:]}])  # one of p5's runs, but who knows
        assert load_splits(unknown, cases).grouping == "patient"
        sequence = self.save(path, [{"train": names[:-1], "val": names[-1:]}])
        with pytest.raises(SplitError, match="fold 0 has the sequence p5_s1 in training and in validation"):
            load_splits(sequence, cases)

    @pytest.mark.parametrize(("patients", "forgotten"), [([[2, 2, 2]] * 3, "nobody"), ([[2, 2]] * 6, "p5")])
    def test_folds_by_sequence_of_an_earlier_version_are_kept_and_warned_of(
        self, tmp_path: Path, patients: list[list[int]], forgotten: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        cases = forget_patients(make_cases(patients), lambda case: case.patient == forgotten)
        by_sequence = make_splits(forget_patients(cases, lambda _: True), wire(cases))
        assert (by_sequence.grouping, len(by_sequence.folds)) == ("sequence", 5)
        path = tmp_path / "splits.json"
        write_json(path, dataclasses.replace(by_sequence, warnings=("why",)))
        loaded = load_splits(path, cases)
        assert (loaded.grouping, loaded.folds) == ("sequence", by_sequence.folds)
        kept, added = loaded.warnings
        assert kept == "why"
        assert "patients who are known are in both halves of folds 0" in added
        assert added in caplog.text

    def test_folds_by_sequence_of_enough_patients_are_refused(self, tmp_path: Path) -> None:
        """No version made them where every case of five patients or more has one."""
        cases = make_cases([[2, 2]] * 5)
        by_sequence = make_splits(forget_patients(cases, lambda _: True), wire(cases))
        write_json(tmp_path / "splits.json", by_sequence)
        with pytest.raises(SplitError, match="has the patient"):
            load_splits(tmp_path / "splits.json", cases)

    def test_cases_that_came_after_the_folds_are_said_to_be_in_none(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        cases = make_cases([[2]] * 5)
        path = tmp_path / "splits.json"
        write_json(path, make_splits(cases, wire(cases)))
        load_splits(path, make_cases([[2]] * 6))
        (record,) = caplog.records
        assert "2 of 12 training cases are in no fold, so neither trained on (but by fold all)" in record.getMessage()
        assert "--clean makes new folds" in record.getMessage()

    @pytest.mark.parametrize(("with_patients", "group"), [(True, "patient p1"), (False, "sequence p1_s0")])
    @pytest.mark.parametrize("bare", [True, False])
    def test_a_leak_is_refused_by_name_unless_allowed(
        self, tmp_path: Path, with_patients: bool, group: str, bare: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        cases = make_cases([[2]] * 5, with_patients)
        names = [case.name for case in cases]
        folds = [{"train": names[3:], "val": names[:3]}]
        path = self.save(
            tmp_path / "splits.json",
            folds if bare else {"schema_version": 1, "grouping": "frame blocks", "folds": folds},
        )
        with pytest.raises(SplitError, match=f"fold 0 has the {group} in training and in validation.*--allow_leaking"):
            load_splits(path, cases)
        with caplog.at_level(logging.WARNING):
            splits = load_splits(path, cases, allow_leaking=True)
        assert splits.grouping == "none"
        assert any(group in warning for warning in splits.warnings)
        assert group in caplog.text

    def test_a_list_that_divides_one_of_few_patients_leaks(self, tmp_path: Path) -> None:
        cases = make_cases([[2, 2], [2, 2]])
        names = [case.name for case in cases]
        path = self.save(tmp_path / "splits.json", [{"train": names[2:], "val": names[:2]}])
        with pytest.raises(SplitError, match="patient p0"):
            load_splits(path, cases)

    @pytest.mark.parametrize(
        ("fold", "reason"),
        [
            ({"train": ["p0_s0_000"], "val": ["nobody"]}, "fold 0: found the unknown cases nobody"),
            ({"train": ["p0_s0_000"], "val": ["p0_s0_000"]}, "found p0_s0_000 more than once"),
            ({"train": ["p0_s0_000"], "val": []}, "found 1 training and 0 validation cases"),
        ],
    )
    def test_impossible_folds_are_refused(self, tmp_path: Path, fold: dict[str, list[str]], reason: str) -> None:
        with pytest.raises(SplitError, match=reason):
            load_splits(self.save(tmp_path / "splits.json", [fold]), make_cases([[1]] * 2))

    @pytest.mark.parametrize(
        ("data", "reason"),
        [
            ({"schema_version": 2, "grouping": "patient", "folds": []}, "schema_version: expected one of 1, got 2"),
            ([{"train": ["a"]}], r"\[0\]\.val: missing"),
            ("x", "expected|got"),
        ],
    )
    def test_other_content_is_refused_with_its_path(self, tmp_path: Path, data: Any, reason: str) -> None:
        with pytest.raises(SchemaError, match=reason):
            load_splits(self.save(tmp_path / "splits.json", data), make_cases([[1]] * 2))


def make_sited(sites: Sequence[str | None]) -> list[Case]:
    """A patient with two frames for each entry."""
    return [
        dataclasses.replace(case, site=sites[number // 2]) for number, case in enumerate(make_cases([[2]] * len(sites)))
    ]


def test_folds_by_site_leave_one_out(tmp_path: Path) -> None:
    cases = make_sited(["b", "a", "b", "c"])
    splits = make_site_splits(cases, wire(cases))
    site_of = {case.name: case.site for case in cases}
    assert [{site_of[name] for name in fold.val} for fold in splits.folds] == [{"a"}, {"b"}, {"c"}]
    assert not divided(splits, cases, lambda case: case.site)
    assert_each_case_is_validated_once(splits, cases)
    write_json(tmp_path / "splits.json", splits)
    assert load_splits(tmp_path / "splits.json", cases) == splits
    moved = Fold(train=splits.folds[0].train[1:], val=(*splits.folds[0].val, splits.folds[0].train[0]))
    write_json(tmp_path / "splits.json", Splits(grouping="site", folds=(moved,)))
    with pytest.raises(SplitError, match="fold 0 has the site b in training and in validation"):
        load_splits(tmp_path / "splits.json", cases)


@pytest.mark.parametrize(
    ("sites", "message"), [(["a", None], "without a site"), (["a", "a"], "found 1 site"), (["a", "b"], "at one site")]
)
def test_folds_by_site_need_sites(sites: list[str | None], message: str) -> None:
    cases = make_sited(sites)
    if message == "at one site":
        cases = [dataclasses.replace(case, patient="same") for case in cases]
    for refused in (lambda: check_sites(cases), lambda: make_site_splits(cases, wire(cases))):
        with pytest.raises(SplitError, match=message):
            refused()


def test_folds_by_site_know_patients_as_the_others_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One frame without a patient hides none who was at two sites; unknown patients and missing wires are warned of."""
    cases = make_sited(["a", "a", "b", "b"])
    stray = dataclasses.replace(cases[0], name="x", patient=None, sequence="x")
    moved = [dataclasses.replace(case, patient="p0") if case.patient == "p3" else case for case in cases]
    with pytest.raises(SplitError, match="the patient p0 in training and in validation"):
        check_sites([*moved, stray])
    pixels = {case.name: 9 if case.site == "a" else 0 for case in [*cases, stray]}
    splits = make_site_splits([*cases, stray], pixels)
    unknown, without = splits.warnings
    assert "the patient of 1 of 9 training frames is not known (x, for one)" in unknown
    assert "training half of fold 0, so" in without
    assert without in caplog.text
    write_json(tmp_path / "splits.json", splits)
    assert load_splits(tmp_path / "splits.json", [*cases, stray]) == splits
    earlier = load_splits(tmp_path / "splits.json", [*moved, stray])  # written when this was not found
    assert earlier.grouping == "site"
    assert "patients who are known are in both halves of folds 0, 1, made by an earlier" in earlier.warnings[-1]
