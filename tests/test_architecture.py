"""Who imports whom, by parsing; and the public names."""

import ast
import functools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gwunet

ROOT = Path(__file__).parent.parent
FOLDERS = {"gwunet": ROOT / "gwunet", "gwunet.planners": ROOT / "planners", "gwunet.trainers": ROOT / "trainers"}

# Lower ones know nothing of higher ones (design section 1). Modules of one floor may import each other, not in a ring.
FLOORS = (
    {"errors", "bit_mask", "evenly", "thinning", "tiling"},
    {"jsonio", "registry", "progress"},
    {"workspace", "trained", "io", "grouping", "parallel"},
    {"dataset", "synthetic"},
    {"integrity", "splits", "exposed_field", "convert"},
    {"fingerprint", "plans", "published", "prepared"},
    {"preprocessing"},
    {"checkpoint", "device", "world", "gathering", "data", "networks", "losses", "localization", "postprocessing"},
    {"evaluation", "inference", "preparation"},
    {"planning", "training", "validation", "exporting"},
    {"best_configuration"},
    {"planners", "trainers"},
    {"demo", "benchmark", "explaining", "report"},
    {"cli"},
)
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
HEAVY = (
    "torch",
    "numpy",
    "scipy",
    "skimage",
    "SimpleITK",
    "matplotlib",
    "PIL",
    "batchgenerators",
    "batchgeneratorsv2",
    "acvl_utils",
    "av",
    "tqdm",
    "onnx",
    "onnxruntime",
)


@functools.cache
def sources() -> dict[str, ast.Module]:
    """Every module of the three packages, parsed, by name."""
    parsed = {}
    for package, folder in FOLDERS.items():
        for path in folder.rglob("*.py"):
            inside = path.relative_to(folder).with_suffix("").parts
            name = ".".join((package, *inside)).removesuffix(".__init__")
            parsed[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return parsed


def is_for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def statements(node: ast.AST, late: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports below ``node`` that run; with ``late``, those inside functions too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not is_for_types_only(child) and (late or not isinstance(child, ast.FunctionDef)):
            yield from statements(child, late)


@functools.cache
def imports(module: str, late: bool = True) -> frozenset[str]:
    """Names of the modules that a module imports."""
    names: set[str] = set()
    for statement in statements(sources()[module], late):
        if isinstance(statement, ast.Import):
            names.update(alias.name for alias in statement.names)
        else:
            assert statement.module is not None
            whole = {f"{statement.module}.{alias.name}" for alias in statement.names}
            modules = whole & sources().keys()
            names.update(modules)
            if modules != whole:
                names.add(statement.module)
    return frozenset(names)


def room(module: str) -> str:
    """The part of gwunet that a module belongs to; of the public names in gwunet/__init__.py itself, none."""
    return module.split(".")[1] if module.count(".") else ""


def test_imports_are_absolute_and_go_downwards() -> None:
    assert {room(module) for module in sources()} - {""} <= FLOOR_OF.keys(), "give it a floor here"
    wrong = []
    for module, tree in sources().items():
        inner = {name for name in imports(module) if name.split(".")[0] == "gwunet"}
        if any(node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)):
            wrong.append(f"{module}: a relative import")
        for name in sorted({name.split(".")[0] for name in imports(module)} & {"planners", "trainers"}):
            wrong.append(f"{module}: {name}, a second copy of gwunet.{name}")
        if module == "gwunet":
            wrong += [f"gwunet: {name}; public names are imported when they are used" for name in sorted(inner)]
            continue
        upwards = [name for name in inner if name != "gwunet" and FLOOR_OF[room(name)] > FLOOR_OF[room(module)]]
        wrong += [f"{module}: {name}, which is on a higher floor" for name in sorted(upwards)]
    assert wrong == []


def test_planners_and_trainers_are_reached_by_name_alone() -> None:
    """The core finds them through the registries; they sit on the core and never on each other or on the commands."""
    wrong = []
    for module in sources():
        above = {"planners": {"trainers", "cli", "demo"}, "trainers": {"planners", "cli", "demo"}}
        forbidden = above.get(room(module), {"planners", "trainers"})
        if room(module) in ("inference", "evaluation"):
            forbidden = forbidden | {"training", "planning", "validation"}
        wrong += [f"{module}: {name}" for name in sorted(imports(module)) if room(name) in forbidden]
    assert wrong == []


def test_no_module_imports_itself_by_a_detour() -> None:
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, f"a ring: {' > '.join((*path, module))}"
        if module not in done:
            for name in sorted(imports(module) & sources().keys()):
                visit(name, (*path, module))
            done.add(module)

    for module in sorted(sources()):
        visit(module, ())


def test_commands_import_nothing_heavy_before_they_run() -> None:
    commands = [module for module in sources() if room(module) == "cli"]
    assert len(commands) > len(HEAVY)
    wrong = {module: {name.split(".")[0] for name in imports(module, late=False)} & set(HEAVY) for module in commands}
    assert {module: names for module, names in wrong.items() if names} == {}


def test_help_loads_nothing_heavy() -> None:
    """In a fresh interpreter, whatever the modules that the commands import import themselves."""
    commands = sorted(name for name in sources() if room(name) == "cli")
    code = f"import sys, {', '.join(commands)}; print(sorted(set(sys.modules) & set({HEAVY!r})))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert found.stdout.strip() == "[]"


def test_only_commands_print() -> None:
    printing = {
        module
        for module, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert {room(module) for module in printing} <= {"cli"}


def test_only_commands_and_the_training_loop_draw_bars() -> None:
    """The rest takes a ``gwunet.progress.Progress``, so that who calls the library decides what is drawn."""
    drawing = {module for module in sources() if any(name.split(".")[0] == "tqdm" for name in imports(module))}
    assert drawing == {"gwunet.cli.progress", "gwunet.trainers.loop"}


def test_the_public_names_are_sorted_and_importable() -> None:
    assert list(gwunet.__all__) == sorted(gwunet.__all__)
    assert len(set(gwunet.__all__)) == len(gwunet.__all__)
    for name in gwunet.__all__:
        assert getattr(gwunet, name).__name__ == name
    with pytest.raises(AttributeError, match="module 'gwunet' has no attribute 'Predicter'"):
        _ = gwunet.Predicter


ROOM_PAGE = ROOT / "documentation" / "explanation" / "architecture.md"


def rooms_in(text: str) -> set[str]:
    """Rooms that a text names in code font as files or folders: ``name.py``, ``name/``."""
    return set(re.findall(r"`(?:gwunet/)?(\w+)(?:\.py|/)`", text)) & FLOOR_OF.keys()


def test_every_room_stands_on_the_page() -> None:
    assert FLOOR_OF.keys() - rooms_in(ROOM_PAGE.read_text(encoding="utf-8")) == set()


def test_the_rows_of_the_page_import_downwards() -> None:
    """What a row names imports nothing of a row above it; every room has one row, but for those that stand apart."""
    rows = re.findall(r"^\| (`.*?) \|", ROOM_PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = [(name, number) for number, row in enumerate(rows) for name in sorted(rooms_in(row))]
    row_of = dict(named)
    assert len(row_of) == len(named)
    assert FLOOR_OF.keys() - row_of.keys() == {"convert", "synthetic"}
    of_rows = {module: imports(module) for module in sources() if room(module) in row_of}
    wrong = [
        f"{module}: {name}, which the page has above it"
        for module, names in of_rows.items()
        for name in sorted(names & sources().keys())
        if row_of.get(room(name), len(rows)) < row_of[room(module)]
    ]
    assert wrong == []
