"""Answers to frames one after another."""

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
from torch import Tensor

import gwunet
from gwunet.errors import FrameError
from gwunet.exposed_field import Border, Frame
from gwunet.inference import Predictor
from gwunet.inference.live import LiveTally, live_answers, run_lengths
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

    def keep(name: str, streamed: Any) -> str:
        kept[name] = streamed.prediction.mask
        return f"out/{name}.png"

    answers = live_answers(make_predictor(far_below_the_mean), [BAR], tally=LiveTally(), keep=keep)
    (answer,) = answers
    assert answer["mask"] == "out/frame_000000.png"
    assert "run_lengths" not in answer
    assert kept["frame_000000"].sum() == 75


def test_latency_is_that_of_the_answer(make_predictor: Callable[..., Predictor]) -> None:
    """With all that is written before it, and with the wait for what is written of the frame before."""

    def keep(name: str, streamed: Any) -> str:
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
