"""The learning rate over the course of training."""

import math
from collections.abc import Iterator, Sequence

from gwunet.plans import Duration, Optimiser

POLY_POWER = 0.9
FEWEST_REDUCTIONS = 2
"""A plateau schedule that can lower the rate less often is hardly one."""
PLATEAU_THRESHOLD = 1e-4
"""A loss counts as lower if it is by this share, as torch's ReduceLROnPlateau has it."""


def learning_rate(optimiser: Optimiser, iteration: int, duration: Duration, signals: Sequence[float] = ()) -> float:
    """The learning rate of ``iteration``, counted from 0.

    Args:
        optimiser: the plan's.
        iteration: over all epochs.
        duration: of the whole training.
        signals: for ``plateau``, the loss on the frames set aside after each epoch so far.
    """
    total = duration.epochs * duration.iterations_per_epoch
    warmup = optimiser.warmup_share * total
    if iteration < warmup:
        return optimiser.learning_rate * (iteration + 1) / (warmup + 1)
    return optimiser.learning_rate * _factor(
        optimiser, iteration, duration, (iteration - warmup) / max(total - warmup, 1), signals
    )


def _factor(optimiser: Optimiser, iteration: int, duration: Duration, done: float, signals: Sequence[float]) -> float:
    """The share of the highest learning rate; ``done`` is the share of the iterations after the warm-up."""
    match optimiser.schedule:
        case "poly":
            return float((1 - done) ** POLY_POWER)
        case "cosine":
            return 0.5 * (1 + math.cos(math.pi * done))
        case "constant":
            return 1.0
        case "annealing":
            epoch = iteration // duration.iterations_per_epoch
            return 0.5 * (1 + math.cos(math.pi * epoch / optimiser.annealing_epochs))
        case "plateau":
            return float(optimiser.plateau_factor ** reductions(signals, optimiser.plateau_patience))


def cut_short(optimiser: Optimiser, duration: Duration) -> str | None:
    """What of a schedule that counts epochs does not happen, as there are too few; None where nothing is lost."""
    if optimiser.schedule == "annealing" and duration.epochs < optimiser.annealing_epochs:
        last = learning_rate(optimiser, (duration.epochs - 1) * duration.iterations_per_epoch, duration)
        return (
            f"the annealing schedule is to reach 0 after {optimiser.annealing_epochs} epochs; in {duration.epochs} the "
            f"learning rate falls to {last / optimiser.learning_rate:.0%} of the highest"
        )
    # The first loss is lower than none, and the last epoch's lowers no rate any more.
    possible = max(0, duration.epochs - 2) // (optimiser.plateau_patience + 1)
    if optimiser.schedule == "plateau" and possible < FEWEST_REDUCTIONS:
        return (
            f"the plateau schedule waits for {optimiser.plateau_patience} epochs without a lower loss; in "
            f"{duration.epochs} the learning rate can fall {('not at all', 'once')[possible]}"
        )
    return None


def epochs_without_gain(signals: Sequence[float]) -> int:
    """How many of the last losses were none lower than the least before them."""
    waited = 0
    for gained in _gains(signals):
        waited = 0 if gained else waited + 1
    return waited


def reductions(signals: Sequence[float], patience: int) -> int:
    """How often a loss stopped falling: more than ``patience`` values in a row were none lower than the least before.

    All is found anew from the losses, so there is no state that a break of training could lose.

    Reference: torch.optim.lr_scheduler.ReduceLROnPlateau with its defaults.
    """
    waited = reduced = 0
    for gained in _gains(signals):
        waited = 0 if gained else waited + 1
        if waited > patience:
            waited, reduced = 0, reduced + 1
    return reduced


def _gains(signals: Sequence[float]) -> Iterator[bool]:
    """Of each loss, whether it is lower than the least before it."""
    least = math.inf
    for signal in signals:
        gained = signal < least * (1 - PLATEAU_THRESHOLD)
        least = signal if gained else least
        yield gained
