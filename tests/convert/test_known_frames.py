"""Frames of a dataset, annotated later: whose they are is kept on the way, so that no fold leaks."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gwunet.convert.cvat import convert_cvat
from gwunet.convert.known_frames import KnownFrames
from gwunet.convert.labelme import convert_labelme
from gwunet.convert.masks import convert_masks
from gwunet.convert.polyline import convert_polyline
from gwunet.convert.writer import DatasetWriter
from gwunet.dataset import Case, Dataset
from gwunet.io.spacing import PixelSpacing
from gwunet.splits import make_splits

SHAPE = (24, 32)
SPACING = PixelSpacing(row_mm=0.3, column_mm=0.2, plane="patient")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A workspace's folder with a dataset of five patients with two runs each, without masks."""
    rng = np.random.default_rng(0)
    with DatasetWriter(tmp_path / "raw" / "Dataset501_Runs") as writer:
        for patient in range(5):
            for run in range(2):
                for number in (1, 2):
                    writer.add(
                        f"a{patient}_b{patient}{run}_c{number}",
                        rng.integers(0, 256, SHAPE, dtype=np.uint8),
                        None,
                        source=f"{patient} {run} {number}",
                        patient=f"a{patient}",
                        sequence=f"b{patient}{run}",
                        frame_number=number,
                        site="north",
                        spacing=SPACING,
                        frame_time_ms=125.0,
                    )
        writer.finish()
    return tmp_path / "raw"


def labelme(folder: Path, writer: DatasetWriter) -> None:
    line = {"label": "wire", "shape_type": "line", "points": [[4.5, 10.5], [20.5, 10.5]]}
    for path in folder.glob("*.png"):
        path.with_suffix(".json").write_text(json.dumps({"imagePath": path.name, "shapes": [line]}))
    convert_labelme(folder, writer, width_px=3)


def polyline(folder: Path, writer: DatasetWriter) -> None:
    rows = [f"{path.stem},1,10,{column}\n" for path in folder.glob("*.png") for column in (4, 20)]
    (folder / "points.csv").write_text("case,wire,row,column\n" + "".join(rows))
    convert_polyline(folder, writer, width_px=3)


def cvat(folder: Path, writer: DatasetWriter) -> None:
    line = '<polyline label="wire" points="4.5,10.5;20.5,10.5"/>'
    images = [f'<image name="{path.name}" width="32" height="24">{line}</image>' for path in folder.glob("*.png")]
    (folder / "annotations.xml").write_text(f"<annotations>{''.join(images)}</annotations>")
    convert_cvat(folder, writer, width_px=3)


def masks(folder: Path, writer: DatasetWriter) -> None:
    (folder / "masks").mkdir()
    for path in folder.glob("*.png"):
        Image.fromarray(np.eye(*SHAPE, dtype=np.uint8)).save(folder / "masks" / path.name)
    convert_masks(folder, writer, masks=folder / "masks")


def known_of(case: Case) -> tuple[object, ...]:
    return (
        case.patient,
        case.sequence,
        case.frame,
        case.site,
        case.pixel_spacing_mm,
        case.spacing_plane,
        case.frame_time_ms,
    )


@pytest.mark.parametrize("convert", [labelme, polyline, cvat, masks])
@pytest.mark.parametrize("copied", [False, True])
def test_annotated_frames_stay_their_patients(
    tmp_path: Path, raw: Path, convert: Callable[[Path, DatasetWriter], None], copied: bool
) -> None:
    before = Dataset.open(raw / "Dataset501_Runs")
    folder = before.folder / "imagesTs"
    if copied:
        folder = tmp_path / "annotator"
        folder.mkdir()
        for case in before.test:  # saved anew, so that neither times nor bytes are equal
            Image.open(case.image).save(folder / case.image.name, compress_level=9)
    known = KnownFrames(raw if copied else None)
    with DatasetWriter(raw / "Dataset502_Wires", known=known) as writer:
        convert(folder, writer)
        assert not writer.finish().failed
    after = Dataset.open(raw / "Dataset502_Wires")
    assert [case.name for case in after.training] == [case.name for case in before.test]
    assert [known_of(case) for case in after.training] == [known_of(case) for case in before.test]
    assert known.found == {before.folder: 20}
    splits = make_splits(after.training, {case.name: 9 for case in after.training})
    assert (splits.grouping, splits.warnings) == ("patient", ())


def test_a_frame_of_the_same_name_is_another_frame(tmp_path: Path, raw: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "annotator"
    folder.mkdir()
    for name in ("a0_b00_c1", "a1_b10_c1"):
        Image.fromarray(np.zeros(SHAPE, np.uint8)).save(folder / f"{name}.png")
    with DatasetWriter(raw / "Dataset502_Wires", known=KnownFrames(raw)) as writer:
        masks(folder, writer)
        writer.finish()
    assert {case.patient for case in Dataset.open(raw / "Dataset502_Wires").training} == {None}
    assert caplog.text.count("a frame of this name with other pixels") == 1


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"cases": {}}', '{"cases": 1}', '{"grouping": "("}'])
def test_a_dataset_that_says_nothing_or_nonsense_does_not_matter(tmp_path: Path, content: str) -> None:
    other = tmp_path / "raw" / "Dataset009_Other"
    folder = other / "imagesTs"
    folder.mkdir(parents=True)
    (other / "dataset.json").write_text(content)
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(folder / "run1_01.png")
    with DatasetWriter(tmp_path / "raw" / "Dataset502_Wires", known=KnownFrames(tmp_path / "raw")) as writer:
        masks(folder, writer)
        writer.finish()
    (case,) = Dataset.open(tmp_path / "raw" / "Dataset502_Wires").training
    assert (case.patient, case.sequence) == (None, "run1")


def test_declared_by_an_expression_and_named_as_in_nnunet(tmp_path: Path) -> None:
    other = tmp_path / "raw" / "Dataset009_Other"
    for half in ("imagesTr", "labelsTr"):
        (other / half).mkdir(parents=True)
    for name in ("p1-1", "p2-1"):
        Image.fromarray(np.full(SHAPE, ord(name[1]), np.uint8)).save(other / "imagesTr" / f"{name}_0000.png")
        Image.fromarray(np.zeros(SHAPE, np.uint8)).save(other / "labelsTr" / f"{name}.png")
    (other / "dataset.json").write_text(json.dumps({"grouping": r"(?P<patient>p\d)-\d"}))
    with DatasetWriter(tmp_path / "new") as writer:
        masks(other / "imagesTr", writer)
        writer.finish()
    assert [case.patient for case in Dataset.open(tmp_path / "new").training] == ["p1", "p2"]


def test_names_from_dicom_say_the_patient_where_the_dataset_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "annotator" / "monday"
    folder.mkdir(parents=True)
    for patient in "01":
        for series in "23":
            name = f"p{patient * 12}_s{series * 12}_i{'a' * 12}_f0007"
            Image.fromarray(np.zeros(SHAPE, np.uint8)).save(folder / f"{name}.png")
    with DatasetWriter(tmp_path / "new") as writer:
        masks(folder, writer)
        writer.finish()
    assert [(case.patient, case.sequence) for case in Dataset.open(tmp_path / "new").training] == [
        (f"p{patient * 12}", f"p{patient * 12}/s{series * 12}") for patient in "01" for series in "23"
    ]
