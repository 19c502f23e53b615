"""Metrics of several methods as groups of bars, as Figure 7 of the FGA-Net paper has them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gwunet.jsonio import replacing

BAR_INCHES = 0.26
"""Width of a bar; wide enough for its figure, written upright."""
GROUP_SHARE = 0.84
"""Of the room of a group; the rest keeps groups apart."""
MIN_INCHES = 7.0
DOTS_PER_INCH = 110
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999", "#f0e442")
"""Okabe and Ito's, which people with any colour vision tell apart."""

Values = Mapping[str, Sequence[float | None]]
"""Series -> a value for each group; None where there is none."""


def draw_bars(
    path: Path, groups: Sequence[str], measured: Values, published: Values, *, top: float, title: str, unit: str
) -> None:
    """Draw a bar for each measured value with its figure above, and a short line where the published value is.

    Args:
        path: the PNG.
        groups: names below the groups.
        measured: heights; a series has a colour.
        published: as ``measured``, of the same series.
        top: highest value there can be; the axis begins at 0, so that lengths can be compared.
        title: above the chart.
        unit: of the values.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = max(MIN_INCHES, BAR_INCHES * len(groups) * len(measured) / GROUP_SHARE + 1.0)
    figure = Figure(figsize=(width, 5.0), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    bar = GROUP_SHARE / len(measured)
    for index, (series, heights) in enumerate(measured.items()):
        left = (index + 0.5) * bar - GROUP_SHARE / 2
        _draw_series(axes, left, bar, heights, series, COLOURS[index % len(COLOURS)], top)
        _draw_published(axes, left, bar, published[series])
    axes.plot([], [], color="black", linewidth=1.5, label="as published, on other frames")
    axes.set_xticks(range(len(groups)), groups)
    axes.set_xlim(-0.55, len(groups) - 0.45)
    axes.set_ylim(0, 1.12 * top)  # room for the figures above the bars
    axes.set_yticks([top * part / 5 for part in range(6)])
    axes.set_ylabel(unit)
    axes.set_title(title, fontsize=10)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    with replacing(path) as partial:
        figure.savefig(partial, format="png")


def _draw_series(
    axes: Any, left: float, bar: float, heights: Sequence[float | None], series: str, colour: str, top: float
) -> None:
    places = [group + left for group in range(len(heights))]
    axes.bar(places, [height or 0.0 for height in heights], 0.92 * bar, color=colour, label=series)
    for place, height in zip(places, heights, strict=True):
        if height is not None:
            figure = f"{height:.1f}" if top > 1 else f"{height:.2f}"
            axes.text(place, height + 0.012 * top, figure, ha="center", va="bottom", rotation=90, fontsize=7, zorder=5)


def _draw_published(axes: Any, left: float, bar: float, values: Sequence[float | None]) -> None:
    for group, value in enumerate(values):
        if value is not None:
            place = group + left
            axes.hlines(value, place - bar / 2, place + bar / 2, color="black", linewidth=1.5, zorder=4)
