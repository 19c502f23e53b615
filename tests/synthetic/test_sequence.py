"""What is true of every simulated frame."""

import itertools

import numpy as np
import pytest
from scipy import ndimage, spatial

from gwunet.synthetic import SimulatedFrame, simulate_sequence


@pytest.fixture(scope="module")
def frames() -> list[SimulatedFrame]:
    """Frames of eight patients."""
    sequences = (simulate_sequence(seed=3, patient=patient, sequence=0, frames=3, size=128) for patient in range(8))
    return list(itertools.chain.from_iterable(sequences))


def test_frames_are_8_bit_and_masks_binary(frames: list[SimulatedFrame]) -> None:
    for frame in frames:
        assert frame.image.shape == frame.mask.shape == (128, 128)
        assert frame.image.dtype == frame.mask.dtype == np.uint8
        assert frame.mask.max() <= 1
        assert frame.mask.any() == bool(frame.wires)


def test_contrast_to_noise_is_between_1_and_3(frames: list[SimulatedFrame]) -> None:
    for frame in frames:
        for wire in frame.wires:
            assert 1 <= wire.cnr <= 3


def test_contrast_to_noise_is_what_its_definition_says(frames: list[SimulatedFrame]) -> None:
    """Recomputed with a distance transform, for single wires."""
    single = [frame for frame in frames if len(frame.wires) == 1]
    assert single
    for frame in single:
        wire = frame.mask == 1
        near = (ndimage.distance_transform_cdt(~wire, metric="taxicab") <= 8) & frame.exposed
        noise = (frame.image.astype(float) - frame.noise_free)[near].std()
        contrast = frame.background[wire].mean() - frame.noise_free[wire].mean()
        assert frame.wires[0].cnr == pytest.approx(contrast / noise, rel=1e-3)


def test_mask_is_the_pixels_within_half_a_width_of_the_centreline(frames: list[SimulatedFrame]) -> None:
    pixels = np.stack(np.mgrid[:128, :128], axis=-1)
    for frame in frames:
        expected, ties = np.zeros((2, 128, 128), bool)
        for wire in frame.wires:
            steps = np.arange(len(wire.centreline))
            fine = [np.interp(np.arange(0, steps[-1], 0.02), steps, axis) for axis in wire.centreline.T]
            distance, _ = spatial.cKDTree(np.stack(fine, axis=1)).query(pixels, distance_upper_bound=4)
            expected |= (distance <= wire.width_px / 2) & frame.exposed
            ties |= abs(distance - wire.width_px / 2) < 0.05  # the centreline is known to some hundredths of a pixel
        # The wire is drawn a little beyond the field's edge, where the centreline stops: a few pixels more.
        differing = np.argwhere((expected != (frame.mask == 1)) & ~ties)
        to_edge = ndimage.distance_transform_edt(np.pad(frame.exposed, 1))[1:-1, 1:-1]
        assert all(to_edge[row, column] <= 3 for row, column in differing)


def test_mask_lies_on_the_wire_to_a_tenth_of_a_pixel(frames: list[SimulatedFrame]) -> None:
    """The correlation of the mask with the wire's shadow peaks without shift."""
    correlation = np.zeros((5, 5))
    for frame in frames:
        shadow = frame.background - frame.image * frame.exposed
        for row, column in itertools.product(range(5), range(5)):
            shifted = np.roll(frame.mask, (row - 2, column - 2), axis=(0, 1)) * frame.exposed
            correlation[row, column] += (shifted * shadow * frame.exposed).sum() / max(1, shifted.sum())
    assert np.unravel_index(correlation.argmax(), correlation.shape) == (2, 2)
    for profile in (correlation[:, 2], correlation[2]):
        before, peak, after = profile[1:4]
        assert abs((before - after) / (2 * (before - 2 * peak + after))) < 0.1


def test_centrelines_run_from_base_to_tip_inside_the_field(frames: list[SimulatedFrame]) -> None:
    for frame in frames:
        for wire in frame.wires:
            rows, columns = np.rint(wire.centreline).astype(int).T
            assert frame.exposed[rows, columns].all()
            steps = np.linalg.norm(np.diff(wire.centreline, axis=0), axis=1)
            assert (steps > 0.5).all()
            assert (steps < 1.5).all()
            assert 2 <= wire.width_px <= 3
            np.testing.assert_array_equal(wire.tip, wire.centreline[-1])


def test_the_tip_advances_and_the_wire_moves(frames: list[SimulatedFrame]) -> None:
    moved = [
        np.linalg.norm(second.wires[0].tip - first.wires[0].tip)
        for first, second in itertools.pairwise(frames)
        if first.wires and second.wires
    ]
    assert np.median(moved) > 0.5


def test_the_border_is_black_but_not_zero(frames: list[SimulatedFrame]) -> None:
    levels = [frame.image[~frame.exposed].mean() for frame in frames[::3] if (~frame.exposed).mean() > 0.02]
    assert len(levels) >= 4
    assert max(levels) > 5
    assert all(0 <= level <= 25 for level in levels)


def test_two_wires_cross() -> None:
    for patient in range(4):
        *_, frame = simulate_sequence(seed=1, patient=patient, sequence=0, frames=2, size=128, wires=2)
        first, second = (wire.centreline for wire in frame.wires)
        assert np.linalg.norm(first[:, None] - second, axis=2).min() < 1


def test_one_wire_means_one() -> None:
    for patient in range(4):
        for frame in simulate_sequence(seed=1, patient=patient, sequence=0, frames=2, size=96, wires=1):
            assert len(frame.wires) <= 1


def test_a_sequence_is_reproducible_and_its_own() -> None:
    def image(patient: int, sequence: int) -> np.ndarray:
        return next(simulate_sequence(seed=9, patient=patient, sequence=sequence, frames=2, size=96)).image

    np.testing.assert_array_equal(image(1, 0), image(1, 0))
    assert (image(1, 0) != image(1, 1)).mean() > 0.3
    assert (image(0, 0) != image(1, 0)).mean() > 0.3


def test_a_few_frames_have_no_wire() -> None:
    counts = [
        len(frame.wires)
        for patient in range(30)
        for frame in simulate_sequence(seed=0, patient=patient, sequence=0, frames=4, size=64)
    ]
    assert 0 < np.mean(np.array(counts) == 0) < 0.15
