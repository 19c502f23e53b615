"""The sweep over alpha and gamma on a tiny dataset: rows, figures, going on, and the published tables."""

import json
import logging
import shutil
import typing
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gwunet
from gwunet.io.frames import read_mask
from gwunet.plans import Target
from gwunet.splits import Grouping
from gwunet.synthetic import synthesize_dataset


@pytest.fixture(scope="module", autouse=True)
def _no_settings_for_this_process(script: ModuleType) -> None:
    script.keep_freed_memory = lambda: None  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("workspace")
    folder = root / "raw" / "Dataset901_Small"
    synthesize_dataset(folder, patients=5, test_patients=0, sequences=1, frames=1, size=64, seed=3)
    gwunet.plan_dataset(901, workspace=root, configurations=["linknet"], target=Target(device="cpu", memory_gb=2.0))
    gwunet.preprocess_dataset(901, workspace=root)
    return root


def flags(workspace: Path, output: Path, *more: str) -> list[str]:
    common = ["-o", str(output), "-d", "901", "--workspace", str(workspace), "--device", "cpu"]
    return [*common, "--iterations", "3", *more]


def test_rows_are_trained_scored_tabled_and_not_done_again(
    script: ModuleType,
    workspace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    script.main(flags(workspace, tmp_path, "--rows", "I-50", "II-2.5-100"))
    printed = capsys.readouterr().out
    fingerprint = json.loads((workspace / "preprocessed" / "Dataset901_Small" / "fingerprint.json").read_text())
    alpha = fingerprint["background_to_wire"] / 10  # the paper's 100, at its ratio of 1000
    fold = tmp_path / "results" / "Dataset901_Small" / "linknet__FocalSweep_II-2.5-100" / "fold_0"
    start = json.loads((fold / "log.jsonl").read_text().splitlines()[0])
    loss = start["configuration"]["loss"]
    assert loss == {"name": "ModifiedFocalLoss", "arguments": {"alpha": pytest.approx(alpha), "gamma": 2.5}}
    assert start["configuration"]["duration"] == {"epochs": 1, "iterations_per_epoch": 3, "minutes": None}
    row = json.loads((tmp_path / "rows" / "II-2.5-100.json").read_text())
    true = found = both = 0
    for path in (fold / "validation").glob("*.png"):
        reference = read_mask(workspace / "raw" / "Dataset901_Small" / "labelsTr" / path.name) > 0
        prediction = read_mask(path) > 0
        true, found, both = (
            total + int(np.count_nonzero(mask))
            for total, mask in ((true, reference), (found, prediction), (both, reference & prediction))
        )
    assert not set(start["train"]) & {path.stem for path in (fold / "validation").glob("*.png")}
    assert row["recall"] == pytest.approx(both / true)
    assert row["f1"] == pytest.approx(2 * both / (true + found))
    table = (tmp_path / "focal_sweep.md").read_text()
    assert table in printed
    assert "| 100 | 0.919 | 0.946 | 0.932 | " in table
    assert "| 50 |  |  | 0.788 | " in table
    assert "Dataset901_Small, fold 0 (no patient in both halves), configuration linknet" in table
    assert not (workspace / "results").exists()

    # A row broken off before its end goes on, with the same choices and so without a warning.
    (fold / "checkpoint_final.pt").unlink()
    (tmp_path / "rows" / "II-2.5-100.json").unlink()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        script.main(flags(workspace, tmp_path, "--rows", "II-2.5-100"))
    assert "choices it began with" not in caplog.text
    assert (tmp_path / "focal_sweep.md").read_text() == table

    def refuse(*arguments: Any, **keywords: Any) -> None:
        raise AssertionError("a row was trained again")

    monkeypatch.setattr(gwunet, "train", refuse)
    script.main(flags(workspace, tmp_path, "--rows", "II-2.5-100"))
    assert (tmp_path / "focal_sweep.md").read_text() == table
    with pytest.raises(SystemExit, match=r"holds rows of other settings \(seed 0 there and 1 now\)"):
        script.main(flags(workspace, tmp_path, "--rows", "I-50", "--seed", "1"))
    with pytest.raises(SystemExit, match=r"alpha_scale .* there and 1\.0 now"):
        script.main(flags(workspace, tmp_path, "--rows", "I-50", "--alpha_scale", "published"))


def test_the_rows_are_the_published_ones(script: ModuleType) -> None:
    """Their F1 is the harmonic mean of their precision and recall, but for the rounding."""
    assert [row.alpha for row in script.chosen_rows(["I"])] == [50, 100, 200, 500, 1000]
    focal = script.chosen_rows(["II"])
    assert [sum(row.gamma == gamma for row in focal) for gamma in (1.5, 2, 2.5, 3)] == [4, 4, 4, 4]
    for row in focal:
        harmonic = 2 * row.precision * row.recall / (row.precision + row.recall)
        assert row.f1 == pytest.approx(harmonic, abs=2.5e-3), row.name
    assert max(focal, key=lambda row: row.f1).name == "II-2.5-100"


def test_rows_are_chosen_by_name_or_its_beginning(script: ModuleType) -> None:
    assert [row.name for row in script.chosen_rows(["II-3", "I-50"])] == [
        "I-50",
        "II-3-100",
        "II-3-125",
        "II-3-150",
        "II-3-200",
    ]
    assert len(script.chosen_rows(None)) == 21
    with pytest.raises(gwunet.errors.UsageError, match="--rows II-4: no such row; known are I-50"):
        script.chosen_rows(["II-4"])


def test_rows_of_another_plan_or_machine_are_not_mixed(
    script: ModuleType, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another wording of the planner's reasons is no other plan."""
    root, output = tmp_path / "copy", tmp_path / "out"
    shutil.copytree(workspace, root)

    def train_nothing(row: Any, *others: Any) -> Any:
        return script.Result(row=row.name, alpha=1.0, n_frames=1, precision=None, recall=None, f1=None)

    monkeypatch.setattr(script, "train_row", train_nothing)
    command = flags(root, output, "--rows", "I-50")
    script.main(command)
    plans_file = root / "preprocessed" / "Dataset901_Small" / "plans.json"
    text = plans_file.read_text()
    plans = json.loads(text)
    plans["configurations"]["linknet"]["decisions"][0]["reason"] = "in other words"
    plans_file.write_text(json.dumps(plans))
    script.main(command)
    for change in ({"batch_size": 3}, {"network": {"name": "LinkNet", "arguments": {"encoder": "resnet18"}}}):
        plans["configurations"]["linknet"] |= change
        plans_file.write_text(json.dumps(plans))
        with pytest.raises(SystemExit, match=r"holds rows of other settings \(plan \w{16} there and \w{16} now\)"):
            script.main(command)
    plans_file.write_text(text)
    script.main(command)
    with pytest.raises(SystemExit, match=r"holds rows of other settings \(raw .*copy.* there and .* now\)"):
        script.main(flags(workspace, output, "--rows", "I-50"))
    monkeypatch.setattr(script, "device_name", lambda _: "another machine")
    with pytest.raises(SystemExit, match=r"holds rows of other settings \(device .* there and another machine now\)"):
        script.main(command)


def test_the_notes_say_what_the_halves_share(script: ModuleType) -> None:
    settings = script.Settings(
        dataset="Dataset901_Small",
        raw=None,
        plan="0",
        device="a processor",
        fold=0,
        minutes=3.0,
        iterations=None,
        seed=0,
        pretrained_weights=None,
        alpha_scale=1.0,
    )
    assert set(script.INDEPENDENCE) == set(typing.get_args(Grouping))
    for grouping, wanted, too_good in (
        ("patient", "(no patient in both halves)", False),
        ("sequence", "(no sequence in both halves)", False),
        ("frame blocks", "(both halves are of the only sequence", True),
        ("none", "(patients or sequences are in both halves", True),
    ):
        notes = "\n".join(script.describe(settings, 300.0, grouping))
        assert wanted in notes
        assert ("so the figures are too good" in notes) == too_good


def test_folds_that_leak_are_refused_whatever_their_file_says(
    script: ModuleType, workspace: Path, tmp_path: Path
) -> None:
    root = tmp_path / "copy"
    shutil.copytree(workspace, root)
    raw = root / "raw" / "Dataset901_Small"
    description = json.loads((raw / "dataset.json").read_text())
    for origin in description["cases"].values():
        origin["patient"] = "the same"
    (raw / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(SystemExit, match=r"splits\.json: found fold 0 has the patient the same in training and in"):
        script.main(flags(root, tmp_path / "out", "--rows", "I-50"))
