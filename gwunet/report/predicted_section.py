"""The part of the page on prediction: how fast, and how good on other frames, where it was run."""

from collections.abc import Mapping, Sequence
from typing import Any

from gwunet.evaluation.resampling import FEWEST_GROUPS
from gwunet.inference.run_record import DIGEST, in_short
from gwunet.report.cross_validated import inside, span
from gwunet.report.markup import Markup, element
from gwunet.report.material import Material, Predicted
from gwunet.report.parts import facts, number, section, table
from gwunet.report.results import METRICS


def predicted_section(material: Material) -> Markup:
    """Speed and scores of the folders given, and the versions of everything."""
    return section(
        "versions",
        "Speed and versions",
        _runs(material.predicted),
        [_scores(each) for each in material.predicted if each.summary is not None],
        _trained_with(material),
    )


def _runs(predicted: Sequence[Predicted]) -> Markup:
    if not any(each.runs for each in predicted):
        return element(
            "p",
            "No speed of prediction: give folders that gw_predict wrote with -p, and what they took per frame, and the "
            "scores gw_evaluate found, stand here.",
        )
    header = ("folder", "frames", "ms per frame", "frames per second", "device", "runtime", "model", "gwunet")
    rows = [
        (
            each.name,
            str(run.get("n_frames", "–")),
            number(run.get("ms_per_frame"), 1),
            number(run.get("frames_per_second"), 1),
            str(run.get("device", "–")),
            str(run.get("runtime", "–")),
            _model(run.get("model")),
            str(run.get("gwunet", "–")),
        )
        for each in predicted
        for run in each.runs
    ]
    return table(header, rows, label="runs of gw_predict")


def _model(model: Any) -> str:
    if not isinstance(model, dict):
        return "–"
    named = {key: in_short(value) if key == DIGEST else value for key, value in model.items()}
    return ", ".join(f"{key} {value}" for key, value in named.items())


def _scores(predicted: Predicted) -> Markup:
    summary: Mapping[str, Any] = predicted.summary or {}
    means, intervals = inside(summary, "per_frame_mean"), inside(summary, "confidence_intervals")
    groups = intervals.get("n_groups")
    enough = isinstance(groups, int) and groups >= FEWEST_GROUPS
    limits = inside(intervals, "per_frame_mean") if enough else {}
    rows = [
        (metric.label, number(means.get(metric.key), metric.decimals), span(limits.get(metric.key), metric.decimals))
        for metric in METRICS
        if isinstance(means.get(metric.key), int | float)
    ]
    unit = f"{groups} {intervals.get('unit', 'group')}s" + ("" if enough else ", too few")
    return element(
        "div",
        element("h3", f"Scores of {predicted.name}: {summary.get('n_frames', '?')} frames"),
        table(("metric", "mean", f"interval over {unit}"), rows, label=f"scores of {predicted.name}"),
        _wires(inside(summary, "localization")),
    )


def _wires(localization: Mapping[str, Any]) -> Markup | None:
    """Errors of the located wires, where gw_evaluate judged them."""
    scores = inside(localization, "all_frames")
    names = {"tip_error_px": "tip", "base_error_px": "base", "hausdorff_px": "centreline (Hausdorff)"}
    rows = [
        (name, *(number(inside(scores, key).get(statistic), 1) for statistic in ("mean", "median", "p95", "maximum")))
        for key, name in names.items()
        if inside(scores, key)
    ]
    if not rows:
        return None
    header = ("error of the matched wires (px)", "mean", "median", "95 % below", "largest")
    shares = ", ".join(
        f"within {limit} px {number(share)}" for limit, share in inside(scores, "tips_within_px").items()
    )
    return element("div", table(header, rows, label="errors of located wires"), element("p", f"Tips: {shares}."))


def _trained_with(material: Material) -> Markup | None:
    starts = [(model, fold) for model in material.models for fold in model.folds if fold.start]
    if not starts:
        return None
    known = {
        f"{model.configuration}, fold {fold.name}": ", ".join(
            f"{key} {fold.start[key]}" for key in ("torch", "python", "device", "seed") if key in fold.start
        )
        for model, fold in starts
    }
    return element("details", element("summary", "what each fold was trained with"), facts(known))
