"""What is drawn for intervals, against drawing by hand."""

import numpy as np
import pytest

from gwunet.evaluation.resampling import (
    FEWEST_GROUPS,
    RESAMPLES,
    draw,
    group_name,
    groups_of_frames,
    interval_of_mean,
    limits,
    ratios,
    unit_of,
)


@pytest.mark.parametrize(
    ("groups", "unit"),
    [
        ([("p", "s"), ("q", "s")], "patient"),
        ([("p", "s"), ("p", "t")], "sequence"),  # one patient says nothing of others
        ([("p", "s"), (None, "t")], "patient"),  # whose sequence counts as another patient
        ([("p", "s"), (None, None)], "patient"),
        ([(None, "s"), (None, "s")], "sequence"),
        ([(None, None), (None, "s")], "frame"),
        ([("p", None), ("p", None)], "frame"),
    ],
)
def test_patients_are_drawn_before_sequences_and_those_before_frames(
    groups: list[tuple[str | None, str | None]], unit: str
) -> None:
    assert unit_of(groups) == unit
    frames = [{"case": f"c{n}", "patient": patient, "sequence": name} for n, (patient, name) in enumerate(groups)]
    assert groups_of_frames(frames)[0] == unit


def test_sequences_of_one_name_and_two_patients_are_two_groups() -> None:
    frames = [
        {"case": "a", "patient": "p", "sequence": "s"},
        {"case": "b", "patient": "q", "sequence": "s"},
        {"case": "c", "patient": None, "sequence": "s"},
    ]
    assert groups_of_frames(frames) == ("patient", {"a": "p", "b": "q", "c": "s"})
    assert [group_name(frame, "sequence") for frame in frames] == ["p/s", "q/s", "s"]
    assert group_name({"case": "d"}, "patient") == "d"
    assert group_name({"case": "d"}, "sequence") == "d"


def test_every_resample_has_as_many_groups_as_there_are() -> None:
    draws = draw(7)
    assert draws.shape == (RESAMPLES, 7)
    assert set(draws.sum(axis=1)) == {7}
    assert draws.mean(axis=0) == pytest.approx(1, abs=0.15)
    assert np.array_equal(draws, draw(7))
    assert len(draw(7, 10)) == 10


def test_the_interval_of_a_mean_is_that_of_resamples_taken_one_by_one() -> None:
    rng = np.random.default_rng(3)
    groups = [list(rng.random(count)) for count in (1, 3, 2, 0, 4, 1, 2)]
    means = []
    for times in draw(len(groups)):
        drawn = [value for group, count in zip(groups, times, strict=True) for value in group * count]
        if drawn:
            means.append(np.mean(drawn))
    assert interval_of_mean(groups) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))
    assert interval_of_mean(groups[: FEWEST_GROUPS - 1]) is None
    assert interval_of_mean([*groups[: FEWEST_GROUPS - 1], [], []]) is None  # nothing is drawn from those


def test_a_resample_without_a_denominator_does_not_count() -> None:
    found = ratios(np.array([[2, 0], [0, 2], [1, 1]]), [3, 5], [4, 0])
    assert found == pytest.approx([6 / 8, np.nan, 8 / 4], nan_ok=True)
    assert limits(np.array([np.nan, 1.0, np.nan])) == (1.0, 1.0)
    assert limits(np.array([np.nan])) is None


@pytest.mark.parametrize(("n_groups", "share"), [(2, 0.49), (5, 0.84), (6, 0.85), (10, 0.89), (20, 0.91)])
def test_intervals_of_few_groups_cover_less_than_they_say(n_groups: int, share: float) -> None:
    """The figures in the page on metrics: of patients whose means scatter normally, drawn anew four thousand times."""
    rng = np.random.default_rng(1)
    means = rng.normal(0.8, 0.08, (n_groups, 4000)) + rng.normal(0, 0.02, (n_groups, 4000))
    resampled = draw(n_groups) @ means / n_groups
    lower, upper = np.quantile(resampled, [0.025, 0.975], axis=0)
    assert ((lower <= 0.8) & (upper >= 0.8)).mean() == pytest.approx(share, abs=0.025)
