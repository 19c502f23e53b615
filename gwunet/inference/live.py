"""Answers to frames that come one after another, each as plain values for a line of JSON."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gwunet.errors import FrameError
from gwunet.exposed_field import Frame
from gwunet.inference.localizer import Localizer
from gwunet.inference.prediction import Wires
from gwunet.inference.predictor import Predictor
from gwunet.inference.streaming import Streamed
from gwunet.inference.wire_values import wire_values

Answer = dict[str, Any]


@dataclasses.dataclass(kw_only=True, slots=True)
class LiveTally:
    """How many frames there were."""

    answered: int = 0
    dropped: int = 0
    reasons: dict[int, str] = dataclasses.field(default_factory=dict)
    """Of the damaged ones, by their number in the source: what is wrong."""

    @property
    def damaged(self) -> int:
        return len(self.reasons)


def frame_name(number: int) -> str:
    """What the results of a frame are called."""
    return f"frame_{number:06d}"


def live_answers(
    predictor: Predictor,
    source: Iterable[Frame | FrameError],
    *,
    tally: LiveTally,
    waiting: int | None = 1,
    keep: Callable[[str, Streamed], str] | None = None,
    wires: Wires | None = None,
    track: bool = False,
) -> Iterator[Answer]:
    """One answer for every frame of a source, in their order and as soon as it is there.

    An answered frame has ``frame`` (its number from 0), ``latency_ms`` (from the moment the source gave it to this
    answer, with all that is looked for and written), ``wire_px``, ``box`` (``top``, ``left``, ``bottom``, ``right``,
    the ends exclusive; None without wire), ``shape`` and either ``mask`` (its path) or ``run_lengths``; with ``wires``
    also these. Others have ``frame`` with ``dropped``, or with ``error``.

    Args:
        predictor: the model.
        source: frames; or, in the place of one that is damaged, the reason.
        tally: is kept up to date.
        waiting: frames that may wait while one is predicted; when more do, the oldest is dropped. None drops none.
        keep: writes a result under the frame's name and gives the mask's path; without it the answer has the mask.
        wires: how many are looked for in a frame; None for none.
        track: wires keep their numbers from frame to frame; see ``gwunet.localization.Tracker``.

    Raises:
        FrameError: the source broke off; the frames before are answered.
    """
    damaged: dict[int, FrameError] = {}
    whole: dict[int, _Arrival] = {}
    next_number = next_whole = 0
    # Not the stream's: to it damaged frames are none, but time passes with them.
    localizer = Localizer(wires=wires or "auto", track=track) if track or wires is not None else None

    def without_answer(until: int) -> Iterator[Answer]:
        for number in range(next_number, until):
            problem = damaged.pop(number, None)
            if problem is None:
                tally.dropped += 1
                yield {"frame": number, "dropped": True}
            else:
                tally.reasons[number] = str(problem)
                yield {"frame": number, "error": str(problem)}

    try:
        frames = _whole_frames(source, damaged, whole)
        last = -1
        for streamed in predictor.stream(frames, waiting=waiting):
            arrival = [whole.pop(index) for index in range(next_whole, streamed.number + 1)][-1]
            number = arrival.number
            yield from without_answer(number)
            next_number, next_whole = number + 1, streamed.number + 1
            tally.answered += 1
            if localizer is not None:
                streamed = dataclasses.replace(streamed, prediction=localizer(streamed.prediction, number - last))
            last = number
            yield _answer(arrival, streamed, keep, wires is not None)
    except FrameError:
        yield from without_answer(max(damaged, default=-1) + 1)
        raise
    yield from without_answer(max(damaged, default=-1) + 1)


class _Arrival(NamedTuple):
    """Of a frame that can be predicted."""

    number: int
    """In the source."""
    came: float
    """``time.perf_counter()`` when the source gave it."""


def _whole_frames(
    source: Iterable[Frame | FrameError], damaged: dict[int, FrameError], whole: dict[int, _Arrival]
) -> Iterator[Frame]:
    """The frames that can be predicted, in ``whole`` by their number among these; in ``damaged`` the others."""
    count = 0
    for number, frame in enumerate(source):
        if isinstance(frame, FrameError):
            damaged[number] = frame
        else:
            whole[count] = _Arrival(number, time.perf_counter())
            count += 1
            yield frame


def _answer(
    arrival: _Arrival, streamed: Streamed, keep: Callable[[str, Streamed], str] | None, has_wires: bool
) -> Answer:
    mask, number = streamed.prediction.mask, arrival.number
    where = {"mask": keep(frame_name(number), streamed)} if keep else {"run_lengths": run_lengths(mask)}
    found = streamed.prediction.guidewires if has_wires else ()
    wires = {"wires": [wire_values(wire, place) for place, wire in enumerate(found, 1)]} if has_wires else {}
    described = {"wire_px": int(mask.sum(dtype=np.int64)), "box": _box(mask), "shape": list(mask.shape)}
    latency_ms = 1000 * (time.perf_counter() - arrival.came)  # nothing but printing is left
    return {"frame": number, "latency_ms": round(latency_ms, 2), **described, **wires, **where}


def run_lengths(mask: NDArray[np.uint8]) -> list[int]:
    """Lengths of the runs of equal pixels, row by row: background, wire, background and so on.

    The first one is 0 where the first pixel is wire. Together they are all pixels.
    """
    flat = mask.ravel()
    changes = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate(([0], changes, [flat.size])))
    return ([0] if flat[0] else []) + [int(length) for length in lengths]


def _box(mask: NDArray[np.uint8]) -> dict[str, int] | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return {
        "top": int(rows[0]),
        "left": int(columns[0]),
        "bottom": int(rows[-1]) + 1,
        "right": int(columns[-1]) + 1,
    }
