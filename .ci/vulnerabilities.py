"""Whether a pin in constraints.txt has a known vulnerability of which a fixed version exists.

pip-audit is asked with each of its sources in turn until every pin was looked up. It ends well also where it could look
up nothing at all, so what it did look up is counted here. A source that does not answer is no failure of the pins, and
no proof that they are sound; then this says that it does not know.

    python .ci/vulnerabilities.py constraints.txt

ends with 1 where a pin is to be raised, else with 0.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SOURCES = ("pypi", "osv")
SECONDS_FOR_A_SOURCE = 120
ACCEPTED: dict[str, str] = {}
"""Vulnerabilities that do not concern gwunet, or whose fix cannot be had yet: identifier to reason."""

Report = dict[str, Any]
"""What pip-audit writes with ``--format json``."""


def ask(pins: Path, source: str) -> Report | None:
    """One source's report on all pins; None where it gave none."""
    options = ["--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "15"]
    command = [sys.executable, "-m", "pip_audit", "-r", str(pins), "--vulnerability-service", source, *options]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_FOR_A_SOURCE, check=False)
        report: Report = json.loads(told.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    return report


def looked_up(reports: list[Report]) -> set[str]:
    """Names of the pins that at least one source knew."""
    return {each["name"] for report in reports for each in report["dependencies"] if "skip_reason" not in each}


def found(reports: list[Report]) -> dict[str, list[str]]:
    """Per identifier of a vulnerability: the pin as ``name version``, then the versions that mend it."""
    vulnerable = {}
    for report in reports:
        for each in report["dependencies"]:
            for one in each.get("vulns", ()):
                if not {one["id"], *one.get("aliases", ())} & ACCEPTED.keys():
                    vulnerable[one["id"]] = [f"{each['name']} {each['version']}", *one["fix_versions"]]
    return vulnerable


def verdict(n_pins: int, reports: list[Report]) -> tuple[int, list[str]]:
    """Exit status and what to say.

    Args:
        n_pins: how many there are.
        reports: of the sources that answered.
    """
    status, lines = 0, []
    for identifier, (pin, *fixed) in sorted(found(reports).items()):
        lines.append(f"{pin}: {identifier}, " + (f"mended in {', '.join(fixed)}" if fixed else "no mended version yet"))
        status |= bool(fixed)
    n_known = len(looked_up(reports))
    if n_known < n_pins:
        lines.append(f"NOT CHECKED FOR KNOWN VULNERABILITIES: {n_pins - n_known} of {n_pins} pins, no source knew them")
    else:
        lines.append(f"{n_pins} pins looked up")
    return status, lines


def main(pins: Path) -> int:
    """Ask, say, and return the exit status."""
    n_pins = sum("==" in line for line in pins.read_text().splitlines())
    reports: list[Report] = []
    for source in SOURCES:
        report = ask(pins, source)
        if report is None:
            print(f"{source}: no answer")
        else:
            reports.append(report)
        if len(looked_up(reports)) == n_pins:
            break
    status, lines = verdict(n_pins, reports)
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
