"""Names to classes."""

import abc
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gwunet.errors import UsageError
from gwunet.fingerprint import Fingerprint
from gwunet.planning import planners_for
from gwunet.plans import Target
from gwunet.registry import Registry, class_name


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


ZOO = """
from tests_zoo import Animal

class Tiger(Animal):
    name = "Tiger"

    def sound(self):
        return "roar"

class Nameless(Tiger):
    pass

class Lion(Animal):
    name = "Lion"

    def sound(self):
        return "another roar"

class Silent(Animal):
    name = "Silent"

class Stone:
    name = "Stone"

def make_tiger():
    return Tiger()
"""


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[type]:
    """A registry of animals whose home is importable, and a module of somebody else's in the current folder."""
    home = types.ModuleType("tests_zoo")

    class Animal(abc.ABC):
        name: str

        @abc.abstractmethod
        def sound(self) -> str: ...

    class Bear(Animal):
        name = "Bear"

        def sound(self) -> str:
            return "growl"

    monkeypatch.setattr(home, "Animal", Animal, raising=False)
    monkeypatch.setitem(sys.modules, "tests_zoo", home)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "my_zoo.py").write_text(ZOO)
    (tmp_path / "broken_zoo.py").write_text("1 / 0")
    (tmp_path / "poor_zoo.py").write_text("import no_such_dependency")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_zoo", raising=False)
    registry: Registry[type] = Registry("animal", home="tests_zoo", base="Animal")
    registry.register("Bear")(Bear)
    registry.register("Lion")(type("Lion", (Bear,), {"name": "Lion"}))
    return registry


def test_a_class_of_ones_own_is_found_in_the_current_folder(zoo: Registry[type]) -> None:
    tiger = zoo.find("my_zoo:Tiger")
    assert tiger.__module__ == "my_zoo"
    assert tiger().sound() == "roar"
    assert zoo.find("Bear") is zoo.get("Bear")


def test_an_outside_class_is_not_registered_and_no_file_can_name_it(zoo: Registry[type]) -> None:
    """``get`` is what resolves names in plans and checkpoints: it never imports."""
    with pytest.raises(UsageError, match=r"unknown animal 'my_zoo:Tiger': known are Bear, Lion; name one of your"):
        zoo.get("my_zoo:Tiger")
    assert "my_zoo" not in sys.modules
    zoo.find("my_zoo:Tiger")
    assert zoo.names() == ("Bear", "Lion")
    with pytest.raises(UsageError, match="unknown animal 'Tiger'"):
        zoo.get("Tiger")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_zoo:Tiger", "found no module no_zoo; wanted one in the current folder"),
        ("my_zoo.sub:Tiger", "found no module my_zoo.sub"),
        ("broken_zoo:Tiger", r"importing broken_zoo fails \(ZeroDivisionError: division by zero\)"),
        ("poor_zoo:Tiger", "poor_zoo imports no_such_dependency, which is not installed"),
        ("my_zoo:Tigre", r"found no Tigre in .*my_zoo\.py; did you mean 'Tiger'\? it has the classes Animal, Lion"),
        ("my_zoo:Stone", r"wanted a class derived from tests_zoo\.Animal"),
        ("my_zoo:make_tiger", r"found <function make_tiger.*wanted a class derived from"),
        ("my_zoo:Silent", "found that it does not define sound; wanted all of them"),
        ("my_zoo:Lion", "found that gwunet has one of this name"),
        ("my_zoo:Nameless", "found the name 'Tiger'; .*add name = \"Nameless\" to the class"),
        ("my_zoo:", "wanted a name or module:Class, such as my_module:MyAnimal"),
        (":Tiger", "wanted a name or module:Class"),
        ("../my_zoo:Tiger", "wanted a name or module:Class"),
        ("my_zoo:Tiger.sound", "wanted a name or module:Class"),
        ("Beer", "did you mean 'Bear'"),
    ],
)
def test_what_cannot_serve_is_refused_with_the_reason(zoo: Registry[type], name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=f"animal '{re.escape(name)}'.*{reason}"):
        zoo.find(name)


def test_a_registry_without_base_class_has_no_outside_classes() -> None:
    with pytest.raises(UsageError, match="found module:Class; wanted a registered name"):
        make_registry().find("json:JSONDecoder")


def test_class_names_without_import() -> None:
    assert [class_name(name) for name in ("a.b:Mine", "UNetTrainer")] == ["Mine", "UNetTrainer"]


PAGE = Path(__file__).parents[1] / "documentation" / "how-to" / "outside_code.md"


def test_the_classes_of_the_documentation_work_as_they_stand_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_fingerprint: Callable[..., Fingerprint]
) -> None:
    planner_code, trainer_code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "my_module.py").write_text(planner_code + trainer_code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (planner,) = planners_for(None, "my_module:MyPlanner")
    plan = planner.plan(make_fingerprint(), Target(device="cpu", memory_gb=4.0))
    assert (plan.planner, plan.name, plan.trainer) == ("MyPlanner", "mine", "UNetTrainer")
    assert plan.network.arguments["features"] == [8, 16, 32, 64, 128]
    assert plan.optimiser.learning_rate == 0.0005
    assert [made.value for made in plan.decisions if made.what == "optimiser"] == ["AdamW, 0.0005, cosine"]
    registry: Registry[Any] = Registry("trainer", home="gwunet.trainers", base="Trainer")
    changed = registry.find("my_module:MyTrainer").defaults(None, plan)
    assert changed.optimiser.learning_rate == 0.00025
    monkeypatch.delitem(sys.modules, "my_module")
