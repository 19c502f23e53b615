"""``summary.json`` and the tables beside it."""

import contextlib
import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gwunet.errors import UsageError
from gwunet.evaluation.localization import WIRE_COLUMNS
from gwunet.evaluation.metrics import METRICS
from gwunet.evaluation.summary import GroupScores, Summary
from gwunet.jsonio import UNENCODABLE, replacing, write_json

FRAME_COLUMNS = ("case", "patient", "sequence", "tp", "fp", "fn", "tn", *METRICS, "not_computed")
PATIENT_COLUMNS = ("patient", "frames", *(f"{kind}_{name}" for name in METRICS for kind in ("pooled", "mean")))
BEGINNINGS = {"": FRAME_COLUMNS[:7], "_patients": PATIENT_COLUMNS[:4], "_wires": WIRE_COLUMNS[:4]}
"""Ending of a table's name -> the first columns that it has had in every version; others came behind them."""


def check_tables(path: Path) -> None:
    """Refuse to replace or remove tables beside a summary that somebody else made: only its own name was given.

    Args:
        path: the JSON file of the summary.

    Raises:
        UsageError: there is such a table.
    """
    for ending, beginning in BEGINNINGS.items():
        table = path.with_name(f"{path.stem}{ending}.csv")
        if table.exists() and _header(table)[: len(beginning)] != beginning:
            raise UsageError(
                f"{table}: found a file that is no such table of gw_evaluate, and {path.name} has tables beside it; "
                "wanted the name free: move the file away, or give another name with -o"
            )


def _header(table: Path) -> tuple[str, ...]:
    """The first row; none where the file is not to be read as a table."""
    with contextlib.suppress(OSError, ValueError, csv.Error), table.open(newline="", encoding="utf-8") as file:
        return tuple(next(csv.reader(file), ()))
    return ()


def write_summary(path: Path, summary: Summary) -> None:
    """Write ``summary`` as JSON to ``path`` and its tables as CSV beside it.

    ``NAME.csv`` has one row per frame; ``NAME_patients.csv`` one per patient, where patients are known;
    ``NAME_wires.csv`` one per wire, where wires are judged. Of those that there is nothing for, an older one goes.

    Raises:
        UsageError: one of these names is that of a file that is no such table.
        OutputError: a file cannot be written.
    """
    check_tables(path)
    write_json(path, summary)
    write_table(path.with_suffix(".csv"), FRAME_COLUMNS, map(_frame_row, summary.frames))
    wires = () if summary.localization is None else summary.localization.wires
    further: dict[str, tuple[Sequence[str], Iterable[Mapping[str, Any]]]] = {
        "patients": (PATIENT_COLUMNS, map(_patient_row, summary.patients) if summary.patients else ()),
        "wires": (WIRE_COLUMNS, wires),
    }
    for name, (columns, rows) in further.items():
        table = path.with_name(f"{path.stem}_{name}.csv")
        if rows:
            write_table(table, columns, rows)
        else:
            table.unlink(missing_ok=True)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows as CSV, whole or not at all; what is None is an empty cell.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8", errors=UNENCODABLE) as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def _frame_row(frame: Mapping[str, Any]) -> dict[str, Any]:
    return {**frame, "not_computed": "; ".join(f"{name}: {why}" for name, why in frame["not_computed"].items())}


def _patient_row(patient: GroupScores) -> dict[str, Any]:
    pooled = {f"pooled_{name}": patient.pooled.value(name) for name in METRICS}
    means = {f"mean_{name}": patient.per_frame_mean.value(name) for name in METRICS}
    return {"patient": patient.name, "frames": patient.n_frames, **pooled, **means}
