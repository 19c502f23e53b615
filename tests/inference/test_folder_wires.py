"""Wires of whole folders: tables, tracking, and that they do not depend on how the work was cut up."""

import contextlib
import csv
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
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
from gwunet.inference import Predictor, predict_folder, wire_store
from gwunet.inference.ensemble import ensemble_folders
from gwunet.inference.folder_wires import FolderWires
from gwunet.inference.frame_writer import FrameWriter
from gwunet.inference.part import Part
from gwunet.inference.prediction import Prediction
from gwunet.inference.sources import find_runs
from gwunet.inference.track_plot import Track
from gwunet.jsonio import replacing
from gwunet.plans import Configuration, Preprocessing
from gwunet.postprocessing import Postprocessing

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


def add_frame(frames: Path) -> None:
    Image.fromarray(bar(50, row=30)).save(frames / "below" / "b99.png")


def test_tables_without_the_new_frames_do_not_stay(
    predictor: Predictor, frames: Path, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predict_folder(predictor, frames, out, track=True)
    sure = tables(out)
    predict_folder(predictor, frames, out, wires=None, skip_finished=True)
    assert tables(out) == sure  # they have all the frames there are
    assert (out / "tracks" / "a.png").is_file()
    add_frame(frames)
    (out / "a_7.png").unlink()  # its wires were kept, but are not those of the mask that is made now
    caplog.clear()
    with caplog.at_level(logging.WARNING, "gwunet"):
        predict_folder(predictor, frames, out, wires=None, skip_finished=True)
    assert not any((out / name).exists() for name in (*TABLES, "tracks/a.png", "tracks/below/b.png"))
    assert "removed guidewires.csv and centrelines.json of an earlier run" in caplog.text
    assert "removed 2 plots" in caplog.text
    kept = [json.loads(line)["frame"] for line in (out / "guidewires.jsonl").read_text().splitlines()]
    assert len(kept) == 2 * N_FRAMES - 1
    assert "a_7" not in kept
    predict_folder(predictor, frames, out, skip_finished=True)
    assert len(read_centrelines(out / "centrelines.json")) == 2 * N_FRAMES + 1


def test_without_continue_too_the_tables_of_other_sources_are_told_of(
    predictor: Predictor, frames: Path, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predict_folder(predictor, frames / "below", out)
    with caplog.at_level(logging.WARNING, "gwunet"):
        predict_folder(predictor, frames / "below", out, wires=None)
        assert not caplog.records  # all that was in them is made anew
        predict_folder(predictor, frames / "below", out)
        predict_folder(predictor, frames / "a_7.png", out, wires=None)
    assert "removed guidewires.csv" in caplog.text
    assert not any((out / name).exists() for name in TABLES)


def test_tables_go_before_the_first_new_mask_comes(
    predictor: Predictor, frames: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict_folder(predictor, frames, out)
    add_frame(frames)
    there: list[bool] = []
    written = FrameWriter.write

    def write(self: FrameWriter, name: str, *results: Any) -> None:
        there.extend((out / table).exists() for table in TABLES)
        written(self, name, *results)

    monkeypatch.setattr(FrameWriter, "write", write)
    predict_folder(predictor, frames, out, skip_finished=True)
    assert there == [False, False]
    assert "below/b99" in read_centrelines(out / "centrelines.json")


def test_without_tracking_no_plots_of_it_stay_and_no_mask_is_taken_for_one(
    predictor: Predictor, frames: Path, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plain = out.parent / "plain"
    predict_folder(predictor, frames, plain)
    predict_folder(predictor, frames, out, track=True)
    with caplog.at_level(logging.WARNING, "gwunet"):
        predict_folder(predictor, frames, out, skip_finished=True)
    assert "removed 2 plots" in caplog.text
    assert not list((out / "tracks").rglob("*.png"))
    assert tables(out) == tables(plain)
    (frames / "tracks").mkdir()
    Image.fromarray(bar(40)).save(frames / "tracks" / "a.png")  # its mask has the name of a plot
    predict_folder(predictor, frames, out, skip_finished=True)
    predict_folder(predictor, frames, out, skip_finished=True)
    assert (out / "tracks" / "a.png").is_file()


def test_another_number_of_wires_is_looked_for_in_finished_frames_too(
    predictor: Predictor, tmp_path: Path, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "two").mkdir()
    for index in range(2):
        Image.fromarray(np.minimum(bar(40 + index, row=12), bar(60, row=35))).save(tmp_path / "two" / f"c{index}.png")
    predict_folder(predictor, tmp_path / "two", out)
    assert [row["frame"] for row in rows(out)] == ["c0", "c0", "c1", "c1"]
    before = (out / "c0.png").stat().st_mtime_ns
    with caplog.at_level(logging.INFO, "gwunet"):
        predict_folder(predictor, tmp_path / "two", out, wires=1, skip_finished=True)
    assert "made with other options" not in caplog.text
    assert "wires of 2 frames finished before" in caplog.text
    found = rows(out)
    assert [row["frame"] for row in found] == ["c0", "c1"]
    assert [float(row["tip_column_px"]) for row in found] == pytest.approx([60, 60], abs=1)  # the longer one
    assert (out / "c0.png").stat().st_mtime_ns == before
    sure = tables(out)
    caplog.clear()
    predict_folder(predictor, tmp_path / "two", out, wires=1, skip_finished=True)
    assert "finished before" not in caplog.text
    assert tables(out) == sure


def test_overlays_asked_for_later_show_what_the_tables_say(
    predictor: Predictor, frames: Path, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def overlays(folder: Path) -> dict[str, NDArray[np.uint8]]:
        pictures = sorted((folder / "overlays").rglob("*.png"))
        return {str(path.relative_to(folder)): np.asarray(Image.open(path)) for path in pictures}

    bare, wired = out.parent / "bare", out.parent / "wired"
    predict_folder(predictor, frames, bare, wires=None, overlay=True)
    predict_folder(predictor, frames, wired, overlay=True)
    predict_folder(predictor, frames, out)
    predict_folder(predictor, frames, out, overlay=True, skip_finished=True)
    assert overlays(out).keys() == overlays(wired).keys()
    for name, picture in overlays(out).items():
        off, bare_off = (np.abs(picture.astype(int) - overlays(folder)[name]).mean() for folder in (wired, bare))
        assert off <= bare_off / 2  # the tables have hundredths of a pixel, and lines are drawn in thirds of one
        assert (bare_off > 1) == ("a_10" not in name)
    from_tables = overlays(out)
    tracked = out.parent / "tracked"
    predict_folder(predictor, frames, tracked, overlay=True, track=True)
    assert json.loads((tracked / "run.json").read_text())["options"]["track"] is True
    assert any((picture != from_tables[name]).any() for name, picture in overlays(tracked).items())
    predict_folder(predictor, frames, tracked, overlay=True, skip_finished=True)
    assert all((picture == from_tables[name]).all() for name, picture in overlays(tracked).items())
    moment = (out / "overlays" / "a_7.png").stat().st_mtime_ns
    predict_folder(predictor, frames, out, overlay=True, skip_finished=True)
    assert (out / "overlays" / "a_7.png").stat().st_mtime_ns == moment
    with caplog.at_level(logging.WARNING, "gwunet"):
        predict_folder(predictor, frames, out, wires=1, skip_finished=True)
    assert "overlays of finished frames stay" in caplog.text
    predict_folder(predictor, frames, out, wires=None, overlay=True, skip_finished=True)
    assert all((picture == overlays(bare)[name]).all() for name, picture in overlays(out).items())


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
    for case in json.loads((out / "centrelines.json").read_text())["cases"].values():
        assert (case["spacing_mm"], case["spacing_plane"]) == ([0.2, 0.1], "patient")


def test_time_passes_with_frames_that_cannot_be_read(predictor: Predictor, tmp_path: Path, out: Path) -> None:
    """A tip that is pushed steadily makes no jump there, nor in an average of what was predicted."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(20):
        path = frames / f"a_{10 * number:03d}.png"
        frame = np.full((HEIGHT, 100), 150, np.uint8)
        frame[19:22, : 12 + 4 * number] = 30
        Image.fromarray(frame).save(path)
        if 14 <= number < 18:
            path.write_bytes(path.read_bytes()[:60])
    members = [tmp_path / "one", tmp_path / "two"]
    for folder in (*members, out):
        assert len(predict_folder(predictor, frames, folder, track=True, save_probabilities=True).failed) == 4
    ensemble_folders(members, tmp_path / "both", settings=Postprocessing(threshold=0.5), track=True)
    for folder in (out, tmp_path / "both"):
        found = {row["frame"]: row for row in rows(folder)}
        assert len(found) == 16
        assert float(found["a_180"]["tip_column_px"]) == pytest.approx(83, abs=1.5)
        assert [name for name, row in found.items() if "jump" in row["flags"]] == []


def test_a_bridged_tip_stays_in_the_frame(predictor: Predictor, tmp_path: Path, out: Path) -> None:
    """A wire that is pushed to the border and then missed does not grow out of the frame."""
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(16):
        frame = bar(14 + 5 * number) if number < 12 else np.full((HEIGHT, WIDTH), 150, np.uint8)
        Image.fromarray(frame).save(frames / f"a_{number:03d}.png")
    predict_folder(predictor, frames, out, track=True)
    found = rows(out)
    assert all(0 <= float(row["tip_column_px"]) <= WIDTH - 1 for row in found)
    bridged = [row for row in found if "bridged_frame" in row["flags"]]
    assert len(bridged) >= 2
    assert all("tip_leaves_field" in row["flags"] for row in bridged)
    assert max(float(row["length_px"]) for row in found) <= WIDTH


def test_a_gap_that_postprocessing_closed_is_told(predictor: Predictor) -> None:
    probability = np.zeros((128, 128), np.float32)
    probability[60:63, :110] = 0.9
    probability[60:63, 50:70] = 0.02
    settings = Postprocessing(threshold=0.5, gap_px=30)
    (wire,) = Prediction(settings.mask(probability), probability, None, 0.5).guidewires
    assert wire.length_px == pytest.approx(109, abs=2)
    assert "gap_bridged" in wire.flags
    assert wire.confidence == pytest.approx((90 * 0.9 + 20 * 0.02) / 110, abs=0.03)
    settings = Postprocessing(threshold=0.5, smallest_px=20)  # nothing but the mask differs
    probability[10, 10:14] = 0.9
    probability[60:63, 50:70] = 0.9
    (wire,) = Prediction(settings.mask(probability), probability, None, 0.5).guidewires
    assert wire.flags == frozenset()
    assert wire.confidence == pytest.approx(0.9, abs=0.01)


def test_millimetres_of_frames_in_memory_also_where_wires_are_left_for_later(predictor: Predictor) -> None:
    (predicted,) = predictor.predict_frames([bar(30)], spacing_mm=(0.2, 0.2))
    (streamed,) = predictor.stream([bar(30)], spacing_mm=(0.2, 0.2))
    for prediction in (predicted, streamed.prediction):
        (wire,) = prediction.guidewires
        assert wire.length_mm == pytest.approx(0.2 * wire.length_px)
        (wire,) = prediction.locate(spacing_mm=(0.4, 0.4))
        assert wire.length_mm == pytest.approx(0.4 * wire.length_px)


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


def test_parts_that_start_together_bring_no_wires_of_an_earlier_model_back(
    predictor: Predictor, frames: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one comes while the first has read what is kept, and not written it yet."""
    predict_folder(predictor, frames, out)
    first, second = (
        FolderWires(FrameWriter(output=out), find_runs(frames), Part(count=2, number=number), wires="auto")
        for number in range(2)
    )
    other = threading.Thread(target=second.forget)

    @contextlib.contextmanager
    def replacing_late(path: Path) -> Iterator[Path]:
        with replacing(path) as partial:
            yield partial
            if other.ident is None:
                other.start()
                other.join(0.5)

    monkeypatch.setattr(wire_store, "replacing", replacing_late)
    first.forget()
    other.join(20)
    assert not other.is_alive()
    assert [path for path in out.iterdir() if path.name.startswith("guidewires")] == []
    third = FolderWires(FrameWriter(output=out), find_runs(frames), Part(), wires="auto")
    third.write()
    assert rows(out) == []


def test_overlays_of_one_part_while_another_writes_the_tables(
    predictor: Predictor, frames: Path, out: Path, tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", [Part(count=2, number=number) for number in range(2)]
    predict_folder(predictor, frames, whole)
    predict_folder(predictor, frames, whole, overlay=True, skip_finished=True)
    predict_folder(predictor, frames, out)
    (out / "a_7.png").unlink()  # the second part's, and the first in the tables

    def meanwhile(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
        if label == "overlays":
            assert predict_folder(predictor, frames, out, part=parts[1], wires=None, skip_finished=True).n_frames == 1
            assert not (out / "centrelines.json").exists()
            assert "a_7" not in (out / "guidewires.jsonl").read_text()
        return items

    predict_folder(predictor, frames, out, part=parts[0], overlay=True, skip_finished=True, progress=meanwhile)
    drawn = sorted((out / "overlays").rglob("*.png"))
    assert len(drawn) == N_FRAMES
    for path in drawn:
        np.testing.assert_array_equal(
            np.asarray(Image.open(path)), np.asarray(Image.open(whole / path.relative_to(out)))
        )
