"""A few of many, spread evenly."""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")


def evenly(items: Sequence[Item], count: int) -> list[Item]:
    """At most ``count`` of the items in their order: the first of each of as many parts, equal to within one item."""
    taken = min(len(items), count)
    return [items[number * len(items) // taken] for number in range(taken)]
