"""Where the tips of a sequence went and how long its wires were, as one picture."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from gwunet.errors import OutputError
from gwunet.inference.wire_overlay import colour_of
from gwunet.jsonio import printable, replacing
from gwunet.localization import Guidewire

INCHES = (9.0, 6.0)
DOTS_PER_INCH = 100
MOST_DRAWN = 6
"""Wires; in more of them nothing could be told apart. Those found in most frames are drawn."""
BACKGROUND, JUMP = "0.2", "white"
"""Dark, as X-ray frames are: the wires have the colours of the overlays."""


class Track:
    """What a plot needs of a sequence: little for each frame."""

    def __init__(self) -> None:
        self._wires: dict[int, list[tuple[float, ...]]] = {}
        self._passed = 0

    def add(self, number: int, wires: Iterable[Guidewire], *, frames_passed: int = 1) -> None:
        """Take in the wires of a frame.

        Args:
            number: of the frame, which may grow by more than 1 from a frame to the next.
            wires: in the frame.
            frames_passed: since the one before; more than 1 where some between them cannot be read.
        """
        self._passed += frames_passed
        for wire in wires:
            marks = ("bridged_frame" in wire.flags, "jump" in wire.flags)
            step = (self._passed, number, *wire.tip, wire.length_px, *marks)
            self._wires.setdefault(wire.identity or 0, []).append(step)

    @property
    def is_worth_drawing(self) -> bool:
        """Whether a wire was followed over several frames."""
        return any(len(steps) > 1 for steps in self._wires.values())

    def draw(self, path: Path, title: str) -> None:
        """Draw the tips' paths, and tips' travel and wires' lengths over the frames, as a PNG.

        Raises:
            OutputError: it cannot be written.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

        figure = Figure(figsize=INCHES, dpi=DOTS_PER_INCH, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplot_mosaic([["path", "length"], ["path", "travel"]])
        for each in axes.values():
            each.set_facecolor(BACKGROUND)
        drawn = sorted(sorted(self._wires, key=lambda identity: -len(self._wires[identity]))[:MOST_DRAWN])
        for identity in drawn:
            _draw_wire(axes, identity, np.array(self._wires[identity]))
        if len(drawn) < len(self._wires):
            title = f"{title}: the {len(drawn)} of {len(self._wires)} wires that are there in most frames"
        path_axes = axes["path"]
        path_axes.set(xlabel="column, px", ylabel="row, px", title="path of the tip", aspect="equal")
        path_axes.invert_yaxis()
        axes["length"].set(ylabel="length, px", title="dot: bridged frame; cross: jump")
        axes["travel"].set(xlabel="frame", ylabel="tip's move since the frame before, px")
        path_axes.legend(loc="best", fontsize=8, facecolor=BACKGROUND, labelcolor="white")
        for name in ("length", "travel"):
            axes[name].xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.suptitle(printable(title), fontsize=10, parse_math=False)
        try:
            with replacing(path) as partial:
                figure.savefig(partial)
        except ValueError as problem:
            raise OutputError(f"{path}: cannot be drawn ({problem})") from problem


def _draw_wire(axes: dict[str, Any], identity: int, values: Any) -> None:
    passed, number, row, column, length_px = values[:, :5].T
    is_bridged, is_jump = values[:, 5:].T.astype(bool)
    colour = tuple(channel / 255 for channel in colour_of(identity, 0))
    frames, *gaps = _with_gaps(passed, number, row, column, length_px)
    moved = np.hypot(np.diff(gaps[0], prepend=np.nan), np.diff(gaps[1], prepend=np.nan))
    axes["path"].plot(gaps[1], gaps[0], color=colour, linewidth=1, label=f"wire {identity}")
    axes["path"].plot(column[:1], row[:1], "o", color=colour, markersize=4)
    axes["path"].plot(column[-1:], row[-1:], ">", color=colour, markersize=7)
    axes["path"].plot(column[is_jump], row[is_jump], "x", color=JUMP, markersize=6)
    axes["length"].plot(frames, gaps[2], color=colour, linewidth=1)
    axes["length"].plot(number[is_bridged], length_px[is_bridged], ".", color=colour, markersize=6)
    axes["length"].plot(number[is_jump], length_px[is_jump], "x", color=JUMP, markersize=6)
    axes["travel"].plot(frames, moved, color=colour, linewidth=1)


def _with_gaps(passed: Any, *values: Any) -> list[Any]:
    """Lines that are broken where frames have no wire."""
    places = np.flatnonzero(np.diff(passed) > 1) + 1
    return [np.insert(value, places, np.nan) for value in values]
