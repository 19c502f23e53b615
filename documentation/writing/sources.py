"""The program's sources, parsed and not imported: the same under any version of Python, and in a moment."""

import ast
import functools
import inspect
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE_FOLDERS = {"gwunet.planners": ROOT / "planners", "gwunet.trainers": ROOT / "trainers", "gwunet": ROOT / "gwunet"}


@functools.cache
def _module(name: str) -> ast.Module:
    package = next(package for package in SOURCE_FOLDERS if name == package or name.startswith(f"{package}."))
    inside = SOURCE_FOLDERS[package].joinpath(*name.removeprefix(package).strip(".").split("."))
    path = inside / "__init__.py" if inside.is_dir() else inside.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


Found = ast.ClassDef | ast.FunctionDef | ast.expr


@functools.cache
def find(module: str, name: str) -> tuple[str, Found] | None:
    """Where a name is defined that a module defines or imports, and as what; None for names of other packages."""
    for node in ast.walk(_module(module)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return module, node
        if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in node.targets):
            return module, node.value
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gwunet"):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return find(node.module or "", alias.name)
    return None


def doc_of(node: ast.AST) -> str:
    assert isinstance(node, ast.ClassDef | ast.FunctionDef)
    return inspect.cleandoc(ast.get_docstring(node) or "")


def fields_of(node: ast.ClassDef) -> list[tuple[ast.AnnAssign, str]]:
    """Fields of a dataclass with the docstrings under them."""
    fields = []
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and not ast.unparse(statement.annotation).startswith("ClassVar"):
            told = after.value if isinstance(after, ast.Expr) else None
            text = told.value if isinstance(told, ast.Constant) and isinstance(told.value, str) else ""
            fields.append((statement, inspect.cleandoc(text)))
    return fields
