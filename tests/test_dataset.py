"""Opening a raw dataset: pairs, nnU-Net's layout, labels, and where each case comes from."""

import json
import logging
import os
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from gwunet import grouping
from gwunet.dataset import IGNORE, Dataset
from gwunet.errors import DatasetError, FrameError, SchemaError

FRAME = np.arange(144, dtype=np.uint8).reshape(12, 12)
MASK = np.eye(12, dtype=np.uint8)


def make_dataset(folder: Path, images: list[str], masks: list[str] | None = None, **description: Any) -> Path:
    """Frames and masks by file name (masks named as the frames by default), and a dataset.json if described."""
    for name, pixels, files in (("imagesTr", FRAME, images), ("labelsTr", MASK, images if masks is None else masks)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for file in files:
            Image.fromarray(pixels).save(folder / name / file)
    if description:
        (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def names(dataset: Dataset) -> list[str]:
    return [case.name for case in dataset.training]


def numbered(sequences: int, frames: int) -> list[str]:
    return [f"s{sequence}_{frame:03d}.png" for sequence in range(sequences) for frame in range(frames)]


def test_frames_and_masks_pair_by_name_whatever_their_endings(tmp_path: Path) -> None:
    make_dataset(tmp_path, ["b.jpg", "a.bmp", "c.tif"], ["a.png", "b.png", "c.png"])
    dataset = Dataset.open(tmp_path)
    assert names(dataset) == ["a", "b", "c"]
    assert dataset.problems == ()
    np.testing.assert_array_equal(dataset.read_mask(dataset.case("b")), MASK)
    np.testing.assert_array_equal(dataset.read_frame(dataset.case("a")), FRAME)


def test_frames_in_nested_folders_are_told_the_way_in(tmp_path: Path) -> None:
    nested = tmp_path / "imagesTr" / "p1" / "run2"
    nested.mkdir(parents=True)
    (nested / "a.png").touch()
    problems = Dataset.open(tmp_path).problems
    assert any("only in folders in it (p1/run2/a.png)" in text and "gw_convert masks" in text for text in problems)


def test_missing_partners_are_named_all_at_once(tmp_path: Path) -> None:
    make_dataset(tmp_path, ["a.png", "b.png", "c.png"], ["a.png", "d.png", "e.png"])
    dataset = Dataset.open(tmp_path)
    assert names(dataset) == ["a"]
    found = "\n".join(dataset.problems)
    for missing in ("b.png: found no mask", "c.png: found no mask", "d.png: found no frame", "e.png: found no frame"):
        assert missing in found
    assert len(dataset.problems) == 4


def test_two_images_of_one_name_are_a_problem(tmp_path: Path) -> None:
    make_dataset(tmp_path, ["a.png", "a.bmp", "b.png"], ["a.png", "b.png"])
    (problem,) = Dataset.open(tmp_path).problems
    assert "a.png: found a.bmp beside it" in problem


def test_an_empty_dataset_is_a_problem_and_a_missing_folder_an_error(tmp_path: Path) -> None:
    (problem,) = Dataset.open(tmp_path).problems
    assert "imagesTr: found no frames" in problem
    with pytest.raises(DatasetError, match="nowhere: found no such folder"):
        Dataset.open(tmp_path / "nowhere")


def test_test_frames_have_masks_where_there_are_some(tmp_path: Path) -> None:
    make_dataset(tmp_path, ["a.png"])
    for folder, files, pixels in (("imagesTs", ("x.png", "y.png"), FRAME), ("labelsTs", ("x.png", "z.png"), MASK)):
        (tmp_path / folder).mkdir()
        for file in files:
            Image.fromarray(pixels).save(tmp_path / folder / file)
    dataset = Dataset.open(tmp_path)
    assert [(case.name, case.mask is not None) for case in dataset.test] == [("x", True), ("y", False)]
    assert ["z.png: found no frame" in problem for problem in dataset.problems] == [True]
    with pytest.raises(DatasetError, match="found no mask"):
        dataset.read_mask(dataset.case("y"))


def test_an_unknown_case_suggests_the_closest(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"found no case 'case_1'; .*did you mean 'case_01'"):
        Dataset.open(make_dataset(tmp_path, ["case_01.png"])).case("case_1")


class TestNnunetLayout:
    def test_the_channel_suffix_is_dropped(self, tmp_path: Path) -> None:
        make_dataset(
            tmp_path,
            ["a_0000.png", "b_0000.png"],
            ["a.png", "b.png"],
            channel_names={"0": "fluoroscopy"},
            labels={"background": 0, "wire": 1},
            numTraining=2,
            file_ending=".png",
            overwrite_image_reader_writer="NaturalImage2DIO",
        )
        (tmp_path / "imagesTs").mkdir()
        Image.fromarray(FRAME).save(tmp_path / "imagesTs" / "t_0000.png")
        dataset = Dataset.open(tmp_path)
        assert names(dataset) == ["a", "b"]
        assert [case.name for case in dataset.test] == ["t"]
        assert dataset.description["numTraining"] == 2
        assert dataset.problems == ()

    def test_frames_that_are_numbered_keep_their_number(self, tmp_path: Path) -> None:
        dataset = Dataset.open(make_dataset(tmp_path, ["a_0000.png", "a_0001.png"]))
        assert names(dataset) == ["a_0000", "a_0001"]

    def test_a_missing_mask_does_not_make_a_number_a_channel(self, tmp_path: Path) -> None:
        dataset = Dataset.open(make_dataset(tmp_path, ["a_0000.png", "a_0001.png"], ["a_0001.png"]))
        assert names(dataset) == ["a_0001"]
        assert ["a_0000.png: found no mask" in problem for problem in dataset.problems] == [True]

    def test_a_second_channel_is_a_problem_that_says_so(self, tmp_path: Path) -> None:
        make_dataset(tmp_path, ["a_0000.png", "a_0001.png", "b_0000.png"], ["a.png", "b.png"])
        (problem,) = Dataset.open(tmp_path).problems
        assert "a_0001.png: found a second channel" in problem
        assert "not supported" in problem

    def test_two_declared_channels_are_refused(self, tmp_path: Path) -> None:
        make_dataset(tmp_path, ["a.png"], channel_names={"0": "low", "1": "high"})
        with pytest.raises(DatasetError, match="a second channel is not supported"):
            Dataset.open(tmp_path)


class TestLabels:
    def open_with_values(self, folder: Path, values: list[int], **description: Any) -> np.ndarray:
        make_dataset(folder, ["a.png"], **description)
        Image.fromarray(np.resize(np.array(values, np.uint8), (12, 12))).save(folder / "labelsTr" / "a.png")
        dataset = Dataset.open(folder)
        return np.unique(dataset.read_mask(dataset.case("a")))

    @pytest.mark.parametrize("wire", [1, 255])
    def test_no_description_means_background_and_wire(
        self, tmp_path: Path, wire: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO):
            assert self.open_with_values(tmp_path, [0, wire]).tolist() == [0, 1]
        assert "dataset.json: not there" in caplog.text

    @pytest.mark.parametrize("wire", [1, 255])
    def test_ignored_pixels_are_told_apart(self, tmp_path: Path, wire: int) -> None:
        labels = {"background": 0, "wire": 1, "ignore": 2}
        assert self.open_with_values(tmp_path, [0, wire, 2], labels=labels).tolist() == [0, 1, IGNORE]

    def test_255_may_be_the_ignored_value(self, tmp_path: Path) -> None:
        labels = {"background": 0, "wire": 1, "ignore": 255}
        assert self.open_with_values(tmp_path, [0, 1, 255], labels=labels).tolist() == [0, 1, IGNORE]

    @pytest.mark.parametrize("undeclared", [1, 255])
    def test_another_value_has_no_other_spelling(self, tmp_path: Path, undeclared: int) -> None:
        with pytest.raises(FrameError, match=r"a\.png: found the mask values 0, .*; wanted 0, 2: "):
            self.open_with_values(tmp_path, [0, undeclared, 2], labels={"background": 0, "wire": 2})

    def test_several_foreground_labels_need_wire_labels(self, tmp_path: Path) -> None:
        labels = {"background": 0, "wire": 1, "tip": 2, "catheter": 3}
        with pytest.raises(DatasetError, match=r"foreground labels wire, tip, catheter; .*wire_labels"):
            self.open_with_values(tmp_path, [0, 1, 2, 3], labels=labels)

    def test_wire_labels_are_joined_and_others_are_background(self, tmp_path: Path) -> None:
        labels = {"background": 0, "wire": 1, "tip": 2, "catheter": 3}
        make_dataset(tmp_path, ["a.png"], labels=labels, wire_labels=["wire", "tip"])
        Image.fromarray(np.resize(np.array([0, 1, 2, 3], np.uint8), (12, 12))).save(tmp_path / "labelsTr" / "a.png")
        dataset = Dataset.open(tmp_path)
        np.testing.assert_array_equal(dataset.read_mask(dataset.case("a")), np.resize([0, 1, 1, 0], (12, 12)))

    def test_an_undeclared_value_is_an_error_of_its_file(self, tmp_path: Path) -> None:
        with pytest.raises(FrameError, match=r"a\.png: found the mask values 0, 1, 7; "):
            self.open_with_values(tmp_path, [0, 1, 7], labels={"background": 0, "wire": 1})

    @pytest.mark.parametrize(
        ("description", "reason"),
        [
            ({"labels": {"background": 1, "wire": 0}}, "wanted background 0"),
            ({"labels": {"background": 0}}, "foreground labels none"),
            ({"labels": {"background": 0, "wire": 300}}, "values up to 255"),
            ({"labels": {"background": 0, "a": 1, "b": 2}, "wire_labels": ["c"]}, "wire_labels: found c"),
            ({"labels": {"background": 0, "a": 1, "b": 2}, "wire_labels": []}, "wanted one"),
        ],
    )
    def test_labels_that_make_no_sense_are_refused(
        self, tmp_path: Path, description: dict[str, Any], reason: str
    ) -> None:
        with pytest.raises(DatasetError, match=reason):
            Dataset.open(make_dataset(tmp_path, ["a.png"], **description))

    def test_a_wrong_type_is_refused_with_its_path(self, tmp_path: Path) -> None:
        with pytest.raises(SchemaError, match=r"dataset\.json: labels\.0: expected int, got 'background'"):
            Dataset.open(make_dataset(tmp_path, ["a.png"], labels={"0": "background", "1": "wire"}))

    def test_a_misspelt_key_is_pointed_out(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        Dataset.open(make_dataset(tmp_path, ["a.png"], groupings="x"))
        assert "was 'grouping' meant?" in caplog.text


class TestOrigins:
    def test_declared_cases(self, tmp_path: Path) -> None:
        cases = {
            "a": {"patient": "P1", "sequence": "run", "frame": 3, "site": "north"},
            "b": {"patient": "P1"},
            "c": {"sequence": "other"},
        }
        dataset = Dataset.open(make_dataset(tmp_path, ["a.png", "b.png", "c.png"], cases=cases))
        found = [(case.patient, case.sequence, case.frame, case.site) for case in dataset.training]
        assert found == [("P1", "run", 3, "north"), ("P1", "P1", None, None), (None, "other", None, None)]
        assert dataset.grouping_is_declared

    def test_how_a_frame_was_taken(self, tmp_path: Path) -> None:
        known = {"patient": "P1", "pixel_spacing_mm": [0.2, 0.25], "spacing_plane": "detector", "frame_time_ms": 33}
        dataset = Dataset.open(make_dataset(tmp_path, ["a.png", "b.png"], cases={"a": known, "b": {"patient": "P2"}}))
        found = [(case.pixel_spacing_mm, case.spacing_plane, case.frame_time_ms) for case in dataset.training]
        assert found == [((0.2, 0.25), "detector", 33.0), (None, None, None)]

    @pytest.mark.parametrize(
        ("wrong", "reason"),
        [
            ({"pixel_spacing_mm": [0.2, 0.2]}, "must be given together"),
            ({"spacing_plane": "patient"}, "must be given together"),
            ({"pixel_spacing_mm": [0.2, 0.0], "spacing_plane": "patient"}, r"pixel_spacing_mm is \[0.2, 0.0\]"),
            ({"pixel_spacing_mm": [0.2], "spacing_plane": "patient"}, "pixel_spacing_mm: expected array of 2"),
            ({"pixel_spacing_mm": [0.2, 0.2], "spacing_plane": "table"}, "spacing_plane: expected one of 'patient'"),
            ({"frame_time_ms": -1}, "frame_time_ms is -1.0, it must be above 0"),
        ],
    )
    def test_an_impossible_spacing_or_time_is_refused(self, tmp_path: Path, wrong: dict[str, Any], reason: str) -> None:
        with pytest.raises(SchemaError, match=rf"dataset\.json: cases\.a.*{reason}"):
            Dataset.open(make_dataset(tmp_path, ["a.png"], cases={"a": {"patient": "P1", **wrong}}))

    def test_a_partial_or_empty_declaration_is_a_problem(self, tmp_path: Path) -> None:
        dataset = Dataset.open(make_dataset(tmp_path, ["a.png", "b.png"], cases={"a": {"frame": 1}}))
        missing, empty = dataset.problems
        assert "found no entry for b" in missing
        assert "cases.a: found neither patient nor sequence" in empty

    def test_sequences_of_two_patients_are_never_one(self, tmp_path: Path) -> None:
        expression = r"(?P<patient>P\d)_(?P<sequence>\d)_(?P<frame>\d+)"
        files = ["P1_1_01.png", "P1_1_02.png", "P2_1_01.png", "P2_2_01.png"]
        dataset = Dataset.open(make_dataset(tmp_path, files, grouping=expression))
        assert [case.sequence for case in dataset.training] == ["P1/1", "P1/1", "P2/1", "P2/2"]
        assert [case.frame for case in dataset.training] == [1, 2, 1, 1]

    def test_an_expression_must_match_every_whole_name(self, tmp_path: Path) -> None:
        dataset = Dataset.open(make_dataset(tmp_path, ["P1.png", "P12.png"], grouping=r"(?P<patient>P\d)"))
        assert ["does not match P12" in problem for problem in dataset.problems] == [True]

    @pytest.mark.parametrize(
        ("expression", "reason"),
        [
            ("(?P<patient>", "missing \\), unterminated subpattern"),
            ("(.*)", "found the named groups none"),
            ("(?P<patient>.)(?P<run>.*)", "found the named groups patient, run"),
            ("(?P<patient>.*)" + "x?" * 300, "wanted at most 500"),
        ],
    )
    def test_a_wrong_expression_is_refused(self, tmp_path: Path, expression: str, reason: str) -> None:
        with pytest.raises(DatasetError, match=f"dataset.json: grouping: .*{reason}"):
            Dataset.open(make_dataset(tmp_path, ["a.png"], grouping=expression))

    def test_an_expression_that_would_run_for_years_is_stopped(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(grouping, "_TIME_LIMIT_S", 0.5)
        make_dataset(tmp_path, ["a" * 60 + "!.png"], grouping="(?P<patient>(a+)+)")
        start = time.perf_counter()
        with pytest.raises(DatasetError, match=r"found no result in 0\.5 s"):
            Dataset.open(tmp_path)
        assert time.perf_counter() - start < 5

    def test_cases_and_grouping_together_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DatasetError, match="wanted one of the two"):
            Dataset.open(make_dataset(tmp_path, ["a.png"], cases={}, grouping="(?P<patient>.*)"))

    def test_trailing_frame_numbers_give_sequences(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        dataset = Dataset.open(make_dataset(tmp_path, [*numbered(5, 2), "single.png"]))
        assert [case.sequence for case in dataset.training[:3]] == ["s0", "s0", "s1"]
        assert [case.frame for case in dataset.training[:3]] == [0, 1, 0]
        assert (dataset.case("single").sequence, dataset.case("single").frame) == ("single", None)
        assert not dataset.grouping_is_declared
        assert caplog.text == ""

    @pytest.mark.parametrize("files", [numbered(4, 3), [f"{k:04d}.png" for k in range(12)]])
    def test_too_few_guessed_sequences_leave_each_frame_alone_with_one_warning(
        self, tmp_path: Path, files: list[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        dataset = Dataset.open(make_dataset(tmp_path, files))
        assert [case.sequence for case in dataset.training] == names(dataset)
        (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert "the folds leak" in warning
        assert '"grouping"' in warning


class TestDigest:
    """What was made from a dataset is up to date exactly while its digest stays the same."""

    CASES: ClassVar = {"a": {"patient": "P1"}, "b": {"patient": "P2"}}

    def digest(self, folder: Path) -> str:
        dataset = Dataset.open(folder)
        return dataset.digest(dataset.training)

    def test_it_stays_the_same_wherever_the_dataset_is_opened_from(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_dataset(tmp_path / "set", ["a.png", "b.png"], cases=self.CASES)
        before = self.digest(tmp_path / "set")
        monkeypatch.chdir(tmp_path)
        assert self.digest(Path("set")) == before
        (tmp_path / "set").rename(tmp_path / "elsewhere").joinpath("note.txt").write_text("mine")
        (tmp_path / "elsewhere").rename(tmp_path / "set")
        assert self.digest(tmp_path / "set") == before

    @pytest.mark.parametrize("part", ["imagesTr", "labelsTr"])
    def test_it_changes_with_a_file(self, tmp_path: Path, part: str) -> None:
        make_dataset(tmp_path, ["a.png", "b.png"], cases=self.CASES)
        path = tmp_path / part / "b.png"
        seen = {self.digest(tmp_path)}
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        seen.add(self.digest(tmp_path))
        state = path.stat()
        path.write_bytes(path.read_bytes() + b"\0")
        os.utime(path, ns=(0, state.st_mtime_ns))
        seen.add(self.digest(tmp_path))
        assert len(seen) == 3

    def test_it_changes_with_what_is_declared(self, tmp_path: Path) -> None:
        make_dataset(tmp_path, ["a.png", "b.png"])
        seen = set()
        changed = {"a": {"patient": "P1", "site": "north"}, "b": {"patient": "P2"}}
        for cases in (self.CASES, changed):
            for value in (1, 3):
                labels = {"background": 0, "wire": value}
                (tmp_path / "dataset.json").write_text(json.dumps({"cases": cases, "labels": labels}))
                seen.add(self.digest(tmp_path))
        assert len(seen) == 4
