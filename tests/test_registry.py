"""Names to classes."""

import sys
from pathlib import Path

import pytest

from gwunet.errors import UsageError
from gwunet.registry import Registry


def make_registry() -> Registry[type]:
    registry: Registry[type] = Registry("animal", home="gwunet.errors")
    registry.register("Lion")(dict)
    registry.register("Bear")(list)
    return registry


def test_names_are_sorted_and_lead_to_their_classes() -> None:
    registry = make_registry()
    assert registry.names() == ("Bear", "Lion")
    assert registry.get("Lion") is dict


def test_a_taken_name_is_refused_and_keeps_its_class() -> None:
    registry = make_registry()
    with pytest.raises(ValueError, match="animal 'Lion' is registered already"):
        registry.register("Lion")(set)
    assert registry.get("Lion") is dict
    assert registry.register("Lion")(dict) is dict  # a module that is imported twice


def test_an_unknown_name_gets_a_suggestion_and_the_list() -> None:
    with pytest.raises(UsageError, match=r"unknown animal 'Loin': did you mean 'Lion'\? known are Bear, Lion"):
        make_registry().get("Loin")
    with pytest.raises(UsageError, match="unknown animal 'xyz': known are Bear, Lion"):
        make_registry().get("xyz")


def test_the_home_is_imported_at_the_first_look_up_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry: Registry[type] = Registry("animal", home="home_of_animals")
    (tmp_path / "home_of_animals.py").write_text("from __main__ import register_animals\nregister_animals()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(
        sys.modules["__main__"], "register_animals", lambda: registry.register("Wolf")(dict), raising=False
    )
    assert "home_of_animals" not in sys.modules
    assert registry.get("Wolf") is dict
    monkeypatch.delitem(sys.modules, "home_of_animals")
