"""Where a tip is and how it moves: a Kalman filter of a point with nearly constant velocity."""

import numpy as np
from numpy.typing import NDArray

from gwunet.localization.guidewire import Point

FIRST_STEP_PX = 6.0
"""Standard deviation of what one frame adds to steady motion, before any of it was seen."""
LEAST_STEP_PX = 0.5
LEARNING = 0.1
"""Share of the newest frame in what is held of the steps."""
MOST_SURPRISE = 4.0
"""Standard deviations; what is further off teaches no more."""
VELOCITY_SHARE = 0.2
"""Standard deviation by which the velocity itself changes from frame to frame, over that of a step."""
DAMPING = 0.8
"""Share of the velocity that is left after each frame without a measurement: a wire that is not seen is not expected
to go on for ever."""


class TipFilter:
    """Position and velocity of one tip, in pixels and pixels per frame; a frame is the unit of time.

    A tip is pushed in strokes: its steps scatter around a velocity that changes slowly. So both have noise of their
    own, and how large it is, is learned from how far measurements lie from what was expected. A tip at rest is then
    smoothed well, while one that is pushed is followed at once. Rows and columns have the same noise, so that one
    covariance serves both.
    """

    def __init__(self, tip: Point, noise_px: float) -> None:
        """Start at a measured tip, at rest, with the standard deviation of that measurement on each axis."""
        self._state: NDArray[np.float64] = np.array([tip, (0.0, 0.0)])  # position, velocity; each row, column
        self._covariance = np.diag([noise_px**2, FIRST_STEP_PX**2])
        self._step_variance = FIRST_STEP_PX**2
        self._is_measured = True

    @property
    def tip(self) -> Point:
        """Where the tip is, by all so far."""
        row, column = self._state[0]
        return float(row), float(column)

    def advance(self) -> None:
        """Let a frame pass."""
        move = np.array([[1.0, 1.0], [0.0, 1.0]] if self._is_measured else [[1.0, DAMPING], [0.0, DAMPING]])
        self._is_measured = False
        self._state = move @ self._state
        self._covariance = move @ self._covariance @ move.T
        self._covariance += np.diag([self._step_variance, VELOCITY_SHARE**2 * self._step_variance])

    def surprise(self, tip: Point, noise_px: float) -> float:
        """Distance of a measured tip from the expected one, in standard deviations."""
        return float(np.hypot(*(tip - self._state[0])) / np.sqrt(self._covariance[0, 0] + noise_px**2))

    def measure(self, tip: Point, noise_px: float) -> None:
        """Take in a measured tip."""
        self._learn(self.surprise(tip, noise_px))
        self._is_measured = True
        innovation = tip - self._state[0]
        variance = self._covariance[0, 0] + noise_px**2
        gain = self._covariance[:, 0] / variance
        self._state += np.outer(gain, innovation)
        self._covariance -= np.outer(gain, gain) * variance

    def move_to(self, tip: Point, noise_px: float) -> None:
        """Go on from a tip that the motion so far does not explain; the velocity stays as it was."""
        self._learn(MOST_SURPRISE)
        self._is_measured = True
        self._state[0] = tip
        self._covariance = np.diag([noise_px**2, self._covariance[1, 1]])

    def _learn(self, surprise: float) -> None:
        # The square of a distance on two axes, each in its own standard deviations, is 2 on average.
        excess = min(surprise, MOST_SURPRISE) ** 2 / 2 - 1
        self._step_variance = max(LEAST_STEP_PX**2, self._step_variance * (1 + LEARNING * excess))
