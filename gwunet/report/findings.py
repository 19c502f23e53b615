"""What the validated folds of each model come to."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from gwunet.report.failures import GroupResult, group_results
from gwunet.report.material import Material, Model
from gwunet.report.results import Results, results_of
from gwunet.report.wire_look import WireLook, look_at_wires

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """Of one model."""

    model: Model
    rows: tuple[Row, ...]
    """Its validation frames."""
    results: Results
    groups: tuple[GroupResult, ...]
    """Patients, or sequences or frames where these are all that is known; worst first."""
    looks: Mapping[str, WireLook]
    """By case; empty without the raw frames."""


def findings_of(material: Material) -> list[Findings]:
    """Of every model with a validated fold, the one with the most frames first, then the highest Dice."""
    rows = {model.folder: model.rows for model in material.models if model.rows}
    cases = sorted({row["case"] for found in rows.values() for row in found})
    looks = look_at_wires(material.raw, cases) if material.raw is not None and cases else {}
    found = [_of(model, rows[model.folder], looks) for model in material.models if model.folder in rows]
    return sorted(found, key=lambda each: (-each.results.n_frames, -_dice(each), each.model.name))


def _of(model: Model, rows: Sequence[Row], looks: Mapping[str, WireLook]) -> Findings:
    results = results_of(rows)
    groups = group_results(rows, looks, results.unit)
    return Findings(model=model, rows=tuple(rows), results=results, groups=groups, looks=looks)


def _dice(found: Findings) -> float:
    value = found.results.value("dice")
    return value.mean if value is not None else 0.0
