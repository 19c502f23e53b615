"""Small charts as inline SVG: they print sharply, follow the page's colours, and need no script.

What they show is also said in words, for those who do not see it, and curves differ by marks as well as by colour.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from gwunet.report.markup import Child, Markup, element

Point = tuple[float, float]

WIDTH, HEIGHT = 380, 230
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 18, 40
TICKS = 5
COLOURS = 6
"""Classes ``c0`` to ``c5`` of the style sheet."""
MARKS = (
    "m-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0",
    "m-2.7,-2.7h5.4v5.4h-5.4z",
    "m0,-3.6l3.3,6h-6.6z",
    "m0,-3.9l3.3,3.9l-3.3,3.9l-3.3,-3.9z",
    "m-2.8,-2.8l5.6,5.6m0,-5.6l-5.6,5.6",
    "m-3.4,0h6.8m-3.4,-3.4v6.8",
)
"""The shape of each colour around its point: circle, square, triangle, diamond and two crosses."""
MARKED_POINTS = 6
"""Marks on a curve, about."""
MOST_POINTS = 400
"""A curve is thinned to so many points, and a cloud to three times as many: more cannot be told apart at this size."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One curve."""

    label: str
    """In the legend; empty keeps it out."""
    points: tuple[Point, ...]
    colour: int = 0
    """And mark."""
    dashed: bool = False
    name: str = ""
    """Where the curve is told in words; by default the label."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Scale:
    """From values to places in the picture, for both axes."""

    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, point: Point) -> Point:
        across = (point[0] - self.x[0]) / (self.x[1] - self.x[0])
        up = (point[1] - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)


def line_chart(
    title: str, series: Sequence[Series], *, x_label: str, y_label: str, y_range: tuple[float, float] | None = None
) -> Markup:
    """Curves over one axis, with a legend; nothing but a sentence where there are no points."""
    points = [point for each in series for point in each.points]
    if not points:
        return element("p", f"{title}: nothing to show yet.")
    scale = _Scale(_padded([x for x, _ in points]), y_range or _padded([0.0, *(y for _, y in points)]))
    curves = [_curve(each, scale) for each in series if each.points]
    legend = element(
        "ul",
        *(element("li", _swatch(each), each.label) for each in series if each.points and each.label),
        class_="legend",
    )
    told = f"{y_label} over {x_label}. " + " ".join(_told(each, x_label) for each in series if each.points)
    return _figure(title, told, [_axes(scale, x_label, y_label), *curves], legend)


def histogram(
    title: str, values: Sequence[float], *, x_label: str, y_label: str, limits: tuple[float, float], bins: int = 20
) -> Markup:
    """How often values fall between ``limits``; those beyond count with the outermost."""
    clipped = np.clip(np.asarray(values, np.float64), *limits)
    counts, edges = np.histogram(clipped, bins, limits)
    scale = _Scale(limits, (0.0, max(float(counts.max(initial=1)), 1.0)))
    bars, counted = [], []
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        (x, y), (end, floor) = scale.at((left, count)), scale.at((right, 0))
        if count:
            bar = {"x": _r(x + 0.5), "y": _r(y), "width": _r(end - x - 1), "height": _r(floor - y)}
            counted.append(f"{left:.2f} to {right:.2f}: {count}")
            bars.append(element("rect", element("title", counted[-1]), class_="bar", **bar))
    median = float(np.median(clipped)) if clipped.size else None
    marks = []
    if median is not None:
        (x, top), (_, floor) = scale.at((median, scale.y[1])), scale.at((median, 0))
        marks = [
            element("line", x1=_r(x), x2=_r(x), y1=_r(top), y2=_r(floor), class_="median"),
            element(
                "text", f"median {median:.2f}", x=_r(min(max(x, LEFT + 35), WIDTH - 40)), y=_r(top - 5), class_="middle"
            ),
        ]
    middle = "" if median is None else f", median {median:.2f}"
    told = f"{y_label} by {x_label}, {clipped.size} in all{middle}. {'; '.join(counted)}"
    return _figure(title, told, [_axes(scale, x_label, y_label), *bars, *marks])


def scatter(title: str, points: Sequence[Point], *, x_label: str, y_label: str, y_range: tuple[float, float]) -> Markup:
    """A cloud of points."""
    shown = _thinned(points, 3 * MOST_POINTS)
    scale = _Scale(_padded([x for x, _ in shown]), y_range)
    places = [scale.at(point) for point in shown]
    dots = [element("circle", cx=_r(x), cy=_r(y), r=2.5, class_="dot") for x, y in places]
    told = f"{y_label} over {x_label} at {len(points)} points."
    told += "".join(
        f" {name} from {_figures(min(values))} to {_figures(max(values))}, median {_figures(np.median(values))}."
        for name, values in zip((x_label, y_label), zip(*points, strict=True), strict=True)
    )
    return _figure(title, told, [_axes(scale, x_label, y_label), *dots])


def bar(share: float | None, label: str) -> Markup:
    """A value in [0, 1] as a short bar beside its number, for tables."""
    if share is None:
        return element("span", "–", class_="none")
    length = _r(60 * min(max(share, 0.0), 1.0))
    drawn = element(
        "svg",
        element("rect", width=60, height=8, class_="rail"),
        element("rect", width=length, height=8, class_="bar"),
        viewBox="0 0 60 8",
        class_="meter",
        aria_hidden="true",
    )
    return element("span", label, drawn, class_="metered")


def _figure(title: str, told: str, drawn: Sequence[Child], legend: Markup | None = None) -> Markup:
    picture = element("svg", drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=told)
    return element("figure", element("figcaption", title), picture, legend, class_="chart")


def _axes(scale: _Scale, x_label: str, y_label: str) -> list[Markup]:
    parts = []
    for value in _ticks(*scale.y):
        x, y = scale.at((scale.x[0], value))
        parts += [
            element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=_r(y), y2=_r(y), class_="grid"),
            element("text", _shown(value), x=_r(x - 5), y=_r(y + 3.5), class_="end"),
        ]
    for value in _ticks(*scale.x):
        x, y = scale.at((value, scale.y[0]))
        parts.append(element("text", _shown(value), x=_r(x), y=_r(y + 14), class_="middle"))
    middle = _r((TOP + HEIGHT - BOTTOM) / 2)
    parts += [
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM, class_="axis"),
        element("text", x_label, x=_r((LEFT + WIDTH - RIGHT) / 2), y=HEIGHT - 6, class_="middle"),
        element("text", y_label, x=0, y=0, transform=f"translate(11 {middle}) rotate(-90)", class_="middle"),
    ]
    return parts


def _curve(series: Series, scale: _Scale) -> list[Markup]:
    places = [scale.at(point) for point in _thinned(series.points, MOST_POINTS)]
    every = math.ceil(len(places) / MARKED_POINTS)
    # Curves that lie on each other have their marks at different places.
    marks = _marks(series, places[every * (series.colour % COLOURS) // COLOURS :: every])
    if len(places) == 1:
        return [marks]
    line = " ".join(f"{_r(x)},{_r(y)}" for x, y in places)
    return [element("polyline", points=line, class_=_line_classes(series)), marks]


def _swatch(series: Series) -> Markup:
    line = element("line", x1=0, x2=22, y1=5, y2=5, class_=_line_classes(series))
    return element("svg", line, _marks(series, [(11, 5)]), viewBox="0 0 22 10", class_="swatch", aria_hidden="true")


def _line_classes(series: Series) -> str:
    return f"curve c{series.colour % COLOURS}" + (" dashed" if series.dashed else "")


def _marks(series: Series, places: Sequence[Point]) -> Markup:
    number = series.colour % COLOURS
    return element("path", d="".join(f"M{_r(x)},{_r(y)}{MARKS[number]}" for x, y in places), class_=f"mark c{number}")


def _told(series: Series, x_label: str) -> str:
    """A curve in a sentence."""
    (x_first, first), (x_last, last) = series.points[0], series.points[-1]
    name = series.name or series.label
    if len(series.points) == 1:
        return f"{name}: {_figures(first)} at {x_label} {_shown(x_first)}."
    (x_low, low), (x_high, high) = (choose(series.points, key=lambda point: point[1]) for choose in (min, max))
    return (
        f"{name}: from {_figures(first)} at {x_label} {_shown(x_first)} to {_figures(last)} at {_shown(x_last)}, "
        f"lowest {_figures(low)} at {_shown(x_low)}, highest {_figures(high)} at {_shown(x_high)}."
    )


def _thinned(points: Sequence[Point], most: int) -> list[Point]:
    """Every so many-th point, the last one always."""
    step = math.ceil(len(points) / most) or 1
    return [*points[:-1:step], *points[-1:]]


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float) -> list[float]:
    """About ``TICKS`` round numbers between two others."""
    raw = (high - low) / TICKS
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if magnitude * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 10) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _shown(value: float) -> str:
    return f"{value:g}" if abs(value) < 10_000 else f"{value:.0e}"


def _figures(value: float) -> str:
    return f"{value:.3g}"


def _r(value: float) -> float:
    """A place in the picture, as short as can be seen."""
    return round(float(value), 1)
