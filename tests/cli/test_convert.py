"""``gw_convert`` as a user calls it."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image

from gwunet.cli.convert import main
from gwunet.dataset import Dataset

FRAMES = np.random.default_rng(0).integers(0, 256, (5, 32, 40), dtype=np.uint8)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A DICOM run of five frames."""
    image = SimpleITK.GetImageFromArray(FRAMES)
    image.SetMetaData("0008|0060", "XA")
    (tmp_path / "runs").mkdir()
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(tmp_path / "runs" / "run.dcm"))
    writer.Execute(image)
    return tmp_path / "runs" / "run.dcm"


def test_a_dicom_run_becomes_a_dataset(tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["dicom", str(run.parent), "Dataset501_TACE", "--workspace", str(tmp_path / "workspace")]
    assert main(call) == 0
    folder = tmp_path / "workspace" / "raw" / "Dataset501_TACE"
    dataset = Dataset.open(folder)
    np.testing.assert_array_equal(np.stack([dataset.read_frame(case) for case in dataset.test]), FRAMES)
    said = capsys.readouterr()
    first, last = dataset.test[0].name, dataset.test[-1].name
    assert f"{run} frame 1 to frame 5 -> {first} to {last} (5 frames)" in said.out
    assert f"{folder}: 5 frames, 0 skipped" in said.out
    assert "Burned In Annotation" in said.err
    assert (tmp_path / "workspace" / "grouping.key").stat().st_mode & 0o777 == 0o600
    assert main(call) == 2
    assert "a folder that is not empty" in capsys.readouterr().err


def test_what_cannot_be_read_is_named_and_gives_status_1(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run.parent / "cut.dcm").write_bytes(run.read_bytes()[:-50])
    (run.parent / "readme.txt").write_text("hello")
    call = ["dicom", str(run.parent), str(tmp_path / "elsewhere" / "new"), "--workspace", str(tmp_path / "workspace")]
    assert main(call) == 1
    said = capsys.readouterr().out
    assert f"skipped {run.parent / 'cut.dcm'}: found a damaged DICOM file" in said
    assert f"skipped {run.parent / 'readme.txt'}: no DICOM file" in said
    assert len(Dataset.open(tmp_path / "elsewhere" / "new").test) == 5
    assert not list((tmp_path / "workspace").rglob("*.png"))


def test_labelme_becomes_a_dataset(tmp_path: Path) -> None:
    source = tmp_path / "annotated"
    source.mkdir()
    Image.fromarray(FRAMES[0]).save(source / "a.png")
    line = {"label": "guidewire", "shape_type": "linestrip", "points": [[5.5, 10.5], [30.5, 10.5]], "flags": {}}
    document = {"version": "5.5.0", "imagePath": "a.png", "imageData": None, "imageHeight": 32, "imageWidth": 40}
    (source / "a.json").write_text(json.dumps(document | {"flags": {}, "shapes": [line]}))
    call = ["labelme", str(source), "Dataset502_Wires", "--width", "3", "--labels", "guidewire"]
    assert main([*call, "--workspace", str(tmp_path)]) == 0
    dataset = Dataset.open(tmp_path / "raw" / "Dataset502_Wires")
    assert dataset.read_mask(dataset.training[0])[10, 6:30].all()


def test_points_become_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(FRAMES[0]).save(tmp_path / "images" / "a.png")
    (tmp_path / "points.csv").write_text("case,wire,row,column\na,1,10,5\na,1,10,30\n")
    call = ["polyline", str(tmp_path / "points.csv"), "Dataset503_Wires", "--width", "3"]
    assert main([*call, "--workspace", str(tmp_path)]) == 0
    dataset = Dataset.open(tmp_path / "raw" / "Dataset503_Wires")
    assert dataset.read_mask(dataset.training[0])[10, 6:30].all()


def test_cvat_becomes_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(FRAMES[0]).save(tmp_path / "images" / "a.png")
    (tmp_path / "annotations.xml").write_text(
        '<annotations><version>1.1</version><image id="0" name="a.png" width="40" height="32">'
        '<polyline label="guidewire" points="5.5,10.5;30.5,10.5" occluded="0" z_order="0"/></image></annotations>'
    )
    call = ["cvat", str(tmp_path / "annotations.xml"), "Dataset504_Wires", "--width", "3"]
    assert main([*call, "--workspace", str(tmp_path)]) == 0
    dataset = Dataset.open(tmp_path / "raw" / "Dataset504_Wires")
    assert dataset.read_mask(dataset.training[0])[10, 6:30].all()


@pytest.mark.parametrize(
    "wrong",
    [
        ["dicom", "nowhere", "Dataset501_X"],
        ["video", "nowhere", "Dataset501_X"],
        ["dicom", ".", "heart"],
        ["dicom", ".", "Dataset501_X", "--rate", "0"],
    ],
)
def test_wrong_use_exits_with_2_and_writes_nothing(tmp_path: Path, wrong: list[str]) -> None:
    assert main([*wrong, "--workspace", str(tmp_path / "workspace")]) == 2
    assert not list(tmp_path.rglob("*.png"))
    assert not list(tmp_path.rglob(".partial-*"))


@pytest.mark.parametrize("wrong", [[], ["heart"], ["polyline", "a.csv", "Dataset501_X"], ["dicom", "a"]])
def test_what_the_parser_refuses_exits_with_2(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(wrong)
    assert stopped.value.code == 2
