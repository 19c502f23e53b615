"""Wires of whole folders: tables, tracking, and that they do not depend on how the work was cut up."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gwunet.errors import UsageError
from gwunet.evaluation.centreline_file import read_centrelines
from gwunet.exposed_field import Border
from gwunet.inference import Predictor, predict_folder
from gwunet.inference.part import Part
from gwunet.inference.track_plot import Track
from gwunet.plans import Configuration, Preprocessing

HEIGHT, WIDTH, N_FRAMES = 48, 72, 6
TABLES = ("guidewires.csv", "centrelines.json")


def bar(tip_column: int, row: int = 20) -> NDArray[np.uint8]:
    """A wire of 3 px that comes in from the left; its tip lies at the end of its last pixel row."""
    frame = np.full((HEIGHT, WIDTH), 150, np.uint8)
    frame[row - 1 : row + 2, : tip_column + 1] = 30
    return frame


def far_below_the_mean(tiles: Tensor) -> Tensor:
    return -4 * (tiles + 1.2)


@pytest.fixture
def predictor(make_configuration: Callable[..., Configuration]) -> Predictor:
    preprocessing = Preprocessing(borders={"uint8": Border(level=0.0, threshold=-1.0, spread=0.0)})
    return Predictor.from_networks(
        [far_below_the_mean], make_configuration(), preprocessing, runtime="made", mirror=False
    )


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Two sequences; in the fourth frame of the first there is no wire."""
    for index in range(N_FRAMES):
        for name, frame in ((f"a_{index + 7}", bar(30 + 2 * index)), (f"below/b{index:02d}", bar(50, row=30))):
            path = tmp_path / "frames" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(frame if (index, name[0]) != (3, "a") else np.full_like(frame, 150)).save(path)
    return tmp_path / "frames"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "guidewires.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def tables(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in TABLES]


def test_a_row_for_each_wire_sequence_by_sequence(predictor: Predictor, frames: Path, out: Path) -> None:
    predict_folder(predictor, frames, out, overlay=True)
    found = rows(out)
    in_order = [f"a_{index + 7}" for index in range(N_FRAMES) if index != 3]
    assert [row["frame"] for row in found] == [*in_order, *(f"below/b{index:02d}" for index in range(N_FRAMES))]
    for row in found:
        index = int(row["number"]) - (7 if row["sequence"] == "a" else 0)
        tip = (20, 30 + 2 * index) if row["sequence"] == "a" else (30, 50)
        assert float(row["tip_row_px"]) == pytest.approx(tip[0], abs=0.5)
        assert float(row["tip_column_px"]) == pytest.approx(tip[1], abs=1)
        assert float(row["base_column_px"]) == pytest.approx(0, abs=1)
        assert float(row["angle_deg"]) == pytest.approx(0, abs=5)
        assert float(row["width_px"]) == pytest.approx(3, abs=0.7)
        assert (row["wire"], row["length_mm"], row["spacing_plane"]) == ("1", "", "")
    known = read_centrelines(out / "centrelines.json")
    assert set(known) == {row["frame"] for row in found} | {"a_10"}
    assert known["a_10"].tips == ()
    assert known["below/b03"].tips[0] == (float(found[-3]["tip_row_px"]), float(found[-3]["tip_column_px"]))
    marked = np.asarray(Image.open(out / "overlays" / "a_7.png"))
    assert (marked[20, 5:25, 0] > 120).all()  # yellow on the green and black of the mask
    assert (marked[19, 5:25, 0] < 90).all()


def test_tracking_numbers_bridges_and_plots(predictor: Predictor, frames: Path, out: Path) -> None:
    predict_folder(predictor, frames, out, track=True, overlay=True)
    found = {row["frame"]: row for row in rows(out)}
    assert {row["wire"] for row in found.values()} == {"1"}
    assert [name for name, row in found.items() if "bridged_frame" in row["flags"]] == ["a_10"]
    assert float(found["a_10"]["tip_column_px"]) == pytest.approx(36, abs=2)
    for name in ("tracks/a.png", "tracks/below/b.png", "overlays/a_10.png", "overlays/below/b05.png"):
        with Image.open(out / name) as picture:
            assert picture.getextrema() != ((0, 0),) * 3
    assert json.loads((out / "centrelines.json").read_text())["tracked"] is True
    grey = Image.open(out / "overlays" / "a_10.png").convert("HSV").split()[1].getextrema()
    assert grey[1] > 100  # the bridged wire, where the mask is empty


@pytest.mark.parametrize("track", [False, True])
def test_the_tables_do_not_depend_on_how_the_work_was_cut_up(
    predictor: Predictor, frames: Path, tmp_path: Path, track: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Track, "draw", lambda *_: None)  # slow, and not what this is about
    whole, parts, broken = (tmp_path / name for name in ("whole", "parts", "broken"))
    predict_folder(predictor, frames, whole, track=track)
    for number in (1, 0, 2):
        predict_folder(predictor, frames, parts, track=track, part=Part(count=3, number=number))
    assert tables(parts) == tables(whole)

    predict_folder(predictor, frames, broken, track=track)
    (broken / "a_9.png").unlink()  # killed after the wires were kept, and before the mask was
    (broken / "below" / "b04.png").unlink()
    store = broken / "guidewires.jsonl"
    lines = store.read_bytes().splitlines(keepends=True)
    half = (
        b"".join(line for line in lines if b'"below/b04"' not in line) + lines[-1][:50]
    )  # and in the middle of a line
    store.write_bytes(half)
    untouched = (broken / "a_8.png").stat().st_mtime_ns
    assert predict_folder(predictor, frames, broken, track=track, skip_finished=True).n_frames == 2
    assert tables(broken) == tables(whole)
    assert (broken / "a_8.png").stat().st_mtime_ns == untouched
    predict_folder(predictor, frames, broken, track=track)
    assert tables(broken) == tables(whole)
    assert len(store.read_bytes().splitlines()) == 2 * N_FRAMES


def test_masks_without_wires_get_them_and_stay_as_they_are(predictor: Predictor, frames: Path, out: Path) -> None:
    predict_folder(predictor, frames, out)
    sure = tables(out)
    predict_folder(predictor, frames, out, wires=None)
    assert not list(out.glob("guidewires*"))
    assert not (out / "centrelines.json").exists()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    predict_folder(predictor, frames, out, skip_finished=True)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.png")} == before
    found = rows(out)
    assert len(found) == 2 * N_FRAMES - 1
    assert float(found[0]["tip_column_px"]) == pytest.approx(30, abs=1)
    predict_folder(predictor, frames, out)
    assert tables(out) == sure


def test_wires_of_other_sources_in_the_folder_stay(predictor: Predictor, frames: Path, out: Path) -> None:
    predict_folder(predictor, frames / "below", out)
    predict_folder(predictor, frames / "a_7.png", out)
    assert [row["frame"] for row in rows(out)] == ["a_7", *(f"b{index:02d}" for index in range(N_FRAMES))]


def test_millimetres_of_a_dicom_run(predictor: Predictor, tmp_path: Path, out: Path) -> None:
    run = SimpleITK.GetImageFromArray(np.stack([bar(40), bar(44)]))
    run.SetSpacing((0.2, 0.4, 1.0))  # columns first, and written as Imager Pixel Spacing
    tags: dict[str, Any] = {"0018|1114": "2", "0008|0060": "XA"}
    for tag, value in tags.items():
        run.SetMetaData(tag, value)
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(tmp_path / "run.dcm"))
    writer.Execute(run)
    predict_folder(predictor, tmp_path / "run.dcm", out, track=True)
    (first, second) = rows(out)
    assert (first["frame"], first["sequence"], second["number"]) == ("run_0000", "run", "1")
    for row in (first, second):
        assert float(row["length_mm"]) == pytest.approx(0.1 * float(row["length_px"]), rel=0.01)  # along columns
        assert float(row["tip_row_mm"]) == pytest.approx(0.2 * float(row["tip_row_px"]), abs=0.01)
        assert row["spacing_plane"] == "patient"


def test_what_cannot_be_tracked_is_refused(predictor: Predictor, frames: Path, out: Path) -> None:
    with pytest.raises(UsageError, match="--wires none"):
        predict_folder(predictor, frames, out, track=True, wires=None)
    with pytest.raises(UsageError, match="one part has not all frames"):
        predict_folder(predictor, frames, out, track=True, overlay=True, part=Part(count=2))
    assert not out.exists()


def test_frames_of_a_sequence_in_memory(predictor: Predictor) -> None:
    empty = np.full((HEIGHT, WIDTH), 150, np.uint8)
    found = list(predictor.predict_frames([bar(30), bar(32), bar(34), empty], track=True))
    assert [wire.identity for each in found for wire in each.guidewires] == [1, 1, 1, 1]
    assert not found[3].mask.any()
    (alone,) = predictor.predict_frame(bar(30)).guidewires
    assert alone.identity is None
    assert alone.tip[1] == pytest.approx(30, abs=1)
    (streamed,) = predictor.stream([bar(30)], track=True, spacing_mm=(0.2, 0.2))
    (wire,) = streamed.prediction.guidewires
    assert wire.length_mm == pytest.approx(0.2 * wire.length_px)
