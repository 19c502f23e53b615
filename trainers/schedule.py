"""The learning rate over the course of training."""

import math

from gwunet.plans import Optimiser

POLY_POWER = 0.9


def learning_rate(optimiser: Optimiser, iteration: int, total: int) -> float:
    """The learning rate of ``iteration``, counted from 0, of ``total``."""
    warmup = optimiser.warmup_share * total
    if iteration < warmup:
        return optimiser.learning_rate * (iteration + 1) / (warmup + 1)
    done = (iteration - warmup) / max(total - warmup, 1)
    factors = {
        "poly": (1 - done) ** POLY_POWER,
        "cosine": 0.5 * (1 + math.cos(math.pi * done)),
        "constant": 1.0,
    }
    rate: float = optimiser.learning_rate * factors[optimiser.schedule]
    return rate
