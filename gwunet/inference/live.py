"""Answers to frames that come one after another, each as plain values for a line of JSON."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwunet.errors import FrameError
from gwunet.exposed_field import Frame
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
    damaged: int = 0


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

    An answered frame has ``frame`` (its number from 0), ``latency_ms``, ``wire_px``, ``box`` (``top``, ``left``,
    ``bottom``, ``right``, the ends exclusive; None without wire), ``shape`` and either ``mask`` (its path) or
    ``run_lengths``; with ``wires`` also these. Others have ``frame`` with ``dropped``, or with ``error``.

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
    whole: dict[int, int] = {}
    next_number = next_whole = 0

    def without_answer(until: int) -> Iterator[Answer]:
        for number in range(next_number, until):
            problem = damaged.pop(number, None)
            if problem is None:
                tally.dropped += 1
                yield {"frame": number, "dropped": True}
            else:
                tally.damaged += 1
                yield {"frame": number, "error": str(problem)}

    try:
        frames = _whole_frames(source, damaged, whole)
        for streamed in predictor.stream(frames, waiting=waiting, track=track, wires=wires):
            number = [whole.pop(index) for index in range(next_whole, streamed.number + 1)][-1]
            yield from without_answer(number)
            next_number, next_whole = number + 1, streamed.number + 1
            tally.answered += 1
            yield _answer(number, streamed, keep, wires is not None)
    except FrameError:
        yield from without_answer(max(damaged, default=-1) + 1)
        raise
    yield from without_answer(max(damaged, default=-1) + 1)


def _whole_frames(
    source: Iterable[Frame | FrameError], damaged: dict[int, FrameError], whole: dict[int, int]
) -> Iterator[Frame]:
    """The frames that can be predicted; ``whole`` has the number in the source of each, ``damaged`` the others."""
    count = 0
    for number, frame in enumerate(source):
        if isinstance(frame, FrameError):
            damaged[number] = frame
        else:
            whole[count] = number
            count += 1
            yield frame


def _answer(number: int, streamed: Streamed, keep: Callable[[str, Streamed], str] | None, has_wires: bool) -> Answer:
    mask = streamed.prediction.mask
    latency_ms = 1000 * streamed.latency_s
    where = {"mask": keep(f"frame_{number:06d}", streamed)} if keep else {"run_lengths": run_lengths(mask)}
    found = streamed.prediction.guidewires if has_wires else ()
    wires = {"wires": [wire_values(wire, place) for place, wire in enumerate(found, 1)]} if has_wires else {}
    return {
        "frame": number,
        "latency_ms": round(latency_ms, 2),
        "wire_px": int(mask.sum(dtype=np.int64)),
        "box": _box(mask),
        "shape": list(mask.shape),
        **wires,
        **where,
    }


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
