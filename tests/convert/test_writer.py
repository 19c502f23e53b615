"""The writer: what it writes opens as a dataset, whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gwunet.convert.writer import Conversion, DatasetWriter
from gwunet.dataset import IGNORE, Dataset
from gwunet.errors import DatasetError, FrameError, UsageError
from gwunet.io.spacing import PixelSpacing

FRAME = np.random.default_rng(0).integers(0, 4096, (20, 30)).astype(np.uint16)
MASK = np.eye(20, 30, dtype=np.uint8)
SPACING = PixelSpacing(row_mm=0.3, column_mm=0.2, plane="patient")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "Dataset501_Made"


def test_what_is_written_opens_as_a_dataset(folder: Path) -> None:
    with DatasetWriter(folder) as writer:
        writer.add("b", FRAME, None, source="run.dcm", patient="p2", sequence="s2", spacing=SPACING, frame_time_ms=33.0)
        writer.add("a", FRAME, MASK, source="a.json", patient="p1", sequence="s1", frame_number=7, site="here")
        writer.skip("c.json", "empty")
        conversion = writer.finish()
    assert conversion == Conversion(
        written=(("run.dcm", "b"), ("a.json", "a")), skipped=(("c.json", "empty"),), failed=True
    )
    dataset = Dataset.open(folder)
    assert dataset.problems == ()
    (training,), (test,) = dataset.training, dataset.test
    assert (training.name, training.patient, training.sequence, training.frame, training.site) == (
        "a",
        "p1",
        "s1",
        7,
        "here",
    )
    assert (test.name, test.patient, test.sequence, test.frame) == ("b", "p2", "s2", None)
    np.testing.assert_array_equal(dataset.read_frame(training), FRAME)
    np.testing.assert_array_equal(dataset.read_mask(training), MASK)
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "labelsTr" / "a.png")), MASK * 255)
    cases = json.loads((folder / "dataset.json").read_text())["cases"]
    assert cases["a"] == {"patient": "p1", "sequence": "s1", "frame": 7, "site": "here"}
    assert cases["b"] == {
        "patient": "p2",
        "sequence": "s2",
        "pixel_spacing_mm": [0.3, 0.2],
        "spacing_plane": "patient",
        "frame_time_ms": 33.0,
    }


def test_ignored_pixels_come_back_and_other_masks_stay_plain(folder: Path) -> None:
    ignored = MASK.copy()
    ignored[:, 20:] = IGNORE
    with DatasetWriter(folder) as writer:
        writer.add("a", FRAME, MASK, source="a")
        writer.add("b", FRAME, ignored, source="b")
        writer.finish()
    dataset = Dataset.open(folder)
    assert dataset.problems == ()
    np.testing.assert_array_equal(dataset.read_mask(dataset.case("a")), MASK)
    np.testing.assert_array_equal(dataset.read_mask(dataset.case("b")), ignored)
    assert json.loads((folder / "dataset.json").read_text())["labels"] == {"background": 0, "wire": 1, "ignore": 2}
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "labelsTr" / "b.png")), ignored)
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "labelsTr" / "a.png")), MASK * 255)


def test_names_alone_decide_where_nothing_is_known(folder: Path) -> None:
    with DatasetWriter(folder) as writer:
        for case in ("run1_01", "run1_02", "run2_01"):
            writer.add(case, FRAME, MASK, source=case)
        writer.finish()
    assert "cases" not in json.loads((folder / "dataset.json").read_text())


def test_a_partial_declaration_is_completed_by_the_names(folder: Path) -> None:
    with DatasetWriter(folder) as writer:
        writer.add("x", FRAME, MASK, source="x", patient="p1")
        for case in ("run1_01", "run2_01", "run3_01", "run4_01", "run5_01", "run5_02"):
            writer.add(case, FRAME, MASK, source=case)
        writer.finish()
    dataset = Dataset.open(folder)
    assert dataset.problems == ()
    assert (dataset.case("run5_02").sequence, dataset.case("run5_02").frame) == ("run5", 2)


def test_frames_that_nobody_annotated_are_declared_too(folder: Path) -> None:
    with DatasetWriter(folder) as writer:
        writer.add("f1", FRAME, MASK, source="f1", patient="p1", sequence="s1")
        writer.add("run1_02", FRAME, None, source="run1_02")
        writer.add("b", FRAME, None, source="b", spacing=SPACING)
        writer.finish()
    dataset = Dataset.open(folder)
    assert dataset.problems == ()
    assert [(case.name, case.sequence, case.frame) for case in dataset.test] == [
        ("b", "b", None),
        ("run1_02", "run1", 2),
    ]


@pytest.mark.parametrize(
    ("names", "safe"),
    [
        (["a b/c", "a_b_c"], ["a_b_c", "a_b_c-2"]),
        (["Ä é", "§"], ["_", "_-2"]),
        (["../../etc/passwd", "-rf", ".hidden", "..."], ["_.._etc_passwd", "rf", "hidden", "case"]),
        (["A", "a"], ["A", "a-2"]),
        (["x" * 400, "x" * 401], ["x" * 150, "x" * 150 + "-2"]),
    ],
)
def test_names_are_made_safe_and_stay_different(folder: Path, names: list[str], safe: list[str]) -> None:
    with DatasetWriter(folder) as writer:
        for name in names:
            writer.add(name, FRAME, MASK, source=f"{name[:9]}.json")
        conversion = writer.finish()
    assert [case for _, case in conversion.written] == safe
    assert sorted(path.stem for path in (folder / "imagesTr").iterdir()) == sorted(safe)
    assert {path.relative_to(folder).parts[0] for path in folder.rglob("*.png")} == {"imagesTr", "labelsTr"}


def test_two_sources_of_one_case_are_both_named(folder: Path) -> None:
    with DatasetWriter(folder) as writer:
        writer.add("a", FRAME, MASK, source="one.json")
        with pytest.raises(DatasetError, match=r"two\.json: found the case name 'a', which one\.json has too"):
            writer.add("a", FRAME, None, source="two.json")


@pytest.mark.parametrize(
    ("frame", "mask", "found"),
    [
        (FRAME.astype(np.float32), MASK, "float32 pixels"),
        (FRAME[None], MASK, r"uint16 pixels of shape \(1, 20, 30\)"),
        (FRAME[:7], MASK[:7], r"uint16 pixels of shape \(7, 30\)"),
        (FRAME, MASK.T, r"a mask of shape \(30, 20\); wanted the frame's \(20, 30\)"),
        (FRAME, MASK * 255, "mask values other than 0, 1 and 2"),
    ],
)
def test_frames_that_no_dataset_can_hold_are_refused(
    folder: Path, frame: np.ndarray, mask: np.ndarray, found: str
) -> None:
    with DatasetWriter(folder) as writer, pytest.raises(FrameError, match=rf"a\.json: found {found}"):
        writer.add("a", frame, mask, source="a.json")


@pytest.mark.parametrize("problem", [KeyboardInterrupt, RuntimeError, None])
def test_nothing_is_left_unless_it_is_finished(folder: Path, problem: type[BaseException] | None) -> None:
    def interrupted() -> None:
        with DatasetWriter(folder) as writer:
            writer.add("a", FRAME, MASK, source="a")
            if problem is not None:
                raise problem

    if problem is None:
        interrupted()
    else:
        with pytest.raises(problem):
            interrupted()
    assert list(folder.parent.iterdir()) == []


def test_nothing_stands_under_the_final_name_before_the_end(folder: Path) -> None:
    with DatasetWriter(folder) as writer:
        writer.add("a", FRAME, MASK, source="a")
        assert [path.name.startswith(".partial-") for path in folder.parent.iterdir()] == [True]
        writer.finish()
    assert [path.name for path in folder.parent.iterdir()] == ["Dataset501_Made"]
    assert folder.stat().st_mode & 0o777 == (folder / "imagesTr").stat().st_mode & 0o777


def test_what_exists_is_never_overwritten(folder: Path) -> None:
    folder.mkdir(parents=True)
    with DatasetWriter(folder) as writer:  # an empty folder may be filled
        writer.add("a", FRAME, MASK, source="a")
        writer.finish()
    with pytest.raises(UsageError, match="found a folder that is not empty"):
        DatasetWriter(folder)
    with pytest.raises(UsageError, match="found a file"):
        DatasetWriter(folder / "dataset.json")


def test_nothing_converted_is_an_error_that_gives_the_reasons(folder: Path) -> None:
    def convert(*skipped: tuple[str, str]) -> None:
        with DatasetWriter(folder) as writer:
            for source, reason in skipped:
                writer.skip(source, reason)
            writer.finish()

    with pytest.raises(DatasetError, match=r"skipped was\n  a: empty \(and 1 more\)\n  c: broken$"):
        convert(("a", "empty"), ("b", "empty"), ("c", "broken"))
    with pytest.raises(DatasetError, match="check that the source holds files of this kind"):
        convert()
    assert not folder.exists()


def test_leaving_out_on_purpose_is_no_failure(folder: Path) -> None:
    with DatasetWriter(folder) as writer:
        writer.add("a", FRAME, MASK, source="a")
        writer.skip("a copy.dcm", "a copy of a", on_purpose=True)
        assert not writer.finish().failed
