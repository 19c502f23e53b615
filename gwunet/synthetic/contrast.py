"""The contrast-to-noise ratio of a wire: set before a frame is exposed, measured after."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.synthetic.physics import Detector, Display
from gwunet.synthetic.raster import FloatImage

NEAR_PX = 8
"""Noise is local where it is at most this many steps from the wire."""


def neighbourhood(mask: NDArray[np.bool_], exposed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W) the pixels of the exposed field in which a wire's noise is measured."""
    near = np.zeros_like(mask)
    box = tuple(slice(max(0, at.min() - NEAR_PX), at.max() + NEAR_PX + 1) for at in np.nonzero(mask))
    near[box] = ndimage.binary_dilation(mask[box], iterations=NEAR_PX) & exposed[box]
    return near


def noise_near(background: NDArray[np.float32], detector: Detector, display: Display) -> float:
    """Predicted standard deviation of the noise in grey levels where (M,) blurred quanta are expected."""
    slope = (display.curve(background) - display.curve(background * np.float32(0.98))) / (0.02 * background)
    return float(np.sqrt(np.mean((slope * detector.noise_std(background)) ** 2)))


def attenuation_for(
    contrast: float,
    path_px: NDArray[np.float32],
    primary: NDArray[np.float32],
    background: NDArray[np.float32],
    display: Display,
) -> float:
    """Attenuation per pixel of path that darkens a wire's pixels by ``contrast`` grey levels, by bisection.

    Args:
        contrast: mean over the wire's pixels, noise-free.
        path_px: (M,) path of the rays through the wire, blurred as the detector does, at the wire's pixels.
        primary: (M,) primary quanta there.
        background: (M,) all quanta there, blurred, without the wire.
        display: gives the grey levels.
    """
    level = display.curve(background)
    low, high = 0.0, 4.0
    for _ in range(24):
        middle = (low + high) / 2
        darker = display.curve(background - primary * (1 - np.exp(-np.float32(middle) * path_px)))
        low, high = (middle, high) if float((level - darker).mean()) < contrast else (low, middle)
    return (low + high) / 2


def contrast_to_noise(
    darkening: FloatImage, residual: FloatImage, mask: NDArray[np.bool_], near: NDArray[np.bool_]
) -> float:
    """Contrast-to-noise ratio of a wire.

    The mean over the wire's pixels of what it takes from the noise-free frame, over the standard deviation of the
    noise in the final frame near the wire.

    Args:
        darkening: (H, W) noise-free frame without wires minus the one with them, grey levels.
        residual: (H, W) final frame minus noise-free frame, grey levels.
        mask: (H, W) the wire's pixels.
        near: (H, W) the wire's ``neighbourhood``.
    """
    return float(darkening[mask].mean() / residual[near].std())
