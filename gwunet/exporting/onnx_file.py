"""ONNX files: the description lies in the model's metadata, and what comes from others is checked before it runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gwunet.errors import ModelError
from gwunet.exporting import extra
from gwunet.exporting.description import ModelDescription, from_text, to_text
from gwunet.exporting.graph import INPUT, OUTPUT

KEY = "gwunet"
"""The description's key in the metadata."""
MAX_BYTES = 1 << 31
"""An ONNX file cannot be larger without others beside it, and those are refused."""
_STANDARD = ("", "ai.onnx")


def write_onnx(path: Path, model: Any, description: ModelDescription) -> None:
    """Write an ``onnx.ModelProto`` with its description; ``path`` is the caller's to rename or remove."""
    onnx = extra.load("onnx")
    onnx.helper.set_model_props(model, {KEY: to_text(description)})
    model.doc_string = "Segments guidewires in X-ray fluoroscopy; written by gw_export"
    path.write_bytes(model.SerializeToString())


def read_onnx(path: Path) -> tuple[bytes, ModelDescription]:
    """A file of ``write_onnx``, from whomever it comes; nothing of it runs here.

    Returns:
        The model, to be given to a runtime as bytes, and what it says about itself.

    Raises:
        ModelError: it is damaged, of another program or version, or wants more than tensors and standard operators.
        UsageError: onnx is not installed.
    """
    onnx = extra.load("onnx")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path}: found {path.stat().st_size} bytes, wanted at most {MAX_BYTES} (2 GiB)")
        content = path.read_bytes()
    except OSError as problem:
        raise ModelError(f"{path}: cannot be read ({problem}); check its permissions, or copy it again") from problem
    try:
        model = onnx.load_from_string(content)
    except Exception as problem:  # the parser of protobuf has several
        raise ModelError(f"{path}: not a readable model: neither ONNX nor an archive of gw_export") from problem
    texts = [entry.value for entry in model.metadata_props if entry.key == KEY]
    if len(texts) != 1:
        raise ModelError(
            f"{path}: found {'an ONNX model' if model.graph.node else 'a file'} without a description of gwunet; "
            "wanted one that gw_export wrote: its plan and preprocessing are part of it"
        )
    description = from_text(texts[0], f"{path}: {KEY}")
    _check(model, path)
    return content, description


def _check(model: Any, path: Path) -> None:
    """Refuse what gw_export never writes: other files, operators of others, parts that repeat or branch."""
    external = extra.load("onnx").TensorProto.EXTERNAL
    if model.functions or model.training_info:
        raise ModelError(f"{path}: found functions or training parts in the model; wanted the graph of a network alone")
    domains = sorted({node.domain for node in model.graph.node} - set(_STANDARD))
    if domains:
        raise ModelError(f"{path}: found operators of {', '.join(map(repr, domains))}; wanted those of ONNX itself")
    for node in model.graph.node:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise ModelError(
                f"{path}: found a graph inside of the node {node.name!r:.80} ({node.op_type}); wanted none"
            )
    for tensor in _tensors(model.graph):
        if tensor.data_location == external or tensor.external_data:
            raise ModelError(
                f"{path}: found that the tensor {tensor.name!r:.80} lies in another file; wanted all in this one"
            )
    names = [value.name for value in model.graph.input], [value.name for value in model.graph.output]
    if names != ([INPUT], [OUTPUT]):
        raise ModelError(f"{path}: found inputs and outputs {names!r:.160}; wanted {INPUT!r} and {OUTPUT!r}")


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from attribute.tensors
            if attribute.HasField("t"):
                yield attribute.t
            sparse_ones = [*attribute.sparse_tensors] + (
                [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
            )
            for sparse in sparse_ones:
                yield from (sparse.values, sparse.indices)
