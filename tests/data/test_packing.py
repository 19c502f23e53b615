"""Packed pixels come back bit for bit, and nothing else is taken for them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gwunet.data.packing import pack, unpack

SHAPES = st.tuples(st.integers(1, 20), st.integers(1, 20))


@given(st.sampled_from([np.uint8, np.uint16]).flatmap(lambda dtype: arrays(dtype, SHAPES)))
def test_any_pixels_come_back(pixels: np.ndarray) -> None:
    back = unpack(pack(pixels), pixels.shape, pixels.dtype)
    assert back.dtype == pixels.dtype
    np.testing.assert_array_equal(back, pixels)


@pytest.mark.parametrize(("dtype", "bytes_of_pixel"), [(np.uint8, 0.62), (np.uint16, 0.75)])
def test_noise_on_a_slope_takes_little_more_than_its_entropy(dtype: type, bytes_of_pixel: float) -> None:
    """Differences of noise with a standard deviation of 3 have one of 4.2: log2(4.2 * 4.13) = 4.1 bits of entropy."""
    rng = np.random.default_rng(0)
    pixels = (np.linspace(40, 200, 256) + rng.normal(0, 3, (256, 256))).round().astype(dtype)
    assert 0.5 < len(pack(pixels)) / pixels.size < bytes_of_pixel


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_bytes_of_another_array_or_none_are_refused(dtype: type) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40)).astype(dtype)
    whole = pack(pixels)
    for wrong in (b"", whole[: len(whole) // 2], b"\xff" * 50, pack(pixels[:20]), pack(np.vstack((pixels, pixels)))):
        with pytest.raises(ValueError, match=r".+"):
            unpack(wrong, pixels.shape, pixels.dtype)
