"""What is worked on 64 pixels at a time is what SciPy and loops find pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.bit_mask import BitMask

Mask = NDArray[np.bool_]
SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=9) | st.tuples(
    st.integers(1, 9), st.sampled_from([56, 57, 64, 65, 120, 128, 130])
)


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Mostly of one value, as only then squares and lines are found."""
    shape = draw(SHAPES)
    some = draw(arrays(np.bool_, shape, fill=st.just(False)))
    return ~some if draw(st.booleans()) else some


@settings(max_examples=50)
@given(masks(), st.integers(1, 5))
def test_there_and_back(mask: Mask, every: int) -> None:
    bits = BitMask.of(mask)
    np.testing.assert_array_equal(bits.as_bool(), mask)
    np.testing.assert_array_equal(bits.as_bool(every), mask[::every, ::every])
    np.testing.assert_array_equal((~bits).as_bool(), ~mask)
    assert (bits.all(), bits.any()) == (mask.all(), mask.any())
    assert ((~bits).all(), (~bits).any()) == ((~mask).all(), (~mask).any())


@settings(max_examples=50)
@given(masks(), st.sampled_from([1, 2, 3]))
def test_squares_are_scipys(mask: Mask, reach: int) -> None:
    square = np.ones((2 * reach + 1, 2 * reach + 1))
    bits = BitMask.of(mask)
    np.testing.assert_array_equal(bits.eroded(reach).as_bool(), ndimage.binary_erosion(mask, square, border_value=1))
    np.testing.assert_array_equal(bits.dilated(reach).as_bool(), ndimage.binary_dilation(mask, square))


@pytest.mark.parametrize("outside", [True, False])
@settings(max_examples=50)
@given(mask=masks(), reach=st.sampled_from([1, 2, 4]))
def test_openings_are_scipys(outside: bool, mask: Mask, reach: int) -> None:
    around = np.pad(mask, 2 * reach, constant_values=outside)
    wanted = ndimage.binary_opening(around, np.ones((2 * reach + 1, 2 * reach + 1)))
    inner = wanted[2 * reach : -2 * reach, 2 * reach : -2 * reach]
    np.testing.assert_array_equal(BitMask.of(mask).opened(reach, outside=outside).as_bool(), inner)


@settings(max_examples=50)
@given(masks())
def test_what_lines_join_to_the_edge(mask: Mask) -> None:
    wanted = np.zeros_like(mask)
    for row, column in np.argwhere(mask):
        lines = (mask[row, :column], mask[row, column:], mask[:row, column], mask[row:, column])
        wanted[row, column] = any(line.all() for line in lines)
    np.testing.assert_array_equal(BitMask.of(mask).joined_to_edge().as_bool(), wanted)


@settings(max_examples=50)
@given(masks())
def test_ends_of_rows(mask: Mask) -> None:
    first, beyond = BitMask.of(mask).row_ends()
    for row, columns in enumerate(map(np.flatnonzero, mask)):
        wanted = (columns[0], columns[-1] + 1) if columns.size else (mask.shape[1], 0)
        assert (first[row], beyond[row]) == wanted
