"""Thinning, against another implementation of the same algorithm, and wires in every direction."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import thin

from gwunet.thinning import thinned

Mask = NDArray[np.bool_]
LENGTH = 60


def diagonal(width: int, shape: str) -> Mask:
    """A wire at exactly 45 degrees, ``LENGTH`` steps long."""
    mask = np.zeros((LENGTH + 20, LENGTH + 20), bool)
    for step in range(10, 10 + LENGTH):
        mask[step if shape == "rows" else slice(step, step + width), step : step + width] = True
    return mask


def symmetries(mask: Mask) -> list[Mask]:
    return [np.rot90(side, turns) for side in (mask, mask[:, ::-1]) for turns in range(4)]


@pytest.mark.parametrize("density", [0.2, 0.5, 0.8, 0.95])
def test_it_is_the_thinning_of_guo_and_hall(density: float) -> None:
    """As scikit-image has it, whose half-steps come in the other order: as if the mask were turned round."""
    rng = np.random.default_rng(int(100 * density))
    for _ in range(10):
        mask = rng.random((23, 31)) < density
        np.testing.assert_array_equal(thinned(mask), thin(mask[::-1, ::-1])[::-1, ::-1])


@pytest.mark.parametrize("shape", ["rows", "squares"])
@pytest.mark.parametrize("width", [2, 3])
def test_a_diagonal_wire_keeps_its_length_however_it_is_turned(width: int, shape: str) -> None:
    for mask in symmetries(diagonal(width, shape)):
        line = thinned(mask)
        assert not (line & ~mask).any()
        assert abs(np.count_nonzero(line) - LENGTH) <= width
        assert ndimage.distance_transform_edt(~line)[mask].max() <= width


def test_what_is_left_of_little() -> None:
    for size in (1, 2, 3):
        assert np.count_nonzero(thinned(np.ones((size, size), bool))) == 1
    assert not thinned(np.zeros((3, 4), bool)).any()
    wire = np.ones((2, 9), bool)
    thinned(wire)
    assert wire.all()  # what is given stays
