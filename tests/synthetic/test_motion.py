"""Points and images move together."""

import numpy as np
import pytest
from scipy import ndimage

from gwunet.synthetic.motion import Motion, resample, sample_motion

MOTION = Motion(
    shape=(96, 120),
    frame_interval_s=0.1,
    breathing_px=(3.0, 0.5),
    breathing_period_s=4.0,
    breathing_phase=0.7,
    heart_centre=(50.0, 40.0),
    heart_radius_px=25.0,
    heart_px=(1.5, -1.0),
    heart_contraction=0.06,
    heart_period_s=0.8,
    heart_phase=0.3,
    zoom=(1.0, 1.0, 1.15),
)


@pytest.mark.parametrize("frame", [0, 1, 2])
def test_a_blob_is_seen_where_its_point_is_moved(frame: int) -> None:
    point = np.array([44.0, 52.0])
    rows, columns = np.mgrid[:96, :120]
    blob = np.exp(-((rows - point[0]) ** 2 + (columns - point[1]) ** 2) / (2 * 1.5**2)).astype(np.float32)

    seen = resample(blob, MOTION.sources(frame)[2])

    np.testing.assert_allclose(ndimage.center_of_mass(seen), MOTION.move(point[None], frame)[0], atol=0.05)


def test_the_heart_deforms_what_lies_near_it_only() -> None:
    still = Motion(**{**_fields(MOTION), "heart_px": (0.0, 0.0), "heart_contraction": 0.0})
    points = np.array([[50.0, 40.0], [-80.0, 300.0]])
    near, far = np.linalg.norm(MOTION.move(points, 1) - still.move(points, 1), axis=1)
    assert near > 0.5
    assert far < 1e-6


def test_zoom_changes_in_some_sequences_and_never_exceeds_a_fifth() -> None:
    zooms = [sample_motion(np.random.default_rng(seed), (128, 128), 6).zoom for seed in range(60)]
    changed = [zoom for zoom in zooms if len(set(zoom)) > 1]
    assert 2 <= len(changed) <= 20
    assert all(1 <= value <= 1.2 for zoom in zooms for value in zoom)


def _fields(motion: Motion) -> dict[str, object]:
    return {name: getattr(motion, name) for name in Motion.__slots__}
