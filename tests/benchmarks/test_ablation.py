"""The papers' tables on a tiny dataset: rows trained and scored, going on, and what is refused."""

import dataclasses
import json
import logging
import shutil
import typing
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread

import gwunet
from gwunet.errors import TrainingError, UsageError
from gwunet.io.frames import read_mask
from gwunet.splits import Grouping
from gwunet.synthetic import synthesize_dataset
from shared.tables import TABLES

NAME = "Dataset901_Small"


@pytest.fixture(scope="module", autouse=True)
def _nothing_for_the_whole_process(script: ModuleType) -> None:
    script.keep_freed_memory = lambda: None  # type: ignore[attr-defined]
    script.available_cores = lambda: 1  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    synthesize_dataset(root / "raw" / NAME, patients=5, test_patients=0, sequences=1, frames=1, size=64, seed=3)
    return root


def flags(workspace: Path, output: Path, *more: str) -> list[str]:
    common = ["-o", str(output), "-d", "901", "--workspace", str(workspace), "--device", "cpu"]
    return [*common, "--tables", "linknet_3", "--rows", "unet", "--iterations", "3", *more]


def test_rows_are_trained_scored_tabled_drawn_and_not_done_again(
    script: ModuleType,
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    script.main(flags(workspace, tmp_path))
    table = (tmp_path / "linknet_3.md").read_text()
    assert table in capsys.readouterr().out
    assert min(imread(tmp_path / "linknet_3.png").shape[:2]) > 300
    assert not (workspace / "preprocessed").exists()
    assert not (workspace / "results").exists()
    fingerprint = json.loads((tmp_path / "preprocessed" / NAME / "fingerprint.json").read_text())
    alpha = fingerprint["background_to_wire"] / 10  # the paper's 100, at its ratio of 1000
    row = json.loads((tmp_path / "rows" / "linknet_3__unet__fold_0__seed_0.json").read_text())
    (fold,) = (tmp_path / "results").glob(f"*/{NAME}/unet__*/fold_0")
    start = json.loads((fold / "log.jsonl").read_text().splitlines()[0])
    loss = {"name": "ModifiedFocalLoss", "arguments": {"alpha": pytest.approx(alpha), "gamma": 2.5}}
    assert start["configuration"]["loss"] == row["asked"]["loss"] == loss
    assert start["configuration"]["network"]["name"] == "UNet"
    assert start["configuration"]["batch_size"] == row["asked"]["batch_size"]
    assert row["iterations"] == 3
    true = found = both = 0
    for path in (fold / "validation").glob("*.png"):
        reference = read_mask(workspace / "raw" / NAME / "labelsTr" / path.name) > 0
        prediction = read_mask(path) > 0
        true, found, both = (
            total + int(np.count_nonzero(mask))
            for total, mask in ((true, reference), (found, prediction), (both, reference & prediction))
        )
    assert not set(start["train"]) & {frame["case"] for frame in row["frames"]}
    assert row["figures"]["Recall"] == pytest.approx(both / true)
    assert row["figures"]["F1"] == pytest.approx(2 * both / (true + found))
    assert f"{row['figures']['F1']:.3f} / 0.866 |" in table
    assert "| ITT | - / - | - / - | - / 0.857 |" in table
    assert "| ITT | no network |" in table
    assert "| Ours (pretrained encoder) | not trained |" in table
    assert "Dataset901_Small, fold 0 (no patient in both halves), seed 0: 1 validation frames of 1 sequences" in table
    assert "3 iterations of training for each row" in table
    assert "`python benchmarks/ablation.py -o OUT -d 901 --workspace FOLDER " in table
    assert str(tmp_path) not in table

    monkeypatch.setattr(script, "draw_chart", lambda *_: None)  # once is enough
    # A row broken off before its end goes on, with the same choices and so without a warning.
    (fold / "checkpoint_final.pt").unlink()
    (tmp_path / "rows" / "linknet_3__unet__fold_0__seed_0.json").unlink()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        script.main(flags(workspace, tmp_path))
    assert "choices it began with" not in caplog.text
    again = json.loads((tmp_path / "rows" / "linknet_3__unet__fold_0__seed_0.json").read_text())
    assert again["frames"] == row["frames"]

    monkeypatch.setattr(gwunet, "train", None)
    script.main(flags(workspace, tmp_path))
    with pytest.raises(SystemExit, match=r"other settings \(batch_size 4 there and 2 now\); choose another -o"):
        script.main(flags(workspace, tmp_path, "--batch_size", "2"))
    with pytest.raises(SystemExit, match=r"other settings \(loss .*'alpha': 100\.0, 'gamma': 2\.5.* now\)"):
        script.main(flags(workspace, tmp_path, "--alpha_scale", "published"))

    def stop(table: Any, asked: Any, *others: Any) -> Any:
        raise TrainingError(f"seed {asked.seed}: the loss is nan")

    monkeypatch.setattr(script, "do_row", stop)
    with pytest.raises(SystemExit, match=r"no figures:\nlinknet_3__unet.*seed 1: the loss is nan\nlinknet_3__unet.*2"):
        script.main(flags(workspace, tmp_path, "--seeds", "0", "1", "2"))


def test_rows_are_chosen_by_name_or_its_beginning(script: ModuleType, tmp_path: Path) -> None:
    def chosen(*more: str) -> dict[str, list[str]]:
        rows = script.chosen_rows(script.parse(["-o", str(tmp_path), *more]))
        return {table: [row.name for row in found] for table, found in rows.items()}

    everything = chosen()
    assert {name: len(rows) for name, rows in everything.items()} == {
        **{name: len(table.rows) for name, table in TABLES.items()},
        "linknet_3": 2,
    }
    some = chosen("--tables", "linknet_1", "linknet_2", "--rows", "gamma_3", "alpha_50")
    assert some == {
        "linknet_1": ["alpha_50"],
        "linknet_2": [f"gamma_3_alpha_{alpha}" for alpha in (100, 125, 150, 200)],
    }
    assert chosen("--tables", "linknet_3", "--pretrained_weights", "FILE")["linknet_3"] == ["ours", "mwpr", "unet"]
    with pytest.raises(UsageError, match=r"--rows gamma_4: no such row to train; known are alpha_50, "):
        chosen("--tables", "linknet_1", "--rows", "gamma_4")


def test_all_rows_of_a_table_have_the_smallest_batch_planned_for_any(script: ModuleType) -> None:
    class Plans:
        def configuration(self, name: str) -> Any:
            return dataclasses.make_dataclass("Planned", ["batch_size"])({"linknet": 4, "unet": 3}[name])

    assert script.smallest_batch(TABLES["linknet_3"], Plans()) == 3
    assert set(script.INDEPENDENCE) == set(typing.get_args(Grouping))


def test_the_folds_are_the_workspaces_and_refused_where_they_leak(
    script: ModuleType, workspace: Path, tmp_path: Path
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(workspace, root)
    names = sorted(path.stem for path in (root / "raw" / NAME / "labelsTr").iterdir())
    description = json.loads((root / "raw" / NAME / "dataset.json").read_text())
    description["cases"][names[0]]["patient"] = description["cases"][names[1]]["patient"]
    (root / "raw" / NAME / "dataset.json").write_text(json.dumps(description))
    folds = [{"train": names[1:], "val": names[:1]}]
    (root / "preprocessed" / NAME).mkdir(parents=True)
    (root / "preprocessed" / NAME / "splits.json").write_text(json.dumps(folds))
    with pytest.raises(
        SystemExit, match=r"splits\.json: found fold 0 has the patient .* in training and in validation"
    ):
        script.main(flags(root, tmp_path / "out"))
