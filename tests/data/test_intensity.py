"""What each variation of grey levels does, by its own formula in float64."""

import numpy as np
import pytest
from scipy import ndimage

from gwunet.data.intensity import Blur, Brightness, Contrast, Gamma, Inversion, LowResolution, Noise
from gwunet.data.store import Sample

EVERYWHERE = np.ones((64, 60), bool)
HALF = np.indices((64, 60))[1] < 30


def make_patch(field: np.ndarray = EVERYWHERE) -> Sample:
    frame = np.random.default_rng(0).normal(1, 2, field.shape) * field
    return Sample(frame.astype(np.float32), field.astype(np.uint8), field)


both_fields = pytest.mark.parametrize("field", [EVERYWHERE, HALF], ids=["exposed", "half exposed"])


@both_fields
def test_brightness_adds(field: np.ndarray) -> None:
    patch = make_patch(field)
    expected = np.where(field, patch.frame.astype(float) - 0.4, 0)
    np.testing.assert_allclose(Brightness(-0.4).apply(patch).frame, expected, atol=1e-6)


@both_fields
@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_contrast_keeps_the_mean_it_turns_about_and_the_range(field: np.ndarray, factor: float) -> None:
    patch = make_patch(field)
    values = patch.frame[field].astype(float)
    expected = np.clip((values - values.mean()) * factor + values.mean(), values.min(), values.max())
    np.testing.assert_allclose(Contrast(factor).apply(patch).frame[field], expected, atol=1e-5)


@both_fields
@pytest.mark.parametrize("exponent", [0.7, 1.5])
def test_gamma_bends_and_keeps_mean_and_spread(field: np.ndarray, exponent: float) -> None:
    patch = make_patch(field)
    values = patch.frame[field].astype(float)
    bent = ((values - values.min()) / np.ptp(values)) ** exponent
    expected = (bent - bent.mean()) / bent.std() * values.std() + values.mean()
    np.testing.assert_allclose(Gamma(exponent).apply(patch).frame[field], expected, atol=1e-3)


def test_noise_has_its_strength_and_no_pattern() -> None:
    patch = make_patch(np.ones((200, 200), bool))
    added = (Noise(0.2, 7).apply(patch).frame - patch.frame).astype(float)
    assert added.std() == pytest.approx(0.2, rel=0.02)  # of 40,000 values: 0.35 % is one standard deviation
    assert abs(added.mean()) < 0.005
    assert abs(np.mean(added[1:] * added[:-1])) < 5 * 0.04 / 200
    np.testing.assert_array_equal(Noise(0.2, 7).apply(patch).frame, Noise(0.2, 7).apply(patch).frame)
    assert (Noise(0.2, 8).apply(patch).frame != Noise(0.2, 7).apply(patch).frame).any()


@both_fields
def test_blur_is_scipys_and_leaves_the_target(field: np.ndarray) -> None:
    patch = make_patch(field)
    blurred = Blur(0.9).apply(patch)
    expected = np.where(field, ndimage.gaussian_filter(patch.frame.astype(float), 0.9), 0)
    np.testing.assert_allclose(blurred.frame, expected, atol=1e-5)
    np.testing.assert_array_equal(blurred.target, patch.target)


def test_low_resolution_loses_detail_and_keeps_what_is_coarse() -> None:
    """A plane survives away from the edges to within a coarse pixel; pixels that alternate do not."""
    rows, columns = np.indices((64, 60)).astype(np.float32)
    field = EVERYWHERE
    plane = Sample(rows + 2 * columns, np.zeros(rows.shape, np.uint8), field)
    coarse = LowResolution(0.5).apply(plane).frame
    assert abs(coarse - plane.frame)[2:-2, 2:-2].max() <= 0.5 + 2 * 0.5
    board = Sample((rows + columns).astype(int) % 2 * np.float32(2) - 1, plane.target, field)
    assert LowResolution(0.5).apply(board).frame.std() < 1e-6
    assert LowResolution(0.7).apply(make_patch()).frame.std() < make_patch().frame.std()
    np.testing.assert_allclose(LowResolution(1.0).apply(make_patch()).frame, make_patch().frame, atol=1e-6)


def test_inversion_is_the_negative_and_its_own_inverse() -> None:
    patch = make_patch(HALF)
    np.testing.assert_array_equal(Inversion().apply(patch).frame, -patch.frame)
    np.testing.assert_array_equal(Inversion().apply(Inversion().apply(patch)).frame, patch.frame)


@pytest.mark.parametrize(
    ("kind", "name", "low", "high"),
    [
        (Contrast, "factor", 0.65, 1.5),
        (Gamma, "exponent", 0.7, 1.5),
        (Noise, "std", 0.0, 0.3),
        (Blur, "sigma_px", 0.4, 1.0),
        (LowResolution, "share", 0.5, 1.0),
    ],
)
def test_ranges_are_kept_and_used(
    kind: type[Contrast | Gamma | Noise | Blur | LowResolution], name: str, low: float, high: float
) -> None:
    rng = np.random.default_rng(0)
    drawn = [getattr(kind.draw(rng), name) for _ in range(300)]
    assert low <= min(drawn) < low + 0.1 * (high - low)
    assert high - 0.1 * (high - low) < max(drawn) <= high
    if kind in (Contrast, Gamma):
        assert 110 < sum(value < 1 for value in drawn) < 190
