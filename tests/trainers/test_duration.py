"""How many iterations fit a time, with a clock that the steps themselves turn."""

import types

import pytest

from gwunet.plans import Duration
from gwunet.trainers import duration
from gwunet.trainers.duration import EPOCHS_IN_TIME, RESERVE, fit_to_time, planned


class Clock:
    """Time as the steps and the epochs' ends take it; the first step takes ten times as long."""

    def __init__(self, step_s: float, closing_s: float) -> None:
        self.now = 100.0
        self.steps: list[int] = []
        self._step_s, self._closing_s = step_s, closing_s

    def step(self, index: int) -> None:
        self.now += self._step_s * (1 if self.steps else 10)
        self.steps.append(index)

    def close(self) -> None:
        self.now += self._closing_s


def fit(monkeypatch: pytest.MonkeyPatch, minutes: float, step_s: float, closing_s: float) -> tuple[Duration, float]:
    """The duration, and the seconds that all of training takes with it."""
    clock = Clock(step_s, closing_s)
    monkeypatch.setattr(duration, "time", types.SimpleNamespace(perf_counter=lambda: clock.now))
    found = fit_to_time(minutes, clock.step, clock.close)
    assert len(set(clock.steps)) == len(clock.steps) >= 2
    training_s = found.epochs * (found.iterations_per_epoch * step_s + closing_s)
    return found, clock.now - 100 + training_s


@pytest.mark.parametrize(
    ("minutes", "step_s", "closing_s"), [(8, 0.5, 2.0), (8, 0.01, 0.0), (3.4, 1.0, 0.5), (60, 0.3, 9.0), (1, 0.2, 8.0)]
)
def test_training_takes_the_time_it_was_given(
    monkeypatch: pytest.MonkeyPatch, minutes: float, step_s: float, closing_s: float
) -> None:
    found, seconds = fit(monkeypatch, minutes, step_s, closing_s)
    one_more = found.epochs * step_s
    assert seconds <= minutes * 60 * RESERVE + 1e-6
    assert seconds + one_more > minutes * 60 * RESERVE
    assert found.minutes == minutes
    assert found.epochs <= EPOCHS_IN_TIME


def test_slow_ends_of_epochs_make_fewer_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    quick, _ = fit(monkeypatch, 10, 0.1, 0.1)
    slow, _ = fit(monkeypatch, 10, 0.1, 20)
    assert quick.epochs == EPOCHS_IN_TIME
    assert slow.epochs == 5  # 20 ends of 20 s would be more than half of the ten minutes


def test_a_time_too_short_for_anything_still_trains_one_step(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = fit(monkeypatch, 0.01, 5.0, 5.0)
    assert (found.epochs, found.iterations_per_epoch) == (1, 1)


def test_a_step_that_stalls_does_not_shorten_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    steady, _ = fit(monkeypatch, 10, 0.5, 1.0)
    stalling = Clock(0.5, 1.0)
    monkeypatch.setattr(duration, "time", types.SimpleNamespace(perf_counter=lambda: stalling.now))

    def step(index: int) -> None:
        stalling.step(index)
        stalling.now += 15 * (index == 2)

    found = fit_to_time(10, step, stalling.close)
    assert found.iterations_per_epoch > 0.95 * steady.iterations_per_epoch


def test_batches_that_workers_made_ahead_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first 8 steps do not wait; from then on four workers deliver four at a time, so every fourth step waits."""
    clock = Clock(0.1, 0.0)
    monkeypatch.setattr(duration, "time", types.SimpleNamespace(perf_counter=lambda: clock.now))

    def step(index: int) -> None:
        clock.step(index)
        clock.now += 1.0 * (index > 8 and index % 4 == 0)

    found = fit_to_time(100, step, clock.close, ahead=8)
    training_s = found.epochs * found.iterations_per_epoch * (0.1 + 1.0 / 4)
    assert 0.9 * 6000 * RESERVE < training_s < 1.1 * 6000 * RESERVE


PLAN = Duration(epochs=100, iterations_per_epoch=50, minutes=8.0)


@pytest.mark.parametrize(
    ("epochs", "iterations", "minutes", "expected"),
    [
        (None, None, None, (100, 50, 8.0)),
        (3, None, None, (3, 50, None)),
        (None, 7, None, (100, 7, None)),
        (3, 7, None, (3, 7, None)),
        (None, None, 2.5, (100, 50, 2.5)),
    ],
)
def test_what_is_asked_for_replaces_the_plan(
    epochs: int | None, iterations: int | None, minutes: float | None, expected: tuple[int, int, float | None]
) -> None:
    """A number of epochs or iterations sets the plan's minutes aside."""
    found = planned(PLAN, epochs, iterations, minutes)
    assert (found.epochs, found.iterations_per_epoch, found.minutes) == expected
