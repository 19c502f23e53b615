"""Masks of whole folders: what is written, what is left alone, and what an interruption leaves."""

import contextlib
import json
import logging
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gwunet.cli import predict as command
from gwunet.data.lock import alone_in
from gwunet.errors import InterruptionError, OutputError, UsageError
from gwunet.exposed_field import Border
from gwunet.inference import Predictor, predict_folder
from gwunet.inference.part import Part
from gwunet.plans import Configuration, Preprocessing

RNG = np.random.default_rng(0)
SHAPES = {"z": (64, 48), "a/y": (40, 50), "a/b/x": (32, 33)}
FRAMES = {name: RNG.integers(60, 200, shape).astype(np.uint8) for name, shape in SHAPES.items()}


def dark(tiles: Tensor) -> Tensor:
    """Wire where a pixel is darker than its frame's mean."""
    return -4 * tiles


def expected(name: str) -> NDArray[np.uint8]:
    return np.where(FRAMES[name] <= FRAMES[name].mean(), 255, 0).astype(np.uint8)


def masks(folder: Path) -> dict[str, NDArray[np.uint8]]:
    paths = [path for path in folder.rglob("*.png") if "overlays" not in path.parts]
    return {path.relative_to(folder).with_suffix("").as_posix(): np.asarray(Image.open(path)) for path in paths}


def record(folder: Path, name: str = "run.json") -> dict[str, Any]:
    return json.loads((folder / name).read_text())  # type: ignore[no-any-return]


def write_film(path: Path, frames: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=8)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:], "gray"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())
    return path


def records_in(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.json") if path.name != "centrelines.json"}


@pytest.fixture
def make_predictor(make_configuration: Callable[..., Configuration]) -> Callable[..., Predictor]:
    preprocessing = Preprocessing(borders={"uint8": Border(level=0.0, threshold=-1.0, spread=0.0)})

    def make(network: Callable[[Tensor], Tensor] = dark, **options: Any) -> Predictor:
        return Predictor.from_networks([network], make_configuration(), preprocessing, runtime="made", **options)

    return make


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    for name, frame in FRAMES.items():
        path = tmp_path / "frames" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frame).save(path)
    return tmp_path / "frames"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_folders_keep_their_structure(make_predictor: Callable[..., Predictor], frames: Path, out: Path) -> None:
    result = predict_folder(make_predictor(), frames, out, overlay=True, save_probabilities=True)
    assert (result.n_frames, result.failed) == (3, ())
    found = masks(out)
    assert found.keys() == FRAMES.keys()
    for name, mask in found.items():
        np.testing.assert_array_equal(mask, expected(name))
        assert (out / "overlays" / f"{name}.png").is_file()
        exact = make_predictor().predict_frame(FRAMES[name]).probability
        with np.load(out / f"{name}.npz", allow_pickle=False) as saved:
            assert saved["probability"].dtype == np.float16
            assert np.abs(saved["probability"] - exact).max() <= 0.5 / 255 + 2**-11
    run = record(out)
    assert (run["state"], run["n_frames"], run["failed"], run["runtime"]) == ("finished", 3, [], "made")
    assert run["model"] == {"configuration": "fganet"}
    assert not list(out.rglob(".*"))


def test_saved_probabilities_of_empty_background_are_small(make_predictor: Callable[..., Predictor], out: Path) -> None:
    source = out.parent / "frame.png"
    Image.fromarray(RNG.normal(120, 10, (256, 256)).clip(0, 255).astype(np.uint8)).save(source)

    def faint(tiles: Tensor) -> Tensor:
        return tiles - 9

    predict_folder(make_predictor(faint), source, out, save_probabilities=True)
    assert (out / "frame.npz").stat().st_size < 256 * 256 / 16


def test_finished_masks_are_not_made_again(make_predictor: Callable[..., Predictor], frames: Path, out: Path) -> None:
    predict_folder(make_predictor(), frames, out)
    (out / "z.png").unlink()
    untouched = (out / "a" / "y.png").stat().st_mtime_ns
    result = predict_folder(make_predictor(), frames, out, skip_finished=True)
    assert (result.n_frames, result.n_finished_before) == (1, 2)
    assert (out / "a" / "y.png").stat().st_mtime_ns == untouched
    np.testing.assert_array_equal(masks(out)["z"], expected("z"))
    assert record(out)["finished_before_with"] == []


def test_other_options_than_those_of_finished_masks_are_told(
    make_predictor: Callable[..., Predictor], frames: Path, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predict_folder(make_predictor(), frames, out, model={"dataset": "One"})
    for threshold in (0.25, 0.75):
        with caplog.at_level(logging.WARNING, "gwunet"):
            predict_folder(
                make_predictor(threshold=threshold), frames, out, skip_finished=True, model={"dataset": "Two"}
            )
    assert "threshold 0.5 (now 0.25)" in caplog.text
    assert "dataset One (now Two)" in caplog.text
    told = record(out)["finished_before_with"]
    assert told == ["dataset One (now Two)", "threshold 0.5 (now 0.25)", "threshold 0.25 (now 0.75)"]


def test_an_unreadable_record_is_told(
    make_predictor: Callable[..., Predictor], frames: Path, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out.mkdir()
    (out / "run.json").write_text('{"schema_version": 1, "configuration": "fganet"}')  # as version 0.1.0 wrote it
    predict_folder(make_predictor(), frames, out, skip_finished=True)
    assert "it cannot be seen what made the masks" in caplog.text
    assert record(out)["state"] == "finished"


def test_results_of_an_earlier_model_are_gone_before_the_first_frame(
    make_predictor: Callable[..., Predictor], frames: Path, out: Path
) -> None:
    """Else those that an interrupted command did not reach would be taken for its own."""
    predict_folder(make_predictor(), frames, out, overlay=True, save_probabilities=True)
    (out / "other.png").write_bytes(b"somebody else's")

    def never(tiles: Tensor) -> Tensor:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        predict_folder(make_predictor(never), frames, out)
    files = {path.name for path in out.rglob("*") if path.is_file()}
    assert files == {"other.png", "run.json"}
    assert record(out)["state"] == "failed"


def test_what_a_kill_left_of_a_video_without_masks_goes_too(
    make_predictor: Callable[..., Predictor], tmp_path: Path, out: Path
) -> None:
    film = write_film(tmp_path / "films" / "a.b.mkv", RNG.integers(60, 200, (4, 32, 40)).astype(np.uint8))
    predict_folder(make_predictor(), film.parent, out, overlay=True, save_probabilities=True)
    (out / "a.b_0001.png").unlink()
    (out / "a.b_0002.png").unlink()
    (out / "overlays" / "a.b_0001.png").unlink()
    (out / "a.b_0002.npz").unlink()
    (out / "overlays" / "a.b_0003.npz").write_bytes(b"somebody's")
    (out / "a.b.npz").write_bytes(b"somebody's")
    predict_folder(make_predictor(), film.parent, out, part=Part(count=2, number=0))
    kept = {path.relative_to(out).as_posix() for path in out.rglob("a.b*") if path.suffix in (".png", ".npz")}
    foreign = {"overlays/a.b_0003.npz", "a.b.npz"}
    other_part = {"a.b_0001.npz", "a.b_0003.png", "a.b_0003.npz", "overlays/a.b_0003.png"}
    assert kept == {"a.b_0000.png", "a.b_0002.png", *other_part, *foreign}
    predict_folder(make_predictor(), film.parent, out)
    left = {path.relative_to(out).as_posix() for path in out.rglob("a.b*") if path.suffix in (".png", ".npz")}
    assert left == {f"a.b_000{index}.png" for index in range(4)} | foreign


def test_records_that_are_replaced_go(make_predictor: Callable[..., Predictor], frames: Path, out: Path) -> None:
    """So that a folder says what made the masks in it, and nothing else."""

    def predict(count: int = 1, number: int = 0, **options: Any) -> set[str]:
        predict_folder(make_predictor(), frames, out, part=Part(count=count, number=number), **options)
        return records_in(out)

    predict()
    (out / "ensemble.json").write_text("{}")
    (out / "run_notes.json").write_text("{}")
    for number in range(3):
        left = predict(3, number)
    parts = {f"run_part_{number}.json" for number in range(3)}
    assert left == {"run_notes.json", *parts}
    assert predict(skip_finished=True) == {"run_notes.json", "run.json", *parts}
    (out / "ensemble.json").write_text("{}")
    with alone_in(out), pytest.raises(OutputError, match="another command"):
        predict()
    assert records_in(out) == {"run_notes.json", "run.json", "ensemble.json", *parts}
    assert predict(2, 0) == {"run_notes.json", "run_part_0.json", "run_part_1.json"}
    (out / "ensemble.json").write_text("{}")
    assert predict() == {"run_notes.json", "run.json"}


def test_all_that_made_finished_masks_is_told(
    make_predictor: Callable[..., Predictor], frames: Path, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the first record, or this command's own, is as this one is."""
    (out).mkdir()
    (out / "run_notes.json").write_text("{}")
    for number, threshold in enumerate((0.25, 0.5)):
        predict_folder(make_predictor(threshold=threshold), frames, out, part=Part(count=2, number=number))
    (out / "ensemble.json").write_text("{}")
    for _ in range(2):
        caplog.clear()
        predict_folder(make_predictor(threshold=0.25), frames, out, skip_finished=True)
        told = ["threshold 0.5 (now 0.25)", "masks of gw_ensemble (now gw_predict)"]
        assert record(out)["finished_before_with"] == told
        assert [", ".join(told) in line for line in caplog.messages] == [True]


def test_a_video_of_no_masks_is_not_said_to_be_there(
    make_predictor: Callable[..., Predictor],
    tmp_path: Path,
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    film = tmp_path / "film.mp4"
    picture = tmp_path / "frames" / "a.png"
    picture.parent.mkdir()
    monkeypatch.setattr(command, "_load", lambda *_: (make_predictor(), {"file": "made"}))
    for is_whole in (False, True):
        Image.fromarray(FRAMES["z"]).save(picture)
        if not is_whole:
            picture.write_bytes(picture.read_bytes()[:60])
        flags = ["-i", str(picture.parent), "-o", str(out), "-m", "made", "--video", str(film)]
        assert command.main(flags) == (0 if is_whole else 1)
        assert film.exists() is is_whole
        said = capsys.readouterr().out.splitlines()[-1]
        assert said.endswith(f"video in {film}" if is_whole else "no video, since no frame has a mask")


def test_temporary_files_of_a_killed_command_go(
    make_predictor: Callable[..., Predictor], frames: Path, out: Path
) -> None:
    names = [out / ".partial-x.png", out / "a" / ".partial-x.npz", out / "overlays" / "a" / "b" / ".partial-x.png"]
    foreign = [out / ".partial-store.bin", out / "elsewhere" / ".partial-x.png"]
    for path in names + foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    predict_folder(make_predictor(), frames, out, part=Part(count=2, number=0))
    assert all(path.exists() for path in names)  # another part may be writing them
    predict_folder(make_predictor(), frames, out)
    assert not any(path.exists() for path in names)
    assert all(path.exists() for path in foreign)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_parts_together_are_all_frames_once(
    make_predictor: Callable[..., Predictor], frames: Path, out: Path, count: int
) -> None:
    parts = [Part(count=count, number=number) for number in range(count)]
    results = [predict_folder(make_predictor(), frames, out, part=part) for part in parts]
    assert sum(result.n_frames for result in results) == len(FRAMES)
    assert masks(out).keys() == FRAMES.keys()
    assert sum(record(out, f"run_part_{number}.json")["n_frames"] for number in range(count)) == len(FRAMES)
    assert not (out / "run.json").exists()
    for wrong in (-1, count):
        with pytest.raises(UsageError, match=f"numbered from 0 to {count - 1}"):
            Part(count=count, number=wrong)


def test_a_signal_leaves_finished_masks_and_a_record(
    make_predictor: Callable[..., Predictor], frames: Path, out: Path
) -> None:
    def interrupted(items: Iterable[Any], total: int, label: str) -> Iterable[Any]:
        assert (total, label) == (3, "predict")
        for number, item in enumerate(items):
            if number == 2:
                raise InterruptionError("ended by SIGTERM", signal=signal.SIGTERM)
            yield item

    with pytest.raises(InterruptionError, match=r"ended by SIGTERM after 2 frames; .* --continue") as caught:
        predict_folder(make_predictor(), frames, out, progress=interrupted)
    assert caught.value.signal == signal.SIGTERM
    assert len(masks(out)) == 2
    assert (record(out)["state"], record(out)["n_frames"]) == ("interrupted", 2)
    assert predict_folder(make_predictor(), frames, out, skip_finished=True).n_frames == 1
    for name, mask in masks(out).items():
        np.testing.assert_array_equal(mask, expected(name))


def test_a_disk_that_fills_up_is_said_and_no_part_of_a_file_stands(
    make_predictor: Callable[..., Predictor], frames: Path, out: Path, full_disk: Callable[..., Any]
) -> None:
    Image.fromarray(RNG.integers(60, 200, (300, 300), dtype=np.uint8)).save(frames / "large.png")
    with contextlib.ExitStack() as stack:
        calls: list[int] = []

        def filling(tiles: Tensor) -> Tensor:
            calls.append(len(tiles))
            if sum(calls) > 8:  # the large frame's, after four mirrored tiles of each of the two before
                deadline = time.monotonic() + 20
                while not (out / "a" / "b" / "x.png").exists() and time.monotonic() < deadline:
                    time.sleep(0.005)
                stack.enter_context(full_disk())
            return dark(tiles)

        with pytest.raises(OutputError, match=r"cannot be written .* free space"):
            predict_folder(make_predictor(filling), frames, out)
    found = masks(out)
    assert "a/b/x" in found
    assert "large" not in found
    for name, mask in found.items():
        np.testing.assert_array_equal(mask, expected(name))
    assert not list(out.rglob(".*"))


def test_too_little_memory_makes_batches_smaller(
    make_predictor: Callable[..., Predictor], frames: Path, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def small(tiles: Tensor) -> Tensor:
        if len(tiles) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return dark(tiles)

    result = predict_folder(make_predictor(small, batch_size=4), frames, out)
    assert (result.n_frames, record(out)["batch_size"]) == (3, 1)
    assert len([line for line in caplog.messages if "out of memory" in line]) == 2
    for name, mask in masks(out).items():
        np.testing.assert_array_equal(mask, expected(name))


def test_the_annotated_video_has_all_frames_also_those_finished_before(
    make_predictor: Callable[..., Predictor], tmp_path: Path, out: Path
) -> None:
    run = np.stack([np.full((63, 80), level, np.uint8) for level in (150, 140, 130, 120)])
    for index, frame in enumerate(run):
        frame[10 + 8 * index : 14 + 8 * index, 10:70] = 40
    video = tmp_path / "films" / "annotated.mp4"
    film = write_film(video.with_name("film.mkv"), run)
    predict_folder(make_predictor(), film.parent, out)
    (out / "film_0001.png").unlink()
    result = predict_folder(make_predictor(), film.parent, out, skip_finished=True, video=video)
    assert (result.n_frames, result.n_finished_before, result.video) == (1, 3, video)
    assert record(out)["runs"][0]["frame_time_ms"] == 125.0
    with av.open(str(video)) as container:
        assert container.streams.video[0].average_rate == 8
        pictures = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert [picture.shape for picture in pictures] == [(64, 80, 3)] * 4
    for index, picture in enumerate(pictures):
        green = picture[..., 1] - picture[..., 0]
        assert green[10 + 8 * index : 14 + 8 * index, 12:68].mean() > 30
        assert abs(green[50:60, 20:60].mean()) < 10
    # It stands among the frames, and is none of them as long as it is what this program wrote.
    predict_folder(make_predictor(), film, out, skip_finished=True)
    result = predict_folder(make_predictor(), film.parent, out, skip_finished=True, video=video)
    assert (result.n_frames, result.n_finished_before) == (0, 4)
    video.write_bytes(film.read_bytes())
    with pytest.raises(UsageError, match="found one of the videos that are read"):
        predict_folder(make_predictor(), film.parent, out, video=video)


def test_masks_drawn_by_hand_stay(make_predictor: Callable[..., Predictor], frames: Path, out: Path) -> None:
    out.mkdir()
    (out / "z.png").write_bytes(b"drawn by hand")
    for skips in (False, True):  # nor are they taken for finished ones
        with pytest.raises(UsageError, match="--overwrite"):
            predict_folder(make_predictor(), frames, out, skip_finished=skips)
    assert [(path.name, path.read_bytes()) for path in out.iterdir()] == [("z.png", b"drawn by hand")]
    assert predict_folder(make_predictor(), frames, out, overwrite=True).n_frames == 3
    assert predict_folder(make_predictor(), frames, out).n_frames == 3


def test_finished_masks_of_other_weights_are_told(
    make_predictor: Callable[..., Predictor], frames: Path, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A model that was trained anew has its old name."""
    named: dict[str, Any] = {"dataset": "One", "folds": ["0"]}
    predict_folder(make_predictor(), frames, out, model={**named, "sha256": {"0": 64 * "a"}})
    (out / "z.png").unlink()
    with caplog.at_level(logging.WARNING, "gwunet"):
        predict_folder(make_predictor(), frames, out, skip_finished=True, model={**named, "sha256": {"0": 64 * "b"}})
    told = "weights fold 0 aaaaaaaaaaaa (now fold 0 bbbbbbbbbbbb)"
    assert record(out)["finished_before_with"] == [told]
    assert told in caplog.text


def test_two_commands_do_not_write_to_one_folder(
    make_predictor: Callable[..., Predictor], frames: Path, out: Path
) -> None:
    """Else each takes the other's temporary files for those of a killed command."""

    def another(tiles: Tensor) -> Tensor:
        with pytest.raises(OutputError, match="found another command writing to it"):
            predict_folder(make_predictor(), frames, out)
        for number in range(2):  # parts know of each other
            assert predict_folder(make_predictor(), frames, out, part=Part(count=2, number=number)).n_frames
        return dark(tiles)

    predict_folder(make_predictor(another), frames / "z.png", out)
    assert not (out / ".lock").exists()
    predict_folder(make_predictor(), frames, out)
