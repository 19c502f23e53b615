"""What ``gw_find_best_configuration`` found, where it was run: postprocessing, sites, and which model to use.

Its files are shown as they are: a key that is missing or of another kind leaves its cell empty.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gwunet.report.markup import Child, Markup, element
from gwunet.report.material import Material
from gwunet.report.parts import facts, number, table
from gwunet.report.results import IN_BRIEF, METRICS, Results
from gwunet.report.standing import outdated, says_of_what

TOLERANCE = 0.005
"""Probabilities are kept in steps, so the mean Dice of the same masks may differ by so much."""
AGAIN = "Run gw_find_best_configuration again."


def cross_validated(found: Mapping[str, Any], results: Results, material: Material) -> Markup:
    """``cross_validation.json`` of one model, beside the results of its folds as they are now."""
    planned, processed = (inside(found, name) for name in ("as_planned", "postprocessed"))
    before, after = (inside(summary, "per_frame_mean") for summary in (planned, processed))
    limits = inside(inside(processed, "confidence_intervals"), "per_frame_mean")
    rows: list[list[Child]] = [
        [
            metric.label,
            number(before.get(metric.key), metric.decimals),
            number(after.get(metric.key), metric.decimals),
            span(limits.get(metric.key), metric.decimals),
        ]
        for metric in METRICS
        if metric.key in IN_BRIEF and number(before.get(metric.key)) != "–"
    ]
    shipped = {name.replace("_", " "): str(value) for name, value in inside(found, "shipped").items()}
    notes = [str(note) for note in found.get("notes") or ()]
    return element(
        "div",
        element("h4", "With postprocessing chosen on the other folds"),
        element("p", _stale(found, results, material), class_="note"),
        table(("metric", "as planned", "postprocessed", "interval"), rows, label="with and without postprocessing"),
        [element("p", "What prediction uses, chosen on all frames:"), facts(shipped)] if shipped else None,
        [element("p", note, class_="note") for note in notes],
        _sites(found.get("sites")),
    )


def _stale(found: Mapping[str, Any], results: Results, material: Material) -> str | None:
    """A warning where the file is of other frames or other predictions than the folds hold now."""
    if says_of_what(found):
        why = outdated(found, material)
        return f"cross_validation.json is out of date: {why}. {AGAIN}" if why else None
    planned = inside(found, "as_planned")
    dice, now = inside(planned, "per_frame_mean").get("dice"), results.value("dice")
    same_frames = planned.get("n_frames") == results.n_frames
    if same_frames and isinstance(dice, int | float) and now is not None and abs(dice - now.mean) <= TOLERANCE:
        return None
    return (
        "cross_validation.json is not of what the folds hold now: it has "
        f"{planned.get('n_frames')} frames of mean Dice {number(dice)}. {AGAIN}"
    )


def _sites(sites: Any) -> Markup | None:
    parts = [part for part in sites if isinstance(part, dict)] if isinstance(sites, list) else []
    if not parts:
        return None
    rows: list[list[Child]] = [
        [
            str(part.get("name")),
            str(part.get("n_frames")),
            str(part.get("n_groups")),
            number(inside(part, "as_planned").get("dice")),
            number(inside(part, "postprocessed").get("dice")),
        ]
        for part in parts
    ]
    header = ("site", "frames", "groups", "Dice as planned", "Dice postprocessed")
    return element("div", element("h4", "By site"), table(header, rows, label="sites"))


def _of_other_results(found: Mapping[str, Any], material: Material) -> str | None:
    """A warning where candidates were compared by other weights or masks than there are now."""
    if not says_of_what(found):
        return "The file does not say of which weights it is, as an earlier version wrote it."
    why = outdated(found, material)
    return f"This comparison is out of date: {why}. {AGAIN}" if why else None


def best_configuration(found: Mapping[str, Any], material: Material) -> Markup:
    """``best_configuration.json``: candidates, best first, and whether the differences are shown."""
    candidates: list[list[Child]] = [
        [
            str(each.get("name")),
            number(inside(each, "as_planned").get("dice")),
            number(inside(each, "postprocessed").get("dice")),
            span(each.get("interval")),
        ]
        for each in _objects(found.get("candidates"))
    ]
    differences: list[list[Child]] = [
        [
            f"{each.get('one')} less {each.get('other')}",
            number(each.get("difference"), 4),
            span(each.get("interval"), 4),
            str(each.get("verdict")),
        ]
        for each in _objects(found.get("differences"))
    ]
    return element(
        "div",
        element("h3", "Best configuration"),
        element("p", element("b", str(found.get("recommended"))), f": {found.get('reason')}"),
        element("p", _of_other_results(found, material), class_="note"),
        table(
            ("candidate", "Dice as planned", "postprocessed", "interval"), candidates, label="candidates, best first"
        ),
        table(("comparison", "difference", "interval", "verdict"), differences, label="differences")
        if differences
        else None,
    )


def _objects(content: Any) -> Sequence[Mapping[str, Any]]:
    return [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []


def inside(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object of a JSON file; an empty one where there is none."""
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def span(limits: Any, decimals: int = 3) -> str:
    """Lower and upper limit."""
    if not (isinstance(limits, list | tuple) and len(limits) == 2):
        return "–"
    return f"{number(limits[0], decimals)} to {number(limits[1], decimals)}"
