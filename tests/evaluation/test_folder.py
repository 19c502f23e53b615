"""Folders of masks paired, scored and written."""

import csv
import json
import math
import shutil

import numpy as np
import pytest

from gwunet.errors import DatasetError, FrameError, OutputError, SchemaError, UsageError
from gwunet.evaluation import evaluate_folder
from gwunet.evaluation.folder import DRAWN
from gwunet.inference.folder_wires import PLOTS
from gwunet.inference.frame_writer import OVERLAYS
from gwunet.io.frames import write_frame, write_mask
from gwunet.io.probability import write_probability
from gwunet.localization import locate_guidewires


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


@pytest.mark.parametrize("name", ["study.csv", "study_patients.csv", "study_wires.csv"])
@pytest.mark.parametrize("content", [b"id,age\n1,70\n", b"", b"\xff\xfe\x00no text", b"case,reference\n"])
def test_tables_of_others_stay_and_nothing_is_written(folders, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=rf"{name}: found a file that is no such table of gw_evaluate.* -o$"):
        evaluate_folder(*folders, tmp_path / "study.json")
    assert (tmp_path / name).read_bytes() == content
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {name}


def test_tables_of_its_own_are_replaced_or_go(folders, tmp_path):
    output = tmp_path / "study.json"
    evaluate_folder(*folders, output, wires="masks")
    assert (tmp_path / "study_wires.csv").is_file()
    columns, *rows = (tmp_path / "study.csv").read_text().splitlines()
    (tmp_path / "study.csv").write_text("\n".join([f"{columns},of_another_version", *rows]))
    evaluate_folder(*folders, output)
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"study.json", "study.csv"}
    assert "of_another_version" not in (tmp_path / "study.csv").read_text()


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
    assert summary.localization is None  # nor of the frame without wires alone
    (reference.parent / "centrelines.json").write_text('{"cases": {"run_001": {"wires": [{}]}}}', encoding="utf-8")
    with pytest.raises(SchemaError, match=r"centrelines\.json: run_001: wanted"):
        evaluate_folder(reference, prediction)


def known(*rows, **more):
    """Wires along rows from column 4 to 23, as ``centrelines.json`` has them."""
    return {"wires": [{"centreline": [[row, column] for column in range(4, 24)], **more} for row in rows]}


def write_centrelines(folder, cases, **more):
    (folder / "centrelines.json").write_text(json.dumps({"schema_version": 1, **more, "cases": cases}))


def test_true_and_predicted_centrelines_are_compared(folders, tmp_path):
    reference, prediction = folders
    write_centrelines(reference.parent, {"run_001": known(12), "run_002": known(12, 20)})
    write_centrelines(prediction, {"run_001": known(13), "run_002": known(12)})
    output = tmp_path / "summary.json"
    found = evaluate_folder(reference, prediction, output).localization
    assert (found.reference, found.prediction) == ("centrelines.json", "centrelines.json")
    scores = found.all_frames
    assert (scores.n_wires, scores.n_matched, scores.missed_per_frame) == (3, 2, 0.5)
    assert scores.mean_distance_px.mean == pytest.approx(0.5)
    assert scores.not_computed["identity_switches"] == "no sequences known"
    written = json.loads(output.read_text())["localization"]
    assert written["all_frames"]["tips_within_px"] == {limit: pytest.approx(2 / 3) for limit in "359"}
    with (tmp_path / "summary_wires.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["case"], row["predicted"], row["tip_error_px"]) for row in csv.DictReader(file)]
    assert rows == [("run_001", "1", "1.0"), ("run_002", "1", "0.0"), ("run_002", "", "")]
    # A table of wires that are not judged any more does not stay.
    assert evaluate_folder(reference, prediction, output, wires="none").localization is None
    assert not (tmp_path / "summary_wires.csv").exists()


def test_a_wire_given_by_its_tip_leaves_its_frame_out(folders, caplog):
    reference, prediction = folders
    both = {"wires": [*known(12)["wires"], {"tip": [20.0, 10.0]}]}
    write_centrelines(reference.parent, {"run_001": known(12), "run_002": both})
    summary = evaluate_folder(reference, prediction)
    assert summary.localization.all_frames.n_wires == 1
    assert summary.localization.not_judged == ("run_002",)
    assert "is not judged in 1 frame: run_002, whose wires centrelines.json gives by a tip alone" in caplog.text
    assert summary.frames[1]["tip_error_px"] is not None


def test_wires_are_located_where_no_file_has_them(folders):
    reference, prediction = folders
    assert evaluate_folder(reference, prediction).localization is None
    found = evaluate_folder(reference, prediction, wires="masks").localization
    assert (found.reference, found.prediction) == ("masks", "masks")
    assert (found.all_frames.n_wires, found.all_frames.n_predicted, found.all_frames.n_matched) == (2, 2, 2)
    assert found.all_frames.mean_distance_px.maximum < 3
    assert sorted(row["hausdorff_px"] for row in found.wires) == pytest.approx([0, 10], abs=1e-6)
    write_centrelines(reference.parent, {"run_001": known(12)})
    found = evaluate_folder(reference, prediction).localization
    assert (found.reference, found.prediction, found.not_judged) == ("centrelines.json", "masks", ("run_002",))
    assert found.all_frames.n_matched == 1
    with pytest.raises(UsageError, match="wires: found 'all', wanted one of auto, masks, none"):
        evaluate_folder(reference, prediction, wires="all")


def test_wires_of_files_are_judged_only_where_pixels_are(tmp_path):
    """The right half is left out: there a predicted wire goes on, a true one, too, and two false ones lie."""
    raw, prediction = tmp_path / "Dataset001_Test", tmp_path / "prediction"
    mask = np.zeros((24, 40), np.uint8)
    mask[5, :24] = mask[15, :24] = 1
    mask[:, 24:] = 2
    write_frame(raw / "imagesTs" / "x.png", np.arange(24 * 40, dtype=np.uint16).reshape(24, 40))
    write_frame(raw / "labelsTs" / "x.png", mask)
    write_mask(prediction / "x.png", (mask == 1).astype(np.uint8))
    described = {"channel_names": {"0": "xray"}, "labels": {"background": 0, "wire": 1, "ignore": 2}}
    described |= {"file_ending": ".png", "numTraining": 0, "cases": {"x": {}}}
    (raw / "dataset.json").write_text(json.dumps(described), encoding="utf-8")

    def wires(*rows_and_columns):
        return {"x": {"wires": [{"centreline": [[row, c] for c in columns]} for row, columns in rows_and_columns]}}

    write_centrelines(raw, wires((5, range(24)), (15, range(36))))
    found = [(5, range(39)), (15, range(24)), (10, range(20, 39)), (20, range(26, 39))]
    write_centrelines(prediction, wires(*found))
    judged = evaluate_folder(raw / "labelsTs", prediction).localization.all_frames
    assert (judged.n_wires, judged.n_predicted, judged.n_matched) == (2, 2, 2)
    assert judged.tip_error_px.maximum == pytest.approx(0)
    write_centrelines(prediction, wires(*found, (10, range(12))))
    assert evaluate_folder(raw / "labelsTs", prediction).localization.all_frames.n_predicted == 3


def test_ends_at_a_collimator_are_no_errors(tmp_path):
    """A wire curved where it comes in and straight at its tip: without the field its tip passes for the base."""
    field = np.zeros((200, 200), np.bool_)
    field[40:180, 40:180] = True
    along = np.linspace(0, 1, 2000)
    curve = np.stack([30 + 100 * along, 70 + 60 * np.sqrt(1 - (1 - along) ** 2)], axis=1)
    pixels = np.argwhere(field)
    wire = np.zeros(field.shape, np.uint8)
    wire[tuple(pixels[np.sqrt(((pixels[:, None] - curve[::10]) ** 2).sum(-1)).min(1) <= 1.6].T)] = 1
    raw, prediction = tmp_path / "Dataset001_Test", tmp_path / "prediction"
    frame = np.where(field, 150 - 60 * wire + np.random.default_rng(0).integers(-5, 6, field.shape), 4).astype(np.uint8)
    write_frame(raw / "imagesTs" / "a.png", frame)
    for folder in (raw / "labelsTs", tmp_path / "reference", prediction):
        write_mask(folder / "a.png", wire)
    labels = {"channel_names": {"0": "xray"}, "labels": {"background": 0, "wire": 1}, "file_ending": ".png"}
    (raw / "dataset.json").write_text(json.dumps({**labels, "numTraining": 0}), encoding="utf-8")
    (found,) = locate_guidewires(wire, field=field)
    assert math.dist(found.tip, curve[-1]) < 4
    write_centrelines(prediction, {"a": {"wires": [{"centreline": found.centreline.tolist()}]}})

    scores = evaluate_folder(raw / "labelsTs", prediction, wires="masks").localization.all_frames
    assert (scores.n_matched, scores.tips_unknown, scores.ends_swapped) == (1, 0, 0)
    assert scores.tip_error_px.maximum < 4
    # Without frames the reference cannot tell, and the prediction is not blamed for it.
    judged = evaluate_folder(tmp_path / "reference", prediction, wires="masks").localization
    scores = judged.all_frames
    assert (scores.n_matched, scores.tips_unknown, scores.ends_swapped) == (1, 1, None)
    assert "tell of no matched wire" in scores.not_computed["ends_swapped"]
    assert scores.tip_error_px.maximum < 4
    assert judged.wires[0]["ends_swapped"] is None
    # As it would with the field that gw_predict saved.
    write_probability(prediction / "a.npz", wire.astype(np.float32), field)
    scores = evaluate_folder(tmp_path / "reference", prediction, wires="masks").localization.all_frames
    assert (scores.tips_unknown, scores.ends_swapped) == (0, 0)


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ({"run_001": known(12)}, "has no centrelines of run_002"),
        ({"run_001": [], "run_002": known(12)}, "run_001: wanted an object with wires"),
        ({"run_001": known(12), "run_002": {"wires": [{"centreline": [[1, 2, 3]]}]}}, "run_002: wanted for each wire"),
        ([], "wanted an object with cases"),
    ],
)
def test_bad_centrelines_are_refused_by_name(folders, cases, message):
    reference, prediction = folders
    write_centrelines(reference.parent, {"run_001": known(12), "run_002": known(12)})
    write_centrelines(prediction, cases)
    with pytest.raises(SchemaError, match=rf"prediction.centrelines\.json: {message}"):
        evaluate_folder(reference, prediction)


def test_identities_are_followed_through_the_sequences_of_a_dataset(tmp_path):
    """The number of the wire changes once within patient a's sequence, whose frames are not in the order of names."""
    raw, prediction = tmp_path / "Dataset001_Test", tmp_path / "prediction"
    frames = {"x2": ("a", 0, 5), "x1": ("a", 1, 5), "x0": ("a", 2, 6), "x3": ("b", 0, 6)}
    cases = {}
    for case, (patient, number, _) in frames.items():
        write_frame(raw / "imagesTs" / f"{case}.png", np.arange(24 * 32, dtype=np.uint16).reshape(24, 32))
        write_mask(raw / "labelsTs" / f"{case}.png", line(20))
        write_mask(prediction / f"{case}.png", line(20))
        cases[case] = {"patient": patient, "sequence": patient, "frame": number}
    labels = {"channel_names": {"0": "xray"}, "labels": {"background": 0, "wire": 1}, "file_ending": ".png"}
    (raw / "dataset.json").write_text(json.dumps({**labels, "numTraining": 0, "cases": cases}), encoding="utf-8")
    write_centrelines(raw, {case: known(12) for case in frames})
    write_centrelines(
        prediction, {case: known(12, wire=number) for case, (_, _, number) in frames.items()}, tracked=True
    )
    summary = evaluate_folder(raw / "labelsTs", prediction, tmp_path / "summary.json", processes=2)
    found = summary.localization
    assert found.all_frames.identity_switches == 1
    assert [(group.name, group.scores.identity_switches) for group in found.patients] == [("a", 1), ("b", 0)]
    assert summary == evaluate_folder(raw / "labelsTs", prediction, processes=1)
    with (tmp_path / "summary_patients.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            (row["patient"], row["frames"], row["pooled_dice"], row["mean_hd95_px"]) for row in csv.DictReader(file)
        ]
    assert rows == [("a", "3", "1.0", "0.0"), ("b", "1", "1.0", "0.0")]


def test_frames_without_partner_are_named(folders):
    reference, prediction = folders
    write_mask(reference / "run_003.png", line(20))
    write_mask(prediction / "run_004.png", line(20))
    with pytest.raises(DatasetError, match=r"no prediction for 1 frame: run_003; .*no reference for 1 frame: run_004"):
        evaluate_folder(reference, prediction)
    summary = evaluate_folder(reference, prediction, allow_missing=True)
    assert summary.n_frames == 2
    assert summary.not_scored == ("run_003", "run_004")


def test_frames_in_folders_are_paired_by_their_path(folders, tmp_path, caplog):
    """As gw_predict writes what it finds in folders of runs."""
    reference, prediction = folders
    for folder, length in ((reference, 20), (prediction, 5)):
        write_mask(folder / "patient" / "run" / "f.1.png", line(length))
    (prediction / "patient" / "run" / "f.2.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"no reference for 1 frame: patient/run/f\.2;"):
        evaluate_folder(reference, prediction)
    (prediction / "patient" / "run" / "f.2.png").unlink()
    for drawn in DRAWN:  # beside the masks, by gw_predict
        write_frame(prediction / drawn / "patient" / "run" / "f.1.png", np.zeros((24, 32, 3), np.uint8))
    # With all predictions below the references, each still counts for one side alone.
    shutil.move(prediction, reference / "predicted")
    prediction = reference / "predicted"
    caplog.set_level("INFO")
    summary = evaluate_folder(reference, prediction, tmp_path / "summary.json")
    assert [frame["case"] for frame in summary.frames] == ["patient/run/f.1", "run_001", "run_002"]
    assert summary.pooled.recall == pytest.approx(35 / 60)
    assert f"{prediction}: not looked at: overlays and tracks, where gw_predict draws" in caplog.messages
    # A run that is called so by its own people.
    write_mask(reference / "overlays" / "x.png", line(20))
    with pytest.raises(
        DatasetError, match=r"no prediction for 1 frame: overlays/x; .*reference for 1 frame: overlays/pa"
    ):
        evaluate_folder(reference, prediction)


def test_what_gw_predict_draws_stands_where_it_is_not_looked_for():
    assert DRAWN == (OVERLAYS, PLOTS)


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
