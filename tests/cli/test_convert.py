"""``gw_convert`` as a user calls it."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import av
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


def test_the_key_stays_in_its_file(tmp_path: Path, run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    workspace = tmp_path / "workspace"
    assert main(["dicom", str(run.parent), "Dataset501_TACE", "--workspace", str(workspace)]) == 0
    assert main(["dicom", str(run.parent), str(tmp_path / "elsewhere" / "new"), "--workspace", str(workspace)]) == 0
    key = (workspace / "grouping.key").read_bytes()
    said = "".join(capfd.readouterr()).encode()
    others = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "grouping.key"]
    assert len(others) == 1 + 2 * 6
    for spelling in (key, key.hex().encode(), base64.b64encode(key), repr(key).encode()):
        assert not [content for content in (said, *others) if spelling in content]
    assert [path.parent for path in tmp_path.rglob("grouping.key")] == [workspace]


def test_a_video_becomes_a_dataset_at_a_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At 25 frames per second those nearest to 0, 125 and 250 ms are 0, 3 and 6."""
    path = tmp_path / "videos" / "p1" / "run.avi"
    path.parent.mkdir(parents=True)
    frames = [np.full((32, 48), 20 * index, np.uint8) for index in range(8)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "gray"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())
    (path.parent / "notes.txt").write_text("nothing to see")
    call = ["video", str(tmp_path / "videos"), "Dataset505_Runs", "--rate", "8", "--workspace", str(tmp_path)]
    assert main(call) == 0
    dataset = Dataset.open(tmp_path / "raw" / "Dataset505_Runs")
    assert [(case.patient, case.frame, case.frame_time_ms) for case in dataset.test] == [
        ("p1", index, 125.0) for index in (0, 3, 6)
    ]
    np.testing.assert_array_equal([dataset.read_frame(case) for case in dataset.test], [frames[i] for i in (0, 3, 6)])
    said = capsys.readouterr().out
    assert f"{path} frame 4 -> {dataset.test[1].name}" in said
    assert f"skipped {path.parent / 'notes.txt'}: no .avi" in said


def test_videos_without_pyav_say_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.avi").write_bytes(b"RIFF")
    monkeypatch.setitem(sys.modules, "av", None)
    assert main(["video", str(tmp_path / "a.avi"), "Dataset505_Runs", "--workspace", str(tmp_path)]) == 2
    assert "pip install 'gwunet[video]'" in capsys.readouterr().err


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


def test_masks_in_nested_folders_become_a_dataset(tmp_path: Path) -> None:
    for folder, pixels in (("imagesTr", FRAMES[0]), ("labelsTr", np.eye(32, 40, dtype=np.uint8))):
        (tmp_path / folder / "p1" / "q1").mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / folder / "p1" / "q1" / "x.png")
    call = ["masks", str(tmp_path / "imagesTr"), "Dataset506_Wires", "--masks", str(tmp_path / "labelsTr")]
    assert main([*call, "--workspace", str(tmp_path)]) == 0
    (case,) = Dataset.open(tmp_path / "raw" / "Dataset506_Wires").training
    assert (case.name, case.patient) == ("p1_q1_x", "p1")


def test_annotated_copies_of_dicom_frames_keep_their_patient(
    tmp_path: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dicom", str(run.parent), "Dataset501_Runs", "--workspace", str(tmp_path)]) == 0
    before = Dataset.open(tmp_path / "raw" / "Dataset501_Runs")
    (tmp_path / "annotator" / "images").mkdir(parents=True)
    rows = ["case,wire,row,column\n"]
    for case in before.test:
        Image.fromarray(before.read_frame(case)).save(tmp_path / "annotator" / "images" / f"{case.name}.png")
        rows += [f"{case.name},1,10,5\n", f"{case.name},1,10,30\n"]
    (tmp_path / "annotator" / "points.csv").write_text("".join(rows))
    call = ["polyline", str(tmp_path / "annotator" / "points.csv"), "Dataset502_Wires", "--width", "3"]
    assert main([*call, "--workspace", str(tmp_path)]) == 0
    after = Dataset.open(tmp_path / "raw" / "Dataset502_Wires")
    assert [(case.patient, case.sequence, case.frame) for case in after.training] == [
        (case.patient, case.sequence, case.frame) for case in before.test
    ]
    assert f"5 frames are those of {before.folder}" in capsys.readouterr().out


def test_sigterm_leaves_no_frames_behind(tmp_path: Path) -> None:
    """Sent while a frame is decoded, where damage is caught and skipped; and again while the folder is removed."""
    for folder in ("frames", "masks"):
        (tmp_path / folder).mkdir()
        for name in "abc":
            Image.fromarray(np.eye(32, 40, dtype=np.uint8)).save(tmp_path / folder / f"{name}.png")
    program = """
import shutil, signal, sys
from gwunet.cli.convert import main
from gwunet.io import frames
decode, remove = frames._decode_picture, shutil.rmtree
def terminated(path, *rest):
    if path.name == "c.png":
        assert list(path.parent.parent.glob("raw/.partial-*/whole/imagesTr/b.png"))
        signal.raise_signal(signal.SIGTERM)
    return decode(path, *rest)
def terminated_again(*values, **options):
    signal.raise_signal(signal.SIGTERM)
    remove(*values, **options)
frames._decode_picture, shutil.rmtree = terminated, terminated_again
sys.exit(main(sys.argv[1:]))
"""
    call = ["masks", str(tmp_path / "frames"), "Dataset501_X", "--masks", str(tmp_path / "masks")]
    ended = subprocess.run(
        [sys.executable, "-c", program, *call, "--workspace", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert list((tmp_path / "raw").iterdir()) == []
    assert ended.returncode == 128 + 15
    assert "ended by SIGTERM; no dataset was made: run it again" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ["dicom", "nowhere", "Dataset501_X"],
        ["masks", "nowhere", "Dataset501_X", "--masks", "."],
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
