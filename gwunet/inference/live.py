"""Answers to frames that come one after another, each as plain values for a line of JSON."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gwunet.errors import FrameError
from gwunet.exposed_field import Frame
from gwunet.inference.localizer import Localizer
from gwunet.inference.prediction import Prediction, Wires
from gwunet.inference.predictor import Predictor
from gwunet.inference.streaming import WaitingLine
from gwunet.inference.wire_values import wire_values

Answer = dict[str, Any]
Keep = Callable[[str, Frame, Prediction], str]


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
    keep: Keep | None = None,
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
        keep: writes the results of a frame under a name and gives the mask's path; without it the answer has the mask.
        wires: how many are looked for in a frame; None for none.
        track: wires keep their numbers from frame to frame; see ``gwunet.localization.Tracker``.

    Raises:
        FrameError: the source broke off; the frames before are answered.
    """
    localizer = Localizer(wires=wires or "auto", track=track) if track or wires is not None else None
    next_number, last = 0, -1
    with WaitingLine(source, waiting) as line:
        for number, frame, came in line:
            for missed in range(next_number, number):
                tally.dropped += 1
                yield {"frame": missed, "dropped": True}
            next_number = number + 1
            if isinstance(frame, FrameError):
                tally.reasons[number] = str(frame)
                yield {"frame": number, "error": str(frame)}
                continue
            prediction = predictor.predict_frame(frame)
            if localizer is not None:  # time passes with frames that are dropped or damaged
                prediction = localizer(prediction, number - last)
            last = number
            tally.answered += 1
            found = _found(prediction, has_wires=wires is not None)
            where = (
                {"mask": keep(frame_name(number), frame, prediction)}
                if keep
                else {"run_lengths": run_lengths(prediction.mask)}
            )
            latency_ms = 1000 * (time.perf_counter() - came)  # nothing but printing is left
            yield {"frame": number, "latency_ms": round(latency_ms, 2), **found, **where}


def _found(prediction: Prediction, *, has_wires: bool) -> Answer:
    mask = prediction.mask
    found: Answer = {"wire_px": int(mask.sum(dtype=np.int64)), "box": _box(mask), "shape": list(mask.shape)}
    if has_wires:
        found["wires"] = [wire_values(wire, place) for place, wire in enumerate(prediction.guidewires, 1)]
    return found


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
