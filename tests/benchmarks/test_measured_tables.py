"""Runs beside the published figures: means, differences on the same frames, and what is not mixed."""

import dataclasses
from pathlib import Path

import pytest

from gwunet.errors import UsageError
from gwunet.jsonio import write_json
from gwunet.plans import Spec
from shared.measured_tables import Asked, Frame, Result, difference, groups_of, is_done, make_table, read_results
from shared.tables import TABLES, Row

ASKED = Asked(
    dataset="Dataset001_Made",
    source="1-0",
    fold=0,
    cases="0",
    configuration="fganet",
    plan="0",
    loss=Spec(name="HybridLoss", arguments={"cldice_weight": 0.0}),
    batch_size=2,
    learning_rate=0.003,
    minutes=1.0,
    iterations=None,
    seed=0,
    pretrained_weights=None,
    device="a processor",
)


def result(dice: list[float | None], seed: int = 0, fold: int = 0) -> Result:
    """A run whose frames have these Dice, each of a patient of its own."""
    return Result(
        asked=dataclasses.replace(ASKED, seed=seed, fold=fold),
        parameters=1_500_000,
        iterations=30,
        training_s=60.0,
        date="2026-01-01",
        figures=dict.fromkeys(("Precision", "AUC", "Macro-F1", "MIoU", "OIoU"))
        | {"Dice": 100 * sum(value or 0 for value in dice) / len(dice)},
        frames=tuple(
            Frame(case=f"{fold}_{index}", patient=f"p{fold}_{index}", sequence="s", dice=value)
            for index, value in enumerate(dice)
        ),
    )


def test_the_table_has_means_over_runs_beside_the_published_figures_and_differences_by_frame() -> None:
    done = {
        "baseline": [result([0.5] * 6), result([0.7] * 6, seed=1)],
        "bd": [result([0.2, 0.9, 0.6, 0.6, 0.6, 0.8])],
        "bsc": [result([0.6] * 6), result([0.9] * 6, seed=1)],
    }
    text = make_table(TABLES["fganet_2"], done, ["What was done."])
    assert "# FGA-Net paper, Table 2: BGA, SDA and the loss\n\nWhat was done.\n\n" in text
    lines = {line.split("|")[1].strip(): [] for line in text.splitlines() if line.startswith("| ")}
    for line in text.splitlines():
        if line.startswith("| "):
            lines[line.split("|")[1].strip()].append([cell.strip() for cell in line.split("|")[2:-1]])
    figures, training, differences = lines["Baseline, BSC"]
    # With seed 0 alone, which all rows have.
    assert figures == ["- / -", "- / 88.27", "- / 83.14", "50.00 / 66.32", "- / 51.13", "- / 50.23"]
    assert "Figures are means over what all rows have: fold 0 with seed 0; Dice of each run stands below." in text
    assert training[1:4] == ["1.50", "HybridLoss (cldice_weight 0)", "0.003"]
    assert training[4:] == ["30", "2", "60", "50.00, 70.00"]
    # -0.1 with seed 0, -0.2 with seed 1: -0.15 on each frame, so whatever frames are drawn.
    assert differences == ["-15.00", "-15.00 to -15.00", "a difference is shown", "-4.97"]
    assert lines["whole network, BD"][2][0] == "+1.67"  # with seed 0 alone, which both have: 3.7 / 6 - 0.6
    assert lines["whole network, BD"][2][2] == "no difference shown"
    assert lines["Baseline + BGA, BSC"][1][0] == "not trained"
    assert "Highest Dice of the rows trained: whole network, BD here, whole network, BSC in the paper." in text
    few = make_table(TABLES["fganet_2"], {name: [result([0.5] * 5)] for name in ("bd", "bsc")}, [])
    assert "| +0.00 | none below six groups | too few groups to tell | -3.18 |" in few
    assert "unlike folds" not in few
    apart = make_table(TABLES["fganet_2"], {"bd": [result([0.5])], "bsc": [result([0.5], fold=1)]}, [])
    assert "Figures are left out: no fold and seed is in all rows" in apart
    assert "50.00 /" not in apart


def test_groups_are_those_of_all_folds_together() -> None:
    """Five patients in five folds with four sequences each are five patients, too few for an interval."""

    def run(fold: int, gain: float) -> Result:
        frames = tuple(
            Frame(case=f"{fold}_{sequence}", patient=f"p{fold}", sequence=f"s{sequence}", dice=0.5 + gain)
            for sequence in range(4)
        )
        return dataclasses.replace(result([0.5], fold=fold), frames=frames)

    one, other = ([run(fold, gain) for fold in range(5)] for gain in (0.1, 0.0))
    assert groups_of(one)[0] == "patient"
    found = difference(one, other)
    assert found is not None
    assert (found.unit, found.n_groups, found.interval) == ("patient", 5, None)
    assert groups_of(one[:1])[0] == "sequence"


def test_differences_leave_out_what_only_one_has() -> None:
    one = [result([0.5, None, 0.7]), result([0.9, 0.9, 0.9], fold=1)]
    found = difference(one, [result([0.4, 0.1, 0.4])])
    assert found is not None
    assert found.n_groups == 2
    assert found.difference == pytest.approx(0.2)
    assert difference(one[1:], [result([0.4, 0.1, 0.4])]) is None


def test_rows_of_other_settings_are_neither_taken_nor_mixed(tmp_path: Path) -> None:
    path = tmp_path / "rows" / "fganet_2__bd__fold_0__seed_0.json"
    assert not is_done(path, ASKED)
    write_json(path, result([0.5]))
    assert is_done(path, ASKED)
    other = dataclasses.replace(ASKED, loss=Spec(name="BCEDiceLoss", arguments={}), minutes=2.0)
    with pytest.raises(UsageError, match=r"other settings \(loss .*HybridLoss.* minutes 1\.0 there and 2\.0 now\)"):
        is_done(path, other)


def test_rows_this_call_does_not_name_are_compared_with_what_it_would_ask(tmp_path: Path) -> None:
    def ask(row: Row, fold: int, seed: int) -> Asked:
        return dataclasses.replace(ASKED, fold=fold, seed=seed)

    rows = tmp_path / "rows"
    write_json(rows / "fganet_2__bd__fold_1__seed_2.json", result([0.5], seed=2, fold=1))
    started = dataclasses.replace(ASKED, pretrained_weights="a file")
    write_json(rows / "fganet_2__bsc__fold_0__seed_0.json", dataclasses.replace(result([0.5]), asked=started))
    done = read_results(TABLES["fganet_2"], tmp_path, ask)
    assert {name: [run.frames for run in runs] for name, runs in done.items()} == {
        "bd": [result([0.5], fold=1).frames],
        "bsc": [result([0.5]).frames],
    }
    for change in ({"plan": "1"}, {"cases": "1"}, {"loss": Spec(name="BCEDiceLoss", arguments={})}):
        other = dataclasses.replace(result([0.5]), asked=dataclasses.replace(ASKED, **change))  # type: ignore[arg-type]
        write_json(rows / "fganet_2__baseline__fold_0__seed_0.json", other)
        with pytest.raises(UsageError, match=rf"fganet_2__baseline__.*other settings \({next(iter(change))} "):
            read_results(TABLES["fganet_2"], tmp_path, ask)
