"""What went wrong in a patient's frames, in words, from what was measured and nothing else."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gwunet.evaluation.resampling import Unit, group_name
from gwunet.report.wire_look import WireLook

Row = Mapping[str, Any]

LOW_SHARE = 0.9
"""Recall and precision below this are named."""
BREAKS_FROM = 0.5
"""Breaks, or false pieces, per frame from which they are named."""
COURSE_GAIN = 0.1
"""clDice above Dice by this: the wire's course is right, its width is not."""
UNUSUAL = 0.7
"""A contrast or width below this share of the median of all frames is named, and a width above its inverse."""
SEQUENCE_GAP = 0.1
"""A patient's worst sequence is named if its mean Dice is below all others' by this."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GroupResult:
    """One patient's frames, or one sequence's where patients are not known."""

    name: str
    n_frames: int
    dice: float
    """Mean over the frames."""
    lowest_dice: float
    recall: float | None
    """Of all its pixels; None where no frame has a wire."""
    precision: float | None
    """None where nothing was predicted."""
    worst_case: str
    worst_fold: str
    faults: tuple[str, ...]
    """What the prediction got wrong, what cost most pixels first."""
    circumstances: tuple[str, ...]
    """In what its wires differ from those of the other frames."""


def group_results(
    rows: Sequence[Row], looks: Mapping[str, WireLook], unit: Unit = "patient"
) -> tuple[GroupResult, ...]:
    """Every group of frames, lowest Dice first.

    Args:
        rows: frames as in ``summary.json``.
        looks: case -> how its wire looks.
        unit: what a group is; frames without one are groups of their own.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(group_name(row, unit), []).append(row)
    usual = _medians(looks.values())
    found = [_group_result(name, frames, looks, usual) for name, frames in groups.items()]
    return tuple(sorted(found, key=lambda group: (group.dice, group.name)))


def _group_result(
    name: str, frames: Sequence[Row], looks: Mapping[str, WireLook], usual: tuple[float | None, float | None]
) -> GroupResult:
    worst = min(frames, key=lambda row: (row["dice"], row["case"]))
    tp, fp, fn = (sum(row[count] for row in frames) for count in ("tp", "fp", "fn"))
    return GroupResult(
        name=name,
        n_frames=len(frames),
        dice=_mean(frames, "dice") or 0.0,
        lowest_dice=worst["dice"],
        recall=tp / (tp + fn) if tp + fn else None,
        precision=tp / (tp + fp) if tp + fp else None,
        worst_case=worst["case"],
        worst_fold=str(worst.get("fold", "")),
        faults=faults_of(frames),
        circumstances=(
            *_concentration(frames),
            *_circumstances([looks[row["case"]] for row in frames if row["case"] in looks], usual),
        ),
    )


def faults_of(frames: Sequence[Row]) -> tuple[str, ...]:
    """What was predicted wrongly in these frames: whole wires first, then by the pixels it cost."""
    with_wire = [row for row in frames if row["tp"] + row["fn"] > 0]
    missed = [row for row in with_wire if row["tp"] + row["fp"] == 0]
    without = [row for row in frames if row["tp"] + row["fn"] == 0]
    alarms = [row for row in without if row["fp"] > 0]
    found = [row for row in with_wire if row not in missed]
    lost = [row for row in found if row.get("wire_found") == 0]
    faults = []
    if missed:
        faults.append(f"wire missed altogether in {_of(missed, with_wire)}")
    if alarms:
        most = max(row["fp"] for row in alarms)
        faults.append(f"false alarm in {_of(alarms, without)} without wire (up to {most} px)")
    if lost:
        faults.append(f"less than half of the wire's length found in {_of(lost, with_wire)}")
    return tuple(faults + _faults_in_part(found))


def _faults_in_part(frames: Sequence[Row]) -> list[str]:
    """Faults of frames that have a wire in both masks."""
    if not frames:
        return []
    tp, fp, fn = (sum(row[count] for row in frames) for count in ("tp", "fp", "fn"))
    breaks, pieces = _mean(frames, "breaks") or 0.0, _mean(frames, "false_pieces") or 0.0
    dice, course = _mean(frames, "dice") or 0.0, _mean(frames, "cldice")
    broken, loose = (
        (_counted(breaks, "break"), f"{_counted(pieces, 'piece')} on no wire")
        if len(frames) == 1
        else (f"{breaks:.1f} breaks a frame", f"{pieces:.1f} pieces a frame on no wire")
    )
    faults = []
    if tp / (tp + fn) < LOW_SHARE:
        also = f", {broken}" if breaks >= BREAKS_FROM else ""
        faults.append((fn, f"{fn / (tp + fn):.0%} of the wire's pixels missed{also}"))
    elif breaks >= BREAKS_FROM:
        faults.append((fn, broken))
    if tp / (tp + fp) < LOW_SHARE:
        also = f", {loose}" if pieces >= BREAKS_FROM else ""
        faults.append((fp, f"{fp / (tp + fp):.0%} of what was predicted is no wire{also}"))
    elif pieces >= BREAKS_FROM:
        faults.append((fp, loose))
    named = [text for _, text in sorted(faults, key=lambda fault: -fault[0])]
    if course is not None and course - dice >= COURSE_GAIN:
        ratio = (tp + fp) / (tp + fn)
        named.append(f"the course is better than the outline (clDice {course:.2f}): drawn {ratio:.2f} times as large")
    return named


def _concentration(frames: Sequence[Row]) -> tuple[str, ...]:
    """The sequence that lowers a patient's mean, where one does."""
    sequences: dict[str, list[float]] = {}
    for row in frames:
        sequences.setdefault(str(row.get("sequence")), []).append(float(row["dice"]))
    means = sorted((float(np.mean(values)), name) for name, values in sequences.items())
    if len(means) < 2 or means[1][0] - means[0][0] < SEQUENCE_GAP:
        return ()
    (lowest, name), *others = means
    rest = float(np.mean([value for _, other in others for value in sequences[other]]))
    return (f"most of it in {name} (Dice {lowest:.2f}, the other sequences {rest:.2f})",)


def _circumstances(looks: Sequence[WireLook], usual: tuple[float | None, float | None]) -> tuple[str, ...]:
    contrast, width = _medians(looks)
    usual_contrast, usual_width = usual
    found = []
    if contrast is not None and usual_contrast is not None and contrast < UNUSUAL * usual_contrast:
        found.append(f"low contrast {contrast:.2f} (median of all frames {usual_contrast:.2f})")
    if width is not None and usual_width is not None and not UNUSUAL * usual_width <= width <= usual_width / UNUSUAL:
        kind = "thin" if width < usual_width else "wide"
        found.append(f"{kind} wire {width:.1f} px (median of all frames {usual_width:.1f} px)")
    return tuple(found)


def _medians(looks: Any) -> tuple[float | None, float | None]:
    """Of contrast and width; None where nothing is known."""
    known = list(looks)
    contrasts = [look.contrast for look in known if look.contrast is not None]
    widths = [look.width_px for look in known]
    return (float(np.median(contrasts)) if contrasts else None, float(np.median(widths)) if widths else None)


def _mean(rows: Sequence[Row], metric: str) -> float | None:
    values = [row[metric] for row in rows if isinstance(row.get(metric), int | float)]
    return float(np.mean(values)) if values else None


def _counted(number: float, what: str) -> str:
    return f"{number:.0f} {what}" + ("" if round(number) == 1 else "s")


def _of(some: Sequence[Row], rows: Sequence[Row]) -> str:
    return f"{len(some)} of {len(rows)} frame{'s' if len(rows) > 1 else ''}"
