"""Points in CSV files: the curve through them, whose frame they are, and rows that cannot be used."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.spatial import cKDTree

from gwunet.convert.polyline import convert_polyline
from gwunet.convert.writer import Conversion, DatasetWriter
from gwunet.dataset import Dataset
from gwunet.errors import DatasetError, UsageError

FRAME = np.random.default_rng(0).integers(0, 256, (64, 80), dtype=np.uint8)
HEADER = "case,wire,row,column\n"
GOOD = "good,1,10,5\ngood,1,10,25\n"


@pytest.fixture
def convert(tmp_path: Path) -> Callable[..., tuple[Conversion, Dataset]]:
    """Frames by name and the text of a CSV file, converted."""

    def run(names: list[str], text: str | bytes, **options: Any) -> tuple[Conversion, Dataset]:
        for name in names:
            path = tmp_path / "source" / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(FRAME).save(path)
        (tmp_path / "source").mkdir(exist_ok=True)
        table = tmp_path / "source" / "points.csv"
        table.write_bytes(text.encode() if isinstance(text, str) else text)
        with DatasetWriter(tmp_path / "Dataset501_Made") as writer:
            convert_polyline(tmp_path / "source", writer, **({"width_px": 3.0} | options))
            conversion = writer.finish()
        return conversion, Dataset.open(tmp_path / "Dataset501_Made")

    return run


def test_points_on_a_circle_give_an_arc_of_the_width(convert: Callable) -> None:
    angles = np.deg2rad(np.arange(20, 161, 20))
    rows = [f"a,shaft,{60 - 40 * math.sin(angle)},{40 + 35 * math.cos(angle)}" for angle in angles]
    _, dataset = convert(["a.png"], HEADER + "\n".join(rows))
    mask = dataset.read_mask(dataset.training[0])
    # The ellipse itself, finely sampled: all pixels well within half the width, none well beyond it. The
    # ends of the curve are straight, and 0.21 px off it.
    fine = np.linspace(angles[0], angles[-1], 2000)
    ellipse = np.stack([60 - 40 * np.sin(fine), 40 + 35 * np.cos(fine)], axis=1)
    pixels = np.argwhere(np.ones_like(mask))
    distance = cKDTree(ellipse).query(pixels)[0].reshape(mask.shape)
    assert mask[distance < 1.25].all()
    assert not mask[distance > 1.75].any()


def test_a_line_through_pixel_centres_is_symmetric(convert: Callable) -> None:
    _, dataset = convert(["good.png"], HEADER + GOOD)
    expected = np.zeros_like(FRAME)
    expected[9:12, 4:27] = 1  # half a width beyond the first and last point; a corner is 1.41 px from them
    np.testing.assert_array_equal(dataset.read_mask(dataset.training[0]), expected)


def test_two_wires_are_two_curves_and_their_rows_may_mix(convert: Callable) -> None:
    text = "column,row,wire,case,by\n" + "5,10,1,a,me\n5,40,2,a,me\n25,10,1,a,me\n25,40,2,a,me\n"
    conversion, dataset = convert(["a.png"], text, width_px=1)
    assert conversion.skipped == ()
    mask = dataset.read_mask(dataset.training[0])
    assert mask.sum() == 42
    assert mask[[10, 40], 5:26].all()


def test_order_is_that_of_the_rows_and_repeated_points_count_once(convert: Callable) -> None:
    text = HEADER + "a,1,10,5\na,1,10,5\na,1,30,5\na,1,30,5\n"
    _, dataset = convert(["a.png"], text, width_px=1)
    assert dataset.read_mask(dataset.training[0]).sum() == 21


def test_a_case_alone_is_a_frame_without_wire_and_an_unmentioned_frame_is_for_prediction(convert: Callable) -> None:
    conversion, dataset = convert(["good.png", "empty.png", "new.png"], HEADER + GOOD + "empty,,,\n\n")
    assert conversion.skipped == ()
    assert {case.name: int(dataset.read_mask(case).any()) for case in dataset.training} == {"empty": 0, "good": 1}
    assert [case.name for case in dataset.test] == ["new"]


def test_cases_are_named_by_path_or_by_a_name_that_is_unique(convert: Callable) -> None:
    names = ["p1/left/f1.png", "p1/right/f1.png", "p2/left/f7.png", "p2/left/f8.png"]
    points = "{0},1,10,5\n{0},1,10,25\n"
    text = HEADER + "".join(points.format(case) for case in ("p1/left/f1", "f7", "f8.png", "f1"))
    conversion, dataset = convert(names, text)
    assert [(case.patient, case.frame) for case in dataset.training] == [("p1", 1), ("p2", 7), ("p2", 8)]
    assert "found 2 frames of this name" in conversion.skipped[0][1]
    assert dataset.test == ()  # f1 of the right run may be annotated


def test_images_may_be_elsewhere(convert: Callable, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.fromarray(FRAME).save(elsewhere / "good.png")
    with pytest.raises(UsageError, match="--images"):
        convert([], HEADER + GOOD, images=tmp_path / "nowhere")
    _, dataset = convert([], HEADER + GOOD, images=elsewhere)
    assert [case.name for case in dataset.training] == ["good"]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("bad,1,10,5\nbad,1,x,25\n", "line 5: found wire '1', row 'x', column '25'"),
        ("bad,1,10,5\nbad,1,10\n", "line 5: .* column ''"),
        ("bad,1,10,5\nbad,,10,7\n", "line 5: found wire ''"),
        ("bad,1,10,5\nbad,1,nan,7\n", "line 5: .*row 'nan'"),
        ("bad,1,10,5\nbad,1,10,79.6\n", "wire '1': found point 2 .* wanted points in the frame of 64x80 px"),
        ("bad,1,-0.6,5\nbad,1,10,7\n", "wire '1': found point 1"),
        ("bad,1,10,5\n", "fewer than two different points"),
        ("missing,1,10,5\nmissing,1,10,9\n", "found no frames of this name"),
        ("../bad,1,10,5\n", "wanted a path below the folder of images"),
        (",1,10,5\n", "wanted a path below the folder of images"),
    ],
)
def test_a_bad_row_skips_its_frame_and_no_other(convert: Callable, rows: str, reason: str) -> None:
    conversion, dataset = convert(["good.png", "bad.png"], HEADER + GOOD + rows)
    assert [case.name for case in dataset.training] == ["good"]
    ((source, found),) = conversion.skipped
    assert "points.csv: case" in source
    with pytest.raises(DatasetError, match=reason):
        raise DatasetError(found)
    assert [case.name for case in dataset.test] == ([] if rows.startswith("bad") else ["bad"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "found the columns none; wanted case, wire, row, column"),
        (b"case;wire;row;column\na;1;2;3\n", "separated by commas"),
        (b"case,wire,x,y\n", "found the columns case, wire, x, y"),
        (b'case,wire,row,column\na,"1,2,3\n', "cannot be read"),
        (b"case,wire,row,column\n\xff\xfe\n", "in UTF-8"),
    ],
)
def test_a_file_that_is_no_table_of_points_is_refused(convert: Callable, content: bytes, reason: str) -> None:
    with pytest.raises(DatasetError, match=reason):  # nothing is left to convert: its frames may be annotated
        convert(["a.png"], content)


def test_what_nothing_was_made_of_is_named(convert: Callable, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "broken.csv").write_text("a,b\n")
    (tmp_path / "source" / "notes.txt").write_text("nothing to see")
    conversion, dataset = convert(["good.png", "new.png"], HEADER + GOOD)
    reasons = {Path(source).name: reason for source, reason in conversion.skipped}
    assert sorted(reasons) == ["broken.csv", "images", "notes.txt"]
    assert "found the columns a, b" in reasons["broken.csv"]
    assert "frames that no file mentions" in reasons["images"]
    assert reasons["notes.txt"] == "neither a .csv file nor a frame"
    assert ([case.name for case in dataset.training], dataset.test) == (["good"], ())


def test_a_byte_order_mark_is_no_part_of_the_first_column(convert: Callable) -> None:
    conversion, _ = convert(["good.png"], b"\xef\xbb\xbf" + (HEADER + GOOD).replace("\n", "\r\n").encode())
    assert [case for _, case in conversion.written] == ["good"]


def test_a_width_that_is_no_wires_is_refused(convert: Callable) -> None:
    with pytest.raises(UsageError, match="wanted 1 to 50 px"):
        convert(["good.png"], HEADER + GOOD, width_px=0.0)
