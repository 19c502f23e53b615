"""Whole groups are set aside, always the same ones by seed."""

import logging
from collections import Counter

import pytest

from gwunet.errors import TrainingError
from gwunet.trainers.set_aside import set_aside


def grouped(groups: int, frames: int = 3) -> dict[str, str]:
    return {f"g{group}_f{frame}": f"g{group}" for group in range(groups) for frame in range(frames)}


@pytest.mark.parametrize(("groups", "expected"), [(2, 1), (3, 1), (4, 2), (5, 2), (40, 2)])
def test_two_whole_groups_or_one_where_there_are_few(groups: int, expected: int) -> None:
    cases = grouped(groups)
    train, aside = set_aside(cases, 0, cases)
    assert sorted([*train, *aside]) == sorted(cases)
    left, taken = ({cases[case] for case in part} for part in (train, aside))
    assert len(taken) == expected
    assert not left & taken


def test_the_seed_alone_chooses() -> None:
    cases = grouped(8)
    chosen = [set_aside(cases, seed, cases)[1] for seed in range(60)]
    assert chosen == [set_aside(cases, seed, cases)[1] for seed in range(60)]
    backwards = dict(reversed(cases.items()))
    assert [set(aside) for aside in chosen] == [set(set_aside(backwards, seed, cases)[1]) for seed in range(60)]
    counts = Counter(cases[aside[0]] for aside in chosen) + Counter(cases[aside[-1]] for aside in chosen)
    assert set(counts) == set(cases.values())


@pytest.mark.parametrize(("frames", "expected"), [(2, 1), (3, 1), (4, 1), (8, 2), (21, 5)])
def test_of_a_single_group_the_last_quarter_with_a_warning(
    frames: int, expected: int, caplog: pytest.LogCaptureFixture
) -> None:
    cases = grouped(1, frames)
    with caplog.at_level(logging.WARNING):
        train, aside = set_aside(cases, 0, cases)
    assert (*train, *aside) == tuple(cases)
    assert len(aside) == expected
    assert "all training frames are of g0" in caplog.text


def test_a_single_frame_is_refused() -> None:
    with pytest.raises(TrainingError, match=r"found 1 training frames, wanted at least 2.*leave --patience out"):
        set_aside({"a": "p"}, 0, {"a"})


@pytest.mark.parametrize("groups", [2, 3, 4, 9])
def test_the_only_group_with_wire_is_never_set_aside(groups: int) -> None:
    cases = grouped(groups)
    for wired in sorted(set(cases.values())):
        for seed in range(20):
            train, aside = set_aside(cases, seed, {f"{wired}_f1"})
            assert f"{wired}_f1" in train
            assert len({cases[case] for case in aside}) == (2 if groups >= 4 else 1)


@pytest.mark.parametrize("wired", range(8))
def test_of_a_single_group_the_only_frame_with_wire_is_trained_on(wired: int) -> None:
    cases = grouped(1, 8)
    train, aside = set_aside(cases, 0, {f"g0_f{wired}"})
    assert f"g0_f{wired}" in train
    assert sorted([*train, *aside]) == sorted(cases)
    assert len(aside) == 2
