"""Breathing, heartbeat and zoom: where a point of the body is seen in each frame."""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.synthetic.raster import FloatImage, Shape, edge_of


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """Displacement of the body, the same for anatomy and wires.

    A point seen at ``y`` came from ``p = y' - u(y')``, with ``y'`` the position before zoom; images are sampled by this
    rule, and points moved by its inverse, so that wires and images agree.
    """

    shape: Shape
    frame_interval_s: float
    breathing_px: tuple[float, float]
    """Row and column amplitude."""
    breathing_period_s: float
    breathing_phase: float
    heart_centre: tuple[float, float]
    heart_radius_px: float
    heart_px: tuple[float, float]
    """Row and column amplitude at the heart's centre."""
    heart_contraction: float
    """Share by which the heart shrinks in systole."""
    heart_period_s: float
    heart_phase: float
    zoom: tuple[float, ...]
    """Magnification of each frame about the frame's centre."""

    @property
    def centre(self) -> NDArray[np.float64]:
        """(2,) row and column of the frame's centre."""
        return (np.asarray(self.shape) - 1) / 2

    def breathing(self, frame: int) -> NDArray[np.float64]:
        """(2,) displacement of the thorax in pixels."""
        phase = 2 * np.pi * frame * self.frame_interval_s / self.breathing_period_s + self.breathing_phase
        return np.asarray(np.asarray(self.breathing_px) * np.sin(phase))

    def heartbeat(self, frame: int) -> float:
        """Contraction in about [-1, 1]; the second harmonic makes systole shorter than diastole."""
        phase = 2 * np.pi * frame * self.frame_interval_s / self.heart_period_s + self.heart_phase
        return float(np.sin(phase) + 0.4 * np.sin(2 * phase)) / 1.2

    def heart_displacement(self, at: NDArray[np.floating], frame: int) -> NDArray[np.floating]:
        """Displacement by the heartbeat at positions (2, ...), same shape, pixels."""
        beat = self.heartbeat(frame)
        row, column = at[0] - self.heart_centre[0], at[1] - self.heart_centre[1]
        envelope = np.exp(-(row**2 + column**2) / (2 * self.heart_radius_px**2)) * beat
        shrink = self.heart_contraction
        moved = [envelope * (self.heart_px[0] - shrink * row), envelope * (self.heart_px[1] - shrink * column)]
        return np.asarray(moved, at.dtype)

    def sources(self, frame: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Sampling positions, (2, H, W) each, for what stays still, what breathes, and what breathes and beats."""
        grid = np.mgrid[: self.shape[0], : self.shape[1]].astype(np.float32)
        centre = self.centre.astype(np.float32)[:, None, None]
        still = centre + (grid - centre) / np.float32(self.zoom[frame])
        breathing = still - self.breathing(frame).astype(np.float32)[:, None, None]
        beating = breathing - self.heart_displacement(still, frame)
        return still, breathing, beating.astype(np.float32)

    def move(self, points: NDArray[np.float64], frame: int) -> NDArray[np.float64]:
        """Where points (N, 2) of the beating layer are seen in a frame."""
        target = points.T + self.breathing(frame)[:, None]
        seen = target
        for _ in range(8):  # a contraction by at most a fifth: eight rounds reach 1e-4 px
            seen = target + self.heart_displacement(seen, frame)
        centre = self.centre[:, None]
        return np.asarray(centre + (seen - centre) * self.zoom[frame]).T


def sample_motion(rng: np.random.Generator, shape: Shape, frames: int) -> Motion:
    """Motion of one sequence, drawn for adults at rest: 12 to 20 breaths and 55 to 100 beats a minute."""
    size = edge_of(shape)
    zoom = np.ones(frames)
    if rng.random() < 0.15:
        zoom[rng.integers(1, max(2, frames)) :] = rng.uniform(1.05, 1.2)
    direction = rng.uniform(0, 2 * np.pi)
    heart_px = size * rng.uniform(0.004, 0.018)
    return Motion(
        shape=shape,
        frame_interval_s=1 / float(rng.choice([7.5, 10.0, 15.0])),
        breathing_px=(size * rng.uniform(0.005, 0.03), size * rng.uniform(-0.006, 0.006)),
        breathing_period_s=60 / rng.uniform(12, 20),
        breathing_phase=rng.uniform(0, 2 * np.pi),
        heart_centre=(shape[0] * rng.uniform(0.3, 0.7), shape[1] * rng.uniform(0.3, 0.7)),
        heart_radius_px=size * rng.uniform(0.2, 0.35),
        heart_px=(heart_px * np.sin(direction), heart_px * np.cos(direction)),
        heart_contraction=rng.uniform(0.0, 0.06),
        heart_period_s=60 / rng.uniform(55, 100),
        heart_phase=rng.uniform(0, 2 * np.pi),
        zoom=tuple(float(z) for z in zoom),
    )


def resample(image: FloatImage, positions: NDArray[np.float32]) -> FloatImage:
    """The image seen at positions (2, H, W), linearly interpolated, mirrored at its edges."""
    return np.asarray(ndimage.map_coordinates(image, positions, order=1, mode="reflect", output=np.float32))
