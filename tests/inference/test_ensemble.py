"""Averages of saved probabilities: exact, and refused where folders do not match."""

import csv
import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from gwunet.cli import ensemble as command
from gwunet.errors import FrameError, UsageError
from gwunet.evaluation.made_with import made_with
from gwunet.exposed_field import Border
from gwunet.inference import Predictor, predict_folder
from gwunet.inference.ensemble import ensemble_folders
from gwunet.inference.recorded_runs import recorded_runs
from gwunet.inference.run_record import RunOptions, RunRecord, versions
from gwunet.io.probability import read_average, read_field, read_levels, write_probability
from gwunet.io.video import Video
from gwunet.jsonio import write_json
from gwunet.plans import Configuration, Preprocessing
from gwunet.postprocessing import Postprocessing
from gwunet.postprocessing.shipped import ShippedPostprocessing, write_shipped

HALF = Postprocessing(threshold=0.5)
SHAPES = {"a": (12, 17), "run/b.1": (9, 11)}


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        for name, shape in SHAPES.items():
            write_probability(folder / f"{name}.npz", rng.uniform(0, 1, shape))
    return folders


def saved(folder: Path, name: str) -> np.ndarray:
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        return np.asarray(arrays["probability"], np.float64)


def test_masks_are_the_mean_against_the_threshold(sources: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    record = ensemble_folders(sources, out, settings=HALF, save_probabilities=True)
    assert (record.n_frames, record.sources) == (2, ("one", "two", "three"))
    for name, shape in SHAPES.items():
        mean = np.mean([np.rint(saved(folder, name) * 255) for folder in sources], axis=0) / 255
        mask = np.asarray(Image.open(out / f"{name}.png"))
        np.testing.assert_array_equal(mask, np.where(mean >= 0.5, 255, 0))
        assert mask.shape == shape
        assert np.abs(saved(out, name) - mean).max() <= 0.5 / 255 + 2**-11
    assert json.loads((out / "ensemble.json").read_text())["settings"]["threshold"] == 0.5


def test_every_level_comes_back_exactly_and_averages_are_not_rounded(tmp_path: Path) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_probability(tmp_path / "rising.npz", levels / 255)
    write_probability(tmp_path / "falling.npz", levels[::-1, ::-1] / 255)
    np.testing.assert_array_equal(read_levels(tmp_path / "rising.npz"), levels)
    total, top = read_average([tmp_path / "rising.npz", tmp_path / "falling.npz"])
    assert (top, set(total.ravel().tolist())) == (510, {255})
    assert HALF.mask_of_levels(total, top).all()  # exactly half, as in p >= 0.5


def test_folders_that_differ_are_refused_before_anything_is_written(sources: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_probability(sources[1] / "only.npz", np.zeros((3, 3)))
    with pytest.raises(UsageError, match=r"found 1 frames in one alone: only \(.*two\)"):
        ensemble_folders(sources, out, settings=HALF)
    write_probability(sources[0] / "only.npz", np.zeros((3, 4)))
    with pytest.raises(FrameError, match=r"found 3x3 px, and 3x4 px in .*one"):
        ensemble_folders(sources[:2], out, settings=HALF)
    (sources[0] / "only.npz").write_bytes(b"no archive")
    with pytest.raises(FrameError, match=r"only\.npz: cannot read 'probability'"):
        ensemble_folders(sources[:2], out, settings=HALF)
    with pytest.raises(UsageError, match="two different folders"):
        ensemble_folders([sources[0], sources[0]], out, settings=HALF)
    with pytest.raises(UsageError, match="holds the masks of one of the models"):
        ensemble_folders(sources, sources[2], settings=HALF)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="--save_probabilities"):
        ensemble_folders([sources[0], tmp_path / "empty"], out, settings=HALF)
    assert not out.exists()


def test_masks_of_others_stay_and_a_broken_average_is_its_own(sources: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "labelsTr"
    out.mkdir()
    (out / "a.png").write_bytes(b"drawn by hand")
    with pytest.raises(UsageError, match=r"found a\.png, and no run\.json or ensemble\.json .* --overwrite"):
        ensemble_folders(sources, out, settings=HALF)
    assert (out / "a.png").read_bytes() == b"drawn by hand"

    def broken(items: Iterable[Any], total: int, label: str) -> Iterator[Any]:
        yield from list(items)[:1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensemble_folders(sources, out, settings=HALF, overwrite=True, progress=broken)
    assert json.loads((out / "ensemble.json").read_text())["state"] == "running"
    assert not (out / "run" / "b.1.png").exists()
    ensemble_folders(sources, out, settings=HALF)
    assert json.loads((out / "ensemble.json").read_text())["state"] == "finished"


def test_records_of_predictions_that_are_replaced_go(sources: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name in ("run.json", "run_part_12.json", "run_notes.json", "run_part_x.json"):
        out.mkdir(exist_ok=True)
        (out / name).write_text('{"gwunet": "1.0"}')
    before = made_with(out)
    write_probability(sources[1] / "only.npz", np.zeros((3, 3)))
    with pytest.raises(UsageError, match="in one alone"):
        ensemble_folders(sources, out, settings=HALF)
    assert made_with(out) == before
    (sources[1] / "only.npz").unlink()
    ensemble_folders(sources, out, settings=HALF)
    assert {path.name for path in out.glob("*.json")} == {
        "ensemble.json",
        "run_notes.json",
        "run_part_x.json",
        "centrelines.json",
    }
    of_all = made_with(out)
    (out / "run_notes.json").unlink()
    assert made_with(out) == of_all


def test_the_command(sources: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["-i", *map(str, sources), "-o", str(tmp_path / "out")]
    assert command.main([*flags, "--threshold", "0.3"]) == 0
    assert "2 frames of 3 models averaged (threshold 0.3)" in capsys.readouterr().out
    mean = np.mean([np.rint(saved(folder, "a") * 255) for folder in sources], axis=0) / 255
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "a.png")) > 0, mean >= 0.3)
    assert command.main([*flags, "--threshold", "1.5"]) == 2
    assert command.main([*flags, "--postprocessing", str(tmp_path / "none.json")]) == 1


def test_scores_are_of_what_was_averaged(sources: list[Path], tmp_path: Path) -> None:
    """Names and settings stay when the members are predicted anew."""
    out = tmp_path / "out"
    ensemble_folders(sources, out, settings=HALF)
    before = made_with(out)
    assert before is not None
    ensemble_folders(sources, out, settings=HALF)
    assert made_with(out) == before
    write_probability(sources[1] / "a.npz", np.zeros(SHAPES["a"]))
    ensemble_folders(sources, out, settings=HALF)
    assert made_with(out) != before


PAIR = ("fganet__One", "linknet__Two")


@pytest.fixture
def members_of_pair(sources: list[Path], tmp_path: Path) -> tuple[list[Path], Path]:
    """Two folders as gw_predict leaves them, and the settings of the pair."""
    for source, model in zip(sources, PAIR, strict=False):
        declare_model(source, model)
    shipped = ShippedPostprocessing(
        schema_version=1,
        settings=Postprocessing(threshold=0.3),
        dataset="Dataset001_Made",
        models=PAIR,
        n_frames=9,
        checkpoints={f"{model}/fold_{fold}": f"{model} {fold}" for model in PAIR for fold in (0, 1)},
    )
    write_shipped(tmp_path / "postprocessing.json", shipped)
    return sources[:2], tmp_path / "postprocessing.json"


def declare_model(folder: Path, name: str, dataset: str = "Dataset001_Made", **changes: str) -> None:
    configuration, trainer = name.split("__")
    digests = {fold: f"{name} {fold}" for fold in ("0", "1")} | changes
    model = {"dataset": dataset, "configuration": configuration, "trainer": trainer, "sha256": digests}
    record = RunRecord(
        **versions(),
        state="finished",
        runtime="made",
        device="cpu",
        batch_size=1,
        model=model,
        options=RunOptions(mirror=False, step=0.5, threshold=0.5, overlay=False, save_probabilities=True),
        source="frames",
        num_parts=1,
        part_id=0,
        runs=(),
        n_frames=2,
        n_finished_before=0,
        finished_before_with=(),
        failed=(),
        seconds=1.0,
        frames_per_second=2.0,
        ms_per_frame=500.0,
    )
    write_json(folder / "run.json", record)


def test_settings_of_a_pair_are_for_its_predictions(
    members_of_pair: tuple[list[Path], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (one, two), file = members_of_pair
    out = tmp_path / "out"

    def average(*folders: Path) -> tuple[int, str]:
        caplog.clear()
        status = command.main(["-i", *map(str, folders), "-o", str(out), "--postprocessing", str(file)])
        return status, capsys.readouterr().err + caplog.text

    status, said = average(two, one)  # in any order
    assert (status, "postprocessing.json" in said) == (0, False)
    declare_model(two, PAIR[1], **{"1": "of a later training"})
    status, said = average(one, two)
    assert (status, "chosen for other weights of linknet__Two/fold_1, which" in said) == (0, True)
    (two / "run.json").unlink()
    status, said = average(one, two)
    assert (status, "two: does not say which model predicted it" in said) == (0, True)
    shutil.rmtree(out)
    refused = [(PAIR[0], "Dataset001_Made"), ("unet__Three", "Dataset001_Made"), (PAIR[1], "Dataset002_Other")]
    for name, dataset in refused:
        declare_model(two, name, dataset)
        status, said = average(one, two)
        assert (status, f"two, which was predicted with {name} of {dataset}" in said) == (2, True)
    status, said = average(one, two, tmp_path / "three")
    assert (status, "2 in all, and 3 folders to average" in said) == (2, True)
    assert not out.exists()


N_FRAMES = 4
TABLES = ("guidewires.csv", "centrelines.json")
SPACING = {"row_mm": 0.2, "column_mm": 0.2, "plane": "patient"}


@pytest.fixture
def predictor(make_configuration: Callable[..., Configuration]) -> Predictor:
    """Finds what is darker than the mean, in collimated frames."""

    def dark(tiles: Tensor) -> Tensor:
        return -4 * (tiles + 1.2)

    preprocessing = Preprocessing(borders={"uint8": Border(level=0.0, threshold=10.0, spread=1.0)})
    return Predictor.from_networks([dark], make_configuration(), preprocessing, runtime="made", mirror=False)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A sequence; the wire comes from the collimator's edge, and is not there in the third frame."""
    for index in range(N_FRAMES):
        frame = np.zeros((64, 96), np.uint8)
        frame[8:-8, 8:-8] = 150
        if index != 2:
            frame[29:32, 8 : 50 + 3 * index] = 30
        path = tmp_path / "frames" / f"run_{index:04d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(frame).save(path)
    return tmp_path / "frames"


@pytest.fixture
def members(predictor: Predictor, frames: Path, tmp_path: Path) -> list[Path]:
    """Two equal predictions without wires."""
    one, two = tmp_path / "one", tmp_path / "two"
    predict_folder(predictor, frames, one, wires=None, save_probabilities=True)
    shutil.copytree(one, two)
    return [one, two]


def settings(predictor: Predictor) -> Postprocessing:
    return Postprocessing(threshold=predictor.inference.threshold)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "guidewires.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("track", [False, True])
def test_wires_of_two_equal_members_are_those_of_one(
    predictor: Predictor, frames: Path, members: list[Path], tmp_path: Path, track: bool
) -> None:
    out, direct = tmp_path / "out", tmp_path / "direct"
    ensemble_folders(members, out, settings=settings(predictor), track=track)
    predict_folder(predictor, frames, members[0], track=track, skip_finished=True)  # from the same probabilities
    for name in TABLES:
        assert (out / name).read_bytes() == (members[0] / name).read_bytes()
    assert (out / "tracks" / "run.png").is_file() == track
    predict_folder(predictor, frames, direct, track=track)
    assert len(rows(out)) == len(rows(direct)) == (N_FRAMES if track else N_FRAMES - 1)
    for found, sure in zip(rows(out), rows(direct), strict=True):
        for key in ("frame", "sequence", "number", "wire", "flags"):
            assert found[key] == sure[key]
        assert "base_uncertain" not in found["flags"]  # the field's edge, where the wire comes in, is known
        for key in ("tip_row_px", "tip_column_px", "base_row_px", "base_column_px", "length_px"):
            assert float(found[key]) == pytest.approx(float(sure[key]), abs=0.1)
    record = json.loads((out / "ensemble.json").read_text())
    assert (record["wires"], record["track"], record["overlay"]) == ("auto", track, False)


def test_the_field_is_saved_and_united(predictor: Predictor, members: list[Path], tmp_path: Path) -> None:
    field = read_field(members[0] / "run_0000.npz")
    assert field is not None
    assert field[8:-8, 8:-8].mean() > 0.9
    assert not field[:4].any()
    other = np.zeros_like(field)
    other[:3] = True
    write_probability(members[1] / "run_0000.npz", np.zeros(field.shape), other)
    write_probability(members[1] / "run_0001.npz", np.zeros(field.shape))
    ensemble_folders(members, tmp_path / "out", settings=settings(predictor), save_probabilities=True)
    united = read_field(tmp_path / "out" / "run_0000.npz")
    assert united is not None
    np.testing.assert_array_equal(united, field | other)
    assert read_field(tmp_path / "out" / "run_0001.npz") is None
    with np.load(members[0] / "run_0000.npz") as arrays:
        content = {"probability": arrays["probability"], "field": arrays["field"][:-1]}
    np.savez(members[0] / "run_0000.npz", **content)
    with pytest.raises(FrameError, match=r"run_0000\.npz: cannot read 'field' \(found \(767,\), wanted 768 bytes"):
        read_field(members[0] / "run_0000.npz")


def declare_run(folder: Path, spacing: dict[str, object] | None) -> None:
    """As if the frames were those of a DICOM file."""
    record = json.loads((folder / "run.json").read_text())
    record["runs"] = [{"name": "run", "n_frames": N_FRAMES, "frame_time_ms": 66.0, "spacing": spacing}]
    (folder / "run.json").write_text(json.dumps(record))


def test_millimetres_come_from_the_run_records(
    predictor: Predictor, members: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    declare_run(members[1], SPACING)
    ensemble_folders(members, out, settings=settings(predictor))
    first = rows(out)[0]
    assert (first["frame"], first["sequence"], first["number"]) == ("run_0000", "run", "0")
    assert float(first["length_mm"]) == pytest.approx(0.2 * float(first["length_px"]), abs=0.01)
    assert first["spacing_plane"] == "patient"
    declare_run(members[0], SPACING | {"row_mm": 0.4})
    with caplog.at_level(logging.WARNING, "gwunet"):
        ensemble_folders(members, out, settings=settings(predictor))
    assert "run: the run records of the folders differ in its spacing" in caplog.text
    assert rows(out)[0]["length_mm"] == ""
    (members[0] / "run.json").write_text("{")
    ensemble_folders(members, out, settings=settings(predictor))
    assert "cannot be seen" in caplog.text
    assert rows(out)[0]["spacing_plane"] == "patient"


def test_the_number_that_a_video_says_it_has_is_not_recorded(predictor: Predictor, tmp_path: Path) -> None:
    """It may be wrong, and of 1 it would follow that the frame has the video's own name."""
    film, out = tmp_path / "film.avi", tmp_path / "out"
    with av.open(str(film), "w") as container:
        stream = container.add_stream("ffv1", rate=8)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "gray"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 96), 150, np.uint8), format="gray")))
        container.mux(stream.encode())
    assert Video.open(film).n_frames == 1
    predict_folder(predictor, film, out, wires=None, save_probabilities=True)
    (described,) = json.loads((out / "run.json").read_text())["runs"]
    assert (described["name"], described["n_frames"], described["frame_time_ms"]) == ("film", None, 125.0)
    (run,) = recorded_runs([out], ["film_0000"])
    assert (run.name, run.is_numbered) == ("film", True)


def test_overlays_of_an_average(
    predictor: Predictor, frames: Path, members: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, direct = tmp_path / "out", tmp_path / "direct"
    flags = ["-i", *map(str, members), "-o", str(out), "--threshold", str(predictor.inference.threshold)]
    assert command.main([*flags, "--overlay", str(frames), "--track"]) == 0
    predict_folder(predictor, frames, direct, overlay=True, track=True)
    for path in direct.glob("overlays/*.png"):
        found, sure = (np.asarray(Image.open(each), int) for each in (out / "overlays" / path.name, path))
        assert np.abs(found - sure).mean() < 0.5
    assert command.main([*flags, "--wires", "none"]) == 0  # earlier results go first
    assert not any((out / name).exists() for name in (*TABLES, "guidewires.jsonl", "tracks/run.png"))
    assert not list((out / "overlays").iterdir())
    assert len(list(out.glob("*.png"))) == N_FRAMES
    (frames / "run_0003.png").unlink()
    capsys.readouterr()
    assert command.main([*flags, "--overlay", str(frames)]) == 2
    assert "found no frames for 1 of 4: run_0003; wanted" in capsys.readouterr().err
    assert command.main([*flags[:-4], "-o", str(frames), "--overlay", str(frames)]) == 2
    assert "holds the frames themselves" in capsys.readouterr().err
    assert command.main([*flags, "--wires", "none", "--track"]) == 2
    assert len(list(frames.iterdir())) == N_FRAMES - 1
