"""Strict reading with the path of what is wrong, and files that are whole or not there."""

import contextlib
import dataclasses
import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gwunet.errors import OutputError, SchemaError
from gwunet.jsonio import from_json, parse_json, read_json, replacing, to_json, write_json

FullDisk = Callable[[], contextlib.AbstractContextManager[None]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    size: tuple[int, int]
    share: float
    kind: Literal["wire", "tip"] = "wire"
    limit: float | None = None

    def __post_init__(self) -> None:
        if self.share < 0:
            raise ValueError(f"share is {self.share}, it must be at least 0")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    schema_version: int
    parts: dict[str, Part]
    names: tuple[str, ...]
    on: bool
    either: int | tuple[int, ...] = 0
    extra: dict[str, Any] = dataclasses.field(default_factory=dict)


PART: dict[str, Any] = {"size": [3, 4], "share": 0.5}
WHOLE: dict[str, Any] = {"schema_version": 1, "parts": {"first": PART}, "names": ["a", "b"], "on": True}


def changed(**part: Any) -> dict[str, Any]:
    return WHOLE | {"parts": {"first": PART | part}}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed(size=[3, "x"]), "f.json: parts.first.size[1]: expected int, got 'x'"),
        (changed(size=[3, 4.0]), "f.json: parts.first.size[1]: expected int, got 4.0"),
        (changed(size=[3, True]), "f.json: parts.first.size[1]: expected int, got True"),
        (changed(size=[3, 4, 5]), "f.json: parts.first.size: expected array of 2, got [3, 4, 5]"),
        (changed(size=34), "f.json: parts.first.size: expected array, got 34"),
        (changed(share="0.5"), "f.json: parts.first.share: expected float, got '0.5'"),
        (changed(share=False), "f.json: parts.first.share: expected float, got False"),
        (changed(share=None), "f.json: parts.first.share: expected float, got None"),
        (changed(limit="x"), "f.json: parts.first.limit: expected float, got 'x'"),
        (changed(kind="stent"), "f.json: parts.first.kind: expected one of 'wire', 'tip', got 'stent'"),
        (changed(share=-1.0), "f.json: parts.first: share is -1.0, it must be at least 0"),
        (changed(sise=1), "f.json: parts.first.sise: unknown key; known are size, share, kind, limit"),
        (WHOLE | {"parts": {"first": {"share": 1.0}}}, "f.json: parts.first.size: missing"),
        (WHOLE | {"parts": [PART]}, "f.json: parts: expected object, got "),
        (WHOLE | {"names": ["a", 1]}, "f.json: names[1]: expected str, got 1"),
        (WHOLE | {"on": 1}, "f.json: on: expected bool, got 1"),
        (WHOLE | {"either": "x"}, "f.json: either: expected int, got 'x'"),
        ([WHOLE], "f.json: the file: expected object, got "),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(data: Any, message: str) -> None:
    with pytest.raises(SchemaError) as refused:
        from_json(Whole, data, "f.json")
    assert str(refused.value).startswith(message)


def test_defaults_fill_what_may_be_missing_and_whole_numbers_pass_as_floats() -> None:
    read = from_json(Whole, changed(share=1), "f.json")
    assert read.parts["first"] == Part(size=(3, 4), share=1.0, kind="wire", limit=None)
    assert type(read.parts["first"].share) is float
    assert from_json(Whole, WHOLE | {"either": [1, 2]}, "f.json").either == (1, 2)


numbers = st.floats(min_value=0, allow_nan=False, allow_infinity=False)
parts = st.builds(
    Part,
    size=st.tuples(st.integers(), st.integers()),
    share=numbers,
    kind=st.sampled_from(["wire", "tip"]),
    limit=st.none() | numbers,
)
wholes = st.builds(
    Whole,
    schema_version=st.integers(),
    parts=st.dictionaries(st.text(), parts, max_size=3),
    names=st.lists(st.text()).map(tuple),
    on=st.booleans(),
    either=st.integers() | st.lists(st.integers()).map(tuple),
    extra=st.dictionaries(st.text(), st.none() | st.lists(st.integers()) | st.text(), max_size=3),
)


@given(wholes)
def test_what_is_written_is_read_back(value: Whole) -> None:
    text = json.dumps(to_json(value), allow_nan=False)
    assert from_json(Whole, json.loads(text), "f.json") == value


def test_a_file_is_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "grüße.json"
    value = from_json(Whole, WHOLE, "f.json")
    write_json(path, value)
    assert read_json(Whole, path) == value
    assert next(iter(json.loads(path.read_text(encoding="utf-8")))) == "schema_version"
    path.write_text(json.dumps({key: item for key, item in WHOLE.items() if key != "names"}), encoding="utf-8")
    with pytest.raises(SchemaError, match=r"grüße\.json: names: missing"):
        read_json(Whole, path)


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe{}"])
def test_what_is_not_json_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(SchemaError, match=r"broken\.json: not valid JSON"):
        parse_json(path)
    with pytest.raises(SchemaError, match=r"absent\.json: no such file"):
        parse_json(tmp_path / "absent.json")


@pytest.mark.parametrize("unwritable", [float("nan"), float("inf"), object()])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, unwritable: Any) -> None:
    path = tmp_path / "plans.json"
    path.write_text("old")
    with pytest.raises((ValueError, TypeError)):
        write_json(path, {"value": unwritable})
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"plans.json": "old"}


def test_replacing_leaves_nothing_behind_when_its_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "mask.png"

    def fail_half_way() -> None:
        with replacing(path) as partial:
            assert partial.suffix == ".png"
            assert partial.parent == tmp_path
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_content_is_on_the_disk_before_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut between the two leaves an empty checkpoint."""
    path, on_disk, own = tmp_path / "checkpoint.pt", [], os.fsync

    def sync(descriptor: int) -> None:
        own(descriptor)
        on_disk.append((os.pread(descriptor, 99, 0), path.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    with replacing(path, durable=True) as partial:
        partial.write_bytes(b"whole")
    assert on_disk == [(b"whole", False)]
    assert path.read_bytes() == b"whole"


def test_a_full_disk_that_says_so_late_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "mask.png").write_text("before")
    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "mask.png"
    with pytest.raises(OutputError, match="No space left"), replacing(path, durable=True) as partial:
        partial.write_text("after")
    assert (tmp_path / "mask.png").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_replaced_file_is_as_readable_as_others(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "mask.png") as partial:
            partial.write_text("whole")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "mask.png").stat().st_mode) == 0o640
    assert [file.name for file in tmp_path.iterdir()] == ["mask.png"]


def test_threads_that_write_leave_the_process_its_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to all threads: what one sets for a moment another may set for good."""

    def refuse(mask: int) -> int:
        raise AssertionError(f"umask set to {mask:o}")

    monkeypatch.setattr(os, "umask", refuse)
    with replacing(tmp_path / "mask.png") as partial:
        partial.write_text("whole")
    assert (tmp_path / "mask.png").read_text() == "whole"


def test_text_that_is_not_utf_8_is_read_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"K\xfcnstler \\ \xc3\xbc")
    write_json(tmp_path / "names.json", {name: [name]})
    assert parse_json(tmp_path / "names.json") == {name: [name]}
    assert (tmp_path / "names.json").read_bytes().decode().count("K\\udcfcnstler") == 2


def test_a_full_disk_is_named_and_what_stood_there_stands(tmp_path: Path, full_disk: FullDisk) -> None:
    path = tmp_path / "plans.json"
    write_json(path, {"kept": True})
    with full_disk(), pytest.raises(OutputError, match=r"plans\.json: cannot be written .* free space"):
        write_json(path, ["x" * 100] * 100)
    assert json.loads(path.read_text()) == {"kept": True}
    assert list(tmp_path.iterdir()) == [path]
