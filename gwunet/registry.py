"""Names to classes: planners, trainers, networks and losses are found by name alone.

Names inside plans and checkpoints resolve here and nowhere else, so a file from somebody else can name only what
gwunet, or the program that uses it, has registered.
"""

import difflib
import importlib
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from gwunet.errors import UsageError

T = TypeVar("T")
E = TypeVar("E")


class Registry(Generic[T]):
    """A table of names, filled by the package ``home`` when the first name is looked up."""

    def __init__(self, kind: str, home: str) -> None:
        """``kind`` names the entries in messages; ``home`` is the package that registers them on import."""
        self.kind = kind
        self._home = home
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[E], E]:
        """Decorator that enters a class under ``name``.

        Raises:
            ValueError: the name is taken by another class.
        """

        def enter(entry: E) -> E:
            if self._entries.get(name, entry) is not entry:
                raise ValueError(f"{self.kind} {name!r} is registered already, as {self._entries[name]!r}")
            self._entries[name] = cast(T, entry)
            return entry

        return enter

    def names(self) -> tuple[str, ...]:
        """Every registered name, sorted."""
        importlib.import_module(self._home)
        return tuple(sorted(self._entries))

    def get(self, name: str) -> T:
        """The entry called ``name``.

        Raises:
            UsageError: there is none; the message suggests the closest names.
        """
        known = self.names()
        if name in self._entries:
            return self._entries[name]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(f"unknown {self.kind} {name!r}: {hint}known are {', '.join(known)}")
