"""Runs beside the published figures: means, differences on the same frames, and what is not mixed."""

import dataclasses
from pathlib import Path

import pytest

from gwunet.benchmark.measured_tables import Asked, Frame, Result, difference, is_done, make_table, read_results
from gwunet.benchmark.tables import TABLES
from gwunet.errors import UsageError
from gwunet.jsonio import write_json
from gwunet.plans import Spec

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
        unit="patient",
        frames=tuple(
            Frame(case=f"{fold}_{index}", group=f"p{fold}_{index}", dice=value) for index, value in enumerate(dice)
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
    assert figures == ["- / -", "- / 88.27", "- / 83.14", "60.00 / 66.32", "- / 51.13", "- / 50.23"]
    assert training[1:4] == ["1.50", "HybridLoss (cldice_weight 0)", "0.003"]
    assert training[4:] == ["30", "2", "60", "50.00, 70.00"]
    # -0.1 with seed 0, -0.2 with seed 1: -0.15 on each frame, so whatever frames are drawn.
    assert differences == ["-15.00", "-15.00 to -15.00", "a difference is shown", "-4.97"]
    assert lines["whole network, BD"][2][0] == "+1.67"  # with seed 0 alone, which both have: 3.7 / 6 - 0.6
    assert lines["whole network, BD"][2][2] == "no difference shown"
    assert lines["Baseline + BGA, BSC"][1][0] == "not trained"
    assert "Highest Dice of the rows trained: whole network, BSC here, whole network, BSC in the paper." in text
    few = make_table(TABLES["fganet_2"], {name: [result([0.5] * 5)] for name in ("bd", "bsc")}, [])
    assert "| +0.00 | none below six groups | too few groups to tell | -3.18 |" in few


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
    assert [run.frames for run in read_results(TABLES["fganet_2"], tmp_path)["bd"]] == [result([0.5]).frames]
    write_json(
        tmp_path / "rows" / "fganet_2__bsc__fold_0__seed_0.json", dataclasses.replace(result([0.5]), asked=other)
    )
    with pytest.raises(UsageError, match=r"found fganet_2 rows of minutes 1\.0 and 2\.0; wanted one"):
        read_results(TABLES["fganet_2"], tmp_path)
