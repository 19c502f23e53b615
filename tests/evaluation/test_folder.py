"""Folders of masks paired, scored and written."""

import csv
import json

import numpy as np
import pytest

from gwunet.errors import DatasetError, FrameError, OutputError, SchemaError
from gwunet.evaluation import evaluate_folder
from gwunet.io.frames import write_frame, write_mask


def line(n, shape=(24, 32)):
    mask = np.zeros(shape, dtype=np.uint8)
    mask[12, 4 : 4 + n] = 1
    return mask


@pytest.fixture
def folders(tmp_path):
    """Two frames: the first predicted exactly, of the second the first half."""
    reference, prediction = tmp_path / "reference", tmp_path / "prediction"
    for case, length in (("run_001", 20), ("run_002", 10)):
        write_mask(reference / f"{case}.png", line(20))
        write_mask(prediction / f"{case}.png", line(length))
    return reference, prediction


def test_scores_and_files(folders, tmp_path):
    summary = evaluate_folder(*folders, tmp_path / "new" / "summary.json")
    assert summary.pooled.recall == pytest.approx(30 / 40)
    written = json.loads((tmp_path / "new" / "summary.json").read_text(encoding="utf-8"))
    assert written["schema_version"] == 1
    assert written["n_frames"] == 2
    assert written["pooled"]["dice"] == summary.pooled.dice
    assert [frame["case"] for frame in written["frames"]] == ["run_001", "run_002"]
    with (tmp_path / "new" / "summary.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["run_001", "run_002"]
    assert float(rows[1]["dice"]) == pytest.approx(2 / 3)
    assert rows[0]["auc"] == ""
    assert "auc: no probabilities given" in rows[0]["not_computed"]
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"summary.json", "summary.csv"}


def test_names_pair_whatever_the_ending(folders):
    reference, prediction = folders
    (prediction / "run_001.png").unlink()
    np.save(prediction / "run_001.npy", line(20))
    assert evaluate_folder(reference, prediction).n_frames == 2


def test_probabilities_and_tips_are_used_where_they_are(folders):
    reference, prediction = folders
    np.savez(prediction / "run_002.npz", probability=line(20).astype(np.float16))
    summary = evaluate_folder(reference, prediction, tips={"run_002": [(12, 23)]})
    assert summary.pooled.auc == 1
    assert summary.pooled.not_computed["auc"] == "left out in 1 of 2 frames: no probabilities given (1)"
    assert summary.pooled.tip_error_px == pytest.approx(10)


def test_dataset_gives_groups_and_left_out_pixels(tmp_path):
    raw, prediction = tmp_path / "Dataset001_Test", tmp_path / "prediction"
    left_out = line(20) * 255
    left_out[12, 14:] = np.where(left_out[12, 14:] > 0, 2, 0)
    cases = {
        f"{patient}_{i}": {"patient": patient, "sequence": patient, "frame": i} for patient in "ab" for i in (0, 1)
    }
    for case in cases:
        write_frame(raw / "imagesTr" / f"{case}.png", np.arange(24 * 32, dtype=np.uint16).reshape(24, 32))
        write_frame(raw / "labelsTr" / f"{case}.png", np.where(left_out == 255, 1, left_out).astype(np.uint8))
        write_mask(prediction / f"{case}.png", line(10))
    description = {
        "channel_names": {"0": "xray"},
        "labels": {"background": 0, "wire": 1, "ignore": 2},
        "file_ending": ".png",
        "numTraining": 4,
        "cases": cases,
    }
    (raw / "dataset.json").write_text(json.dumps(description), encoding="utf-8")
    summary = evaluate_folder(raw / "labelsTr", prediction)
    assert summary.pooled.dice == 1
    assert [group.name for group in summary.patients] == ["a", "b"]
    assert summary.confidence_intervals.unit == "patient"


def test_tips_of_a_simulated_dataset_are_found(folders):
    reference, prediction = folders
    truth = {"schema_version": 1, "cases": {"run_001": {"wires": [{"tip": [12.0, 26.0]}]}, "run_002": {"wires": []}}}
    (reference.parent / "centrelines.json").write_text(json.dumps(truth), encoding="utf-8")
    summary = evaluate_folder(reference, prediction)
    assert [frame["tip_error_px"] for frame in summary.frames] == [pytest.approx(3), None]
    (reference.parent / "centrelines.json").write_text('{"cases": {"run_001": {"wires": [{}]}}}', encoding="utf-8")
    with pytest.raises(SchemaError, match=r"centrelines\.json: wanted"):
        evaluate_folder(reference, prediction)


def test_frames_without_partner_are_named(folders):
    reference, prediction = folders
    write_mask(reference / "run_003.png", line(20))
    write_mask(prediction / "run_004.png", line(20))
    with pytest.raises(DatasetError, match=r"no prediction for 1 frame: run_003; .*no reference for 1 frame: run_004"):
        evaluate_folder(reference, prediction)
    summary = evaluate_folder(reference, prediction, allow_missing=True)
    assert summary.n_frames == 2
    assert summary.not_scored == ("run_003", "run_004")


def test_bad_folders_are_refused_and_nothing_is_written(folders, tmp_path):
    reference, prediction = folders
    empty, other, output = tmp_path / "empty", tmp_path / "other", tmp_path / "summary.json"
    empty.mkdir()
    write_mask(other / "unrelated.png", line(20))
    with pytest.raises(DatasetError, match="found no masks"):
        evaluate_folder(reference, empty, output)
    with pytest.raises(DatasetError, match="no such folder"):
        evaluate_folder(tmp_path / "absent", prediction, output)
    with pytest.raises(DatasetError, match="no frame name in common"):
        evaluate_folder(reference, other, output, allow_missing=True)
    np.save(prediction / "run_001.npy", line(20))
    with pytest.raises(DatasetError, match=r"run_001\.npy and run_001\.png"):
        evaluate_folder(reference, prediction, output)
    assert not output.exists()


def test_bad_frames_are_refused_by_name(folders):
    reference, prediction = folders
    write_mask(prediction / "run_001.png", line(20, shape=(24, 31)))
    with pytest.raises(FrameError, match="run_001: the prediction is 24 x 31, the reference 24 x 32"):
        evaluate_folder(reference, prediction)
    write_mask(prediction / "run_001.png", line(20))
    for content in (b"not a zip", b""):
        (prediction / "run_002.npz").write_bytes(content)
        with pytest.raises(FrameError, match=r"run_002\.npz: cannot read 'probability'"):
            evaluate_folder(reference, prediction)
    np.savez(prediction / "run_002.npz", logits=line(20))
    with pytest.raises(FrameError, match=r"run_002\.npz: cannot read 'probability'"):
        evaluate_folder(reference, prediction)


def test_unwritable_output_is_an_output_error(folders, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        evaluate_folder(*folders, tmp_path / "file" / "summary.json")
