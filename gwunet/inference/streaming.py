"""Frames as they come, answered with a bound on latency: what has waited longest gives way."""

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Self

from gwunet.errors import FrameError, UsageError
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
    answered = -1
    with WaitingLine(source, waiting) as line:
        for number, frame, came in line:
            if isinstance(frame, FrameError):
                raise frame
            prediction = predict(frame)
            if finish is not None:
                prediction = finish(prediction, number - answered)
            answered = number
            yield Streamed(number, frame, prediction, time.perf_counter() - came, line.dropped)


class Arrival(NamedTuple):
    """What a source gave."""

    number: int
    """In the source, counted from 0."""
    frame: Frame | FrameError
    """The reason, of a frame that is damaged."""
    came: float
    """``time.perf_counter()`` when the source gave it."""


class WaitingLine:
    """What a source gives, in its order: read in a thread of its own, while the one who asks for it is busy."""

    def __init__(self, source: Iterable[Frame | FrameError], longest: int | None) -> None:
        """
        Args:
            source: frames as they come; in the place of one that is damaged, the reason.
            longest: how many frames may wait. When more do, the oldest is dropped; damaged ones take no time and stay.
                None drops none and lets the source wait.

        Raises:
            UsageError: ``longest`` is below 1.
        """
        if longest is not None and longest < 1:
            raise UsageError(f"waiting is {longest}: at least 1 frame must be able to wait")
        self._source = source
        self._longest = longest
        self._arrivals: deque[Arrival] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._problem: BaseException | None = None
        self.dropped = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._fill, name="stream", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Nobody takes any more; the source is read no further than the frame it is about to give."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Arrival]:
        """What has waited longest, each time; in the end whatever the source raises."""
        while (first := self._take()) is not None:
            yield first

    def _fill(self) -> None:
        try:
            for number, frame in enumerate(self._source):
                if not self._add(Arrival(number, frame, time.perf_counter())):
                    break
        except BaseException as problem:
            self._problem = problem
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _add(self, arrival: Arrival) -> bool:
        with self._changed:
            if self._longest is None:
                self._changed.wait_for(lambda: not self._arrivals or self._closed)
            elif not isinstance(arrival.frame, FrameError):
                whole = [each for each in self._arrivals if not isinstance(each.frame, FrameError)]
                if len(whole) == self._longest:
                    self._arrivals = deque(each for each in self._arrivals if each is not whole[0])
                    self.dropped += 1
            self._arrivals.append(arrival)
            self._changed.notify_all()
            return not self._closed

    def _take(self) -> Arrival | None:
        """None at the end of the source."""
        with self._changed:
            self._changed.wait_for(lambda: self._arrivals or self._ended)
            if self._arrivals:
                first = self._arrivals.popleft()
                self._changed.notify_all()
                return first
        if self._problem is not None:
            raise self._problem
        return None
