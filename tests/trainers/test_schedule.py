"""The learning rate against the formulas of its schedules."""

import dataclasses
import itertools
import math
from collections.abc import Callable

import pytest

from gwunet.plans import Configuration, Optimiser
from gwunet.trainers.schedule import learning_rate


@pytest.fixture
def optimiser(make_configuration: Callable[..., Configuration]) -> Optimiser:
    return dataclasses.replace(make_configuration().optimiser, learning_rate=0.01, warmup_share=0.0)


def test_poly_and_cosine_and_constant(optimiser: Optimiser) -> None:
    for schedule, formula in {
        "poly": lambda t: (1 - t) ** 0.9,
        "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
        "constant": lambda _: 1.0,
    }.items():
        chosen = dataclasses.replace(optimiser, schedule=schedule)
        for iteration in (0, 1, 250, 500, 999):
            assert learning_rate(chosen, iteration, 1000) == pytest.approx(0.01 * formula(iteration / 1000))


@pytest.mark.parametrize("schedule", ["poly", "cosine", "constant"])
@pytest.mark.parametrize("total", [1, 2, 7, 100, 1000])
def test_it_rises_in_the_warm_up_and_never_after(optimiser: Optimiser, schedule: str, total: int) -> None:
    chosen = dataclasses.replace(optimiser, schedule=schedule, warmup_share=0.1)
    rates = [learning_rate(chosen, iteration, total) for iteration in range(total)]
    assert all(0 < rate <= 0.01 for rate in rates)
    peak = rates.index(max(rates))
    assert peak <= 0.1 * total + 1
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    if total >= 100:
        steps = [after - before for before, after in itertools.pairwise(rates[:peak])]
        assert steps == pytest.approx([0.01 / (0.1 * total + 1)] * len(steps))
        assert max(rates) == pytest.approx(0.01)
