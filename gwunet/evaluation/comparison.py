"""Several predictions of the same frames side by side, and whether they differ from the first."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gwunet.errors import UsageError
from gwunet.evaluation.metrics import METRICS
from gwunet.evaluation.paired import Difference, paired_difference
from gwunet.evaluation.resampling import Unit, groups_of_frames
from gwunet.evaluation.summary import Summary

SCHEMA_VERSION = 1
WIRE_METRICS = ("wire_tip_error_px", "wire_mean_distance_px", "wires_missed", "wires_false")
"""Of a frame: means over its matched wires, and numbers of wires."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One metric of all predictions."""

    metric: str
    means: Mapping[str, float | None]
    """Prediction -> mean over its frames that have the metric, of the frames in common."""
    differences: tuple[Difference, ...]
    """Each prediction but the first, less the first, over the frames in which both have the metric."""
    not_computed: Mapping[str, str] = field(default_factory=dict)
    """Prediction -> why it has no difference."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Its fields are the keys of the comparison's JSON file."""

    schema_version: int
    predictions: tuple[str, ...]
    """The first is what the others are compared with."""
    n_frames: int
    """Those that all predictions have."""
    not_compared: tuple[str, ...]
    """Cases that some lack."""
    unit: Unit
    """What is drawn for intervals."""
    n_groups: int
    metrics: tuple[Compared, ...]


def compare(summaries: Mapping[str, Summary]) -> Comparison:
    """Put the scores of the frames that all have side by side.

    For intervals whole groups are drawn as ``gwunet.evaluation.resampling.unit_of`` says.

    Args:
        summaries: name of each prediction -> its scores; two at least.

    Raises:
        UsageError: there is only one, or no frame that all have.
    """
    if len(summaries) < 2:
        raise UsageError(f"found {len(summaries)} prediction to compare; give two at least")
    frames = {name: {frame["case"]: frame for frame in summary.frames} for name, summary in summaries.items()}
    everywhere = set.intersection(*(set(of_one) for of_one in frames.values()))
    anywhere = set.union(*(set(of_one) for of_one in frames.values()))
    if not everywhere:
        raise UsageError(f"{', '.join(summaries)}: have no frame in common; give predictions of the same frames")
    first = next(iter(frames.values()))
    unit, group_of = groups_of_frames([first[case] for case in sorted(everywhere)])
    values = {name: _values(summary, everywhere) for name, summary in summaries.items()}
    present = [metric for metric in (*METRICS, *WIRE_METRICS) if any(of_one.get(metric) for of_one in values.values())]
    return Comparison(
        schema_version=SCHEMA_VERSION,
        predictions=tuple(summaries),
        n_frames=len(everywhere),
        not_compared=tuple(sorted(anywhere - everywhere)),
        unit=unit,
        n_groups=len(set(group_of.values())),
        metrics=tuple(
            _compared(metric, {name: of_one.get(metric, {}) for name, of_one in values.items()}, group_of, unit)
            for metric in present
        ),
    )


def _values(summary: Summary, cases: set[str]) -> dict[str, dict[str, float]]:
    """Metric -> case -> value, of the cases that have it."""
    values: dict[str, dict[str, float]] = {name: {} for name in (*METRICS, *WIRE_METRICS)}
    for frame in summary.frames:
        if frame["case"] in cases:
            for name in METRICS:
                if frame[name] is not None:
                    values[name][frame["case"]] = frame[name]
    if summary.localization is not None:
        _add_wires(values, summary.localization.wires, cases - set(summary.localization.not_judged))
    return values


def _add_wires(values: dict[str, dict[str, float]], wires: tuple[Mapping[str, Any], ...], cases: set[str]) -> None:
    for name in ("wires_missed", "wires_false"):
        values[name] = dict.fromkeys(cases, 0.0)
    errors: dict[str, list[Mapping[str, Any]]] = {}
    for wire in wires:
        if wire["case"] not in cases:
            continue
        if wire["predicted"] is None:
            values["wires_missed"][wire["case"]] += 1
        elif wire["reference"] is None:
            values["wires_false"][wire["case"]] += 1
        else:
            errors.setdefault(wire["case"], []).append(wire)
    for case, matched in errors.items():
        for name in ("tip_error_px", "mean_distance_px"):
            values[f"wire_{name}"][case] = math.fsum(wire[name] for wire in matched) / len(matched)


def _compared(
    metric: str, values: Mapping[str, Mapping[str, float]], group_of: Mapping[str, str], unit: Unit
) -> Compared:
    first, *others = values
    differences, reasons = [], {}
    for name in others:
        both = sorted(values[first].keys() & values[name].keys())
        if not both:
            reasons[name] = f"no frame has {metric} in both predictions"
            continue
        one, other = ({case: values[side][case] for case in both} for side in (name, first))
        differences.append(paired_difference((name, one), (first, other), metric, group_of, unit))
    return Compared(
        metric=metric,
        means={name: math.fsum(of_one.values()) / len(of_one) if of_one else None for name, of_one in values.items()},
        differences=tuple(differences),
        not_computed=reasons,
    )
