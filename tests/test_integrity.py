"""One look at a dataset finds everything that is wrong with it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gwunet.dataset import Dataset
from gwunet.errors import DatasetError
from gwunet.integrity import IntegrityReport, may_be_thicker, mean_width_px, thickness_px
from gwunet.parallel import workers
from gwunet.preparation import inspect_dataset
from gwunet.progress import Progress, no_progress

RNG = np.random.default_rng(0)
WIRE = np.eye(16, dtype=np.uint8) * np.uint8(255)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six good pairs in six sequences."""
    for name in ("imagesTr", "labelsTr"):
        (tmp_path / name).mkdir()
    for k in range(6):
        Image.fromarray(RNG.integers(0, 256, (16, 16), dtype=np.uint8)).save(tmp_path / "imagesTr" / f"s{k}_01.png")
        Image.fromarray(WIRE).save(tmp_path / "labelsTr" / f"s{k}_01.png")
    return tmp_path


def verify(folder: Path, threads: int = 1, progress: Progress = no_progress) -> IntegrityReport:
    with workers(threads, 1, str(folder)) as run:  # processes would pay for more frames
        return inspect_dataset(Dataset.open(folder), run, progress)


def test_a_good_dataset_has_nothing_to_report(folder: Path) -> None:
    seen: list[tuple[int, str]] = []

    def progress(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
        seen.append((total, label))
        return items

    report = verify(folder, progress=progress)
    assert (report.errors, report.warnings) == ((), ())
    report.raise_if_broken()
    assert seen == [(6, "verify")]


@pytest.mark.parametrize("threads", [1, 4])
def test_all_errors_are_reported_at_once(folder: Path, threads: int) -> None:
    images, masks = folder / "imagesTr", folder / "labelsTr"
    (masks / "s0_01.png").unlink()
    (images / "s1_01.png").write_bytes((images / "s1_01.png").read_bytes()[:150])
    Image.fromarray(np.eye(17, dtype=np.uint8)).save(masks / "s2_01.png")
    Image.fromarray(np.eye(16, dtype=np.uint8) * np.uint8(7)).save(masks / "s3_01.png")
    Image.fromarray(255 - WIRE).save(masks / "s4_01.png")
    report = verify(folder, threads)
    assert len(report.errors) == 5
    for error, (name, found) in zip(
        report.errors,
        [
            ("imagesTr/s0_01.png", "found no mask"),
            ("imagesTr/s1_01.png", "found a damaged file"),
            ("labelsTr/s2_01.png", "found 17x17 px; wanted the 16x16 px"),
            ("labelsTr/s3_01.png", "found the mask values 0, 7"),
            ("labelsTr/s4_01.png", "found wire on 94 % of the frame"),
        ],
        strict=True,
    ):
        assert name in error
        assert found in error
    with pytest.raises(DatasetError, match="5 errors") as raised:
        report.raise_if_broken()
    assert all(error in str(raised.value) for error in report.errors)


def test_an_empty_dataset_is_broken(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="imagesTr: found no frames"):
        verify(tmp_path).raise_if_broken()


def test_what_is_suspicious_but_allowed_is_a_warning(folder: Path) -> None:
    images, masks = folder / "imagesTr", folder / "labelsTr"
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(masks / "s0_01.png")
    Image.fromarray(np.full((16, 16), 9, np.uint8)).save(images / "s1_01.png")
    (images / "s3_01.png").write_bytes((images / "s2_01.png").read_bytes())
    report = verify(folder)
    assert report.errors == ()
    empty, constant, duplicate = report.warnings
    assert "labelsTr/s0_01.png: found no wire pixels" in empty
    assert "imagesTr/s1_01.png: found the value 9 everywhere" in constant
    assert "imagesTr/s2_01.png: found the same frame as" in duplicate
    assert "s3_01.png" in duplicate


def test_copies_inside_a_sequence_are_no_leak_and_one_warning(folder: Path) -> None:
    for copy in (3, 4):
        (folder / "imagesTr" / f"s{copy}_01.png").write_bytes((folder / "imagesTr" / "s2_01.png").read_bytes())
    (folder / "imagesTr" / "s1_01.png").write_bytes((folder / "imagesTr" / "s0_01.png").read_bytes())
    cases = {f"s{k}_01": {"sequence": "one" if k in (2, 3, 4) else "two"} for k in range(6)}
    (folder / "dataset.json").write_text(json.dumps({"cases": cases}))
    (warning,) = verify(folder).warnings
    assert "found 3 copies of other frames in the same sequence" in warning
    assert "s0_01.png = s1_01.png" in warning
    assert "s2_01.png = s3_01.png, s4_01.png" in warning
    assert "leak" not in warning


def test_a_frame_in_two_groups_is_a_leak_also_where_it_is_copied_in_one_of_them(folder: Path) -> None:
    for copy in (3, 4):
        (folder / "imagesTr" / f"s{copy}_01.png").write_bytes((folder / "imagesTr" / "s2_01.png").read_bytes())
    cases = {f"s{k}_01": {"patient": "P1" if k in (2, 3) else f"P2{k}"} for k in range(6)}
    (folder / "dataset.json").write_text(json.dumps({"cases": cases}))
    (warning,) = verify(folder).warnings
    assert "(a leak)" in warning
    for copy in (2, 3, 4):
        assert f"s{copy}_01.png" in warning


def test_a_training_frame_among_the_test_frames_is_warned_of(folder: Path) -> None:
    (folder / "imagesTs").mkdir()
    (folder / "imagesTs" / "t0_01.png").write_bytes((folder / "imagesTr" / "s2_01.png").read_bytes())
    (warning,) = verify(folder).warnings
    assert "imagesTs/t0_01.png" in warning


def test_one_patient_or_site_of_several_spellings_is_warned_of(folder: Path) -> None:
    patients = ["P01", "p1 ", "P10", "A7", "a07-b010", "A007-B10"]
    sites = ["North", "north", "South", "South", "South", "South"]
    cases = {f"s{k}_01": {"patient": patients[k], "site": sites[k], "sequence": f"r{k}"} for k in range(6)}
    (folder / "dataset.json").write_text(json.dumps({"cases": cases}))
    report = verify(folder)
    assert report.errors == ()
    found = [warning.partition("dataset.json: found ")[2].partition("; wanted")[0] for warning in report.warnings]
    assert found == ["the patients 'A007-B10', 'a07-b010'", "the patients 'P01', 'p1 '", "the sites 'North', 'north'"]


def test_patients_and_sequences_in_training_and_test_are_warned_of(folder: Path) -> None:
    (folder / "imagesTs").mkdir()
    for name in ("t0_01", "t1_01", "t2_01", "t3_01"):
        frame = RNG.integers(0, 256, (16, 16), dtype=np.uint8)
        Image.fromarray(frame).save(folder / "imagesTs" / f"{name}.png")
    cases: dict[str, dict[str, Any]] = {f"s{k}_01": {"patient": f"P{k}", "sequence": "one"} for k in range(5)}
    cases |= {"s5_01": {"sequence": "five"}, "t0_01": {"patient": "P2", "sequence": "one", "frame": 7}}
    cases |= {"t1_01": {"patient": "P2"}, "t2_01": {"patient": "P9", "sequence": "one"}, "t3_01": {"sequence": "five"}}
    (folder / "dataset.json").write_text(json.dumps({"cases": cases}))
    report = verify(folder)
    assert report.errors == ()
    of_patients, of_sequences = report.warnings
    assert "imagesTs: found 2 frames of patients that are in imagesTr too (P2); wanted other patients" in of_patients
    assert "imagesTs: found 1 frame of sequences that are in imagesTr too (five);" in of_sequences


def disc(size: int, diameter: float) -> np.ndarray:
    rows, columns = np.indices((size, size)) - size // 2
    return rows**2 + columns**2 <= (diameter / 2) ** 2


@pytest.mark.parametrize(("size", "width", "warned"), [(400, 17, False), (400, 25, True), (100, 9, False)])
def test_a_mask_far_thicker_than_a_wire_is_warned_of(folder: Path, size: int, width: int, warned: bool) -> None:
    """5 % of 400 px are 20 px; 9 of 100 px are more than 5 % and still a wire."""
    mask = np.zeros((size, size), np.uint8)
    mask[40 : 40 + width, 10:90] = 255
    Image.fromarray(mask).save(folder / "labelsTr" / "s0_01.png")
    Image.fromarray(RNG.integers(0, 256, (size, size), dtype=np.uint8)).save(folder / "imagesTr" / "s0_01.png")
    report = verify(folder)
    assert report.errors == ()
    assert [f"s0_01.png: found wire up to {width} px thick" in warning for warning in report.warnings] == [
        True
    ] * warned


@pytest.mark.parametrize("width", [1, 3, 9, 25])
def test_the_thickness_of_bars_and_discs(width: int) -> None:
    bar = np.zeros((60, 90), bool)
    bar[: 2 * (width // 2) + 1, 5:80] = True  # along the frame's edge
    assert thickness_px(bar) == width
    assert thickness_px(disc(61, width)) == pytest.approx(width, abs=1)


@pytest.mark.parametrize("limit", [3.0, 12.0, 20.0])
def test_what_is_thought_thin_without_measuring_is_thin(limit: float) -> None:
    """Blobs of all sizes in all places: a mask over the limit is never passed over."""
    rng = np.random.default_rng(3)
    missed = spared = 0
    for _ in range(150):
        mask = np.zeros((96, 96), bool)
        row, column = rng.integers(20, 76, 2)
        rows, columns = np.indices(mask.shape)
        mask[(rows - row) ** 2 + (columns - column) ** 2 <= rng.uniform(0.2, 1.5) * (limit / 2 + 1) ** 2] = True
        if not may_be_thicker(mask, limit):
            spared += 1
            missed += thickness_px(mask) > limit
    assert missed == 0
    assert spared > 3


@pytest.mark.parametrize("width", [2.0, 3.0, 6.0])
@pytest.mark.parametrize("angle_deg", [0, 10, 22.5, 45, 70, 90])
def test_the_mean_width_is_that_of_a_bar_in_any_direction(width: float, angle_deg: float) -> None:
    rows, columns = np.indices((160, 160)) - 79.7
    sine, cosine = np.sin(np.deg2rad(angle_deg)), np.cos(np.deg2rad(angle_deg))
    along, across = rows * sine + columns * cosine, rows * cosine - columns * sine
    bar = (abs(along) < 60) & (abs(across) < width / 2)
    assert mean_width_px(bar) == pytest.approx(bar.sum() / 120, rel=0.12)


def test_the_mean_width_of_nothing_is_nothing() -> None:
    assert mean_width_px(np.zeros((9, 9), bool)) == 0


def draw_wires(folder: Path, widths_px: Iterable[int], size: int = 64) -> None:
    """A frame with a straight wire for each width, each a sequence by itself."""
    for k, width in enumerate(widths_px):
        mask = np.zeros((size, size), np.uint8)
        mask[20 : 20 + width, 4:60] = 255
        Image.fromarray(RNG.integers(0, 256, mask.shape, dtype=np.uint8)).save(folder / "imagesTr" / f"s{k}_01.png")
        Image.fromarray(mask).save(folder / "labelsTr" / f"s{k}_01.png")


@pytest.mark.parametrize(
    ("widths", "warned"),
    [([2, 3] * 10, False), ([3] * 12 + [6] * 12, True), ([3] * 24 + [7], False), ([3] * 5 + [9], False)],
)
def test_wires_of_very_different_width_are_warned_of(folder: Path, widths: list[int], warned: bool) -> None:
    """But not annotators' pixels, nor one odd mask among many."""
    draw_wires(folder, widths)
    report = verify(folder)
    assert report.errors == ()
    assert [text for text in report.warnings if "px wide" not in text] == []
    assert len(report.warnings) == warned
    if warned:
        (text,) = report.summary
        assert "labelsTr: found wires from 3.0 to 5.8 px wide in 22 of 24 frames" in text
        assert "resample frames and masks to one pixel spacing" in text


@pytest.mark.parametrize(("finest_mm", "warned"), [(0.3, True), (0.45, False)])
def test_frames_of_mixed_spacing_are_warned_of(folder: Path, finest_mm: float, warned: bool) -> None:
    """Within a plane: at the detector a pixel is larger than at the patient."""
    cases = {
        f"s{k}_01": {
            "sequence": f"s{k}",
            "pixel_spacing_mm": [finest_mm if k == 2 else 0.6] * 2 if k < 4 else [0.2, 0.2],
            "spacing_plane": "detector" if k < 4 else "patient",
        }
        for k in range(6)
    }
    (folder / "dataset.json").write_text(json.dumps({"cases": cases}))
    report = verify(folder)
    assert report.errors == ()
    assert len(report.warnings) == warned
    if warned:
        assert "found pixels from 0.3 mm (s2_01) to 0.6 mm (s3_01) in the plane of the detector" in report.warnings[0]


def test_errors_and_warnings_of_one_case_come_together(folder: Path) -> None:
    (folder / "imagesTr" / "s0_01.png").write_bytes(b"no picture")
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(folder / "labelsTr" / "s0_01.png")
    report = verify(folder)
    assert ["imagesTr/s0_01.png" in error for error in report.errors] == [True]
    assert ["labelsTr/s0_01.png: found no wire" in warning for warning in report.warnings] == [True]


def test_a_dataset_without_any_wire_is_broken(folder: Path) -> None:
    """One wire among the training masks is enough; one among the test masks is none."""
    for k in range(6):
        Image.fromarray(np.zeros((16, 16), np.uint8)).save(folder / "labelsTr" / f"s{k}_01.png")
    for name, picture in (("imagesTs", RNG.integers(0, 256, (16, 16), dtype=np.uint8)), ("labelsTs", WIRE)):
        (folder / name).mkdir()
        Image.fromarray(picture).save(folder / name / "t0_01.png")
    (error,) = verify(folder).errors
    assert "labelsTr: found no wire pixel in any of the 6 masks" in error
    assert "wire_labels" in error
    Image.fromarray(WIRE).save(folder / "labelsTr" / "s3_01.png")
    assert verify(folder).errors == ()


def test_of_many_warnings_of_a_kind_a_few_are_told_and_all_are_kept(folder: Path) -> None:
    for k in range(6, 14):
        for name, pixels in (("imagesTr", RNG.integers(0, 256, (16, 16))), ("labelsTr", np.zeros((16, 16)))):
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"s{k}_01.png")
    Image.fromarray(np.full((16, 16), 9, np.uint8)).save(folder / "imagesTr" / "s0_01.png")
    report = verify(folder)
    assert len(report.warnings) == 9
    constant, *empty, more = report.summary
    assert "found the value 9 everywhere" in constant
    assert ["found no wire pixels" in text for text in empty] == [True] * 5
    assert more == "and 3 more masks without wire pixels; integrity.json names all"
    (folder / "labelsTr" / "s2_01.png").unlink()
    assert verify(folder).summary[-1] == "and 3 more masks without wire pixels"  # a broken dataset leaves no file


def test_a_broken_link_is_named(folder: Path) -> None:
    (folder / "imagesTr" / "s0_01.png").unlink()
    (folder / "imagesTr" / "s0_01.png").symlink_to(folder / "gone.png")
    dataset = Dataset.open(folder)
    before = dataset.digest(dataset.training)
    (error,) = verify(folder).errors
    assert "imagesTr/s0_01.png" in error
    Image.fromarray(RNG.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / "gone.png")
    assert dataset.digest(dataset.training) != before
