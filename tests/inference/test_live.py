"""Answers to frames one after another."""

import json
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

import gwunet
from gwunet.errors import FrameError
from gwunet.exposed_field import Border, Frame
from gwunet.inference import Predictor, predict_folder
from gwunet.inference.frame_writer import FrameWriter
from gwunet.inference.live import LiveTally, live_answers, run_lengths
from gwunet.inference.live_folder import LiveFolder
from gwunet.inference.part import Part
from gwunet.inference.prediction import Prediction
from gwunet.plans import Configuration, Preprocessing


@pytest.fixture
def make_predictor(make_configuration: Callable[..., Configuration]) -> Callable[..., Predictor]:
    preprocessing = Preprocessing(borders={"uint8": Border(level=0.0, threshold=-1.0, spread=0.0)})

    def make(network: Callable[[Tensor], Tensor]) -> Predictor:
        return Predictor.from_networks([network], make_configuration(), preprocessing, runtime="made", mirror=False)

    return make


def far_below_the_mean(tiles: Tensor) -> Tensor:
    return -4 * (tiles + 1.5)


def frame_with(rows: slice, columns: slice) -> Frame:
    frame = np.full((40, 50), 150, np.uint8)
    frame[rows, columns] = 30
    return frame


BAR = frame_with(slice(8, 11), slice(20, 45))
SPOT = frame_with(slice(30, 32), slice(3, 5))
EMPTY = np.tile(np.array([100, 101], np.uint8), (40, 25))


def test_answers_say_where_the_wire_is(make_predictor: Callable[..., Predictor]) -> None:
    tally = LiveTally()
    answers = list(live_answers(make_predictor(far_below_the_mean), [BAR, EMPTY, SPOT], tally=tally, waiting=None))
    assert [answer["frame"] for answer in answers] == [0, 1, 2]
    assert [answer["wire_px"] for answer in answers] == [75, 0, 4]
    assert [answer["box"] for answer in answers] == [
        {"top": 8, "left": 20, "bottom": 11, "right": 45},
        None,
        {"top": 30, "left": 3, "bottom": 32, "right": 5},
    ]
    assert answers[2]["run_lengths"] == [30 * 50 + 3, 2, 48, 2, 8 * 50 + 45]
    assert all(answer["latency_ms"] > 0 and answer["shape"] == [40, 50] for answer in answers)
    assert (tally.answered, tally.dropped, tally.damaged) == (3, 0, 0)


@given(st.lists(st.integers(0, 1), min_size=1, max_size=60))
def test_run_lengths_are_the_mask(pixels: list[int]) -> None:
    lengths = run_lengths(np.array([pixels], np.uint8))
    assert all(length > 0 for length in lengths[1:])
    ends = list(accumulate(lengths, initial=0))
    drawn = [number % 2 for number, (start, end) in enumerate(pairwise(ends)) for _ in range(start, end)]
    assert drawn == pixels


def test_answers_have_the_wires_when_they_are_wanted(make_predictor: Callable[..., Predictor]) -> None:
    network, frames = make_predictor(far_below_the_mean), [BAR, BAR, EMPTY]
    first, _, bridged = live_answers(network, frames, tally=LiveTally(), waiting=None, wires="auto", track=True)
    (wire,) = first["wires"]
    assert wire["wire"] == wire["identity"] == 1
    assert sorted([wire["tip"][1], wire["base"][1]]) == pytest.approx([20, 44], abs=1)
    assert wire["length_px"] == pytest.approx(24, abs=1.5)
    assert wire["centreline"][-1] == wire["tip"]
    assert bridged["wires"][0]["flags"] == ["base_uncertain", "bridged_frame"]
    assert bridged["wire_px"] == 0
    plain = next(live_answers(network, [BAR], tally=LiveTally()))
    assert "wires" not in plain


def test_masks_that_are_kept_are_named(make_predictor: Callable[..., Predictor]) -> None:
    kept: dict[str, Any] = {}

    def keep(name: str, frame: Frame, prediction: Prediction) -> str:
        assert frame is BAR
        kept[name] = prediction.mask
        return f"out/{name}.png"

    answers = live_answers(make_predictor(far_below_the_mean), [BAR], tally=LiveTally(), keep=keep)
    (answer,) = answers
    assert answer["mask"] == "out/frame_000000.png"
    assert "run_lengths" not in answer
    assert kept["frame_000000"].sum() == 75


def test_latency_is_that_of_the_answer(make_predictor: Callable[..., Predictor]) -> None:
    """With all that is written before it, and with the wait for what is written of the frame before."""

    def keep(name: str, *_: Any) -> str:
        time.sleep(0.1)
        return name

    network = make_predictor(far_below_the_mean)
    answers = list(live_answers(network, [BAR, BAR], tally=LiveTally(), waiting=None, keep=keep))
    assert [answer["latency_ms"] >= least for answer, least in zip(answers, (100, 190), strict=True)] == [True, True]


def test_time_passes_with_damaged_frames(make_predictor: Callable[..., Predictor]) -> None:
    """A tip that is pushed steadily makes no jump where four frames are damaged."""

    def source() -> Iterator[Frame | FrameError]:
        for number in range(20):
            frame = np.full((40, 100), 150, np.uint8)
            frame[8:11, : 12 + 4 * number] = 30
            yield FrameError("damaged") if 14 <= number < 18 else frame

    answers = live_answers(
        make_predictor(far_below_the_mean), source(), tally=LiveTally(), waiting=None, wires=1, track=True
    )
    found = {answer["frame"]: answer["wires"][0] for answer in answers if "wires" in answer}
    assert found[18]["tip"][1] == pytest.approx(83, abs=1.5)
    assert [number for number, wire in found.items() if "jump" in wire["flags"]] == []


def test_frames_that_come_too_fast_are_told_as_dropped(make_predictor: Callable[..., Predictor]) -> None:
    """While the first is predicted four more come, the second of them damaged; only the last one still waits."""
    begun, come = threading.Event(), threading.Event()

    def slow(tiles: Tensor) -> Tensor:
        begun.set()
        assert come.wait(20)
        return far_below_the_mean(tiles)

    def source() -> Iterator[Frame | FrameError]:
        yield EMPTY
        assert begun.wait(20)
        yield EMPTY
        yield FrameError("frame 2 is damaged")
        yield EMPTY
        yield SPOT
        come.set()

    tally = LiveTally()
    first, *others, last = live_answers(make_predictor(slow), source(), tally=tally)
    assert (first["frame"], last["frame"], last["wire_px"]) == (0, 4, 4)
    assert others == [
        {"frame": 1, "dropped": True},
        {"frame": 2, "error": "frame 2 is damaged"},
        {"frame": 3, "dropped": True},
    ]
    assert (tally.answered, tally.dropped, tally.damaged) == (2, 2, 1)


def test_a_damaged_frame_is_answered_before_the_next_one_comes(make_predictor: Callable[..., Predictor]) -> None:
    """A sender that waits for each answer goes on; so it is for several in turn, and for the last."""
    answered, asked = threading.Semaphore(), []

    def source() -> Iterator[Frame | FrameError]:
        for frame in (FrameError("first"), BAR, FrameError("second"), FrameError("third"), SPOT, FrameError("last")):
            asked.append(answered.acquire(timeout=5))
            yield frame

    for waiting in (1, None):
        tally = LiveTally()
        found = []
        for answer in live_answers(make_predictor(far_below_the_mean), source(), tally=tally, waiting=waiting):
            found.append(answer.get("error", answer.get("wire_px")))
            answered.release()
        assert found == ["first", 75, "second", "third", 4, "last"]
        assert (tally.answered, tally.dropped, tally.damaged) == (2, 0, 4)
    assert asked == [True] * 12


def test_a_source_that_breaks_off_is_told_after_the_frames_before(make_predictor: Callable[..., Predictor]) -> None:
    def source() -> Iterator[Frame | FrameError]:
        yield BAR
        yield FrameError("damaged")
        raise FrameError("standard input: frame 2: cut")

    answers = live_answers(make_predictor(far_below_the_mean), source(), tally=LiveTally())
    assert next(answers)["wire_px"] == 75
    assert next(answers) == {"frame": 1, "error": "damaged"}
    with pytest.raises(FrameError, match="frame 2: cut"):
        next(answers)


def test_a_session_that_replaces_others_leaves_nothing_of_theirs(
    make_predictor: Callable[..., Predictor], tmp_path: Path
) -> None:
    """Of a command whose masks had the names of a session's, and of one whose had not."""
    predictor, out = make_predictor(far_below_the_mean), tmp_path / "out"
    for name in ("frame_000000.png", "frame_000001.png", "other.png"):
        (tmp_path / "frames").mkdir(exist_ok=True)
        Image.fromarray(BAR).save(tmp_path / "frames" / name)
    for number in range(2):
        predict_folder(predictor, tmp_path / "frames", out, part=Part(count=2, number=number), track=True)
    for name in ("ensemble.json", "run_notes.json"):
        (out / name).write_text("{}")
    assert (out / "tracks" / "frame.png").is_file()
    tally = LiveTally()
    with LiveFolder(predictor, FrameWriter(output=out), tally, {}, track=False, wires="auto") as folder:
        answers = list(live_answers(predictor, [SPOT], tally=tally, waiting=None, keep=folder.keep))
    assert answers[0]["mask"] == str(out / "frame_000000.png")
    found = {path.name for path in out.iterdir() if path.is_file() and not path.name.startswith((".", "guidewires"))}
    assert found == {"frame_000000.png", "other.png", "run.json", "run_notes.json"}
    lines = [line for path in out.glob("guidewires*") for line in path.read_text().splitlines()]
    assert [json.loads(line)["frame"] for line in lines] == ["other"]
    assert not (out / "tracks" / "frame.png").exists()


def test_tables_of_others_stay_where_a_session_writes(make_predictor: Callable[..., Predictor], tmp_path: Path) -> None:
    (tmp_path / "centrelines.json").write_text("drawn by hand")
    writer = FrameWriter(output=tmp_path)
    with LiveFolder(make_predictor(far_below_the_mean), writer, LiveTally(), {}, track=False, wires="auto"):
        pass
    assert (tmp_path / "centrelines.json").read_text() == "drawn by hand"


def test_the_example_on_the_page_plays_a_run_at_its_rate(
    make_predictor: Callable[..., Predictor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    page = (Path(__file__).parents[2] / "documentation" / "how-to" / "live.md").read_text()
    block = page[page.index("    import time\n") : page.index("\n`times_ms`")]
    run = SimpleITK.GetImageFromArray(np.stack([BAR, EMPTY, SPOT]))
    run.SetMetaData("0018|1063", "150")
    writer = SimpleITK.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetFileName(str(tmp_path / "run.dcm"))
    writer.Execute(run)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gwunet.Predictor, "from_results", lambda *_, **__: make_predictor(far_below_the_mean))
    start = time.perf_counter()
    exec(textwrap.dedent(block), {})
    assert time.perf_counter() - start >= 0.3
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("frame 2: 4 px after ")
    assert lines[0].startswith("frame 0: 75 px after ")
