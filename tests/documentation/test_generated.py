"""Reference pages that documentation/generate.py writes are those that it would write now."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import gwunet

DOCUMENTATION = Path(__file__).parents[2] / "documentation"


@pytest.fixture(scope="module")
def commands() -> Iterator[ModuleType]:
    """documentation/writing/commands.py; the scripts there are no part of the package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCUMENTATION))
        yield importlib.import_module("writing.commands")


@pytest.fixture(scope="module")
def pages(commands: ModuleType) -> dict[str, str]:
    made: dict[str, str] = importlib.import_module("generate").pages()
    return made


@pytest.mark.parametrize("name", ["commands.md", "file_formats.md", "python_api.md"])
def test_pages_have_not_drifted(pages: dict[str, str], name: str) -> None:
    written = (DOCUMENTATION / "reference" / name).read_text(encoding="utf-8")
    assert written == pages[name], "run: python documentation/generate.py"


def test_every_command_and_flag_is_on_the_page(commands: ModuleType, pages: dict[str, str]) -> None:
    """Counted in what ``--help`` says, which is not what the page is made of."""
    sections = dict(
        zip(*[iter(re.split(r"^## (gw_\w+)$", pages["commands.md"], flags=re.MULTILINE)[1:])] * 2, strict=True)
    )
    assert sections.keys() == commands.scripts().keys()
    for command, section in sections.items():
        shown = set(re.findall(r"^\| .*?`(-[\w-]+)`", section, re.MULTILINE))
        told = set(re.findall(r"^  (-[\w-]+)", commands.parser_of(command).format_help(), re.MULTILINE))
        assert told - {"-h"} <= shown, command


def test_every_public_name_is_on_the_page(pages: dict[str, str]) -> None:
    headings = re.findall(r"^## gwunet\.(\w+)$", pages["python_api.md"], re.MULTILINE)
    assert headings == gwunet.__all__
    assert "`(H, W)` uint8 or uint16, as it comes from the detector" in pages["python_api.md"]


def test_schemas_follow_the_types(pages: dict[str, str]) -> None:
    """Some keys whose types are known from elsewhere: a link, a choice, a default, a pair of numbers."""
    page = pages["file_formats.md"]
    assert "| `configurations` | object: string to [Configuration](#configuration) |" in page
    assert '| `device` | `"cpu"` or `"cuda"` |' in page
    assert "| `tile_size` | \\[integer, integer\\] |" in page
    assert "| `nesterov` | true or false | `true` |" in page


def test_every_file_with_a_version_is_on_the_page(commands: ModuleType) -> None:
    """A dataclass with a ``schema_version`` is a file of its own."""
    described = {name for *_, name in importlib.import_module("writing.file_formats").FILES}
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (commands.ROOT / "gwunet").rglob("*.py"))
    classes = re.split(r"^class (\w+)", sources, flags=re.MULTILINE)
    versioned = {
        name for name, body in zip(classes[1::2], classes[2::2], strict=True) if "\n    schema_version:" in body
    }
    assert len(versioned) >= 15
    assert versioned - described == set()
