"""The part of the page on how good the models are on frames they never saw, where they fail, and how."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gwunet.report.charts import bar, histogram, scatter
from gwunet.report.cross_validated import best_configuration, cross_validated
from gwunet.report.failures import GroupResult
from gwunet.report.findings import Findings
from gwunet.report.frames import examples, small_picture, viewer
from gwunet.report.markup import Child, Markup, element, joined
from gwunet.report.material import Material
from gwunet.report.parts import number, section, table
from gwunet.report.results import IN_BRIEF, METRICS, Results, Value, numbers_of

Row = Mapping[str, Any]

WITH_PICTURES = 3
"""So many models, the best first, are shown with pictures: the page has to open quickly."""
STAMPS = 16
"""So many patients, the worst first, have a picture in their table."""
GROUPS_OPEN = 20
"""So many patients, the worst first, are seen at once; the others unfold."""
COLOURS = {"hit": "found", "false": "false", "missed": "missed", "predicted": "prediction", "reference": "reference"}


def results_section(material: Material, findings: Sequence[Findings]) -> Markup:
    """Tables, distributions, patients and frames of every model with validated folds."""
    if not findings:
        words = "No fold is validated yet. gw_train ends with the validation of its fold."
        return section("results", "Results", element("p", words))
    return section(
        "results",
        "Results on frames the models never saw",
        element(
            "p",
            "Each frame was predicted by the fold that did not train on it. ",
            "Means are over frames; an interval is drawn over whole groups, whose frames resemble one another.",
        ),
        _comparison(findings) if len(findings) > 1 else None,
        _key(),
        best_configuration(material.best, material) if material.best else None,
        [_model(material, each, place < WITH_PICTURES) for place, each in enumerate(findings)],
    )


def _comparison(findings: Sequence[Findings]) -> Markup:
    keys = [key for key in IN_BRIEF if any(each.results.value(key) for each in findings)]
    names = {metric.key: metric.label for metric in METRICS}
    rows: list[list[Child]] = []
    for each in findings:
        values = [each.results.value(key) for key in keys]
        folds = ", ".join(fold.name for fold in each.model.folds if fold.rows)
        n_frames = each.results.n_frames
        rows.append([each.model.name, folds, str(n_frames), *(mean_with_frames(value, n_frames) for value in values)])
    header = ("model", "folds", "frames", *(names[key] for key in keys))
    note = "Models of different folds or frames cannot be compared." if _differ(findings) else None
    return element("div", table(header, rows, label="models side by side"), element("p", note) if note else None)


def _differ(findings: Sequence[Findings]) -> bool:
    return len({frozenset(row["case"] for row in each.rows) for each in findings}) > 1


def mean_with_frames(value: Value | None, n_frames: int) -> str:
    """With the number of frames where not all have the metric: those of another model may be others."""
    if value is None:
        return "–"
    of = f" ({value.n_frames} frames)" if value.n_frames < n_frames else ""
    return f"{value.mean:.{value.metric.decimals}f}{of}"


def _key() -> Markup:
    items = [element("li", element("span", class_=f"patch {kind}"), words) for kind, words in COLOURS.items()]
    return element("ul", items, class_="legend", aria_label="colours in the pictures")


def _model(material: Material, found: Findings, with_pictures: bool) -> Markup:
    model, results = found.model, found.results
    shown = with_pictures and material.raw is not None
    return element(
        "section",
        element("h3", model.name),
        element("p", _which_folds(material, found)),
        table(_header(results), [_metric_row(value) for value in results.values], label="metrics"),
        element("p", _about_intervals(results), class_="note"),
        cross_validated(model.cross_validation, results, material) if model.cross_validation else None,
        element("h4", "Distributions"),
        element("div", *_distributions(found), class_="charts"),
        element("h4", f"By {results.unit}, worst first"),
        _groups(material, found, shown),
        [element("h4", "Worst, median and best frames"), *_examples(material, found)] if shown else None,
        element("h4", "Every frame"),
        _every_frame(found.rows),
        aria_label=model.name,
    )


def _which_folds(material: Material, found: Findings) -> str:
    there = [fold.name for fold in found.model.folds if fold.rows]
    of = f" of {material.n_folds}" if material.n_folds else ""
    missing = sorted(set(map(str, range(material.n_folds or 0))) - set(there))
    words = f"{len(there)}{of} folds, {found.results.n_frames} frames"
    return words + (f"; not validated yet: fold {', '.join(missing)}" if missing else "")


def _header(results: Results) -> tuple[str, ...]:
    folds = results.values[0].by_fold if results.values else {}
    return ("metric", "mean", f"{results.level:.0%} interval", "frames", *(f"fold {fold}" for fold in folds))


def _metric_row(value: Value) -> list[Child]:
    digits = value.metric.decimals
    interval = (
        "–"
        if value.interval is None
        else "{:.{}f} to {:.{}f}".format(value.interval[0], digits, value.interval[1], digits)
    )
    name = [value.metric.label, element("small", value.metric.meaning)]
    folds = ["–" if mean is None else f"{mean:.{digits}f}" for mean in value.by_fold.values()]
    return [name, f"{value.mean:.{digits}f}", interval, str(value.n_frames), *folds]


def _about_intervals(results: Results) -> str:
    groups = f"{results.n_groups} {results.unit}{'s' if results.n_groups > 1 else ''}"
    if all(value.interval is None for value in results.values):
        return f"No intervals: {groups} are too few to draw from."
    return f"Intervals by bootstrap over {groups}."


def _distributions(found: Findings) -> list[Markup]:
    model, rows = found.model.name, found.rows
    charts = [
        histogram(
            f"Dice of single frames, {model}",
            numbers_of(rows, "dice"),
            x_label="Dice",
            y_label="frames",
            limits=(0.0, 1.0),
        )
    ]
    if 1 < len(found.groups) < len(rows):
        means, unit = [group.dice for group in found.groups], found.results.unit
        charts.append(
            histogram(
                f"Mean Dice of each {unit}, {model}", means, x_label="Dice", y_label=f"{unit}s", limits=(0.0, 1.0)
            )
        )
    return charts + _explanations(found)


def _explanations(found: Findings) -> list[Markup]:
    """Dice against what could explain it, with how much it does."""
    looked = [(look, float(row["dice"])) for row in found.rows if (look := found.looks.get(row["case"])) is not None]
    clouds = {
        "contrast of the wire (standard deviations)": [
            (look.contrast, dice) for look, dice in looked if look.contrast is not None
        ],
        "width of the wire (px)": [(look.width_px, dice) for look, dice in looked],
    }
    return [
        scatter(
            f"Dice by {what}: rank correlation {rank_correlation(points):.2f}",
            points,
            x_label=what,
            y_label="Dice",
            y_range=(0.0, 1.0),
        )
        for what, points in clouds.items()
        if len(points) > 2
    ]


def rank_correlation(points: Sequence[tuple[float, float]]) -> float:
    """Spearman's; 0 where one of the two does not vary."""
    from scipy.stats import rankdata

    ranks = [rankdata([point[axis] for point in points]) for axis in (0, 1)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return 0.0
    return float(np.corrcoef(ranks)[0, 1])


def _groups(material: Material, found: Findings, shown: bool) -> Markup:
    by_case = {row["case"]: row for row in found.rows}
    unit = found.results.unit
    header = (unit, "worst frame", "Dice", "frames", "precision", "recall", "what went wrong", "what is unusual here")
    rows = []
    for place, group in enumerate(found.groups):
        stamp = (
            small_picture(material.raw, found.model, by_case[group.worst_case]) if shown and place < STAMPS else None
        )
        rows.append(_group_row(group, stamp))
    worst, others = rows[:GROUPS_OPEN], rows[GROUPS_OPEN:]
    made = table(header, worst, label=f"{unit}s, worst first", stacked=True, numbers=False)
    if not others:
        return made
    more = table(header, others, label=f"the other {unit}s", stacked=True, numbers=False)
    return joined([made, element("details", element("summary", f"the other {len(others)} {unit}s"), more)])


def _group_row(group: GroupResult, stamp: Markup | None) -> list[Child]:
    named = element("span", f"{group.worst_case} ({group.lowest_dice:.2f})", class_="case")
    return [
        group.name,
        [stamp, named],
        bar(group.dice, f"{group.dice:.3f}"),
        str(group.n_frames),
        "–" if group.precision is None else f"{group.precision:.2f}",
        "–" if group.recall is None else f"{group.recall:.2f}",
        _listed(group.faults, "nothing beyond single pixels"),
        _listed(group.circumstances, "–"),
    ]


def _listed(words: Sequence[str], otherwise: str) -> Child:
    return element("ul", *(element("li", each) for each in words)) if words else otherwise


def _examples(material: Material, found: Findings) -> list[Markup]:
    assert material.raw is not None  # else there are no pictures
    raw = material.raw
    return [
        element(
            "div",
            element("h5", kind.capitalize()),
            element("div", *(viewer(raw, found.model, row) for row in rows), class_="viewers"),
        )
        for kind, rows in examples(found.rows).items()
        if rows
    ]


def _every_frame(rows: Sequence[Row]) -> Markup:
    metrics = [metric for metric in METRICS if metric.key in IN_BRIEF and numbers_of(rows, metric.key)]
    ordered = sorted(rows, key=lambda row: (row["dice"], row["case"]))
    cells: list[list[Child]] = [
        [
            row["case"],
            str(row.get("patient") or "–"),
            str(row["fold"]),
            *(number(row.get(metric.key), metric.decimals) for metric in metrics),
        ]
        for row in ordered
    ]
    header = ("frame", "patient", "fold", *(metric.label for metric in metrics))
    return element(
        "details",
        element("summary", f"{len(rows)} frames, lowest Dice first"),
        table(header, cells, label="every frame"),
        class_="long",
    )
