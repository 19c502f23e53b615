"""What README and documentation promise: the commands word for word, and links that lead somewhere."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "documentation").rglob("*.md")])


def test_the_readme_has_the_two_commands_that_ci_runs() -> None:
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    for command in (
        "pip install -c constraints.txt -e . && gw_demo",
        "pip install -c constraints.txt -e '.[test]' && pytest",
    ):
        assert f"    {command}\n" in readme
        assert f"\n{command}" in ci
    assert "In a virtual environment" in readme


def anchors(page: Path) -> set[str]:
    """What ``#...`` may name on a page, as GitHub makes it of headings."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        plain = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        found.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    """To a file that is there, and where a heading is named, to one that it has."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_rows_of_a_table_have_as_many_cells_as_its_head(page: Path) -> None:
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, line, *rows = (len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines())
        assert {line, *rows} == {head}, table.splitlines()[0]


def test_every_page_is_in_the_contents() -> None:
    contents = (ROOT / "documentation" / "README.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"\]\(([\w/-]+\.md)\)", contents))
    pages = {str(page.relative_to(ROOT / "documentation")) for page in (ROOT / "documentation").rglob("*/*.md")}
    assert pages - listed == set()


def test_pinned_versions_satisfy_the_bounds() -> None:
    """Every dependency is pinned in constraints.txt, at its lower bound or above."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    pins = dict(re.findall(r"^([\w.-]+)==([\w.]+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    for requirement in needed:
        name, bound = requirement.split(">=")
        pinned = pins[name.lower().replace("_", "-")]
        assert [int(part) for part in pinned.split(".")] >= [int(part) for part in bound.split(".")]
