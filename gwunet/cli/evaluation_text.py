"""Scores as tables for the screen."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gwunet.evaluation import Scores, Summary
    from gwunet.evaluation.bootstrap import Intervals
    from gwunet.evaluation.comparison import Compared, Comparison
    from gwunet.evaluation.localization import Distribution, Localization
    from gwunet.evaluation.summary import GroupScores

WORST_SHOWN = 3
PATIENTS_SHOWN = 12
TWO_DECIMALS = ("breaks", "false_pieces", "b0_error", "b1_error", "wires_missed", "wires_false")
"""As lengths in pixels; the others, rates, have four."""
WHERE_KNOWN = ("auc", "tip_error_px", "ece", "brier")
"""Not shown where nothing is given to compute them from."""


def format_summary(summary: "Summary") -> str:
    """One prediction's scores."""
    intervals = summary.confidence_intervals
    heading = f"{intervals.level:.0%} interval"
    lines = [
        _counted(summary),
        f"{'':14}{'pooled':>9}  {heading:>18}{'mean of frames':>16}  {heading:>18}",
        *(_row(name, summary) for name in _names(summary.pooled)),
        _intervals_line(intervals),
        "",
        "as in the paper, %: "
        + "   ".join(f"{name} {'-' if value is None else f'{value:.2f}'}" for name, value in summary.paper.items()),
        *_remarks(summary),
        *(_wire_lines(summary.localization) if summary.localization else ()),
        *_patient_lines(summary.patients),
        "",
        "worst frames by Dice:",
    ]
    scored = [frame for frame in summary.frames if frame["dice"] is not None]
    worst = sorted(scored, key=lambda frame: (frame["dice"], frame["case"]))[:WORST_SHOWN]
    return "\n".join([*lines, *(f"  {_described(frame)}" for frame in worst)])


def format_comparison(comparison: "Comparison") -> str:
    """Several predictions' mean scores in one column each, and their differences to the first."""
    names = comparison.predictions
    width = max(11, *map(len, names)) + 2
    first, *others = names
    lines = [
        f"means over {_number_of(comparison.n_frames, 'frame')}",
        f"{'':22}" + "".join(f"{name:>{width}}" for name in names),
        *(
            f"{each.metric:22}" + "".join(f"{_value(each.metric, each.means[name]):>{width}}" for name in names)
            for each in comparison.metrics
        ),
    ]
    for other in others:
        lines += ["", f"{other} less {first}, bootstrap over {_number_of(comparison.n_groups, comparison.unit)}:"]
        lines += [f"  {each.metric:20}{_difference(each, other)}" for each in comparison.metrics]
    if comparison.not_compared:
        lines += ["", f"not compared, missing in one of them: {len(comparison.not_compared)}"]
    return "\n".join(lines)


def _difference(compared: "Compared", name: str) -> str:
    found = [each for each in compared.differences if each.one == name]
    if not found:
        return f"{'-':>9}  {compared.not_computed[name]}"
    decimals = _decimals(compared.metric)
    (difference,) = found
    limits = ""
    if difference.interval is not None:
        limits = " to ".join(f"{limit:+.{decimals}f}" for limit in difference.interval)
    return f"{difference.difference:>+9.{decimals}f}  {limits:20}  {difference.verdict}"


def _counted(summary: "Summary") -> str:
    parts = [(summary.n_frames, "frame"), (len(summary.sequences), "sequence"), (len(summary.patients), "patient")]
    return ", ".join(_number_of(n, name) for n, name in parts if n)


def _intervals_line(intervals: "Intervals") -> str:
    drawn = _number_of(intervals.n_groups, intervals.unit)
    if not (intervals.pooled or intervals.per_frame_mean):
        return f"no intervals: {drawn}, wanted six at least"
    return f"intervals: bootstrap over {drawn}"


def _number_of(n: int, name: str) -> str:
    return f"{n} {name}{'' if n == 1 else 's'}"


def _names(scores: "Scores") -> Sequence[str]:
    from gwunet.evaluation import METRICS

    return [name for name in METRICS if name not in WHERE_KNOWN or scores.value(name) is not None]


def _row(name: str, summary: "Summary") -> str:
    intervals = summary.confidence_intervals
    cells = (
        f"{name:14}{_value(name, summary.pooled.value(name)):>9}  {_interval(name, intervals.pooled):>18}",
        f"{_value(name, summary.per_frame_mean.value(name)):>16}  {_interval(name, intervals.per_frame_mean):>18}",
    )
    return "".join(cells)


def _decimals(name: str) -> int:
    return 2 if name in TWO_DECIMALS or name.endswith("_px") else 4


def _value(name: str, value: float | None) -> str:
    return "-" if value is None else f"{value:.{_decimals(name)}f}"


def _interval(name: str, limits: Mapping[str, tuple[float, float]]) -> str:
    return "-" if name not in limits else " to ".join(_value(name, limit) for limit in limits[name])


def _remarks(summary: "Summary") -> list[str]:
    """What a reader must know before trusting the table."""
    empty = summary.frames_without_wire
    remarks = {
        "frames without wire, rightly empty (overlap counted as 1)": empty.both_empty,
        "false alarms in frames without wire": empty.reference_empty,
        "frames in which nothing was predicted": empty.prediction_empty,
        "not scored, reference or prediction missing": summary.not_scored,
    }
    return [f"{text}: {len(cases)}" for text, cases in remarks.items() if cases]


def _wire_lines(localization: "Localization") -> list[str]:
    scores = localization.all_frames
    distances: dict[str, Distribution | None] = {
        "tip error": scores.tip_error_px,
        "base error": scores.base_error_px,
        "mean distance": scores.mean_distance_px,
        "Hausdorff": scores.hausdorff_px,
        "Fréchet": scores.frechet_px,
    }
    within = [f"{limit} px {_percent(share)}" for limit, share in scores.tips_within_px.items()]
    lines = [
        "",
        f"wires: {scores.n_wires} true ({localization.reference}), {scores.n_predicted} found "
        f"({localization.prediction}), {scores.n_matched} matched",
        f"{'px':14}{'median':>9}{'mean':>9}{'95th %':>9}{'largest':>9}",
        *(f"{name:14}{_spread(spread)}" for name, spread in distances.items()),
        f"tips within: {', '.join(within)}; ends swapped {_percent(scores.ends_swapped)}",
        f"frames with a missed wire {_percent(scores.frames_with_missed)}, "
        f"with a false one {_percent(scores.frames_with_false)}",
    ]
    if scores.tips_unknown:
        lines.append(
            f"wires whose tip the reference masks do not tell, ends paired as fits best: {scores.tips_unknown} "
            "(gw_evaluate knows them from centrelines.json)"
        )
    intervals = localization.confidence_intervals
    if "tip_error_px" in intervals.medians:
        low, high = intervals.medians["tip_error_px"]
        drawn = _number_of(intervals.n_groups, intervals.unit)
        lines.append(
            f"median tip error, {intervals.level:.0%} interval: {low:.2f} to {high:.2f}, bootstrap over {drawn}"
        )
    if scores.identity_switches is not None:
        lines.append(f"identity switches: {scores.identity_switches}")
    if localization.not_judged:
        lines.append(f"frames without true wires to compare with: {len(localization.not_judged)}")
    return lines


def _spread(spread: "Distribution | None") -> str:
    if spread is None:
        return f"{'-':>9}" * 4
    return "".join(f"{value:9.2f}" for value in (spread.median, spread.mean, spread.p95, spread.maximum))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _patient_lines(patients: "Sequence[GroupScores]") -> list[str]:
    """The patients with the lowest pooled Dice."""
    if len(patients) < 2:
        return []
    columns = ("dice", "recall", "cldice", "hd95_px")
    worst = sorted(patients, key=lambda patient: (patient.pooled.dice or 0, patient.name))
    title = "patients, pooled" if len(worst) <= PATIENTS_SHOWN else f"patients, pooled, the {PATIENTS_SHOWN} worst"
    width = max(len(title), *(len(patient.name) for patient in worst)) + 2
    return [
        "",
        f"{title:{width}}{'frames':>7}" + "".join(f"{name:>9}" for name in columns),
        *(
            f"{patient.name:{width}}{patient.n_frames:>7}"
            + "".join(f"{_value(name, patient.pooled.value(name)):>9}" for name in columns)
            for patient in worst[:PATIENTS_SHOWN]
        ),
    ]


def _described(frame: Mapping[str, Any]) -> str:
    rates = ", ".join(f"{name} {frame[name]:.2f}" for name in ("precision", "recall"))
    breaks = "missed" if frame["breaks"] is None else f"breaks {frame['breaks']:g}"
    return f"{frame['dice']:.4f}  {frame['case']}  {rates}, {breaks}"
