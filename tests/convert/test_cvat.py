"""CVAT's XML: where its shapes land in pixels, and what happens to files that are broken or made to do harm."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gwunet.convert.cvat import convert_cvat
from gwunet.convert.writer import Conversion, DatasetWriter
from gwunet.dataset import IGNORE, Dataset
from gwunet.errors import DatasetError, UsageError
from gwunet.integrity import inspect_case

FRAME = np.random.default_rng(0).integers(0, 256, (24, 32), dtype=np.uint8)
LINE = '<polyline label="wire" source="manual" occluded="0" points="4.50,10.50;20.50,10.50" z_order="0"></polyline>'


def image(name: str, shapes: str = LINE, size: str = 'width="32" height="24"', more: str = "") -> str:
    return f'<image id="0" name="{name}" {size} {more}>{shapes}</image>'


def document(*images: str) -> str:
    meta = "<version>1.1</version><meta><task><name>wires</name></task></meta>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{meta}{"".join(images)}</annotations>'


@pytest.fixture
def convert(tmp_path: Path) -> Callable[..., tuple[Conversion, Dataset]]:
    """Frames by name and the text of annotations.xml, converted."""

    def run(names: list[str], text: str | bytes, **options: Any) -> tuple[Conversion, Dataset]:
        for name in names:
            path = tmp_path / "source" / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(FRAME).save(path)
        (tmp_path / "source").mkdir(exist_ok=True)
        annotations = tmp_path / "source" / "annotations.xml"
        annotations.write_bytes(text.encode() if isinstance(text, str) else text)
        with DatasetWriter(tmp_path / "Dataset501_Made") as writer:
            convert_cvat(tmp_path / "source", writer, **options)
            conversion = writer.finish()
        return conversion, Dataset.open(tmp_path / "Dataset501_Made")

    return run


def only_mask(made: tuple[Conversion, Dataset]) -> NDArray[np.uint8]:
    conversion, dataset = made
    assert conversion.skipped == ()
    (case,) = dataset.training
    np.testing.assert_array_equal(dataset.read_frame(case), FRAME)
    return dataset.read_mask(case)


def mask_element(painted: NDArray[np.bool_], left: int, top: int) -> str:
    """As CVAT writes it: runs row by row, background first."""
    groups = [(value, len(list(run))) for value, run in itertools.groupby(painted.ravel().tolist())]
    runs = [0] * groups[0][0] + [length for _, length in groups]
    height, width = painted.shape
    text = ", ".join(map(str, runs))
    return f'<mask label="wire" rle="{text}" left="{left}" top="{top}" width="{width}" height="{height}"></mask>'


def test_a_polyline_through_pixel_centres_is_symmetric(convert: Callable) -> None:
    mask = only_mask(convert(["a.png"], document(image("a.png")), width_px=3))
    expected = np.zeros_like(FRAME)
    expected[9:12, 3:22] = 1  # half a width beyond the first and last point; a corner is 1.41 px from them
    np.testing.assert_array_equal(mask, expected)


def test_a_polygon_covers_the_pixels_between_its_edges(convert: Callable) -> None:
    polygon = '<polygon label="wire" points="3.00,5.00;9.00,5.00;9.00,8.00;3.00,8.00" occluded="1"></polygon>'
    expected = np.zeros_like(FRAME)
    expected[5:8, 3:9] = 1
    np.testing.assert_array_equal(only_mask(convert(["a.png"], document(image("a.png", polygon)))), expected)


@pytest.mark.parametrize("first", [False, True])
def test_a_mask_lands_in_its_box(convert: Callable, first: bool) -> None:
    painted = np.random.default_rng(1).random((5, 7)) < 0.5
    painted[0, 0] = first
    expected = np.zeros_like(FRAME)
    expected[19:24, 25:32] = painted
    mask = only_mask(convert(["a.png"], document(image("a.png", mask_element(painted, 25, 19)))))
    np.testing.assert_array_equal(mask, expected)


def test_smooth_lines_pass_between_the_points_as_a_curve(convert: Callable) -> None:
    bend = '<polyline label="wire" points="4.5,4.5;14.5,16.5;24.5,4.5"></polyline>'
    mask = only_mask(convert(["a.png"], document(image("a.png", bend)), width_px=2, smooth=True))
    assert mask[4 + 8, 9]  # 12 * (6 * 0.5 - 2 * 0.5**3) / 4 = 8.25 below the ends
    assert not mask[4 + 6, 9]


@pytest.mark.parametrize("ending", [".png", ".PNG", ".tif"])
def test_frames_of_a_video_are_named_without_ending(convert: Callable, ending: str) -> None:
    """As CVAT exports the task of a video; the frame of the other name is not taken for it."""
    text = document(image("frame_000000"), image("frame_000001", ""))
    conversion, dataset = convert([f"frame_00000{number}{ending}" for number in range(3)], text, width_px=1)
    assert conversion.skipped == ()
    assert {case.name: int(dataset.read_mask(case).sum()) for case in dataset.training} == {
        "frame_000000": 17,
        "frame_000001": 0,
    }
    assert [case.name for case in dataset.test] == ["frame_000002"]


def test_two_frames_of_a_name_without_ending_are_skipped(convert: Callable) -> None:
    text = document(image("a"), image("good.png"))
    conversion, dataset = convert(["a.png", "a.bmp", "good.png"], text, width_px=1)
    ((_, reason),) = conversion.skipped
    assert "a.png" in reason
    assert "a.bmp" in reason
    assert conversion.failed
    assert ([case.name for case in dataset.training], dataset.test) == (["good"], ())


def test_shapes_are_joined_and_an_image_without_shapes_is_a_frame_without_wire(convert: Callable) -> None:
    square = '<polygon label="tip" points="1,1;4,1;4,4;1,4"></polygon><tag label="blurred"></tag>'
    text = document(image("run/f1.png", LINE + square), image("run/f2.png", ""))
    conversion, dataset = convert(["run/f1.png", "run/f2.png", "run/f3.png"], text, width_px=1)
    assert conversion.skipped == ()
    assert [dataset.read_mask(case).sum() for case in dataset.training] == [17 + 9, 0]
    assert [case.frame for case in dataset.test] == [3]


def test_names_carry_patient_and_sequence_and_subsets_have_folders(convert: Callable) -> None:
    text = document(image("p1\\left\\f_04.png"), image("f9.png", more='subset="Train"'))
    _, dataset = convert(["p1/left/f_04.png", "Train/f9.png"], text, width_px=2)
    assert {case.name: (case.patient, case.frame) for case in dataset.training} == {
        "f9": (None, 9),
        "p1_left_f_04": ("p1", 4),
    }
    assert dataset.test == ()


def test_labels_choose_the_shapes_and_a_misspelt_one_is_refused(convert: Callable) -> None:
    text = document(image("a.png", LINE + LINE.replace("wire", "ignore").replace("10.50", "15.50")))
    with pytest.raises(UsageError, match="no shape with the label 'wires'; wanted some of ignore, wire"):
        convert(["a.png"], text, labels=["wires"], width_px=1)
    mask = only_mask(convert(["a.png"], text, labels=["wire"], width_px=1))
    assert (mask == 1).sum() == (mask == IGNORE).sum() == 17


@pytest.mark.parametrize("labels", [None, ["wire"]])
@pytest.mark.parametrize(
    "region",
    [
        '<polygon label="ignore" points="3,5;9,5;9,12;3,12"></polygon>',
        '<box label="ignore" xtl="3.00" ytl="5.00" xbr="9.00" ybr="12.00"></box>',
        '<mask label="ignore" rle="0, 42" left="3" top="5" width="6" height="7"></mask>',
    ],
)
def test_a_region_to_ignore_is_kept_also_where_it_crosses_the_wire(
    convert: Callable, region: str, labels: list[str] | None
) -> None:
    expected = np.zeros_like(FRAME)
    expected[10, 4:21] = 1
    expected[5:12, 3:9] = IGNORE
    made = convert(["a.png"], document(image("a.png", region + LINE)), width_px=1, labels=labels)
    np.testing.assert_array_equal(only_mask(made), expected)
    assert made[1].description["labels"] == {"background": 0, "wire": 1, "ignore": 2}
    assert made[1].problems == ()
    assert [error for case in made[1].training for error in inspect_case(made[1], case)[0].errors] == []


def test_files_of_other_kinds_and_frames_elsewhere_are_named(convert: Callable, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    Image.fromarray(FRAME).save(tmp_path / "source" / "beside.png")
    (tmp_path / "source" / "notes.txt").write_text("nothing to see")
    conversion, dataset = convert(["a.png"], document(image("a.png")), width_px=1)
    assert {Path(source).name: reason for source, reason in conversion.skipped} == {
        "beside.png": "a frame outside the folder of images",
        "notes.txt": "neither a .xml file nor a frame",
    }
    assert not conversion.failed
    assert dataset.test == ()


def test_frames_of_a_file_that_cannot_be_read_are_named(convert: Callable, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "broken.xml").write_text("<annotations>")
    conversion, dataset = convert(["a.png", "b.png"], document(image("a.png")), width_px=1)
    assert {Path(source).name for source, _ in conversion.skipped} == {"broken.xml", "images"}
    assert conversion.failed
    assert ([case.name for case in dataset.training], dataset.test) == (["a"], ())


def rle(runs: str, box: str = 'left="1" top="1" width="2" height="2"') -> str:
    return f'<mask label="wire" rle="{runs}" {box}></mask>'


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        (image("bad.png", LINE.replace("20.50,", "32.50,")), r"shape 1 \('wire', polyline\): found point 2"),
        (image("bad.png", LINE.replace("20.50,", "nan,")), "found point 2"),
        (image("bad.png", LINE.replace("20.50,", "")), "wanted x,y;x,y"),
        (image("bad.png", LINE.replace("20.50", "much")), "could not convert string to float: 'much'"),
        (image("bad.png", '<polyline label="wire"></polyline>'), "export it again"),
        (image("bad.png", LINE + '<box label="wire" xtl="1" ytl="1" xbr="3" ybr="3"/>'), r"shape 2 \('wire', box\)"),
        (image("bad.png", '<points label="wire" points="1,1;2,2"/>'), "points alone"),
        (image("bad.png", LINE.replace("wire", "_background_")), "--labels"),
        (image("bad.png", '<box label="ignore" xtl="1" ytl="1" xbr="3" ybr="3" rotation="9.5"/>'), "is turned"),
        (image("bad.png", '<box label="ignore" xtl="1" ytl="1" xbr="nan" ybr="3"/>'), "px from the frame"),
        (image("bad.png", '<box label="ignore" xtl="1" ytl="1" xbr="3"/>'), "could not convert"),
        (image("bad.png", rle("1, 2")), "runs of 3 px in all; wanted the 2x2 px"),
        (image("bad.png", rle("5, -1")), "wanted the 2x2 px"),
        (image("bad.png", rle("0, 4", 'left="31" top="1" width="2" height="2"')), "column 31; wanted one in the frame"),
        (image("bad.png", rle("0, 4", 'left="1" top="1" width="2"')), "invalid literal"),
        (image("bad.png", rle(str(10**12), f'left="0" top="0" width="{10**6}" height="{10**6}"')), "found a box of"),
        (image("bad.png", LINE, 'width="24" height="32"'), "drawn on 32x24 px and a frame of 24x32 px"),
        (image("gone.png"), "found no such frame"),
        (image("../../secret.png"), "wanted a path below the folder of images"),
        (image("/etc/secret.png"), "wanted a path below the folder of images"),
        (image("C:/secret.png"), "wanted a path below the folder of images"),
    ],
)
def test_a_bad_image_is_skipped_with_its_reason_and_the_others_are_converted(
    convert: Callable, element: str, reason: str
) -> None:
    text = document(image("good.png"), element)
    conversion, dataset = convert(["good.png", "bad.png"], text, width_px=2)
    assert [case.name for case in dataset.training] == ["good"]
    ((source, found),) = conversion.skipped
    assert "annotations.xml: image" in source
    with pytest.raises(DatasetError, match=reason):
        raise DatasetError(found)
    assert [case.name for case in dataset.test] == ([] if 'name="bad.png"' in element else ["bad"])


BOMB = """<?xml version="1.0"?>
<!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<annotations><image name="a.png">&b;</image></annotations>"""
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BOMB, "found a DOCTYPE or ENTITY declaration"),
        (OUTSIDE, "found a DOCTYPE or ENTITY declaration"),
        (BOMB.encode("utf-16"), "wanted XML in UTF-8"),
        (document(image("a.png"))[:-20], "cannot be read"),
        ("", "cannot be read"),
        ("<html></html>", "found <html>"),
        ('<annotations><track id="0" label="wire"></track></annotations>', "CVAT for images 1.1"),
    ],
)
def test_a_file_that_is_no_export_of_images_is_refused(
    convert: Callable, tmp_path: Path, content: str | bytes, reason: str
) -> None:
    with pytest.raises(DatasetError, match=reason):  # nothing is left to convert: its frames may be annotated
        convert(["a.png"], content)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_file_too_large_to_parse_is_refused(convert: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gwunet.convert.cvat.LARGEST_FILE_MB", 1)
    with pytest.raises(DatasetError, match="found a file of 2 MB; wanted at most 1"):
        convert(["a.png"], document(" " * 2**21, image("a.png")))


def test_points_beside_a_wire_are_left_out_and_named(convert: Callable) -> None:
    text = document(image("a.png", LINE + '<points label="tip" points="20.5,10.5"/>'))
    conversion, dataset = convert(["a.png"], text, width_px=1)
    assert dataset.read_mask(dataset.training[0]).sum() == 17
    assert "shape 2 ('tip', points): left out" in conversion.skipped[0][1]
    assert not conversion.failed


def test_wrong_use_is_said(convert: Callable, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--width"):
        convert(["a.png"], document(image("a.png")))
    with DatasetWriter(tmp_path / "other") as writer:
        with pytest.raises(UsageError, match="unpack it"):
            convert_cvat(tmp_path / "export.zip", writer)
        with pytest.raises(UsageError, match="no such file or folder"):
            convert_cvat(tmp_path / "nowhere", writer)
