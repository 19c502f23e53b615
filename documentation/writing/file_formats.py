"""file_formats.md: the keys of every JSON file, from the dataclasses that it is read into."""

import ast
import functools
import re
from collections.abc import Iterator

from writing.sources import doc_of, fields_of, find
from writing.text import MADE, cell, in_markdown, wrapped

PREPARED, RESULTS = "`preprocessed/<Dataset>/`", "`results/<Dataset>/<configuration>__<Trainer>/`"
FILES = (
    ("fingerprint.json", PREPARED, "gwunet.fingerprint", "Fingerprint"),
    ("plans.json", f"{PREPARED}, and a copy in {RESULTS}", "gwunet.plans", "Plans"),
    ("splits.json", PREPARED, "gwunet.splits", "Splits"),
    ("integrity.json", PREPARED, "gwunet.integrity", "IntegrityReport"),
    ("store.json", PREPARED, "gwunet.data.store", "Index"),
    (
        "checkpoint_final.pt, checkpoint_best.pt, checkpoint_latest.pt",
        f"`fold_<k>/` in {RESULTS}; written by torch, "
        "read without unpickling objects, with `schema_version` 1 as a further key",
        "gwunet.checkpoint",
        "Checkpoint",
    ),
    ("made_by.json", f"`fold_<k>/validation/` in {RESULTS}", "gwunet.validation", "MadeBy"),
    (
        "summary.json",
        "`fold_<k>/validation/`, and where `gw_evaluate` writes it",
        "gwunet.evaluation.summary",
        "Summary",
    ),
    (
        "comparison of predictions",
        "what `gw_evaluate -p ONE OTHER -o FILE` writes",
        "gwunet.evaluation.comparison",
        "Comparison",
    ),
    ("cross_validation.json", RESULTS, "gwunet.evaluation.cross_validation", "CrossValidation"),
    ("postprocessing.json", RESULTS, "gwunet.postprocessing.shipped", "ShippedPostprocessing"),
    ("best_configuration.json", "`results/<Dataset>/`", "gwunet.best_configuration", "BestConfiguration"),
    ("run.json", "the folder of masks that `gw_predict` writes", "gwunet.inference.run_record", "RunRecord"),
    ("ensemble.json", "the folder of masks that `gw_ensemble` writes", "gwunet.inference.ensemble", "EnsembleRecord"),
    (
        "model.json",
        "an archive of `gw_export --format zip`; an ONNX file has it in its metadata under `gwunet`",
        "gwunet.exporting.description",
        "ModelDescription",
    ),
    ("benchmark.json", "the folder that `gw_benchmark -o` names", "gwunet.benchmark.report", "Report"),
)
"""Files that are a dataclass: name, where they lie, and which class."""


def file_formats_page() -> Iterator[str]:
    yield "# File formats"
    yield ""
    yield MADE.format(what="the dataclasses and their docstrings")
    yield ""
    yield from wrapped(
        "Files of JSON that the program writes and reads back. Reading is strict: an unknown, missing or mistyped key "
        "is refused by its path, as in `plans.json: configurations.fganet.patch_size[1]: expected int, got 'x'`. Keys "
        "with a default may be missing, as they are in files of earlier versions. Numbers that are not finite are "
        "refused."
    )
    yield ""
    yield from wrapped(
        "Elsewhere: [dataset.json](datasets.md#datasetjson), "
        "[log.jsonl](../how-to/train.md#what-lies-in-a-folds-folder), "
        "[centrelines.json of simulated datasets](../explanation/simulator.md#what-it-writes), and all the "
        "[files of a workspace](commands_and_files.md#files-in-a-workspace)."
    )
    objects: dict[str, ast.ClassDef] = {}
    for file, where, module, name in FILES:
        found = find(module, name)
        if found is None or not isinstance(found[1], ast.ClassDef):
            raise LookupError(f"FILES: {module}.{name}: found no such class; correct the entry of {file}")
        yield from ("", f"## {file}", "")
        yield from wrapped(f"{in_markdown(doc_of(found[1]).split(chr(10) * 2)[0])} In: {where}.")
        yield from _keys(found[0], found[1], objects)
    yield from ("", "## Objects")
    shown: set[str] = set()
    lines: dict[str, list[str]] = {}
    while waiting := sorted(objects.keys() - shown):
        shown.add(waiting[0])
        module, _, name = waiting[0].rpartition(".")
        described = wrapped(in_markdown(doc_of(objects[waiting[0]]).split("\n\n")[0]))
        lines[name] = ["", f"### {name}", "", *described, *_keys(module, objects[waiting[0]], objects)]
    if len(lines) < len(objects):
        raise LookupError("two objects have one name, and so one heading; tell them apart here")
    for name in sorted(lines):
        yield from lines[name]


def _keys(module: str, node: ast.ClassDef, objects: dict[str, ast.ClassDef]) -> Iterator[str]:
    yield from ("", "| key | value | default | meaning |", "|---|---|---|---|")
    for field, text in fields_of(node):
        kind = _json_type(module, field.annotation, objects)
        yield f"| `{ast.unparse(field.target)}` | {kind} | {_json_default(field.value)} | {_in_json(text)} |"


def _in_json(text: str) -> str:
    return re.sub(r"\bNone\b", "null", cell(in_markdown(text)))


PLAIN = {"str": "string", "int": "integer", "float": "number", "bool": "true or false", "Any": "any", "None": "null"}


def _json_type(module: str, node: ast.expr, objects: dict[str, ast.ClassDef]) -> str:
    """An annotation in JSON's words, with links to the objects."""
    inner = functools.partial(_json_type, module, objects=objects)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return inner(ast.parse(node.value, mode="eval").body)
    if isinstance(node, ast.Constant):
        return "null"
    if isinstance(node, ast.BinOp):
        return f"{inner(node.left)} or {inner(node.right)}"
    if isinstance(node, ast.Subscript):
        return _json_container(ast.unparse(node.value).rpartition(".")[2], node.slice, inner)
    name = ast.unparse(node).rpartition(".")[2]
    if name in PLAIN:
        return PLAIN[name]
    found = find(module, name)
    if found is None:
        return "object" if name in ("dict", "Mapping") else name
    if isinstance(found[1], ast.ClassDef):
        if any(ast.unparse(base).endswith("Mapping") for base in found[1].bases):
            return "object"
        for file, _, *cls in FILES:
            if cls == [found[0], name]:
                return f"what [{file}](#{file.replace('.', '')}) holds"
        objects[f"{found[0]}.{name}"] = found[1]
        return f"[{name}](#{name.lower()})"
    assert isinstance(found[1], ast.expr)
    return _json_type(found[0], found[1], objects)


def _json_container(name: str, inside: ast.expr, inner: "functools.partial[str]") -> str:
    items = inside.elts if isinstance(inside, ast.Tuple) else [inside]
    if name == "Literal":
        return " or ".join(
            f"`{str(ast.literal_eval(item)).lower()}`"
            if ast.unparse(item) == "None"
            else f"`{ast.unparse(item)}`".replace("'", '"')
            for item in items
        )
    if name in ("dict", "Mapping"):
        return f"object: {inner(items[0])} to {inner(items[1])}"
    if name == "tuple" and ast.unparse(items[-1]) != "...":
        return f"\\[{', '.join(inner(item) for item in items)}\\]"
    if name in ("tuple", "list", "Sequence", "frozenset"):
        return f"array of {inner(items[0])}"
    raise LookupError(f"{name}[{ast.unparse(inside)}]: found a type that this page has no words for; add them here")


def _json_default(value: ast.expr | None) -> str:
    if value is None:
        return ""
    text = ast.unparse(value)
    for python, json in (("None", "null"), ("True", "true"), ("False", "false"), ("()", "[]")):
        if text == python:
            return f"`{json}`"
    return "`{}`" if "default_factory=dict" in text else f"`{text}`".replace("'", '"')
