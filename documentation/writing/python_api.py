"""python_api.md: signatures and docstrings of the public names."""

import ast
import textwrap
from collections.abc import Iterator

from writing.sources import doc_of, fields_of, find
from writing.text import MADE, WIDTH, cell, in_markdown, wrapped

BELONGING = (
    "gwunet.inference.Prediction",
    "gwunet.localization.Guidewire",
    "gwunet.localization.locate_guidewires",
    "gwunet.localization.Tracker",
    "gwunet.inference.predict_folder",
    "gwunet.exporting.load_exported",
)
"""Names of deeper modules that users of the public ones meet."""


def python_api_page() -> Iterator[str]:
    yield "# Python API"
    yield ""
    yield MADE.format(what="the docstrings")
    yield ""
    yield from wrapped(
        "The names of `gwunet` are public and stay; all else may change from version to version. Each is imported when "
        "it is first used, so that `import gwunet` takes milliseconds. Errors are of `gwunet.errors.GwunetError`'s "
        "tree: their messages say where, what was found, what was wanted and what to do."
    )
    public, home = find("gwunet", "__all__"), find("gwunet", "_HOME")
    assert public is not None
    assert home is not None
    modules = ast.literal_eval(home[1])
    for name in ast.literal_eval(public[1]):
        yield from _public(f"gwunet.{name}", modules[name])
    yield from ("", "## What belongs to them", "", "Given or taken by the names above, or used in the how-to pages.")
    for name in BELONGING:
        yield from _public(name, name.rpartition(".")[0])


def _public(name: str, home: str) -> Iterator[str]:
    plain = name.rpartition(".")[2]
    found = find(home, plain)
    assert found is not None
    node = found[1]
    yield from ("", f"## {name}", "")
    if isinstance(node, ast.FunctionDef):
        yield from ("```text", *_signature(name, node), "```", "", *_sections(doc_of(node)))
        return
    assert isinstance(node, ast.ClassDef)
    yield from _sections(doc_of(node))
    fields = [(field, text) for field, text in fields_of(node) if not ast.unparse(field.target).startswith("_")]
    if fields:
        yield from ("", "| field | type | default | meaning |", "|---|---|---|---|")
    for field, text in fields:
        default = "" if field.value is None else f"`{ast.unparse(field.value)}`"
        kind = cell(_annotation(field.annotation))
        yield f"| `{ast.unparse(field.target)}` | `{kind}` | {default} | {cell(in_markdown(text))} |"
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and (method.name == "__init__" or not method.name.startswith("_")):
            call = plain if method.name == "__init__" else f"{plain}.{method.name}"
            yield from ("", f"### {call}", "", "```text", *_signature(call, method), "```")
            if doc := doc_of(method):
                yield from ("", *_sections(doc))


def _annotation(node: ast.expr) -> str:
    """As it stands in the source, without the quotes of names that are not imported at run time."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ast.unparse(node)


def _signature(name: str, node: ast.FunctionDef) -> list[str]:
    """The call as Python would write it, in several lines where it is long."""
    returns = "" if node.returns is None or node.name == "__init__" else f" -> {_annotation(node.returns)}"
    if {ast.unparse(each) for each in node.decorator_list} & {"property", "functools.cached_property"}:
        return [f"{name}{returns}"]
    arguments = list(_arguments(node.args))
    line = f"{name}({', '.join(arguments)}){returns}"
    return [line] if len(line) <= WIDTH else [f"{name}(", *(f"    {one}," for one in arguments), f"){returns}"]


def _arguments(arguments: ast.arguments) -> Iterator[str]:
    positional = arguments.args
    defaults = [*[None] * (len(positional) - len(arguments.defaults)), *arguments.defaults]
    for argument, default in zip(positional, defaults, strict=True):
        if argument.arg not in ("self", "cls"):
            yield _argument(argument, default)
    if arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _argument(argument, default)


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    kind = "" if argument.annotation is None else f": {_annotation(argument.annotation)}"
    return f"{argument.arg}{kind}" + ("" if default is None else f" = {ast.unparse(default)}")


def _sections(doc: str) -> Iterator[str]:
    """A docstring in Google's style: paragraphs, and lists of arguments and errors."""
    for number, block in enumerate(doc.split("\n\n")):
        if number:
            yield ""
        head, *rest = block.split("\n")
        if head in ("Args:", "Returns:", "Raises:", "Yields:", "Attributes:"):
            yield from (f"**{head.removesuffix(':')}**", "")
            yield from _entries(textwrap.dedent("\n".join(rest)), named=head not in ("Returns:", "Yields:"))
        else:
            yield from wrapped(in_markdown(block))


def _entries(text: str, named: bool) -> Iterator[str]:
    """``name: meaning`` over one line or several, as a list."""
    entries: list[str] = []
    for line in text.splitlines():
        if line.startswith(" ") or (not named and entries):
            entries[-1] += f" {line.strip()}"
        else:
            entries.append(line)
    for entry in entries:
        name, colon, meaning = entry.partition(": ")
        item = f"- `{name}`: {meaning}" if colon and named else f"- {entry}"
        yield from textwrap.wrap(in_markdown(item), WIDTH, subsequent_indent="  ", break_on_hyphens=False)
