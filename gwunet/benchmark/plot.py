"""``benchmark.png``: cost against latency, a point for each network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gwunet.benchmark.report import Report, Result

INCHES = (9.0, 6.0)
DOTS_PER_INCH = 120
TICKS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
MARGIN = 1.6
"""Free space around the points, as a factor on either side."""
LABEL_OFFSETS = tuple(
    (sign_x * x, sign_y * y)
    for distance in range(1, 9)
    for x, y in ((8 * distance, 0), (6 * distance, 9 * distance), (0, 13 * distance))
    for sign_x in (1, -1)
    for sign_y in (1, -1)
)
"""Where a label may stand from its point, in points, the best place first."""


def draw_cost_against_latency(report: Report, path: Path) -> None:
    """Draw true multiply-accumulates against milliseconds per frame of every network that was timed, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [result for result in report.results if result.cost is not None and result.forward is not None]
    points = {result.label: _point(result) for result in shown}
    figure = Figure(figsize=INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set(xscale="log", yscale="log")
    speeds = []
    if points:
        _set_limits(axes, list(points.values()))
        speeds = _draw_equal_speeds(axes)
        costs, times = zip(*points.values(), strict=True)
        axes.scatter(costs, times, s=40, color="tab:blue", zorder=3)
    axes.set_xlabel("multiply-accumulates of a frame, 10⁹ (deformable convolutions included)")
    axes.set_ylabel("forward pass, ms per frame")
    axes.set_title(f"{_conditions(shown)}, {report.conditions.precision}\n{report.machine.name}", fontsize=10)
    _write_plain_numbers(axes)
    _label(figure, axes, points, speeds)
    figure.savefig(path)


def _point(result: Result) -> tuple[float, float]:
    assert result.cost is not None
    assert result.forward is not None
    return result.cost.total / 1e9, result.forward.frame_ms


def _conditions(shown: Sequence[Result]) -> str:
    sizes = sorted({each.forward.size for each in shown if each.forward is not None})
    batches = sorted({each.forward.batch_size for each in shown if each.forward is not None})
    size = ", ".join(f"{height} × {width}" for height, width in sizes)
    return f"{size or 'nothing was timed'}, batch {', '.join(map(str, batches)) or '-'}"


def _write_plain_numbers(axes: Any) -> None:
    """Ticks at ``TICKS`` times powers of ten, written as people do."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=TICKS))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.grid(alpha=0.3)


def _set_limits(axes: Any, points: Sequence[tuple[float, float]]) -> None:
    costs, times = zip(*points, strict=True)
    axes.set_xlim(min(costs) / MARGIN, max(costs) * MARGIN)
    axes.set_ylim(min(times) / MARGIN, max(times) * MARGIN)


def _draw_equal_speeds(axes: Any) -> list[Any]:
    """Faint diagonals on which networks do equally many multiply-accumulates in a second; gives their texts."""
    texts = []
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for exponent in range(-3, 7):
        for speed in (10.0**exponent, 3 * 10.0**exponent):  # 10^9 in a second
            ms_left, ms_right = 1e3 * left / speed, 1e3 * right / speed
            if ms_right < bottom or ms_left > top:
                continue
            end = min(right, top * speed / 1e3)
            if end < left * MARGIN:
                continue  # a corner too small for the number
            axes.plot((left, right), (ms_left, ms_right), color="0.8", linewidth=0.8, zorder=1)
            text = axes.annotate(
                f"{speed:,g} · 10⁹/s",
                (end, 1e3 * end / speed),
                xytext=(-3, -3),
                textcoords="offset points",
                horizontalalignment="right",
                verticalalignment="top",
                fontsize=7,
                color="0.6",
                annotation_clip=True,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )
            texts.append(text)
    return texts


def _label(figure: Any, axes: Any, points: dict[str, tuple[float, float]], texts: list[Any]) -> None:
    """Put each label at the best place where it covers no point, no other label and none of ``texts``."""
    figure.draw_without_rendering()  # settles the layout, so that places in pixels are final
    taken = [_around(axes.transData.transform(point)) for point in points.values()]
    taken += [_extent(figure, text) for text in texts]
    for label, point in points.items():
        for offset in LABEL_OFFSETS:
            text = _annotate(axes, label, point, offset)
            box = _extent(figure, text)
            free = box.count_overlaps(taken) == 0 and axes.bbox.x0 < box.x0 and box.x1 < axes.bbox.x1
            if free or offset == LABEL_OFFSETS[-1]:
                break
            text.remove()
        taken.append(box)


def _annotate(axes: Any, label: str, point: tuple[float, float], offset: tuple[int, int]) -> Any:
    text = axes.annotate(
        label,
        point,
        xytext=offset,
        textcoords="offset points",
        horizontalalignment=_by_sign(offset[0], ("right", "center", "left")),
        verticalalignment=_by_sign(offset[1], ("top", "center", "bottom")),
        fontsize=9,
        zorder=4,
        arrowprops={"arrowstyle": "-", "color": "0.5", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 3},
    )
    text.set_in_layout(False)
    return text


def _extent(figure: Any, text: Any) -> Any:
    """The label's box in pixels, without the line to its point."""
    from matplotlib.text import Text

    text.update_positions(figure.canvas.get_renderer())
    return Text.get_window_extent(text)


def _by_sign(value: int, names: tuple[str, str, str]) -> str:
    """The first name below 0, the second at 0, the third above."""
    return names[1 + (value > 0) - (value < 0)]


def _around(centre: Any, radius_px: float = 6.0) -> Any:
    from matplotlib.transforms import Bbox

    x, y = centre
    return Bbox.from_extents(x - radius_px, y - radius_px, x + radius_px, y + radius_px)
