"""Frozen dataclasses to JSON and back, strictly; files written whole or not at all.

Reading refuses unknown, missing and mistyped keys with their path, as in
``plans.json: configurations.fganet.patch_size[1]: expected int, got 'x'``.
"""

import contextlib
import dataclasses
import json
import math
import os
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from gwunet.errors import OutputError, SchemaError

T = TypeVar("T")

UNENCODABLE = "backslashreplace"
"""How text is written, wherever it goes, that UTF-8 has no code for: in the name of a file that is not UTF-8, Python
keeps such a byte as a character of its own. What is written for the byte 0xfc, ``\\udcfc``, JSON reads as the same name
again, and in a table or a message a person can tell the name by it."""


def as_utf8(text: str) -> bytes:
    """Text as it is written to a file; any name of a file can be in it, see ``UNENCODABLE``."""
    return text.encode("utf-8", UNENCODABLE)


def printable(text: str) -> str:
    """Text as it is drawn in a picture, by programs that take UTF-8 alone."""
    return as_utf8(text).decode()


def to_json(value: Any) -> Any:
    """Dataclasses, tuples, mappings and plain values as what ``json`` writes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value


def from_json(cls: type[T], data: Any, where: str) -> T:
    """Build ``cls`` (a dataclass) from parsed JSON.

    Args:
        cls: a dataclass whose fields are dataclasses, tuples, dicts with string keys, unions, literals or plain types.
        data: what ``json`` parsed.
        where: name of the source, put in front of every message.

    Raises:
        SchemaError: a key is unknown, missing or of another type; the message gives its path.
    """
    return typing.cast(T, _convert(cls, data, f"{where}: ", ""))


def _convert(expected: Any, data: Any, where: str, path: str) -> Any:
    origin = typing.get_origin(expected)
    if expected is Any:
        return data
    if origin in (typing.Union, types.UnionType):
        return _convert_union(typing.get_args(expected), data, where, path)
    if origin is typing.Literal:
        if data in typing.get_args(expected):
            return data
        raise _mismatch(where, path, "one of " + ", ".join(map(repr, typing.get_args(expected))), data)
    if dataclasses.is_dataclass(expected) and isinstance(expected, type):
        return _convert_dataclass(expected, data, where, path)
    if origin is tuple:
        return _convert_tuple(typing.get_args(expected), data, where, path)
    if origin is dict:
        if not isinstance(data, dict):
            raise _mismatch(where, path, "object", data)
        inner = typing.get_args(expected)[1]
        return {key: _convert(inner, item, where, f"{path}.{key}" if path else key) for key, item in data.items()}
    if expected is float and isinstance(data, int) and not isinstance(data, bool):
        if abs(data) > sys.float_info.max:
            raise _mismatch(where, path, "float", data)
        return float(data)
    if expected in (int, float, str, bool, type(None)):
        if type(data) is expected:
            return data
        raise _mismatch(where, path, "null" if expected is type(None) else expected.__name__, data)
    raise TypeError(f"{path}: jsonio cannot read the type {expected!r}")


def _convert_union(options: tuple[Any, ...], data: Any, where: str, path: str) -> Any:
    if data is None and type(None) in options:
        return None
    problems = []
    for option in (option for option in options if option is not type(None)):
        try:
            return _convert(option, data, where, path)
        except SchemaError as problem:
            problems.append(problem)
    raise problems[0]


def _convert_tuple(inner: tuple[Any, ...], data: Any, where: str, path: str) -> Any:
    if not isinstance(data, list):
        raise _mismatch(where, path, "array", data)
    if len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(_convert(inner[0], item, where, f"{path}[{i}]") for i, item in enumerate(data))
    if len(inner) != len(data):
        raise _mismatch(where, path, f"array of {len(inner)}", data)
    return tuple(
        _convert(kind, item, where, f"{path}[{i}]") for i, (kind, item) in enumerate(zip(inner, data, strict=True))
    )


def _convert_dataclass(cls: type[Any], data: Any, where: str, path: str) -> Any:
    if not isinstance(data, dict):
        raise _mismatch(where, path, "object", data)
    prefix = f"{path}." if path else ""
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in data:
        if key not in fields:
            raise SchemaError(f"{where}{prefix}{key}: unknown key; known are {', '.join(fields)}")
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _convert(hints[name], data[name], where, prefix + name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise SchemaError(f"{where}{prefix}{name}: missing")
    try:
        return cls(**values)
    except ValueError as problem:
        raise SchemaError(f"{where}{path or cls.__name__}: {problem}") from problem


def _mismatch(where: str, path: str, expected: str, data: Any) -> SchemaError:
    return SchemaError(f"{where}{path or 'the file'}: expected {expected}, got {data!r:.80}")


def parse_text(text: str) -> Any:
    """Parsed content of a JSON text.

    Raises:
        ValueError: it is not JSON, or has a number that is not finite: ``NaN``, ``Infinity``, or ``1e999``, which would
            become one.
        RecursionError: it has brackets too deep in each other.
    """
    return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)


def parse_json(path: Path) -> Any:
    """Parsed content of a JSON file.

    Raises:
        SchemaError: the file is missing, cannot be read, or is not JSON; see ``parse_text``.
    """
    try:
        return parse_text(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SchemaError(f"{path}: no such file") from None
    except OSError as problem:
        raise SchemaError(
            f"{path}: cannot be read ({problem.strerror}); check what it is, and its permissions"
        ) from None
    except RecursionError:
        raise SchemaError(f"{path}: found brackets too deep in each other; wanted a file as gwunet writes it") from None
    except ValueError as problem:
        raise SchemaError(f"{path}: not valid JSON ({problem})") from problem


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.40} is beyond the numbers of a computer")
    return value


def read_json(cls: type[T], path: Path) -> T:
    """A dataclass read from a JSON file; errors as ``from_json`` and ``parse_json``."""
    return from_json(cls, parse_json(path), str(path))


def write_json(path: Path, value: Any) -> None:
    """Write a dataclass or plain value as indented JSON, whole or not at all."""
    text = json.dumps(to_json(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as partial:
        partial.write_bytes(as_utf8(text))


def _settle(path: Path) -> None:
    """Onto the disk: after a power cut a file renamed before its content was there may stand empty under its name."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[Path]:
    """A path beside ``path`` to write to; renamed onto it when the block ends well, removed when it does not.

    The name keeps the ending of ``path``, for writers that choose their format by it.

    Args:
        path: the file to replace.
        durable: whole after a power cut too; takes some milliseconds, as much again as to write a mask.

    Raises:
        OutputError: the file cannot be written; what stood there before stands there still.
    """
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not tempfile's, which only their owner can read: results are as readable as the folder's other files.
        partial = path.with_name(f".partial-{os.urandom(8).hex()}{path.suffix}")
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield partial
        if durable:
            _settle(partial)
        partial.replace(path)
    except OSError as problem:
        raise OutputError(
            f"{path}: cannot be written ({problem}): check free space and permissions, or choose another place"
        ) from problem
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
