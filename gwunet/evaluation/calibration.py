"""Whether probabilities mean what they say, from sums over bins, so that memory is bounded and frames pool exactly."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

RELIABILITY_BINS = 20
"""Of equal width; each holds its lower limit, the last one its upper limit too."""
ROUNDING = 1e-5
"""Of a bin's width: what float32 puts so little below a limit is the limit, as 0.7 is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliabilityBin:
    """The pixels with a probability in ``[lower, upper)``."""

    lower: float
    upper: float
    pixels: int
    wire: int
    """Those of them that are wire in the reference."""
    mean_probability: float | None
    """Null without pixels."""
    wire_share: float | None
    """``wire`` of ``pixels``; in a calibrated model about ``mean_probability``. Null without pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """How far predicted probabilities are from how often they come true."""

    pixels: int
    ece: float
    """Expected calibration error: mean over pixels of the distance between the two values of their bin."""
    mean_bin_error: float
    """The same distance, every bin that has pixels counting once: background by the million does not hide the rest."""
    brier: float
    """Mean squared difference of probability and mask."""
    bins: tuple[ReliabilityBin, ...]


def reliability_table(probability: NDArray[np.floating[Any]], wire: NDArray[np.bool_]) -> FloatArray:
    """(4, RELIABILITY_BINS) sums per bin over two (N,) arrays: pixels, wire, probability, squared error."""
    probability = probability.astype(np.float64)
    bins = np.minimum((probability * RELIABILITY_BINS + ROUNDING).astype(np.int64), RELIABILITY_BINS - 1)
    sums = [
        np.bincount(bins, weights=weights, minlength=RELIABILITY_BINS)
        for weights in (None, wire, probability, (probability - wire) ** 2)
    ]
    return np.stack(sums).astype(np.float64)


def calibration_error(table: FloatArray) -> float | None:
    """Expected calibration error; None without pixels.

    Reference:
        C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, On calibration of modern neural networks, ICML 2017, equation 3,
        with the probability of the wire as confidence and the share of wire as accuracy.
    """
    pixels, wire, probability, _ = table
    # The number of a bin's pixels cancels out of its weight and its means.
    return float(np.abs(probability - wire).sum() / pixels.sum()) if pixels.sum() else None


def brier_score(table: FloatArray) -> float | None:
    """Mean squared error of the probabilities; None without pixels."""
    pixels, _, _, squared_error = table
    return float(squared_error.sum() / pixels.sum()) if pixels.sum() else None


def describe_calibration(table: FloatArray) -> Calibration | None:
    """A table of ``reliability_table`` in words and numbers; None without pixels."""
    ece, brier = calibration_error(table), brier_score(table)
    if ece is None or brier is None:
        return None
    edges = np.linspace(0, 1, RELIABILITY_BINS + 1)
    bins = tuple(
        ReliabilityBin(
            lower=round(float(lower), 6),
            upper=round(float(upper), 6),
            pixels=int(pixels),
            wire=int(wire),
            mean_probability=float(probability / pixels) if pixels else None,
            wire_share=float(wire / pixels) if pixels else None,
        )
        for lower, upper, (pixels, wire, probability, _) in zip(edges[:-1], edges[1:], table.T, strict=True)
    )
    filled = table[0] > 0
    gaps = np.abs(table[2] - table[1])[filled] / table[0][filled]
    return Calibration(pixels=int(table[0].sum()), ece=ece, mean_bin_error=float(np.mean(gaps)), brier=brier, bins=bins)
