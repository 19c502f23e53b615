"""Which patient, sequence and frame number a case has: declared, matched from its name, or guessed."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gwunet.errors import DatasetError

FEWEST_GUESSED_SEQUENCES = 5
"""Names that give fewer sequences than there are folds are more likely to be numbered cases than numbered frames."""
_LONGEST_EXPRESSION = 500
_TIME_LIMIT_S = 10.0
_TRAILING_NUMBER = re.compile(r"(.*?)[ _.-]*(\d+)")

# An expression with nested repetition can run for years, holds the interpreter lock and cannot be interrupted from
# another thread: only a process of its own can be stopped in every situation.
_MATCHER = """
import json, re, sys
expression, names = json.load(sys.stdin)
try:
    pattern = re.compile(expression)
except (re.error, OverflowError, RecursionError) as problem:
    json.dump({"problem": str(problem)}, sys.stdout)
else:
    matches = [pattern.fullmatch(name) for name in names]
    json.dump({"groups": list(pattern.groupindex), "matches": [m and m.groupdict() for m in matches]}, sys.stdout)
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a case comes from, as one entry of ``cases`` in dataset.json declares it."""

    patient: str | None = None
    sequence: str | None = None
    frame: int | None = None
    """Position in the sequence; any integer that grows with time."""
    site: str | None = None
    """Hospital or device."""


def declared_origins(
    cases: Mapping[str, Origin], names: Sequence[str], where: str
) -> tuple[dict[str, Origin], list[str]]:
    """Origins of training cases from ``cases`` in dataset.json, and what is wrong with them.

    A partial declaration is a problem: a frame left out of it could be a neighbour of any other.
    """
    problems = [
        f"{where}: cases: found no entry for {name}; wanted one for every training frame: add its patient and sequence"
        for name in names
        if name not in cases
    ]
    problems += [
        f"{where}: cases.{name}: found neither patient nor sequence; wanted at least one of them: add it"
        for name, origin in cases.items()
        if origin.patient is None and origin.sequence is None
    ]
    return dict(cases), problems


def matched_origins(expression: str, names: Sequence[str], where: str) -> tuple[dict[str, Origin], list[str]]:
    """Origins from a regular expression with named groups that matches whole case names.

    Args:
        expression: Python syntax, with at least one of the groups ``patient`` and ``sequence``, and perhaps ``frame``.
        names: case names.
        where: the file it stands in, for messages.

    Returns:
        Origins of the names that match, and one problem for each that does not.

    Raises:
        DatasetError: the expression is wrong, too long, or takes too long.
    """
    groups, matches = _match_whole_names(expression, names, where)
    if not {"patient", "sequence"} & set(groups) or set(groups) - {"patient", "sequence", "frame"}:
        raise DatasetError(
            f"{where}: grouping: found the named groups {', '.join(groups) or 'none'}; wanted patient or sequence or "
            "both, and perhaps frame: write them as (?P<patient>...)"
        )
    origins, problems = {}, []
    for name, match in zip(names, matches, strict=True):
        frame = (match or {}).get("frame")
        if match is None or not (match.get("patient") or match.get("sequence")):
            problems.append(
                f"{where}: grouping: found that {expression!r} does not match {name}; wanted it to match every whole "
                "case name (without file ending): correct the expression or rename the case"
            )
        elif frame is not None and not frame.isdecimal():
            problems.append(f"{where}: grouping: found the frame {frame!r} in {name}; wanted digits: correct the group")
        else:
            number = None if frame is None else int(frame)
            origins[name] = Origin(patient=match.get("patient"), sequence=match.get("sequence"), frame=number)
    return origins, problems


def guessed_origins(training: Sequence[str], test: Sequence[str], where: str) -> dict[str, Origin]:
    """Origins from trailing frame numbers: ``run7_012`` is frame 12 of ``run7``.

    If that leaves fewer than five sequences in training, the numbers more likely count cases than frames: then each
    case is its own sequence, with one warning.
    """
    guesses = {name: _guess(name) for name in (*training, *test)}
    sequences = {guesses[name].sequence for name in training}
    if len(sequences) >= min(FEWEST_GUESSED_SEQUENCES, len(training)):
        return guesses
    logger.warning(
        "%s: no patients or sequences are declared, and the frames' names give only %d, so that each frame is its own "
        'group. If frames follow each other, the folds leak: declare the sequences by "cases" or "grouping" in '
        "dataset.json (documentation/reference/datasets.md)",
        where,
        len(sequences),
    )
    return {name: Origin(sequence=name) for name in guesses}


def _guess(name: str) -> Origin:
    match = _TRAILING_NUMBER.fullmatch(name)
    return Origin(sequence=match[1] or "unnamed", frame=int(match[2])) if match else Origin(sequence=name)


def _match_whole_names(
    expression: str, names: Sequence[str], where: str
) -> tuple[list[str], list[dict[str, str | None] | None]]:
    """The expression's group names, and for each case name its groups or None, worked out in another process."""
    if len(expression) > _LONGEST_EXPRESSION:
        raise DatasetError(
            f"{where}: grouping: found {len(expression)} characters; wanted at most {_LONGEST_EXPRESSION}: shorten it"
        )
    try:
        matcher = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _MATCHER],
            input=json.dumps([expression, list(names)]),
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT_S,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as problem:
        how = f"no result in {_TIME_LIMIT_S:g} s" if isinstance(problem, subprocess.TimeoutExpired) else "a crash"
        raise DatasetError(
            f"{where}: grouping: found {how} with {expression!r}; wanted a simple expression: "
            "avoid repetition inside repetition, such as (a+)+"
        ) from problem
    answer = json.loads(matcher.stdout)
    if "problem" in answer:
        raise DatasetError(
            f"{where}: grouping: found {answer['problem']} in {expression!r}; wanted a Python regular expression: "
            "correct it"
        )
    return answer["groups"], answer["matches"]
