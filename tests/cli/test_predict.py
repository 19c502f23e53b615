"""gw_predict from the command line: what it takes, what it says, what it leaves. On a network with random weights."""

import contextlib
import dataclasses
import hashlib
import io
import json
import logging
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
import torch
from numpy.typing import NDArray
from PIL import Image

from gwunet.checkpoint import FINAL, Checkpoint, load_checkpoint, save_checkpoint
from gwunet.cli.predict import main
from gwunet.exporting.archive import write_archive
from gwunet.exposed_field import Border
from gwunet.inference import Predictor
from gwunet.inference import predictor as predictor_module
from gwunet.inference.tiled_networks import TiledNetworks
from gwunet.networks import build_network
from gwunet.plans import Configuration, Duration, Preprocessing

RNG = np.random.default_rng(0)
FRAMES = RNG.integers(60, 200, (6, 32, 40)).astype(np.uint8)


@dataclasses.dataclass(frozen=True)
class Made:
    """A workspace with one model of one fold."""

    workspace: Path
    threshold: float
    """One that half of the first frame's pixels reach, so that masks are not empty."""
    masks: list[NDArray[np.uint8]]
    """What the library finds in each frame."""


@pytest.fixture(scope="module")
def already_made() -> dict[str, Made]:
    return {}


@pytest.fixture
def made(
    already_made: dict[str, Made],
    tmp_path_factory: pytest.TempPathFactory,
    make_configuration: Callable[..., Configuration],
) -> Made:
    if not already_made:
        workspace = tmp_path_factory.mktemp("model")
        _save_model(workspace, make_configuration())
        first = Predictor.from_results(1, workspace=workspace, device="cpu").predict_frame(FRAMES[0])
        threshold = float(np.median(first.probability))
        predictor = Predictor.from_results(1, workspace=workspace, device="cpu", threshold=threshold)
        masks = [predictor.predict_frame(frame).mask * np.uint8(255) for frame in FRAMES]
        already_made["it"] = Made(workspace, threshold, masks)
    return already_made["it"]


def _save_model(workspace: Path, configuration: Configuration) -> None:
    torch.manual_seed(0)
    checkpoint = Checkpoint(
        dataset="Dataset001_Made",
        trainer="FGANetTrainer",
        configuration=configuration,
        preprocessing=Preprocessing(borders={"uint8": Border(level=0.0, threshold=-1.0, spread=0.0)}),
        weights=build_network(configuration).state_dict(),
        epoch=1,
    )
    fold = workspace / "results" / "Dataset001_Made" / "fganet__FGANetTrainer" / "fold_0"
    fold.mkdir(parents=True)
    save_checkpoint(fold / FINAL, checkpoint)


@pytest.fixture
def model(made: Made) -> list[str]:
    """The flags that name it."""
    return ["-d", "1", "--workspace", str(made.workspace), "--device", "cpu", "--threshold", str(made.threshold)]


@pytest.fixture
def masks(made: Made) -> list[NDArray[np.uint8]]:
    return made.masks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "frames").mkdir()
    for index, frame in enumerate(FRAMES):
        Image.fromarray(frame).save(tmp_path / "frames" / f"f{index}.png")
    return tmp_path / "frames"


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Fills it."""
    with contextlib.ExitStack() as stack:

        def fill(data: bytes) -> None:
            reading, writing = os.pipe()
            stack.callback(os.close, reading)
            os.write(writing, data)
            os.close(writing)
            monkeypatch.setattr(sys, "stdin", stack.enter_context(os.fdopen(reading, "rb", closefd=False)))

        yield fill


def png(frame: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "PNG")
    return file.getvalue()


def picture(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as opened:
        return np.asarray(opened)


def record(folder: Path, name: str = "run.json") -> dict[str, Any]:
    return json.loads((folder / name).read_text())  # type: ignore[no-any-return]


def command(*arguments: object) -> list[str]:
    return [str(Path(sysconfig.get_path("scripts")) / "gw_predict"), *map(str, arguments)]


def test_a_dicom_run_gives_numbered_masks_and_nothing_of_its_header(
    tmp_path: Path, model: list[str], masks: list[NDArray[np.uint8]], capsys: pytest.CaptureFixture[str]
) -> None:
    run = SimpleITK.GetImageFromArray(FRAMES)
    secrets = {"0010|0010": "Doe^Jane", "0010|0020": "P4711", "0008|0080": "Hospital", "0008|0020": "20250314"}
    for tag, value in {"0018|1063": "66.5", "0018|1164": "0.3\\0.3", "0008|0060": "XA", **secrets}.items():
        run.SetMetaData(tag, value)
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(tmp_path / "run.dcm"))
    writer.Execute(run)
    assert all(value.encode() in (tmp_path / "run.dcm").read_bytes() for value in secrets.values())
    out = tmp_path / "out"
    arguments = ["-i", str(tmp_path / "run.dcm"), "-o", str(out), "--overlay", "--save_probabilities"]
    assert main([*arguments, "--video", str(out / "annotated.mp4"), *model]) == 0
    for index, mask in enumerate(masks):
        np.testing.assert_array_equal(picture(out / f"run_{index:04d}.png"), mask)
    (described,) = record(out)["runs"]
    assert (described["name"], described["n_frames"], described["frame_time_ms"]) == ("run", len(FRAMES), 66.5)
    assert described["spacing"]["plane"] == "detector"
    said = capsys.readouterr()
    texts = [said.out.encode(), said.err.encode(), *(path.read_bytes() for path in out.rglob("*") if path.is_file())]
    for value in secrets.values():
        assert not any(value.encode() in text for text in texts)
    assert f"{len(FRAMES)} frames in" in said.out
    assert "per second) on cpu" in said.out
    assert str(out) in said.out


def test_run_json_says_what_made_the_masks(tmp_path: Path, folder: Path, model: list[str], made: Made) -> None:
    out = tmp_path / "out"
    (folder / "bad.png").write_bytes(b"no picture")
    assert main(["-i", str(folder), "-o", str(out), "--disable_tta", *model]) == 1
    run = record(out)
    assert run["model"] == {
        "dataset": "Dataset001_Made",
        "configuration": "fganet",
        "trainer": "FGANetTrainer",
        "folds": ["0"],
        "checkpoint": "final",
        "sha256": {"0": hashlib.sha256(next(made.workspace.rglob(FINAL)).read_bytes()).hexdigest()},
    }
    assert (run["state"], run["n_frames"], run["options"]["mirror"], run["source"]) == ("finished", 6, False, "frames")
    (failure,) = run["failed"]
    assert failure["frame"] == "bad"
    assert "bad.png: found content that is none of" in failure["reason"]
    assert run["frames_per_second"] == pytest.approx(6 / run["seconds"], rel=0.05)


def test_the_recorded_weights_are_those_that_made_the_masks(
    tmp_path: Path, folder: Path, make_configuration: Callable[..., Configuration], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the fold is trained anew while the command starts."""
    _save_model(tmp_path, make_configuration())
    (path,) = tmp_path.rglob(FINAL)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    build = predictor_module.torch_network

    def slowly(checkpoint: Checkpoint, *given: Any, **options: Any) -> Any:
        save_checkpoint(path, dataclasses.replace(checkpoint, epoch=checkpoint.epoch + 1))
        return build(checkpoint, *given, **options)

    monkeypatch.setattr(predictor_module, "torch_network", slowly)
    flags = ["-d", "1", "-f", "0", "0", "--workspace", str(tmp_path), "--device", "cpu", "--wires", "none"]
    assert main(["-i", str(folder), "-o", str(tmp_path / "out"), *flags]) == 0
    assert hashlib.sha256(path.read_bytes()).hexdigest() != digest
    run = record(tmp_path / "out")
    assert (run["model"]["folds"], run["model"]["sha256"]) == (["0"], {"0": digest})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-i", "FOLDER"], "-o: needed"),
        (["-i", "FOLDER", "-o", "FOLDER"], "holds the frames themselves"),
        (["-i", "FOLDER", "-o", "OUT", "--keep_all"], "are for frames from standard input"),
        (["-i", "FOLDER", "-o", "OUT", "--num_parts", "2", "--part_id", "2"], "numbered from 0 to 1"),
        (["-i", "FOLDER", "-o", "OUT", "--num_parts", "0"], "--num_parts 0"),
        (["-i", "FOLDER", "-o", "OUT", "--num_parts", "2", "--video", "a.mp4"], "one part has not all frames"),
        (["-i", "FOLDER", "-o", "OUT", "--video", "a.gif"], "found the ending"),
        (["-i", "FOLDER", "-o", "OUT", "--runtime", "onnx"], "need an exported model"),
        (["-i", "MISSING", "-o", "OUT"], "no such file or folder"),
        (["-i", "-", "--continue"], "--continue cannot be had"),
        (["-i", "FOLDER", "-o", "OUT", "--track", "--wires", "none"], "--track: found --wires none"),
        (["-i", "FOLDER", "-o", "OUT", "--track", "--overlay", "--num_parts", "2"], "one part has not all frames"),
        (["-i", "-", "--overlay"], "--overlay without -o"),
        (["-i", "-", "--track", "--wires", "none"], "--track with --wires none"),
        (["-i", "-", "--frame_shape", "512"], "--frame_shape 512"),
    ],
)
def test_what_cannot_work_is_refused_before_the_model_is_loaded(
    tmp_path: Path, folder: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"FOLDER": str(folder), "OUT": str(tmp_path / "out"), "MISSING": str(tmp_path / "missing")}
    given = [places.get(argument, argument) for argument in arguments]
    assert main([*given, "-d", "1", "--workspace", str(tmp_path / "no workspace")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_is_named_once(folder: Path, tmp_path: Path) -> None:
    places = ["-i", str(folder), "-o", str(tmp_path / "out")]
    for wrong in ([], ["-d", "1", "-m", "model.zip"]):
        with pytest.raises(SystemExit) as ended:
            main([*places, *wrong])
        assert ended.value.code == 2


@pytest.mark.parametrize("wires", ["0", "-1", "two", "1.5"])
def test_so_many_wires_cannot_be(folder: Path, wires: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["-i", str(folder), "-o", "out", "-d", "1", f"--wires={wires}"])
    assert ended.value.code == 2
    assert "wanted auto, none, or a number from 1 on" in capsys.readouterr().err


def test_flags_that_a_file_cannot_honour_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["-i", str(folder), "-o", str(tmp_path / "out"), "-m", "model.zip", "-f", "0", "--compile"]
    assert main([*flags, "--device", "cpu"]) == 2
    assert "-m: -f, --compile cannot be chosen with it" in capsys.readouterr().err


def test_an_exported_model_gives_the_same_masks(
    folder: Path, tmp_path: Path, made: Made, masks: list[NDArray[np.uint8]]
) -> None:
    (path,) = made.workspace.rglob(FINAL)
    write_archive(tmp_path / "model.zip", [load_checkpoint(path)], ["0"])
    out = tmp_path / "out"
    flags = ["-m", str(tmp_path / "model.zip"), "--device", "cpu", "--threshold", str(made.threshold)]
    assert main(["-i", str(folder), "-o", str(out), *flags]) == 0
    for index, mask in enumerate(masks):
        np.testing.assert_array_equal(picture(out / f"f{index}.png"), mask)
    digest = hashlib.sha256((tmp_path / "model.zip").read_bytes()).hexdigest()
    assert record(out)["model"] == {"file": "model.zip", "sha256": digest}


def test_the_installed_command_leaves_no_tables_without_its_frames(
    folder: Path, tmp_path: Path, made: Made, masks: list[NDArray[np.uint8]]
) -> None:
    (path,) = made.workspace.rglob(FINAL)
    write_archive(tmp_path / "model.zip", [load_checkpoint(path)], ["0"])
    out = tmp_path / "out"
    flags = ["-i", str(folder), "-o", str(out), "-m", str(tmp_path / "model.zip"), "--device", "cpu"]
    flags += ["--threshold", str(made.threshold)]
    (folder / "f5.png").rename(tmp_path / "f5.png")
    assert main(flags) == 0
    assert (out / "guidewires.csv").is_file()
    (tmp_path / "f5.png").rename(folder / "f5.png")
    done = subprocess.run(
        command(*flags, "--continue", "--wires", "none"),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPROFILEIMPORTTIME": "1"},
    )
    assert "removed guidewires.csv and centrelines.json of an earlier run" in done.stderr
    assert not (out / "guidewires.csv").exists()
    assert not (out / "centrelines.json").exists()
    assert len((out / "guidewires.jsonl").read_bytes().splitlines()) == len(FRAMES) - 1
    np.testing.assert_array_equal(picture(out / "f5.png"), masks[5])
    # Where a compiler is not asked for, it is not loaded: seconds at every start.
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "torch" in imported
    assert not imported & {"torch._dynamo", "sympy", "onnxruntime"}


def test_a_folder_without_frames_fails(tmp_path: Path, model: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["-i", str(tmp_path / "empty"), "-o", str(tmp_path / "out"), *model]) == 1
    assert "no frames there" in capsys.readouterr().err


def test_processes_of_torchrun_share_the_frames(
    tmp_path: Path, folder: Path, model: list[str], masks: list[NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert main(["-i", str(folder), "-o", str(out), *model]) == 0
        assert record(out, f"run_part_{rank}.json")["n_frames"] == len(FRAMES) // 2
    for index, mask in enumerate(masks):
        np.testing.assert_array_equal(picture(out / f"f{index}.png"), mask)


def test_sigterm_ends_with_143_and_what_is_done_stands(
    tmp_path: Path, folder: Path, model: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    predict = TiledNetworks.probability

    def slowly(self: TiledNetworks, scores: torch.Tensor) -> torch.Tensor:
        time.sleep(0.05)
        return predict(self, scores)

    def send() -> None:
        deadline = time.monotonic() + 20
        while not (out / "f0.png").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(TiledNetworks, "probability", slowly)
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # should it come late, it ends nothing else
    try:
        sender = threading.Thread(target=send)
        sender.start()
        assert main(["-i", str(folder), "-o", str(out), *model]) == 143
        sender.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    written = len(list(out.glob("*.png")))
    assert 0 < written < len(FRAMES)
    assert (record(out)["state"], record(out)["n_frames"]) == ("interrupted", written)
    assert f"ended by SIGTERM after {written} frames" in capsys.readouterr().err


@pytest.mark.parametrize("raw", [False, True])
def test_frames_from_standard_input(
    model: list[str],
    masks: list[NDArray[np.uint8]],
    standard_input: Callable[[bytes], None],
    capsys: pytest.CaptureFixture[str],
    raw: bool,
) -> None:
    standard_input(FRAMES.tobytes() if raw else b"".join(map(png, FRAMES)))
    flags = ["--frame_shape", "32x40"] if raw else []
    assert main(["-i", "-", "--keep_all", *flags, *model]) == 0
    said = capsys.readouterr()
    answers = [json.loads(line) for line in said.out.splitlines()]
    assert [answer["frame"] for answer in answers] == list(range(len(FRAMES)))
    for answer, mask in zip(answers, masks, strict=True):
        values = np.arange(len(answer["run_lengths"])) % 2 * 255
        drawn = np.repeat(values, answer["run_lengths"]).reshape(answer["shape"])
        np.testing.assert_array_equal(drawn, mask)
        assert answer["wire_px"] == np.count_nonzero(mask)
    assert "6 frames answered, 0 dropped, on cpu" in said.err


def test_a_truncated_frame_is_named_after_the_answers_before_it(
    tmp_path: Path,
    model: list[str],
    masks: list[NDArray[np.uint8]],
    standard_input: Callable[[bytes], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    standard_input(png(FRAMES[0]) + png(FRAMES[1]) + png(FRAMES[2])[:200])
    assert main(["-i", "-", "--keep_all", "-o", str(tmp_path / "out"), *model]) == 1
    said = capsys.readouterr()
    for line, mask in zip(said.out.splitlines(), masks[:2], strict=True):
        np.testing.assert_array_equal(picture(Path(json.loads(line)["mask"])), mask)
    assert "standard input: frame 2: found 200 bytes of a PNG file and the end" in said.err


def test_each_session_has_its_folder_and_a_record(
    tmp_path: Path, model: list[str], standard_input: Callable[[bytes], None], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    damaged = bytearray(png(FRAMES[1]))
    damaged[60] ^= 255
    flags = ["-i", "-", "-o", str(out), "--keep_all", *model]
    (out / "overlays").mkdir(parents=True)
    (out / "frame_12.png").write_bytes(b"somebody's")
    standard_input(png(FRAMES[0]) + bytes(damaged) + png(FRAMES[2]))
    assert main(flags) == 1
    run = record(out)
    assert (run["state"], run["source"], run["n_frames"]) == ("finished", "-", 2)
    assert run["model"]["sha256"].keys() == {"0"}
    assert [failure["frame"] for failure in run["failed"]] == ["frame_000001"]
    before = {path: path.read_bytes() for path in out.glob("*") if path.is_file()}

    standard_input(png(FRAMES[0]))
    assert main(flags) == 2
    said = capsys.readouterr().err
    assert "found frame_000000.png; wanted a folder of its own for each session" in said
    assert "--overwrite" in said
    assert {path: path.read_bytes() for path in out.glob("*") if path.is_file()} == before
    assert main([*flags, "--overwrite"]) == 0
    assert {path.name for path in out.iterdir() if path.is_file()} == {"frame_000000.png", "frame_12.png", "run.json"}
    assert record(out)["n_frames"] == 1

    (out / "frame_000000.png").unlink()
    standard_input(png(FRAMES[0]))
    assert main(flags) == 2
    assert "the run record of another command" in capsys.readouterr().err


def test_nothing_on_standard_input_fails(
    model: list[str], standard_input: Callable[[bytes], None], capsys: pytest.CaptureFixture[str]
) -> None:
    standard_input(b"")
    assert main(["-i", "-", *model]) == 1
    assert "standard input: found no frames" in capsys.readouterr().err


def test_live_command_answers_while_frames_come_and_ends_on_a_signal(model: list[str]) -> None:
    """The installed command: an answer is there before the next frame is sent; SIGINT ends it while it waits."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command("-i", "-", *model),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for number in range(2):
            process.stdin.write(png(FRAMES[number]))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["frame"] == number
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stdout.read() == b""
        assert b"ended by SIGINT" in process.stderr.read()


def test_after_a_kill_the_masks_are_those_of_an_unbroken_run(tmp_path: Path, model: list[str], made: Made) -> None:
    frames, out = tmp_path / "frames", tmp_path / "out"
    frames.mkdir()
    many = {f"{index:03d}": np.roll(FRAMES[0], index, axis=1) for index in range(60)}
    for name, frame in many.items():
        Image.fromarray(frame).save(frames / f"{name}.png")
    flags = ["-i", str(frames), "-o", str(out), "--overlay", *model]
    with subprocess.Popen(
        command(*flags), stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as run:
        while not list(out.glob("[!.]*.png")):  # of a file half written the name begins with a point
            assert run.poll() is None
            time.sleep(0.01)
        run.kill()
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("[!.]*.png")}
    assert 0 < len(before) < len(many)
    assert record(out)["state"] == "running"
    assert main([*flags, "--continue"]) == 0
    assert record(out)["n_finished_before"] == len(before)
    assert all((out / name).stat().st_mtime_ns == moment for name, moment in before.items())
    predictor = Predictor.from_results(1, workspace=made.workspace, device="cpu", threshold=made.threshold)
    for name, frame in many.items():
        np.testing.assert_array_equal(picture(out / f"{name}.png"), predictor.predict_frame(frame).mask * np.uint8(255))
    assert json.loads((out / "centrelines.json").read_text())["cases"].keys() == many.keys()
    assert not list(out.rglob(".*"))


def test_folds_that_were_trained_in_different_ways_are_told(
    tmp_path: Path, make_configuration: Callable[..., Configuration], caplog: pytest.LogCaptureFixture
) -> None:
    """Iterations that were measured to fit the same minutes are no other way."""
    fitted = Duration(epochs=20, iterations_per_epoch=31, minutes=4.0)
    _save_model(tmp_path, make_configuration(duration=fitted))
    first = next(tmp_path.rglob(FINAL))
    again = dataclasses.replace(fitted, epochs=19, iterations_per_epoch=44)
    for fold, changes in (("fold_1", {"duration": again}), ("fold_2", {"batch_size": 7, "decisions": ()})):
        known = load_checkpoint(first)
        configuration = dataclasses.replace(known.configuration, **changes)
        path = first.parent.with_name(fold) / FINAL
        path.parent.mkdir()
        save_checkpoint(path, dataclasses.replace(known, configuration=configuration))
    with caplog.at_level(logging.WARNING, "gwunet"):
        Predictor.from_results(1, workspace=tmp_path, device="cpu", folds=(0, 1))
        assert caplog.text == ""
        Predictor.from_results(1, workspace=tmp_path, device="cpu")
    assert "fold_0 and fold_2 were trained with another batch_size; they are averaged all the same" in caplog.text
