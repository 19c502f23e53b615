"""The dataset on disk."""

import json
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gwunet.synthetic.dataset
from gwunet.dataset import Dataset
from gwunet.errors import DatasetError, OutputError, UsageError
from gwunet.synthetic import synthesize_dataset

SMALL: dict[str, Any] = {"patients": 2, "sequences": 1, "frames": 2, "size": 64, "seed": 4, "test_patients": 1}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "Dataset900_Simulated"
    synthesize_dataset(folder, **SMALL)
    return folder


def test_the_project_reads_it(made: Path) -> None:
    dataset = Dataset.open(made)
    assert [case.name for case in dataset.training] == ["p001_s00_f0000", "p001_s00_f0001"]
    assert [case.name for case in dataset.test] == ["p000_s00_f0000", "p000_s00_f0001"]
    case = dataset.training[1]
    assert (case.patient, case.sequence, case.frame) == ("p001", "p001_s00", 1)
    assert dataset.read_frame(case).shape == dataset.read_mask(case).shape == (64, 64)


def test_truth_stands_in_centrelines_json(made: Path) -> None:
    truth = json.loads((made / "centrelines.json").read_text())
    assert truth["schema_version"] == 1
    assert sorted(truth["cases"]) == [f"p00{patient}_s00_f000{frame}" for patient in (0, 1) for frame in (0, 1)]
    dataset = Dataset.open(made)
    for case in (*dataset.training, *dataset.test):
        mask = dataset.read_mask(case)
        for wire in truth["cases"][case.name]["wires"]:
            assert set(wire) == {"centreline", "tip", "width_px", "cnr"}
            assert wire["tip"] == wire["centreline"][-1]
            rows, columns = np.rint(wire["centreline"]).astype(int).T
            assert mask[rows, columns].all()


def test_same_seed_same_files_with_any_number_of_processes(made: Path, tmp_path: Path) -> None:
    synthesize_dataset(tmp_path / made.name, **SMALL, processes=2)
    assert contents(tmp_path / made.name) == contents(made)


def test_a_process_that_dies_is_said_to_have(tmp_path: Path) -> None:
    def end(items: Any, total: int, label: str) -> Any:
        del total, label
        for item in items:
            for process in multiprocessing.active_children():
                process.kill()
            yield item

    with pytest.raises(DatasetError, match=r"Dataset900_Simulated: a worker process died .* run again with -np 1"):
        synthesize_dataset(tmp_path / "Dataset900_Simulated", **{**SMALL, "sequences": 20}, processes=2, progress=end)
    assert list(tmp_path.iterdir()) == []


def test_other_seed_other_frames(made: Path, tmp_path: Path) -> None:
    synthesize_dataset(tmp_path / made.name, **{**SMALL, "seed": 5})
    assert contents(tmp_path / made.name) != contents(made)


def test_more_patients_leave_the_earlier_ones_as_they_are(made: Path, tmp_path: Path) -> None:
    synthesize_dataset(tmp_path / made.name, **{**SMALL, "patients": 3, "sequences": 2})
    more = contents(tmp_path / made.name)
    before = {name: data for name, data in contents(made).items() if name.endswith(".png")}
    assert len(before) == 8
    assert all(more[name] == data for name, data in before.items())


def test_an_existing_folder_is_refused_unless_it_may_be_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset900_Simulated"
    synthesize_dataset(folder, **SMALL)
    before = contents(folder)
    with pytest.raises(OutputError, match="already exists"):
        synthesize_dataset(folder, **{**SMALL, "seed": 5})
    assert contents(folder) == before
    synthesize_dataset(folder, **{**SMALL, "seed": 5}, overwrite=True)
    assert contents(folder) != before
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_other_folders_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="no simulated dataset"):
        synthesize_dataset(tmp_path, **SMALL, overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_broken_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path, mask: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(gwunet.synthetic.dataset, "write_mask", fail)
    with pytest.raises(OSError, match="disk full"):
        synthesize_dataset(tmp_path / "raw" / "Dataset900_Simulated", **SMALL)
    assert list((tmp_path / "raw").iterdir()) == []


def test_progress_counts_frames(tmp_path: Path, counting: Any) -> None:
    synthesize_dataset(tmp_path / "d", **SMALL, progress=counting.progress)
    assert counting.seen == [("simulate", 4, 4)]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"size": 63}, "size: found 63, wanted at least 64"),
        ({"patients": 0, "test_patients": 0}, "patients: found 0, wanted at least 1"),
        ({"sequences": 0}, "sequences: found 0"),
        ({"frames": -1}, "frames: found -1"),
        ({"seed": -1}, "seed: found -1"),
        ({"wires": 3}, "wires: found 3, wanted 1, 2 or 'mixed'"),
        ({"test_patients": 2}, "test_patients: found 2, wanted fewer than the 2 patients"),
    ],
)
def test_impossible_values_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        synthesize_dataset(tmp_path / "d", **{**SMALL, **changed})
    assert list(tmp_path.iterdir()) == []
