"""Masks from probabilities: hysteresis and small pieces against scikit-image, gaps by hand."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import reconstruction, remove_small_objects

from gwunet.errors import SchemaError
from gwunet.jsonio import from_json, to_json
from gwunet.postprocessing import Postprocessing
from gwunet.postprocessing.gaps import bridge_gaps, find_bridges

EIGHT = np.ones((3, 3))


def expected_mask(values: NDArray[np.float64], settings: Postprocessing) -> NDArray[np.bool_]:
    """By scikit-image's reconstruction, which grows the strong pixels within the weak ones."""
    strong = values >= settings.threshold
    weak = strong if settings.low_threshold is None else values >= settings.low_threshold
    grown = reconstruction(strong & weak, weak, footprint=EIGHT).astype(bool)
    return np.asarray(remove_small_objects(grown, max_size=settings.smallest_px - 1, connectivity=2))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("low", "smallest"), [(None, 0), (None, 6), (0.3, 0), (0.4, 9)])
def test_mask_is_what_scikit_image_gives(seed: int, low: float | None, smallest: int) -> None:
    levels = np.random.default_rng(seed).integers(0, 256, (31, 40))
    settings = Postprocessing(threshold=0.6, low_threshold=low, smallest_px=smallest)
    mask = settings.mask(levels / 255)
    np.testing.assert_array_equal(mask, expected_mask(levels / 255, settings))
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(settings.mask_of_levels(levels, 255), mask)
    np.testing.assert_array_equal(settings.mask_of_levels(2 * levels, 510), mask)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_empty_and_full_frames(value: float) -> None:
    settings = Postprocessing(threshold=0.5, low_threshold=0.2, smallest_px=4, gap_px=9)
    assert (settings.mask(np.full((5, 7), value)) == value).all()


def wire(*boxes: tuple[slice, slice], shape: tuple[int, int] = (60, 80)) -> NDArray[np.bool_]:
    mask = np.zeros(shape, bool)
    for box in boxes:
        mask[box] = True
    return mask


LEFT, RIGHT = (slice(20, 23), slice(0, 30)), (slice(20, 23), slice(38, 80))
BELOW = (slice(30, 60), slice(33, 36))
BESIDE = (slice(29, 32), slice(0, 30))


def test_a_gap_in_a_straight_wire_is_filled_exactly() -> None:
    mask = wire(LEFT, RIGHT)
    bridged = bridge_gaps(mask, 12)
    np.testing.assert_array_equal(bridged, wire((slice(20, 23), slice(0, 80))))
    np.testing.assert_array_equal(bridge_gaps(mask, 6), mask)
    np.testing.assert_array_equal(bridge_gaps(mask.T, 12), bridged.T)


@pytest.mark.parametrize("other", [BELOW, BESIDE], ids=["across", "beside"])
def test_ends_that_do_not_look_at_each_other_are_not_joined(other: tuple[slice, slice]) -> None:
    mask = wire(LEFT, other)
    assert find_bridges(mask, 25) == []


def test_each_end_is_used_once_and_no_loop_is_closed() -> None:
    """Of three pieces in a row the gaps are filled one by one, and not the far ends across the middle piece."""
    mask = wire((slice(9, 12), slice(0, 20)), (slice(9, 12), slice(25, 45)), (slice(9, 12), slice(52, 80)))
    bridges = find_bridges(mask, 60)
    assert len(bridges) == 2
    assert bridges[0].length_px < bridges[1].length_px
    assert find_bridges(mask, bridges[0].length_px) == bridges[:1]
    assert ndimage.label(bridge_gaps(mask, 60), EIGHT)[1] == 1


def test_a_blob_has_no_direction() -> None:
    assert find_bridges(wire(LEFT, (slice(20, 23), slice(36, 39))), 20) == []


def test_settings_are_checked_and_survive_json() -> None:
    settings = Postprocessing(threshold=0.4, low_threshold=0.2, smallest_px=25, gap_px=10)
    assert from_json(Postprocessing, to_json(settings), "file") == settings
    assert settings.in_words() == (
        "threshold 0.4, pieces followed down to 0.2, pieces below 25 px removed, gaps up to 10 px bridged"
    )
    for wrong in ({"threshold": 1.0}, {"low_threshold": 0.4}, {"gap_px": -1}):
        with pytest.raises(SchemaError, match="file: "):
            from_json(Postprocessing, {**to_json(settings), **wrong}, "file")
    assert dataclasses.replace(settings, gap_px=0) != settings
