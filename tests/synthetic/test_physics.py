"""The image formation against its laws."""

import numpy as np
import pytest

from gwunet.synthetic.physics import Detector, Display, quantise

DETECTOR = Detector(mean_quanta=80.0, scatter_to_primary=0.5, scatter_width_px=12.0, blur_px=0.8, electronic_noise=0.7)
ALL = np.ones((128, 128), bool)


def flat(value: float) -> np.ndarray:
    return np.full((128, 128), value, np.float32)


def test_attenuation_follows_beer_and_lambert() -> None:
    integral = flat(1.0)
    integral[:, 64:] = 1.7
    primary = DETECTOR.expected_quanta(integral, flat(1.0), ALL)
    assert primary[0, 127] / primary[0, 0] == pytest.approx(np.exp(-0.7), rel=1e-5)


def test_exposure_control_holds_the_mean_of_primary_and_scatter() -> None:
    for thickness in (0.5, 4.0):
        primary = DETECTOR.expected_quanta(flat(thickness), flat(1.0), ALL)
        assert (primary + DETECTOR.scatter(primary)).mean() == pytest.approx(80, rel=1e-4)


def test_scatter_is_smooth_and_keeps_its_share() -> None:
    primary = flat(0.0)
    primary[56:72, 56:72] = 50.0
    scatter = DETECTOR.scatter(primary)
    assert scatter.sum() == pytest.approx(0.5 * primary.sum(), rel=0.03)
    assert np.unravel_index(scatter.argmax(), scatter.shape) == pytest.approx((63.5, 63.5), abs=4.5)
    assert np.abs(np.diff(scatter, axis=0)).max() < 0.1 * scatter.max()


def test_noise_is_poisson_correlated_and_as_predicted() -> None:
    rng = np.random.default_rng(1)
    noise = np.stack([DETECTOR.read_out(flat(80.0), rng) for _ in range(8)]) - 80
    predicted = DETECTOR.noise_std(flat(80.0))[0, 0]
    assert noise.std() == pytest.approx(predicted, rel=0.02)
    # Half the quanta, more relative noise; and neighbours share their light.
    assert DETECTOR.noise_std(flat(40.0))[0, 0] / 40 > 1.3 * predicted / 80
    assert (noise[..., 1:] * noise[..., :-1]).mean() / noise.var() > 0.4


def test_blur_moves_nothing() -> None:
    impulse = flat(0.0)
    impulse[64, 64] = 1
    blurred = DETECTOR.blur(impulse)
    np.testing.assert_allclose(blurred[32:97, 32:97], blurred[96:31:-1, 96:31:-1], atol=1e-7)


def test_display_is_monotonic_and_black_outside_the_field() -> None:
    display = Display(low=10.0, high=200.0, gamma=0.6, black=14.0, white=250.0)
    aperture = flat(1.0)
    aperture[:, :10] = 0
    grey = display.grey(np.tile(np.linspace(0, 260, 128, dtype=np.float32), (128, 1)), aperture)
    assert (grey[:, :10] == 14).all()
    assert (np.diff(grey[0, 10:]) >= 0).all()
    assert quantise(np.array([-3.0, 0.6, 254.5, 300.0], np.float32), 8).tolist() == [0, 1, 254, 255]
