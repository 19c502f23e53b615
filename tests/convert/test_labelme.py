"""Labelme's files: where its shapes land in pixels, and what happens to files that cannot be used."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gwunet.convert.labelme import convert_labelme
from gwunet.convert.writer import Conversion, DatasetWriter
from gwunet.dataset import IGNORE, Dataset
from gwunet.errors import DatasetError, UsageError
from gwunet.integrity import inspect_case

FRAME = np.random.default_rng(0).integers(0, 256, (24, 32), dtype=np.uint8)


def in_base64(pixels: NDArray[Any]) -> str:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG")
    return base64.b64encode(content.getvalue()).decode()


def shape(kind: str, points: Any, label: str = "guidewire", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **more}


LINE = shape("line", [[4.5, 10.5], [20.5, 10.5]])


@pytest.fixture
def annotate(tmp_path: Path) -> Callable[..., Path]:
    """A frame with Labelme's file beside it: ``annotate("p1/run/a", [shapes], **keys)``."""

    def save(name: str, shapes: Any, frame: NDArray[Any] | None = FRAME, **keys: Any) -> Path:
        path = tmp_path / "source" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        if frame is not None:
            Image.fromarray(frame).save(path.with_suffix(".png"))
        document = {
            "version": "5.4.1",
            "flags": {"checked": True},
            "shapes": shapes,
            "imagePath": f"{path.stem}.png",
            "imageData": None,
            "imageHeight": FRAME.shape[0],
            "imageWidth": FRAME.shape[1],
        }
        path.write_text(json.dumps(document | keys))
        return path

    return save


@pytest.fixture
def convert(tmp_path: Path) -> Callable[..., tuple[Conversion, Dataset]]:
    def run(source: Path = tmp_path / "source", **options: Any) -> tuple[Conversion, Dataset]:
        with DatasetWriter(tmp_path / "Dataset501_Made") as writer:
            convert_labelme(source, writer, **options)
            conversion = writer.finish()
        return conversion, Dataset.open(tmp_path / "Dataset501_Made")

    return run


def only_mask(made: tuple[Conversion, Dataset]) -> NDArray[np.uint8]:
    conversion, dataset = made
    assert conversion.skipped == ()
    assert dataset.problems == ()
    (case,) = dataset.training
    np.testing.assert_array_equal(dataset.read_frame(case), FRAME)
    return dataset.read_mask(case)


def test_a_polygon_covers_the_pixels_between_its_edges(annotate: Callable, convert: Callable) -> None:
    annotate("a", [shape("polygon", [[3, 5], [9, 5], [9, 8], [3, 8]])])
    expected = np.zeros_like(FRAME)
    expected[5:8, 3:9] = 1
    np.testing.assert_array_equal(only_mask(convert()), expected)


@pytest.mark.parametrize(("kind", "points"), [("line", [4.5, 20.5]), ("linestrip", [4.5, 7.5, 16.0, 20.5])])
def test_a_line_through_pixel_centres_is_symmetric(
    annotate: Callable, convert: Callable, kind: str, points: list[float]
) -> None:
    annotate("a", [shape(kind, [[x, 10.5] for x in points])])
    mask = only_mask(convert(width_px=3))
    expected = np.zeros_like(FRAME)
    expected[9:12, 3:22] = 1  # half a width beyond the first and last point; a corner is 1.41 px from them
    np.testing.assert_array_equal(mask, expected)


def test_a_line_strip_is_straight_or_smooth_as_chosen(annotate: Callable, tmp_path: Path) -> None:
    annotate("a", [shape("linestrip", [[4.5, 4.5], [14.5, 16.5], [24.5, 4.5]])])
    masks = []
    for smooth in (False, True):
        folder = tmp_path / f"Dataset50{int(smooth)}_Made"
        with DatasetWriter(folder) as writer:
            convert_labelme(tmp_path / "source", writer, width_px=2, smooth=smooth)
            writer.finish()
        masks.append(np.array(Image.open(folder / "labelsTr" / "a.png")) > 0)
    straight_row, curve_row = 4 + 12 * 0.5, 4 + 12 * (6 * 0.5 - 2 * 0.5**3) / 4
    assert masks[0][round(straight_row), 9]
    assert not masks[0][round(curve_row), 9]
    assert masks[1][round(curve_row), 9]
    assert not masks[1][round(straight_row), 9]


@pytest.mark.parametrize("mode", [np.bool_, np.uint8])
def test_a_brush_mask_lands_between_its_points(annotate: Callable, convert: Callable, mode: type) -> None:
    painted = np.random.default_rng(1).random((5, 7)) < 0.5
    # Points as floats, the last column and row included.
    annotate("a", [shape("mask", [[11.0, 6.0], [17.0, 10.0]], mask=in_base64(painted.astype(mode)))])
    expected = np.zeros_like(FRAME)
    expected[6:11, 11:18] = painted
    np.testing.assert_array_equal(only_mask(convert()), expected)


def test_shapes_are_joined_and_a_file_without_shapes_is_a_frame_without_wire(
    annotate: Callable, convert: Callable
) -> None:
    annotate(
        "run/f1", [shape("polygon", [[1, 1], [4, 1], [4, 4], [1, 4]]), shape(None, [[8, 1], [9, 1], [9, 9], [8, 9]])]
    )
    annotate("run/f2", [])
    _, dataset = convert()
    assert [dataset.read_mask(case).sum() for case in dataset.training] == [9 + 8, 0]


def test_labels_choose_the_shapes_and_a_misspelt_one_is_refused(annotate: Callable, convert: Callable) -> None:
    annotate(
        "a", [shape("polygon", [[1, 1], [4, 1], [4, 4], [1, 4]], "tip"), shape("circle", [[9, 9], [12, 9]], "ignore")]
    )
    with pytest.raises(
        UsageError, match="no shape with the label 'tipp'; wanted some of ignore, tip: did you mean 'tip'"
    ):
        convert(labels=["tipp"])
    with pytest.raises(UsageError, match="labels: found 'ignore', which marks regions to ignore"):
        convert(labels=["tip", "ignore"])
    assert (only_mask(convert(labels=["tip"])) == 1).sum() == 9


@pytest.mark.parametrize("labels", [None, ["guidewire"]])
@pytest.mark.parametrize("label", ["ignore", "Ignore", "__ignore__"])
@pytest.mark.parametrize(
    ("kind", "points", "more"),
    [
        ("polygon", [[3, 5], [9, 5], [9, 12], [3, 12]], {}),
        ("rectangle", [[9, 12], [3, 5]], {}),
        ("mask", [[3, 5], [8, 11]], {"mask": in_base64(np.ones((7, 6), np.uint8))}),
    ],
)
def test_a_region_to_ignore_is_kept_also_where_it_crosses_the_wire(
    annotate: Callable, convert: Callable, label: str, labels: Any, kind: str, points: Any, more: dict[str, str]
) -> None:
    annotate("a", [shape(kind, points, label, **more), LINE])
    annotate("b", [LINE])
    conversion, dataset = convert(width_px=1, labels=labels)
    assert conversion.skipped == ()
    expected = np.zeros_like(FRAME)
    expected[10, 4:21] = 1
    np.testing.assert_array_equal(dataset.read_mask(dataset.case("b")), expected)
    expected[5:12, 3:9] = IGNORE
    np.testing.assert_array_equal(dataset.read_mask(dataset.case("a")), expected)
    assert dataset.description["labels"] == {"background": 0, "wire": 1, "ignore": 2}
    assert dataset.problems == ()
    assert [error for case in dataset.training for error in inspect_case(dataset, case)[0].errors] == []


def test_a_circle_to_ignore_is_cut_off_at_the_frame(annotate: Callable, convert: Callable) -> None:
    annotate("a", [shape("circle", [[2.5, 12.5], [8.5, 12.5]], "ignore")])
    rows, columns = np.indices(FRAME.shape)
    distance = np.hypot(rows - 12, columns - 2)
    mask = only_mask(convert())
    assert (mask[distance < 5.99] == IGNORE).all()
    assert (mask[distance > 6.01] == 0).all()


def test_a_point_to_ignore_is_left_out_and_named(annotate: Callable, convert: Callable) -> None:
    annotate("a", [LINE, shape("point", [[2, 2]], "ignore")])
    conversion, dataset = convert(width_px=1)
    assert "'ignore', point): left out" in conversion.skipped[0][1]
    assert dataset.description["labels"] == {"background": 0, "wire": 1}


@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".npy"])
def test_frames_of_every_kind_of_file_are_taken(annotate: Callable, convert: Callable, ending: str) -> None:
    path = annotate("a", [LINE], frame=None, imagePath=f"a{ending}").with_suffix(ending)
    if ending == ".npy":
        np.save(path, FRAME)
    else:
        Image.fromarray(FRAME).save(path)
    _, dataset = convert(width_px=1)
    frame = dataset.read_frame(dataset.training[0])
    if ending.startswith(".jp"):
        np.testing.assert_array_equal(frame, np.asarray(Image.open(path)))
    else:
        np.testing.assert_array_equal(frame, FRAME)


def test_files_of_other_kinds_are_named(annotate: Callable, convert: Callable, tmp_path: Path) -> None:
    annotate("run/a", [LINE])
    (tmp_path / "source" / "run" / "notes.txt").write_text("nothing to see")
    conversion, _ = convert(width_px=1)
    assert conversion.skipped == ((str(tmp_path / "source" / "run" / "notes.txt"), "neither a .json file nor a frame"),)
    assert not conversion.failed


def test_the_picture_inside_the_file_serves_where_there_is_none_beside_it(
    annotate: Callable, convert: Callable
) -> None:
    annotate("a", [LINE], frame=None, imagePath="C:\\frames\\a.png", imageData=in_base64(FRAME))
    assert only_mask(convert(width_px=1)).sum() == 17


@pytest.mark.parametrize("given", ["..\\pictures\\x1.png", "../pictures/x1.png", "D:\\frames\\a.png"])
def test_the_picture_is_found_as_the_annotators_computer_names_it(
    annotate: Callable, convert: Callable, tmp_path: Path, given: str
) -> None:
    annotate("json/a", [LINE], imagePath=given)
    (tmp_path / "source" / "pictures").mkdir()
    if given.startswith(".."):
        (tmp_path / "source" / "json" / "a.png").rename(tmp_path / "source" / "pictures" / "x1.png")
    assert only_mask(convert(width_px=1)).sum() == 17


def test_a_copy_that_names_the_picture_it_was_copied_from_is_skipped(annotate: Callable, convert: Callable) -> None:
    annotate("a", [LINE])
    copy = annotate("c", [LINE], imagePath="a.png")
    conversion, dataset = convert(width_px=1)
    ((source, reason),) = conversion.skipped
    assert source == str(copy)
    assert "imagePath: found a.png and beside the file c.png" in reason
    assert conversion.failed
    assert ([case.name for case in dataset.training], dataset.test) == (["a"], ())


def test_a_picture_of_two_files_is_warned_of(
    annotate: Callable, convert: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    annotate("a", [LINE])
    annotate("second", [LINE], frame=None, imagePath="a.png")
    _, dataset = convert(width_px=1)
    assert [case.name for case in dataset.training] == ["a", "second"]
    (warning,) = caplog.messages
    assert warning.endswith("a.json too: one frame is two cases")


def test_16_bits_are_kept(annotate: Callable, convert: Callable) -> None:
    deep = FRAME.astype(np.uint16) * 257
    annotate("a", [LINE], frame=deep, imageData=in_base64(FRAME))
    _, dataset = convert(width_px=2)
    np.testing.assert_array_equal(dataset.read_frame(dataset.training[0]), deep)


def test_folders_are_patients_and_sequences(annotate: Callable, convert: Callable, tmp_path: Path) -> None:
    for name in ("p1/left/f_001", "p1/left/f_010", "p2/left/f_001"):
        annotate(name, [LINE])
    Image.fromarray(FRAME).save(tmp_path / "source" / "p2" / "left" / "f_002.png")
    _, dataset = convert(width_px=3)
    assert [(case.patient, case.frame) for case in dataset.training] == [("p1", 1), ("p1", 10), ("p2", 1)]
    assert len({case.sequence for case in dataset.training}) == 2
    assert [(case.patient, case.frame, case.mask) for case in dataset.test] == [("p2", 2, None)]


def test_one_folder_is_one_sequence_and_none_leaves_it_to_the_names(annotate: Callable, convert: Callable) -> None:
    for name in ("a1", "b1", "c1", "d1", "e1", "run7/x_3"):
        annotate(name, [LINE])
    _, dataset = convert(width_px=3)
    assert {case.name: (case.patient, case.sequence) for case in dataset.training} == {
        **{f"{letter}1": (None, letter) for letter in "abcde"},
        "run7_x_3": (None, "run7"),
    }


PAINTED = in_base64(np.ones((5, 7), np.uint8))
BAD_FILES: dict[str, tuple[dict[str, Any], str]] = {
    "outside": (
        {"shapes": [LINE, shape("line", [[1, 1], [32.5, 3]])]},
        r"shapes\[1\] \('guidewire', line\): found point 2",
    ),
    "not_a_number": ({"shapes": [shape("line", [[1, 1], [1e999, 3]])]}, "not valid JSON|found point 2"),
    "circle": ({"shapes": [shape("circle", [[9, 9], [12, 9]])]}, r"shapes\[0\] .*circle.*outlines no wire"),
    "unknown": ({"shapes": [shape("hyperbola", [[9, 9]])]}, "hyperbola.*wanted a polygon, a line or a brush stroke"),
    "two_corners": ({"shapes": [shape("polygon", [[9, 9], [12, 9]])]}, "polygon of 2 points"),
    "one_spot": ({"shapes": [shape("line", [[9, 9], [9, 9]])]}, "fewer than two different points"),
    "sliver": ({"shapes": [shape("polygon", [[3.6, 1], [3.9, 1], [3.9, 9]])]}, "covers no pixel's centre"),
    "points_alone": ({"shapes": [shape("point", [[9, 9]])]}, "points alone"),
    "background": ({"shapes": [LINE, shape("polygon", [[1, 1], [9, 1], [9, 9]], "_background_")]}, "--labels"),
    "far_ignored": ({"shapes": [shape("circle", [[9, 9], [1e300, 9]], "ignore")]}, r"shapes\[0\].* px from the frame"),
    "half_ignored": ({"shapes": [shape("rectangle", [[9, 9]], "ignore")]}, r"shapes\[0\].*found 1 points; wanted two"),
    "ignored_ellipse": ({"shapes": [shape("ellipse", [[9, 9]], "ignore")]}, r"shapes\[0\].*outlines no wire"),
    "no_mask": ({"shapes": [shape("mask", [[11, 6], [17, 10]])]}, "no whole brush mask"),
    "mask_size": ({"shapes": [shape("mask", [[11, 6], [18, 10]], mask=PAINTED)]}, "mask of 5x7 px; wanted .* 5x8 px"),
    "mask_place": ({"shapes": [shape("mask", [[28, 6], [34, 10]], mask=PAINTED)]}, "columns 28 to 34; wanted"),
    "mask_far": ({"shapes": [shape("mask", [[1e300, 6], [34, 10]], mask=PAINTED)]}, "no whole brush mask"),
    "mask_text": ({"shapes": [shape("mask", [[11, 6], [17, 10]], mask="#")]}, "no base64"),
    "mask_broken": ({"shapes": [shape("mask", [[11, 6], [17, 10]], mask=PAINTED[:60])]}, "damaged mask"),
    "size": ({"shapes": [LINE], "imageHeight": 25}, "drawn on 25x32 px and a frame of 24x32 px"),
    "shapes": ({"shapes": None}, "no list of shapes"),
    "coordinates": (
        {"shapes": [shape("line", [[1, 1, 1], [2, 2, 2]])]},
        r"shapes\[0\].points\[0\]: expected array of 2",
    ),
    "entry": ({"shapes": [3]}, r"shapes\[0\]: expected object, got 3"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_skipped_with_its_reason_and_the_others_are_converted(
    annotate: Callable, convert: Callable, name: str
) -> None:
    keys, reason = BAD_FILES[name]
    annotate("good", [LINE])
    path = annotate("bad", **keys)
    conversion, dataset = convert(width_px=2)
    assert [source for source, _ in conversion.skipped] == [str(path)]
    assert conversion.failed
    with pytest.raises(DatasetError, match=reason):
        raise DatasetError(conversion.skipped[0][1])
    assert [case.name for case in dataset.training] == ["good"]
    assert dataset.test == ()  # nor is it taken for a frame without annotation


def test_broken_json_and_missing_or_broken_pictures_are_skipped(
    annotate: Callable, convert: Callable, tmp_path: Path
) -> None:
    annotate("good", [LINE])
    annotate("cut", [LINE]).write_text('{"shapes": [')
    annotate("deep", [LINE]).write_text("[" * 100_000)
    annotate("none", [LINE], frame=None)
    annotate("odd", [LINE], frame=None, imagePath="gone.png", imageData="####")
    annotate("text", [LINE], frame=None, imagePath=None, imageData=base64.b64encode(b"no picture").decode())
    broken = annotate("torn", [LINE]).with_suffix(".png")
    broken.write_bytes(broken.read_bytes()[:100])
    conversion, dataset = convert(width_px=2)
    reasons = {Path(source).stem: reason for source, reason in conversion.skipped}
    assert set(reasons) == {"cut", "deep", "none", "odd", "text", "torn"}
    assert "not valid JSON" in reasons["cut"]
    assert "put it beside the file" in reasons["none"]
    assert "imageData: found no base64" in reasons["odd"]
    assert "text.json: imageData: found content that is none of" in reasons["text"]
    assert "damaged file" in reasons["torn"]
    assert len(dataset.training) == 1
    assert dataset.test == ()


def test_points_beside_a_wire_are_left_out_and_named(annotate: Callable, convert: Callable) -> None:
    annotate("a", [shape("point", [[20.5, 10.5]], "tip"), LINE])
    conversion, dataset = convert(width_px=1)
    assert dataset.read_mask(dataset.training[0]).sum() == 17
    assert "shapes[0] ('tip', point): left out" in conversion.skipped[0][1]
    assert not conversion.failed


def test_a_line_without_a_width_is_wrong_use_and_leaves_nothing(
    annotate: Callable, convert: Callable, tmp_path: Path
) -> None:
    annotate("a", [LINE])
    with pytest.raises(UsageError, match=r"wanted the wire's width in pixels: give it \(--width\)"):
        convert()
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_a_single_file_is_converted_alone(annotate: Callable, convert: Callable) -> None:
    annotate("run/other", [LINE])
    conversion, _ = convert(annotate("run/a", [LINE]), width_px=2)
    assert [case for _, case in conversion.written] == ["a"]


def test_a_source_without_files_is_refused(convert: Callable, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        convert()
    (tmp_path / "source").mkdir()
    with pytest.raises(DatasetError, match=r"found no \.json file"):
        convert()
