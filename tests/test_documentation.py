"""What README and documentation promise: the commands word for word, links that lead somewhere, flags that exist."""

import importlib
import re
import shlex
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "documentation").rglob("*.md")])
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


def test_the_readme_has_the_two_commands_that_ci_runs() -> None:
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    for command in (
        "pip install -c constraints.txt -e . && gw_demo",
        "pip install -c constraints.txt -e '.[test]' && pytest",
    ):
        assert f"    {command}\n" in readme
        assert f"\n{command}" in ci
    assert "In a virtual environment" in readme


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def _documented_commands() -> list[str]:
    lines = [line.strip() for page in PAGES for line in page.read_text().splitlines() if line.startswith("    ")]
    return sorted({line for line in lines if line.startswith("gw_")})


@pytest.mark.parametrize("line", _documented_commands())
def test_documented_commands_parse(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command shown on a page is accepted by its parser; what it would do is not done."""
    name, *arguments = shlex.split(line)
    module = importlib.import_module(SCRIPTS[name].split(":")[0])
    seen = []
    monkeypatch.setattr(module, "run", lambda _, parser, argv: seen.append(parser.parse_args(argv)) or 0)
    assert module.main(arguments) == 0
    assert len(seen) == 1


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
