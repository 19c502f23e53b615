"""Markup, pictures and charts by themselves."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from gwunet.inference.overlay import FALSE, HIT, MISSED
from gwunet.report.charts import Series, histogram, line_chart, scatter
from gwunet.report.frames import examples
from gwunet.report.markup import Markup, element
from gwunet.report.pictures import _shrunk, layers_of, thumbnail
from gwunet.report.wire_look import look_at_wire


def test_text_is_escaped_and_markup_is_not() -> None:
    assert element("p", "a < b & 'c'", class_="x") == '<p class="x">a &lt; b &amp; &#x27;c&#x27;</p>'
    assert element("p", element("b", "<"), [1, None, "&"]) == "<p><b>&lt;</b>1&amp;</p>"
    assert element("img", alt='"><script>', hidden=True, width=None) == '<img alt="&quot;&gt;&lt;script&gt;" hidden>'
    assert isinstance(element("p"), Markup)
    assert not isinstance(element("p") + "<", Markup)  # what is put together by hand is text again


def opened(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1]))).convert("RGBA"))


def test_layers_show_each_pixel_where_it_lies() -> None:
    frame = np.full((300, 400), 100, np.uint8)
    reference, prediction = np.zeros((2, 300, 400), np.uint8)
    reference[150, 100:300], prediction[150, 200:320] = 1, 1
    reference[150, 310:320] = 2  # left out: no error there
    layers = layers_of(frame, prediction, reference)
    found, predicted = opened(layers.errors), opened(layers.prediction)
    assert found.shape == (layers.height, layers.width, 4)
    (row,) = np.unique(np.nonzero(found[..., 3])[0])
    left = np.nonzero(found[row, :, 3])[0][0]
    colours = [tuple(found[row, left + column, :3]) for column in (0, 99, 100, 199, 200, 209)]
    assert colours == [(90, 190, 255)] * 2 + [(0, 200, 140)] * 2 + [(255, 80, 0)] * 2
    assert np.count_nonzero(predicted[..., 3]) == 110
    assert opened(layers.frame).shape[:2] == found.shape[:2]


def test_a_wire_of_one_pixel_outlives_scaling_down() -> None:
    frame, empty = np.zeros((1400, 1400), np.uint8), np.zeros((1400, 1400), np.uint8)
    reference = empty.copy()
    reference[700, 20:1380] = 1
    layers = layers_of(frame, empty, reference)
    shown = opened(layers.reference)[..., 3] > 0
    assert max(shown.shape) == 480
    assert shown.any(axis=0).sum() > 0.98 * 480 * 1360 / 1400


@pytest.mark.parametrize("size", [200, 417, 999, 1000])
def test_thin_lines_stay_whole_at_any_size(size: int) -> None:
    """Against a loop over the cells; of 1000 px a line of one keeps each of its pixels' cells."""
    mask = np.zeros((1000, 60), bool)
    mask[37, 5:50] = mask[300:900, 41] = True
    width = max(1, round(60 * size / 1000))
    shrunk = _shrunk(mask, (width, size))
    wanted = np.zeros((size, width), bool)
    for row, column in np.argwhere(mask):
        cells = [
            next(k for k in range(n) if place < (k + 1) * whole // n)
            for place, n, whole in ((row, size, 1000), (column, width, 60))
        ]
        wanted[tuple(cells)] = True
    np.testing.assert_array_equal(shrunk, wanted)


def test_a_stamp_shows_thin_errors_and_not_the_rims_of_what_is_found() -> None:
    frame, (prediction, reference) = np.full((1100, 1100), 120, np.uint8), np.zeros((2, 1100, 1100), np.uint8)
    prediction[200:204, 50:1050] = reference[201:205, 50:1050] = 1  # found, one row aside
    prediction[600, 50:1050] = 1
    reference[900, 50:1050] = 1
    uri, *_ = thumbnail(frame, prediction, reference)
    shown = opened(uri)[..., :3].astype(int)

    def rows_of(colour: tuple[int, int, int]) -> int:
        """Most of whose pixels are near it, three quarters over black; the picture is a JPEG."""
        return int(((np.abs(shown - 0.75 * np.array(colour)).max(axis=-1) < 40).mean(axis=1) > 0.85).sum())

    assert rows_of(HIT) in (1, 2)
    assert [rows_of(FALSE), rows_of(MISSED)] == [1, 1]


def test_contrast_is_in_deviations_of_the_surroundings() -> None:
    """A wire 40 grey levels darker than surroundings of deviation 10."""
    mask = np.zeros((80, 200), np.uint8)
    mask[40:43, 5:195] = 1
    checks = np.where(np.indices(mask.shape).sum(axis=0) % 2, 110, 90).astype(np.uint8)
    look = look_at_wire(np.where(mask == 1, 60, checks).astype(np.uint8), mask)
    assert look is not None
    assert look.contrast == pytest.approx(4.0, abs=0.05)
    assert look.width_px == 3
    assert look_at_wire(checks, np.zeros_like(mask)) is None


def test_examples_are_worst_median_and_best_and_none_twice() -> None:
    rows = [{"case": f"c{number:02}", "dice": number / 20} for number in range(21)]
    shown = {kind: [row["case"] for row in found] for kind, found in examples(rows).items()}
    assert shown == {
        "worst": ["c00", "c01", "c02", "c03", "c04", "c05"],
        "median": ["c10", "c11", "c12"],
        "best": ["c20", "c19", "c18"],
    }
    few = [row["case"] for found in examples(rows[:7]).values() for row in found]
    assert few == ["c00", "c01", "c02", "c03", "c04", "c05", "c06"]


def test_curves_of_many_epochs_stay_small_and_end_where_they_end() -> None:
    points = tuple((float(epoch), 1 / (epoch + 1)) for epoch in range(10_000))
    chart = line_chart("loss", [Series(label="fold 0", points=points)], x_label="epoch", y_label="loss")
    drawn = chart.split('points="')[1].split('"')[0].split(" ")
    assert 300 < len(drawn) <= 401
    assert float(drawn[-1].split(",")[0]) == 372  # the right end of the axis


def test_a_histogram_counts_every_value_once() -> None:
    chart = histogram("Dice", [0.0, 0.51, 0.53, 1.0], x_label="Dice", y_label="frames", limits=(0.0, 1.0), bins=4)
    assert [chart.count(f": {count}<") for count in (1, 2)] == [2, 1]
    assert "median 0.52" in chart


def told(chart: str) -> str:
    """What is read out in a chart's place."""
    (words,) = re.findall(r'role="img" aria-label="([^"]*)"', chart)
    return words


def test_charts_say_their_values_in_words() -> None:
    curve = Series(label="fold 0", points=((0, 0.9), (1, 0.2), (2, 0.3)))
    inner = Series(label="", points=((0, 0.5),), dashed=True, name="fold 0 in training")
    chart = line_chart("Losses", [curve, inner], x_label="epoch", y_label="loss")
    assert told(chart) == (
        "loss over epoch. fold 0: from 0.9 at epoch 0 to 0.3 at 2, lowest 0.2 at 1, highest 0.9 at 0. "
        "fold 0 in training: 0.5 at epoch 0."
    )
    chart = histogram("Dice", [0.1, 0.6, 0.6], x_label="Dice", y_label="frames", limits=(0.0, 1.0), bins=2)
    assert told(chart) == "frames by Dice, 3 in all, median 0.60. 0.00 to 0.50: 1; 0.50 to 1.00: 2"
    chart = scatter("Dice by width", [(2, 0.5), (3, 0.7), (4, 0.9)], x_label="width", y_label="Dice", y_range=(0, 1))
    assert told(chart) == "Dice over width at 3 points. width from 2 to 4, median 3. Dice from 0.5 to 0.9, median 0.7."
    assert "<title>Dice by width" not in chart  # the caption says it already


def test_curves_differ_by_more_than_their_colour() -> None:
    folds = [Series(label=f"fold {number}", points=((0, 0.1), (9, 0.2)), colour=number) for number in range(5)]
    chart = line_chart("Losses", folds, x_label="epoch", y_label="loss")
    drawn = re.findall(r'<path d="M[-0-9.,]+(m[^"M]*)[^"]*" class="mark c(\d)">', chart)
    shapes = {shape for shape, _ in drawn}
    assert len(shapes) == len({number for _, number in drawn}) == 5
    assert len(set(drawn)) == 5  # in the legend as on the curve
    assert len(drawn) == 10
