"""What is installed beside gwunet: bounds, pins, Python versions, and the look for known vulnerabilities."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
BOUNDS = [Requirement(line) for line in sum(EXTRAS.values(), PROJECT["dependencies"])]
PROGRAMS_FOR_THE_SOURCE = {"ruff", "mypy"}
"""They run on the source; what versions stand beside does not matter to them, so they are in no second environment."""


def pins_of(name: str) -> dict[str, Version]:
    lines = (line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#"))
    return {canonicalize_name(pin): Version(version) for pin, version in (line.split("==") for line in lines)}


TESTED, OLDEST = pins_of("constraints.txt"), pins_of(".ci/minimum.txt")


@pytest.mark.parametrize("bound", BOUNDS, ids=str)
def test_the_second_environment_has_each_bound_itself(bound: Requirement) -> None:
    name = canonicalize_name(bound.name)
    (specifier,) = bound.specifier
    assert specifier.operator == ">="
    if name not in PROGRAMS_FOR_THE_SOURCE:
        assert OLDEST[name] == Version(specifier.version)
    assert TESTED[name] in bound.specifier


def test_bounds_of_one_library_agree() -> None:
    assert len({canonicalize_name(bound.name) for bound in BOUNDS}) == len(set(map(str, BOUNDS)))


def test_nothing_in_the_second_environment_is_newer_than_in_the_first() -> None:
    assert [name for name in TESTED.keys() & OLDEST.keys() if OLDEST[name] > TESTED[name]] == []


def test_each_bound_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    lines = re.findall(r'^ +"[\w-]+>=.*$', text, re.MULTILINE)
    assert len(lines) == len(BOUNDS)
    assert [line for line in lines if not re.search(r'",  # \w', line)] == []


def test_the_python_tested_here_is_the_oldest_allowed_and_the_only_one_declared() -> None:
    language = "Programming Language :: Python :: 3."
    named = {int(each.removeprefix(language)) for each in PROJECT["classifiers"] if each.startswith(language)}
    assert named == {sys.version_info.minor}
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert min(minor for minor in range(30) if f"3.{minor}.7" in allowed) == min(named)


@pytest.fixture(scope="module")
def vulnerabilities() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vulnerabilities", ROOT / ".ci" / "vulnerabilities.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sound(name: str) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": []}


def flawed(name: str, *fixed: str) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": [{"id": "X-1", "aliases": ["Y-1"], "fix_versions": [*fixed]}]}


def unknown(name: str) -> dict[str, Any]:
    return {"name": name, "skip_reason": "not found"}


class TestVulnerabilities:
    @pytest.mark.parametrize(
        ("reports", "status", "said"),
        [
            ([[sound("a"), sound("b")]], 0, "2 pins looked up"),
            ([[sound("a"), flawed("b", "1.1", "2.0")]], 1, "b 1.0: X-1, mended in 1.1, 2.0\n2 pins looked up"),
            ([[sound("a"), flawed("b")]], 0, "b 1.0: X-1, no mended version yet\n2 pins looked up"),
            ([[sound("a"), unknown("b")], [unknown("a"), sound("b")]], 0, "2 pins looked up"),
            (
                [[sound("a"), unknown("b")]],
                0,
                "NOT CHECKED FOR KNOWN VULNERABILITIES: 1 of 2 pins, no source knew them",
            ),
            ([], 0, "NOT CHECKED FOR KNOWN VULNERABILITIES: 2 of 2 pins, no source knew them"),
        ],
    )
    def test_the_verdict(
        self, vulnerabilities: ModuleType, reports: list[list[dict[str, Any]]], status: int, said: str
    ) -> None:
        told = [{"dependencies": each} for each in reports]
        assert vulnerabilities.verdict(2, told) == (status, said.split("\n"))

    @pytest.mark.parametrize("name", ["X-1", "Y-1"])
    def test_one_that_does_not_concern_gwunet_is_left_out(
        self, vulnerabilities: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        monkeypatch.setattr(vulnerabilities, "ACCEPTED", {name: "a reason"})
        report = {"dependencies": [flawed("a", "2.0")]}
        assert vulnerabilities.verdict(1, [report]) == (0, ["1 pins looked up"])

    @pytest.mark.parametrize("answer", ["", "Traceback", '{"dependencies": []}'])
    def test_a_source_that_knows_nothing_is_no_proof(
        self,
        vulnerabilities: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        answer: str,
    ) -> None:
        asked = []

        def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
            asked.append(command)
            return subprocess.CompletedProcess(command, 0, stdout=answer)

        monkeypatch.setattr(vulnerabilities.subprocess, "run", run)
        assert vulnerabilities.main(ROOT / "constraints.txt") == 0
        assert len(asked) == len(vulnerabilities.SOURCES)
        assert f"NOT CHECKED FOR KNOWN VULNERABILITIES: {len(TESTED)} of {len(TESTED)}" in capsys.readouterr().out
