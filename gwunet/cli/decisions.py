"""The decisions of a plan as text for a terminal."""

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gwunet.plans import Configuration, Decision, Plans

HEADINGS = ("decision", "value", "reason", "what changes it")
FIRST_WIDTH = 16
SHARES = (0.28, 0.45, 0.27)
"""Of the rest of the line, for the other columns."""
INDENT = GAP = "  "
NARROWEST = 80
WIDEST = 180


def describe_plans(plans: "Plans", width: int) -> Iterator[str]:
    """Lines at most ``width`` long: what all configurations share once, then what each has of its own.

    Terminals narrower than 80 columns get 80, in which a column still holds a word or two.
    """
    every = list(plans.configurations.values())
    widths = _column_widths(min(max(width, NARROWEST), WIDEST))
    yield from ("", _line(HEADINGS, widths), _line(["-" * column for column in widths], widths))
    shared = _shared(every) if len(every) > 1 else []
    if shared:
        yield from ("", f"{plans.dataset}: shared by all {len(every)} configurations")
        yield from _table(shared, widths)
    for configuration in every:
        target = configuration.target
        own = [decision for decision in configuration.decisions if decision not in shared]
        yield from ("", f"{plans.dataset}, {configuration.name} for {target.device} with {target.memory_gb:g} GiB")
        yield from _table(own, widths)


def _shared(every: "Sequence[Configuration]") -> "list[Decision]":
    first, *others = every
    return [decision for decision in first.decisions if all(decision in other.decisions for other in others)]


def _column_widths(width: int) -> list[int]:
    free = width - len(INDENT) - FIRST_WIDTH - len(GAP) * len(SHARES)
    return [FIRST_WIDTH, *(int(share * free) for share in SHARES)]


def _table(decisions: "Sequence[Decision]", widths: Sequence[int]) -> Iterator[str]:
    for decision in decisions:
        cells = (decision.what, decision.value, decision.reason, decision.change)
        wrapped = [textwrap.wrap(cell, width) for cell, width in zip(cells, widths, strict=True)]
        for index in range(max(map(len, wrapped))):
            yield _line([lines[index] if index < len(lines) else "" for lines in wrapped], widths)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return (INDENT + GAP.join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))).rstrip()
