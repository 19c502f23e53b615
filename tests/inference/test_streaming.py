"""A live source never waits: what has waited longest is dropped and counted, and latency has a bound."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from gwunet.errors import UsageError
from gwunet.inference.ahead import ahead
from gwunet.inference.prediction import Prediction
from gwunet.inference.streaming import answer

Frame = NDArray[np.uint8]
BUSY_S = 0.02


def numbered(count: int) -> list[Frame]:
    return [np.full((2, 2), number, np.uint8) for number in range(count)]


def echo(frame: Frame) -> Prediction:
    return Prediction(frame, frame.astype(np.float32))


def slowly(frame: Frame) -> Prediction:
    time.sleep(BUSY_S)
    return echo(frame)


def test_a_fast_source_loses_the_oldest_and_a_slow_one_none() -> None:
    at_once = list(answer(numbered(200), slowly))
    assert at_once[-1].number == 199  # the newest is answered, whatever happened before
    assert at_once[-1].dropped == 200 - len(at_once) > 150
    assert all(int(each.prediction.mask[0, 0]) == each.number for each in at_once)

    def at_leisure() -> Iterator[Frame]:
        for frame in numbered(5):
            yield frame
            time.sleep(2 * BUSY_S)

    assert [each.number for each in answer(at_leisure(), slowly)] == list(range(5))


def test_latency_has_a_bound_whatever_the_source_does() -> None:
    def every_ms() -> Iterator[Frame]:
        for frame in numbered(250):
            yield frame
            time.sleep(0.001)

    answered = list(answer(every_ms(), slowly))
    assert 5 < len(answered) < 60
    # One prediction under way and one's own; the rest is what a loaded machine adds.
    assert np.median([each.latency_s for each in answered]) < 2.5 * BUSY_S
    assert [each.number for each in answered] == sorted({each.number for each in answered})


def test_more_may_wait() -> None:
    """A burst of three is answered whole where two may wait beside the one that is predicted."""
    begun = threading.Event()

    def burst() -> Iterator[Frame]:
        frames = numbered(3)
        yield frames[0]
        begun.wait()
        yield from frames[1:]

    def noting(frame: Frame) -> Prediction:
        begun.set()
        return slowly(frame)

    assert [each.number for each in answer(burst(), noting, waiting=2)] == [0, 1, 2]


def test_a_source_that_is_to_wait_loses_nothing() -> None:
    answered = list(answer(numbered(40), echo, waiting=None))
    assert [each.number for each in answered] == list(range(40))
    assert {each.dropped for each in answered} == {0}


def test_a_source_that_fails_is_heard_after_its_last_frame() -> None:
    def unplugged() -> Iterator[Frame]:
        yield from numbered(2)
        raise OSError("no signal")

    stream = answer(unplugged(), echo, waiting=None)
    assert [next(stream).number, next(stream).number] == [0, 1]
    with pytest.raises(OSError, match="no signal"):
        next(stream)
    with pytest.raises(UsageError, match="at least 1"):
        next(answer([], echo, waiting=0))


def test_a_stream_that_is_left_reads_no_further() -> None:
    given = 0

    def camera() -> Iterator[Frame]:
        nonlocal given
        while True:
            given += 1
            yield numbered(1)[0]
            time.sleep(0.002)

    stream = answer(camera(), echo)
    next(stream)
    stream.close()
    time.sleep(0.05)
    after = given
    time.sleep(0.1)
    assert given <= after + 1


def test_ahead_is_bounded_in_order_and_honest() -> None:
    made = 0

    def items() -> Iterator[int]:
        nonlocal made
        for item in range(100):
            made += 1
            yield item

    taken = ahead(items(), 3)
    assert [next(taken), next(taken)] == [0, 1]
    time.sleep(0.05)
    assert made <= 2 + 3 + 1
    assert list(taken) == list(range(2, 100))

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("second")

    taken = ahead(failing(), 3)
    assert next(taken) == 1
    with pytest.raises(ValueError, match="second"):
        next(taken)


def test_what_is_ahead_is_closed_when_it_is_left() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            closed.set()

    taken = ahead(items(), 2)
    next(taken)
    taken.close()
    assert closed.wait(2)


def test_frames_that_passed_are_counted_for_whoever_completes_a_prediction() -> None:
    passed = []

    def finish(prediction: Prediction, count: int) -> Prediction:
        passed.append(count)
        return prediction

    numbers = [each.number for each in answer(numbered(50), slowly, finish=finish)]
    assert sum(passed) == numbers[-1] + 1 == 50
    assert max(passed) > 1
