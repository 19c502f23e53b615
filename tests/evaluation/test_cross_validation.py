"""Out-of-fold frames: settings chosen on some folds and judged on the others, and never on the same."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.morphology import reconstruction, remove_small_objects

from gwunet.dataset import IGNORE, Case, Dataset
from gwunet.errors import SplitError, UsageError
from gwunet.evaluation import cross_validation
from gwunet.evaluation.choice import LEAST_GAIN, Chosen, OutOfFoldFrame, choose_gap, choose_settings
from gwunet.evaluation.cross_validation import CrossValidation, cross_validate, judged_summary
from gwunet.evaluation.paired import paired_difference
from gwunet.evaluation.settings_grid import SettingsGrid, dice_on_grid
from gwunet.io.probability import write_probability
from gwunet.jsonio import from_json, to_json
from gwunet.postprocessing import Postprocessing

SIZE = 48


def brute_dice(levels: NDArray[np.int64], reference: NDArray[np.uint8], settings: Postprocessing) -> float:
    strong, weak = levels / 255 >= settings.threshold, levels / 255 >= (settings.low_threshold or settings.threshold)
    mask = reconstruction(strong & weak, weak, footprint=np.ones((3, 3))).astype(bool)
    mask = remove_small_objects(mask, max_size=settings.smallest_px - 1, connectivity=2) & (reference != IGNORE)
    both, either = np.sum(mask & (reference == 1)), np.sum(mask) + np.sum(reference == 1)
    return float(2 * both / either) if either else 1.0


@pytest.mark.parametrize("kind", ["noise", "smooth", "nothing predicted", "no wire", "everything"])
def test_every_dice_of_the_grid_is_that_of_the_mask(kind: str) -> None:
    rng = np.random.default_rng(5)
    levels = rng.integers(0, 256, (17, 23))
    reference = rng.choice(np.array([0, 0, 0, 1, IGNORE], np.uint8), levels.shape)
    if kind == "smooth":
        levels = np.add.outer(np.arange(17) * 6, np.arange(23) * 6)
    elif kind == "nothing predicted":
        levels[:] = 0
    elif kind == "no wire":
        reference[reference == 1] = 0
    elif kind == "everything":
        levels[:] = 255
    grid = SettingsGrid(thresholds=(0.1, 0.35, 0.5, 0.9), smallest_px=(0, 3, 12))
    dice = dice_on_grid(levels, 255, reference, grid)
    assert dice.shape == grid.shape
    for index in itertools.product(*map(range, grid.shape)):
        if index[0] > index[1]:
            assert np.isnan(dice[index])
        else:
            assert dice[index] == pytest.approx(brute_dice(levels, reference, grid.settings(index)), abs=1e-6), index


def made_pair(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A frame and the mask of its wire, which lies elsewhere in every frame."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[10 + seed : 13 + seed, 4:44] = 1
    return np.random.default_rng(seed).integers(60, 200, mask.shape).astype(np.uint8), mask


def save_probabilities(path: Path, mask: NDArray[np.uint8], level: float, seed: int, speck: bool = True) -> None:
    """``level`` on the wire, half of it on two further rows of it, and a confident speck elsewhere."""
    probability = np.random.default_rng(seed).uniform(0, 0.04, mask.shape)
    probability[np.roll(mask, 3, axis=0) == 1] = level / 2
    probability[mask == 1] = level
    if speck:
        probability[2:4, 2:5] = 0.95
    write_probability(path, probability)


@pytest.fixture
def made(
    make_raw_dataset: Callable[..., Dataset], tmp_path: Path
) -> Callable[..., tuple[Dataset, list[OutOfFoldFrame]]]:
    """Twelve patients in four folds; ``level(fold)`` is the probability on the wires of a fold's frames."""

    def make(level: Callable[[int], float]) -> tuple[Dataset, list[OutOfFoldFrame]]:
        pairs = {f"p{number:02d}_s0_{number}": made_pair(number) for number in range(12)}
        origins = {
            name: {"patient": name[:3], "sequence": name[:6], "site": "AB"[number % 2]}
            for number, name in enumerate(pairs)
        }
        raw = make_raw_dataset(pairs, cases=origins)
        frames = []
        for number, case in enumerate(raw.training):
            path = tmp_path / "out_of_fold" / f"{case.name}.npz"
            save_probabilities(path, raw.read_mask(case), level(number % 4), number)
            frames.append(OutOfFoldFrame(case=case, fold=number % 4, group=str(case.patient), probabilities=(path,)))
        return raw, frames

    return make


Made = Callable[..., tuple[Dataset, list[OutOfFoldFrame]]]


def judged(raw: Dataset, frames: Sequence[OutOfFoldFrame]) -> CrossValidation:
    return cross_validate(raw, frames, models=["made__Made"], grouping="patient", planned=0.5)


def test_settings_chosen_on_the_other_folds_mend_every_fold(made: Made) -> None:
    """Wires at 0.4 are missed by the planned 0.5; the specks are false pieces."""
    raw, frames = made(lambda _: 0.4)
    found = judged(raw, frames)
    assert found.as_planned.per_frame_mean.dice == 0
    assert found.postprocessed.per_frame_mean.dice == 1
    assert found.postprocessed.per_frame_mean.false_pieces == 0
    for choice in found.choices:
        assert 0.2 < choice.settings.threshold <= 0.4
        assert choice.settings.smallest_px > 6
        assert choice.fold not in choice.chosen_on
        assert len(choice.chosen_on) == 3
    assert found.fold_of == {frame.case.name: frame.fold for frame in frames}
    assert [(part.name, part.n_frames, part.n_groups) for part in found.sites] == [("A", 6, 6), ("B", 6, 6)]
    assert [part.postprocessed.dice for part in found.per_fold] == [1, 1, 1, 1]
    assert found.postprocessed.confidence_intervals.unit == "patient"
    assert from_json(Postprocessing, to_json(found)["shipped"], "file") == found.shipped


def test_what_is_chosen_for_a_fold_does_not_depend_on_its_own_frames(made: Made) -> None:
    raw, frames = made(lambda _: 0.4)
    before = judged(raw, frames)
    for frame in frames:
        if frame.fold == 2:  # whatever chooses on these would choose another threshold
            save_probabilities(frame.probabilities[0], raw.read_mask(frame.case), 0.9, 0, speck=False)
    after = judged(raw, frames)
    assert after.choices[2].settings == before.choices[2].settings
    assert after.postprocessed.frames != before.postprocessed.frames


def test_what_is_good_already_stays_as_planned(made: Made) -> None:
    raw, frames = made(lambda _: 0.9)
    for frame in frames:
        save_probabilities(frame.probabilities[0], raw.read_mask(frame.case), 0.9, 0, speck=False)
    found = judged(raw, frames)
    assert found.shipped == Postprocessing(threshold=0.5)
    assert found.as_planned == found.postprocessed


def test_a_planted_leak_is_refused(made: Made) -> None:
    raw, frames = made(lambda _: 0.4)
    grid = SettingsGrid(thresholds=(0.3, 0.5), smallest_px=(0,))
    dice = np.zeros((len(frames), *grid.shape), np.float32)
    others = [frame for frame in frames if frame.fold != 1]
    own = [frame for frame in frames if frame.fold == 1]
    honest = choose_settings(grid, 0.5, dice[: len(others)], others)
    assert honest.to_judge(own) == honest.to_ship()
    leaking = choose_settings(grid, 0.5, dice[: len(others) + 1], [*others, own[0]])
    with pytest.raises(SplitError, match=f"{own[0].case.name}: found {own[0].case.name} among the frames"):
        leaking.to_judge(own)
    with pytest.raises(SplitError, match="settings were chosen on"):  # what is chosen on top of it leaks as well
        choose_gap(leaking, np.ones((10, 4)), np.ones((10, 4)) * [0, 1, 0, 0]).to_judge(own)
    # Another frame of the same patient is a leak too, and the whole cross-validation refuses it.
    divided = [*frames[:-1], dataclasses.replace(frames[-1], group=frames[0].group)]
    assert divided[-1].fold != frames[0].fold
    with pytest.raises(SplitError, match=f"found others of {frames[0].group}"):
        judged(raw, divided)


def test_a_step_must_gain_and_gaps_must_cost_no_dice(made: Made) -> None:
    _, frames = made(lambda _: 0.4)
    grid = SettingsGrid(thresholds=(0.3, 0.5), smallest_px=(0, 10))
    dice = np.full((12, *grid.shape), 0.5, np.float64)
    dice[:, 0, 0, 0] += 0.9 * LEAST_GAIN
    assert choose_settings(grid, 0.5, dice, frames).to_ship() == Postprocessing(threshold=0.5)
    dice[:, 0, 0, 0] += 0.2 * LEAST_GAIN
    assert choose_settings(grid, 0.5, dice, frames).to_ship() == Postprocessing(threshold=0.3)
    dice[:, 0, 0, 0] = 0.5 + 12 * 0.002 * (np.arange(12) == 7)  # all of the gain is one patient's
    assert choose_settings(grid, 0.5, dice, frames).to_ship() == Postprocessing(threshold=0.5)
    base = Chosen(Postprocessing(threshold=0.5), frames)
    cldice = np.tile([0.5, 0.6, 0.8, 0.9], (12, 1))
    by_gap = np.tile([0.7, 0.71, 0.7, 0.6], (12, 1))
    assert choose_gap(base, by_gap, cldice).to_ship() == Postprocessing(threshold=0.5, gap_px=20)
    with pytest.raises(UsageError, match="two folds"):
        choose_settings(grid, 0.5, dice[:0], [])


def test_few_groups_have_no_interval(made: Made) -> None:
    raw, frames = made(lambda _: 0.9)
    few = judged(raw, frames[:5])
    assert few.as_planned.confidence_intervals.per_frame_mean == {}
    assert "six groups at least" in few.as_planned.confidence_intervals.not_computed["per_frame_mean.dice"]
    assert "dice" in judged(raw, frames[:6]).as_planned.confidence_intervals.per_frame_mean


def test_one_fold_leaves_nothing_to_choose_on(made: Made) -> None:
    raw, frames = made(lambda _: 0.4)
    found = judged(raw, [frame for frame in frames if frame.fold == 0])
    assert found.choices == ()
    assert found.as_planned == found.postprocessed
    assert "one fold leaves no other" in found.notes[0]
    assert found.shipped == Postprocessing(threshold=0.5)  # nothing ships that nobody could judge
    with pytest.raises(UsageError, match="no out-of-fold frames"):
        judged(raw, [])


def test_nothing_ships_where_no_fold_could_choose(made: Made) -> None:
    """Two patients in two folds: each would choose on one alone, which tells no gain from chance."""
    raw, frames = made(lambda _: 0.4)
    two = [dataclasses.replace(frame, fold=number % 2, group=f"p{number % 2}") for number, frame in enumerate(frames)]
    found = judged(raw, two)
    assert found.shipped == found.planned
    assert found.choices == ()
    assert found.postprocessed == found.as_planned
    assert found.notes == (
        "fold 0 leaves 1 group of frames to choose settings on, wanted 2 so that a gain can be told from chance: masks "
        "stay as planned",
    )


def test_what_only_all_frames_together_would_choose_does_not_ship(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was never judged on frames it was not chosen on: the estimate would be the plan's own."""
    raw, frames = made(lambda _: 0.4)

    def choose(
        grid: SettingsGrid, planned: float, dice: NDArray[np.float32], chosen_on: Sequence[OutOfFoldFrame]
    ) -> Chosen[Postprocessing]:
        return Chosen(Postprocessing(threshold=0.3 if len(chosen_on) == len(frames) else planned), chosen_on)

    monkeypatch.setattr(cross_validation, "choose_settings", choose)
    found = judged(raw, frames)
    assert found.shipped == found.planned
    assert judged_summary(found) == found.as_planned
    assert found.notes == ()


def test_a_frame_that_is_left_out_whole_decides_nothing(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, frames = made(lambda _: 0.4)
    before = judged(raw, frames)
    read_mask = Dataset.read_mask

    def masked(self: Dataset, case: Case) -> NDArray[np.uint8]:
        mask = read_mask(self, case)
        return np.full_like(mask, IGNORE) if case.name == frames[0].case.name else mask

    monkeypatch.setattr(Dataset, "read_mask", masked)
    after = judged(raw, frames)
    assert after.shipped == before.shipped
    assert after.postprocessed.frames[0]["dice"] is None
    assert after.postprocessed.per_frame_mean.dice == 1


def test_settings_that_do_worse_where_they_are_judged_do_not_ship(made: Made) -> None:
    """Each half of the folds wants what spoils the other: their choices never hold where they were not made."""
    raw, frames = made(lambda _: 0.4)
    frames = [dataclasses.replace(frame, fold=frame.fold % 2) for frame in frames]
    for number, frame in enumerate(frames):
        mask = raw.read_mask(frame.case)
        around = np.roll(mask, 3, axis=0)
        level, other = (0.4, 0.02) if frame.fold else (0.9, 0.45)
        write_probability(frame.probabilities[0], mask * level + around * other + 0.001 * number * (mask + around == 0))
    found = judged(raw, frames)
    assert found.postprocessed.per_frame_mean.dice < found.as_planned.per_frame_mean.dice
    assert found.shipped == found.planned
    assert "did no better" in found.notes[0]
    assert judged_summary(found) == found.as_planned


def test_an_ensemble_is_the_average(made: Made, tmp_path: Path) -> None:
    """Each model alone is wrong in half of the wire; their average is right with 0.5."""
    raw, frames = made(lambda _: 0.4)
    both = []
    for frame in frames:
        mask = raw.read_mask(frame.case)
        left = np.arange(SIZE) < SIZE // 2
        paths = tuple(tmp_path / side / f"{frame.case.name}.npz" for side in ("left", "right"))
        for path, side in zip(paths, (left, ~left), strict=True):
            write_probability(path, mask * np.where(side, 0.9, 0.2))
        both.append(dataclasses.replace(frame, probabilities=paths))
    assert judged(raw, both).as_planned.pooled.dice == 1


def test_paired_differences() -> None:
    rng = np.random.default_rng(0)
    group_of = {f"{group}-{frame}": str(group) for group in range(40) for frame in range(3)}
    shift = dict(zip(map(str, range(40)), rng.normal(0.02, 0.03, 40), strict=True))
    other = {case: float(rng.uniform(0.5, 0.9)) for case in group_of}
    one = {case: other[case] + shift[group] for case, group in group_of.items()}
    found = paired_difference(("one", one), ("other", other), "dice", group_of, "patient")
    # With equal groups the interval is that of a mean of 40 numbers, known in closed form for large samples.
    values = np.array(list(shift.values()))
    half = 1.96 * values.std() / np.sqrt(40)
    assert found.interval is not None
    np.testing.assert_allclose(found.interval, [values.mean() - half, values.mean() + half], atol=0.15 * half)
    assert found.difference == pytest.approx(values.mean())
    assert (found.verdict, found.n_groups) == ("a difference is shown", 40)
    noise = {case: value + rng.normal(0, 0.05) for case, value in other.items()}
    assert paired_difference(("a", noise), ("b", other), "dice", group_of, "patient").verdict == "no difference shown"
    few = {case: group for case, group in group_of.items() if int(group) < 5}
    short = paired_difference(
        ("a", {case: one[case] for case in few}), ("b", {case: other[case] for case in few}), "dice", few, "patient"
    )
    assert (short.interval, short.verdict) == (None, "too few groups to tell")
