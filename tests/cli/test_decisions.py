"""The table of decisions: complete, within the terminal, and what is shared said once."""

import dataclasses
from collections.abc import Callable

import pytest

from gwunet.cli.decisions import describe_plans
from gwunet.plans import Configuration, Decision, Plans, Preprocessing

SHARED = Decision(what="patch size", value="512 x 480", reason="the median field", change="frames of another size")
LONG = Decision(
    what="soft-skeleton iterations",
    value="FGANet: in_channels=1, features=[32, 64, 128, 256, 512, 1024]",
    reason="a reason that goes on for much longer than any column of any terminal is wide, " * 3,
    change="--memory_gb, or frames of another size, or another planner with -pl",
)


@pytest.fixture
def plans(make_configuration: Callable[..., Configuration]) -> Plans:
    def made(name: str, *own: Decision) -> Configuration:
        return make_configuration(name=name, decisions=(SHARED, *own))

    first = made("fganet", LONG)
    second = made("linknet", dataclasses.replace(LONG, value="another"))
    return Plans(
        schema_version=1,
        dataset="Dataset001_Made",
        preprocessing=Preprocessing(borders={}),
        configurations={each.name: each for each in (first, second)},
    )


@pytest.mark.parametrize(("terminal", "limit"), [(20, 80), (80, 80), (120, 120), (400, 180)])
def test_lines_fit_the_terminal_and_lose_no_word(plans: Plans, terminal: int, limit: int) -> None:
    lines = list(describe_plans(plans, terminal))
    assert max(map(len, lines)) <= limit
    words = " ".join(lines).split()
    for text in (LONG.reason, LONG.change, SHARED.change, "what changes it"):
        assert all(word in words for word in text.split() if len(word) < 12)


def test_what_is_shared_is_said_once_and_before_the_rest(plans: Plans) -> None:
    lines = list(describe_plans(plans, 120))
    said = [index for index, line in enumerate(lines) if line.strip().startswith("patch size")]
    titles = [index for index, line in enumerate(lines) if line.startswith("Dataset001_Made")]
    assert len(said) == 1
    assert len(titles) == 3
    assert titles[0] < said[0] < titles[1]
    assert "shared by all 2" in lines[titles[0]]
    assert "fganet for cpu with 2 GiB" in lines[titles[1]]
    assert sum(line.strip().startswith("soft-skeleton") for line in lines) == 2


def test_a_single_configuration_stands_as_a_whole(plans: Plans) -> None:
    alone = dataclasses.replace(plans, configurations={"fganet": plans.configurations["fganet"]})
    lines = list(describe_plans(alone, 120))
    assert [line for line in lines if line.startswith("Dataset")] == ["Dataset001_Made, fganet for cpu with 2 GiB"]
    assert sum(line.strip().startswith(("patch size", "soft-skeleton")) for line in lines) == 2
