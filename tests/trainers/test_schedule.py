"""The learning rate against the formulas of its schedules and torch's own schedulers."""

import dataclasses
import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, ReduceLROnPlateau

from gwunet.plans import Configuration, Duration, Optimiser
from gwunet.trainers.schedule import cut_short, learning_rate, reductions


@pytest.fixture
def optimiser(make_configuration: Callable[..., Configuration]) -> Optimiser:
    return dataclasses.replace(make_configuration().optimiser, learning_rate=0.01, warmup_share=0.0)


def lasting(epochs: int, iterations: int = 1) -> Duration:
    return Duration(epochs=epochs, iterations_per_epoch=iterations, minutes=None)


def torch_optimiser() -> torch.optim.SGD:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.01)


def test_poly_and_cosine_and_constant(optimiser: Optimiser) -> None:
    for schedule, formula in {
        "poly": lambda t: (1 - t) ** 0.9,
        "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
        "constant": lambda _: 1.0,
    }.items():
        chosen = dataclasses.replace(optimiser, schedule=schedule)
        for iteration in (0, 1, 250, 500, 999):
            rate = learning_rate(chosen, iteration, lasting(20, 50))
            assert rate == pytest.approx(0.01 * formula(iteration / 1000))


@pytest.mark.parametrize("schedule", ["poly", "cosine", "constant"])
@pytest.mark.parametrize("total", [1, 2, 7, 100, 1000])
def test_it_rises_in_the_warm_up_and_never_after(optimiser: Optimiser, schedule: str, total: int) -> None:
    chosen = dataclasses.replace(optimiser, schedule=schedule, warmup_share=0.1)
    rates = [learning_rate(chosen, iteration, lasting(total)) for iteration in range(total)]
    assert all(0 < rate <= 0.01 for rate in rates)
    peak = rates.index(max(rates))
    assert peak <= 0.1 * total + 1
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    if total >= 100:
        steps = [after - before for before, after in itertools.pairwise(rates[:peak])]
        assert steps == pytest.approx([0.01 / (0.1 * total + 1)] * len(steps))
        assert max(rates) == pytest.approx(0.01)


@pytest.mark.parametrize("period", [1, 7, 50])
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
def test_annealing_is_torchs_and_comes_back_up(optimiser: Optimiser, period: int) -> None:
    chosen = dataclasses.replace(optimiser, schedule="annealing", annealing_epochs=period)
    reference = torch_optimiser()
    scheduler = CosineAnnealingLR(reference, T_max=period)
    for epoch in range(180):
        rates = {learning_rate(chosen, 3 * epoch + offset, lasting(180, 3)) for offset in range(3)}
        assert len(rates) == 1
        assert rates.pop() == pytest.approx(reference.param_groups[0]["lr"], abs=1e-9)
        scheduler.step()
    assert learning_rate(chosen, 3 * 2 * period, lasting(180, 3)) == pytest.approx(0.01)


@pytest.mark.parametrize("patience", [0, 1, 3, 10])
@pytest.mark.parametrize("seed", range(4))
def test_a_plateau_is_torchs(optimiser: Optimiser, patience: int, seed: int) -> None:
    """Falling and wandering losses, the same loss again, and one that falls by less than counts."""
    rng = np.random.default_rng(seed)
    losses = list(np.exp(-np.arange(60) / 15) + 0.1 * rng.random(60)) + [0.05] * 15 + [0.05 * (1 - 5e-5)] * 15
    chosen = dataclasses.replace(optimiser, schedule="plateau", plateau_factor=0.5, plateau_patience=patience)
    reference = torch_optimiser()
    scheduler = ReduceLROnPlateau(reference, factor=0.5, patience=patience, eps=0.0)
    for epoch in range(len(losses)):
        rate = learning_rate(chosen, 2 * epoch, lasting(len(losses), 2), losses[:epoch])
        assert rate == pytest.approx(reference.param_groups[0]["lr"], rel=1e-12)
        scheduler.step(losses[epoch])
    assert reference.param_groups[0]["lr"] < 0.01


@pytest.mark.parametrize("patience", [0, 2, 10])
@pytest.mark.parametrize("epochs", [1, 2, 3, 12, 13, 20, 23, 24, 60])
def test_a_plateau_that_can_hardly_lower_the_rate_is_told(optimiser: Optimiser, patience: int, epochs: int) -> None:
    """The rate of the last epoch, after losses that never fall, is what could become of it."""
    chosen = dataclasses.replace(optimiser, schedule="plateau", plateau_patience=patience)
    possible = reductions([1.0] * (epochs - 1), patience)
    told = cut_short(chosen, lasting(epochs))
    assert (told is not None) == (possible < 2)
    if told is not None:
        assert told.endswith(("not at all", "once")[possible])


@pytest.mark.parametrize(("epochs", "told"), [(20, "in 20 the learning rate falls to 68% of"), (50, None), (180, None)])
def test_annealing_that_does_not_come_down_is_told(optimiser: Optimiser, epochs: int, told: str | None) -> None:
    chosen = dataclasses.replace(optimiser, schedule="annealing", annealing_epochs=50)
    found = cut_short(chosen, lasting(epochs, 7))
    assert (found is None) == (told is None)
    assert told is None or told in str(found)


def test_schedules_of_shares_are_never_cut_short(optimiser: Optimiser) -> None:
    for schedule in ("poly", "cosine", "constant"):
        assert cut_short(dataclasses.replace(optimiser, schedule=schedule), lasting(1)) is None
