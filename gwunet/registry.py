"""Names to classes: planners, trainers, networks and losses are found by name alone.

Names inside plans and checkpoints resolve here and nowhere else, so a file from somebody else can name only what
gwunet, or the program that uses it, has registered. A person at the command line may also name a class of their own
as ``module:Class`` (``Registry.find``).
"""

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar, cast

from gwunet.errors import UsageError

T = TypeVar("T")
E = TypeVar("E")


def class_name(name: str) -> str:
    """The class's own name in ``module:Class``, and any other name as it is; nothing is imported."""
    return name.rpartition(":")[2]


class Registry(Generic[T]):
    """A table of names, filled by the package ``home`` when the first name is looked up."""

    def __init__(self, kind: str, home: str, base: str | None = None) -> None:
        """
        Args:
            kind: names the entries in messages.
            home: the package that registers them on import.
            base: the class of ``home`` that outside classes derive from; without it there are none.
        """
        self.kind = kind
        self._home = home
        self._base = base
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
        hint = _closest(name, known)
        outside = "; name one of your own on the command line" if ":" in name and self._base else ""
        raise UsageError(f"unknown {self.kind} {name!r}: {hint}known are {', '.join(known)}{outside}")

    def find(self, name: str) -> T:
        """The entry called ``name``, or the outside class that ``module:Class`` names.

        Importing a module runs it, so this is for what a person typed, never for a name from a file. The class is not
        registered: its name means nothing to a later command that is not given it again.

        Raises:
            UsageError: there is no such entry, module or class, or the class cannot serve as an entry.
        """
        if ":" not in name:
            return self.get(name)
        if self._base is None:
            raise UsageError(f"{self.kind} {name!r}: found module:Class; wanted a registered name: register it first")
        module, _, attribute = name.partition(":")
        if not all(part.isidentifier() for part in (*module.split("."), attribute)):
            raise UsageError(f"{self.kind} {name!r}: wanted a name or module:Class, such as my_module:My{self._base}")
        found = _member(_import_outside(module, f"{self.kind} {name!r}"), attribute, f"{self.kind} {name!r}")
        self._check_outside(found, f"{self.kind} {name!r}")
        return cast(T, found)

    def _check_outside(self, found: Any, where: str) -> None:
        """Refuse what would fail later, or could be taken for a registered entry in plans and folders."""
        base = getattr(importlib.import_module(self._home), self._base or "")
        if any(found is entry for entry in self._entries.values()):
            return
        if not (isinstance(found, type) and issubclass(found, base)):
            raise UsageError(f"{where}: found {found!r:.80}; wanted a class derived from {self._home}.{self._base}")
        if inspect.isabstract(found):
            missing = ", ".join(
                name for name in dir(found) if getattr(getattr(found, name), "__isabstractmethod__", False)
            )
            raise UsageError(f"{where}: found that it does not define {missing}; wanted all of them: add them")
        if found.__name__ in self.names():
            raise UsageError(f"{where}: found that gwunet has one of this name; wanted another: rename it")
        if getattr(found, "name", None) != found.__name__:
            raise UsageError(
                f"{where}: found the name {getattr(found, 'name', None)!r}; wanted the class's own, since plans and "
                f'checkpoints say it: add name = "{found.__name__}" to the class'
            )


def _import_outside(module: str, where: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:  # commands start without it; last, so that a file here hides no installed module
        sys.path.append(here)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as problem:
        if problem.name is None or not f"{module}.".startswith(f"{problem.name}."):
            raise UsageError(
                f"{where}: found that {module} imports {problem.name}, which is not installed"
            ) from problem
        raise UsageError(
            f"{where}: found no module {problem.name}; wanted one in the current folder, on PYTHONPATH or installed: "
            "check the name and the folder"
        ) from problem
    except Exception as problem:  # whatever the module does
        raise UsageError(
            f"{where}: found that importing {module} fails ({type(problem).__name__}: {problem}); "
            f"wanted a module that can be imported: python -c 'import {module}' shows where"
        ) from problem


def _member(module: ModuleType, attribute: str, where: str) -> Any:
    if hasattr(module, attribute):
        return getattr(module, attribute)
    classes = [name for name, value in vars(module).items() if isinstance(value, type)]
    raise UsageError(
        f"{where}: found no {attribute} in {module.__file__}; {_closest(attribute, classes)}"
        f"it has the classes {', '.join(sorted(classes)) or 'none'}"
    )


def _closest(name: str, known: tuple[str, ...] | list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}? " if close else ""
