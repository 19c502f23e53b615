"""Frames as they come, answered with a bound on latency: what has waited longest gives way."""

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from gwunet.errors import UsageError
from gwunet.exposed_field import Frame
from gwunet.inference.prediction import Prediction


@dataclasses.dataclass(frozen=True, slots=True)
class Streamed:
    """The answer to one frame of a stream."""

    number: int
    """Of the frame in the source, counted from 0; numbers left out are of frames dropped."""
    frame: Frame
    prediction: Prediction
    latency_s: float
    """From the moment the source gave the frame to the moment its prediction was there."""
    dropped: int
    """Frames dropped so far."""


def answer(
    source: Iterable[Frame],
    predict: Callable[[Frame], Prediction],
    waiting: int | None = 1,
    finish: Callable[[Prediction, int], Prediction] | None = None,
) -> Iterator[Streamed]:
    """Predict the frames of a source that does not wait.

    The source is read in a thread of its own. A frame waits while the one before it is predicted; when more than
    ``waiting`` do, the oldest is dropped and counted. So no frame is answered later than after ``waiting + 1``
    predictions, however fast frames come.

    Args:
        source: gives frames as they come, a camera say; blocks until there is one.
        predict: what answers.
        waiting: how many frames may wait; None drops none and lets the source wait instead.
        finish: completes a prediction, given how many frames have passed since the one answered before.

    Raises:
        UsageError: ``waiting`` is below 1.
        Exception: whatever the source raises, after the frames before it are answered.
    """
    if waiting is not None and waiting < 1:
        raise UsageError(f"waiting is {waiting}: at least 1 frame must be able to wait")
    line = _Line(waiting)
    threading.Thread(target=line.fill, args=(source,), name="stream", daemon=True).start()
    answered = -1
    try:
        while (first := line.take()) is not None:
            number, frame, came = first
            prediction = predict(frame)
            if finish is not None:
                prediction = finish(prediction, number - answered)
            answered = number
            yield Streamed(number, frame, prediction, time.perf_counter() - came, line.dropped)
    finally:
        line.close()


class _Line:
    """Frames that wait, between the thread that reads them and the one that predicts."""

    def __init__(self, longest: int | None) -> None:
        self._longest = longest
        self._frames: deque[tuple[int, Frame, float]] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._problem: BaseException | None = None
        self.dropped = 0

    def fill(self, source: Iterable[Frame]) -> None:
        try:
            for number, frame in enumerate(source):
                if not self._add(number, frame):
                    break
        except BaseException as problem:
            self._problem = problem
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _add(self, number: int, frame: Frame) -> bool:
        came = time.perf_counter()
        with self._changed:
            if self._longest is None:
                self._changed.wait_for(lambda: not self._frames or self._closed)
            elif len(self._frames) == self._longest:
                self._frames.popleft()
                self.dropped += 1
            self._frames.append((number, frame, came))
            self._changed.notify_all()
            return not self._closed

    def take(self) -> tuple[int, Frame, float] | None:
        """The frame that has waited longest; None at the end of the source."""
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._ended)
            if self._frames:
                first = self._frames.popleft()
                self._changed.notify_all()
                return first
        if self._problem is not None:
            raise self._problem
        return None

    def close(self) -> None:
        """Nobody takes any more; the source is read no further than the frame it is about to give."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
