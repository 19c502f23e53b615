"""Area under the ROC curve from histograms, so that memory is bounded and frames pool by addition."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

DROPPED_BITS = 16
"""Of a float32's bits the exponent stays and seven bits of mantissa: bins are at most 0.8 % wide."""
FINEST = 2.0**-24
"""Probabilities nearer to 0 or to 1 than this share a bin; float32 resolves no more below 1."""


def _leading_bits(values: NDArray[np.float32]) -> NDArray[np.int32]:
    """Whole numbers that rise with the (positive) values."""
    return values.view(np.int32) >> np.int32(DROPPED_BITS)


_FIRST_BITS, _LAST_BITS = (int(bits) for bits in _leading_bits(np.array([FINEST, 0.5], dtype=np.float32)))
BIN_OF_HALF = _LAST_BITS - _FIRST_BITS
PROBABILITY_BINS = 2 * BIN_OF_HALF + 1


def probability_histogram(probability: NDArray[np.floating[Any]], wire: NDArray[np.bool_]) -> NDArray[np.int32]:
    """(3, bins that are filled) by rising probability: number of the bin, pixels of background, pixels of wire.

    Few are filled by probabilities that were saved, so that thousands of frames fit into memory.

    Args:
        probability: (N,)
        wire: (N,)
    """
    bins = _bins(probability) + wire * np.int32(PROBABILITY_BINS)
    pixels = np.bincount(bins, minlength=2 * PROBABILITY_BINS).reshape(2, PROBABILITY_BINS)
    filled = np.flatnonzero(pixels.any(axis=0))
    return np.concatenate((filled[None], pixels[:, filled])).astype(np.int32)


def pooled_histogram(histograms: Sequence[NDArray[np.integer[Any]]]) -> NDArray[np.int64]:
    """All pixels of several histograms in one."""
    together = np.concatenate(histograms, axis=1, dtype=np.int64)
    filled, place = np.unique(together[0], return_inverse=True)
    pixels = [np.bincount(place, row, minlength=len(filled)) for row in together[1:]]
    return np.stack((filled, *pixels)).astype(np.int64)


def _bins(probability: NDArray[np.floating[Any]]) -> NDArray[np.int32]:
    """Bins that are finest near 0 and near 1, where a trained network puts nearly all pixels."""
    probability = probability.astype(np.float32, copy=False)
    to_nearest_end = np.minimum(probability, 1 - probability)
    bins = _leading_bits(np.maximum(to_nearest_end, np.float32(FINEST))) - _FIRST_BITS
    return np.where(probability < 0.5, bins, 2 * BIN_OF_HALF - bins)


def roc_area(histogram: NDArray[np.integer[Any]]) -> float | None:
    """Chance that a wire pixel has a higher probability than a background pixel, ties counting half.

    None if there is no wire or no background.
    """
    _, background, wire = histogram.astype(np.float64)
    n_pairs = background.sum() * wire.sum()
    if n_pairs == 0:
        return None
    lower = np.cumsum(background) - background
    return float((wire * (lower + background / 2)).sum() / n_pairs)
