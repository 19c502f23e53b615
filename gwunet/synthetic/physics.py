"""From line integrals of attenuation to grey levels: beam, scatter, quantum noise, detector and display."""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.synthetic.raster import FloatImage, Shape, edge_of

GREY_LEVELS = 255
"""White of 8 bits, in which all grey levels are before they are rounded."""
BLUR_RANGE_PX = (0.4, 0.6)
"""Gaussian blur of the detector: a modulation transfer of 0.45 to 0.17 at the Nyquist frequency, as scintillators of
caesium iodide have."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Detector:
    """Exposure and detector of one sequence."""

    mean_quanta: float
    """Detected quanta per pixel and frame, averaged over the exposed field; held by automatic exposure control."""
    scatter_to_primary: float
    """Mean scattered over mean primary quanta behind the grid."""
    scatter_width_px: float
    """Standard deviation of the scatter's spread."""
    blur_px: float
    """Standard deviation of the light's spread in the scintillator: it blurs wires and correlates the quantum noise."""
    electronic_noise: float
    """Standard deviation of the white readout noise, quanta."""

    def expected_quanta(self, integral: FloatImage, flood: FloatImage, exposed: NDArray[np.bool_]) -> FloatImage:
        """(H, W) mean number of primary quanta by Beer and Lambert's law, scaled by automatic exposure control."""
        transmitted = flood * np.exp(-integral)
        total = self.mean_quanta / (1 + self.scatter_to_primary)
        return np.asarray(transmitted * np.float32(total / transmitted[exposed].mean()))

    def scatter(self, primary: FloatImage) -> FloatImage:
        """(H, W) scattered quanta: the primary widely blurred. Computed on every eighth pixel, as it has no detail."""
        step = 8
        coarse = ndimage.uniform_filter(primary, step, mode="nearest")[step // 2 :: step, step // 2 :: step]
        coarse = ndimage.gaussian_filter(coarse, self.scatter_width_px / step, mode="nearest")
        rows, columns = (np.clip((np.arange(n) - step // 2) / step, 0, None) for n in primary.shape)
        positions = np.stack(np.meshgrid(rows, columns, indexing="ij"))
        smooth = ndimage.map_coordinates(coarse, positions, order=1, mode="nearest", output=np.float32)
        return np.asarray(smooth * np.float32(self.scatter_to_primary))

    def blur(self, quanta: FloatImage) -> FloatImage:
        """The light's spread, symmetric, so that a wire stays where it is."""
        return np.asarray(ndimage.gaussian_filter(quanta, self.blur_px, mode="nearest", truncate=3.0))

    def read_out(self, quanta: FloatImage, rng: np.random.Generator) -> FloatImage:
        """One noisy exposure: Poisson quanta, blurred with their noise, and the white noise of the readout."""
        noise = rng.standard_normal(quanta.shape, np.float32) * np.float32(self.electronic_noise)
        return self.blur(rng.poisson(quanta).astype(np.float32)) + noise

    def noise_std(self, blurred_quanta: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predicted standard deviation of ``read_out`` where the expected signal is smooth, quanta."""
        impulse = np.zeros((25, 25), np.float32)
        impulse[12, 12] = 1
        energy = float((self.blur(impulse) ** 2).sum())
        return np.asarray(np.sqrt(blurred_quanta * energy + self.electronic_noise**2), np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Display:
    """Window, gradation and the black of the collimator's shadow."""

    low: float
    """Quanta shown as black."""
    high: float
    """Quanta shown as white."""
    gamma: float
    """Exponent of the gradation: 1 is linear, near 0 logarithmic; about 0.5 makes quantum noise uniform."""
    black: float
    """Grey level outside the exposed field."""
    white: float
    """Grey level of ``high``."""

    def curve(self, quanta: NDArray[np.float32]) -> NDArray[np.float32]:
        """Grey levels of quanta inside the field, not yet rounded."""
        window = np.clip((quanta - np.float32(self.low)) / np.float32(self.high - self.low), 0, 1)
        return np.asarray(np.float32(self.white) * window ** np.float32(self.gamma))

    def grey(self, quanta: FloatImage, aperture: FloatImage) -> FloatImage:
        """(H, W) grey levels of the frame with its black border, not yet rounded."""
        black = np.float32(self.black)
        return black + aperture * (self.curve(quanta) - black)


def sample_detector(rng: np.random.Generator, shape: Shape) -> Detector:
    """Fluoroscopic dose: tens of quanta per pixel and frame."""
    return Detector(
        mean_quanta=float(np.exp(rng.uniform(np.log(40), np.log(180)))),
        scatter_to_primary=rng.uniform(0.2, 0.9),
        scatter_width_px=edge_of(shape) * rng.uniform(0.08, 0.16),
        blur_px=rng.uniform(*BLUR_RANGE_PX),
        electronic_noise=rng.uniform(0.3, 1.0),
    )


def sample_display(
    rng: np.random.Generator, quanta: FloatImage, exposed: NDArray[np.bool_], black: float | None = None
) -> Display:
    """A window that suits a noise-free frame, more or less generous; a ``black`` of None is drawn."""
    darkest, brightest = np.percentile(quanta[exposed], [0.5, 99.7])
    display = Display(
        low=float(darkest) * rng.uniform(0.2, 0.7),
        high=float(brightest) * rng.uniform(1.0, 1.35),
        gamma=rng.uniform(0.45, 0.85),
        black=rng.uniform(0, 20),
        white=rng.uniform(225, GREY_LEVELS),
    )
    return display if black is None else dataclasses.replace(display, black=float(black))


def grey_scale(bits: int) -> np.float32:
    """Levels of ``bits`` bits for one of 8 bits."""
    return np.float32(((1 << bits) - 1) / GREY_LEVELS)


def quantise(grey: FloatImage, bits: int) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Grey levels of 8 bits, not yet rounded, as integers of ``bits`` bits: uint8, or uint16 for more than 8."""
    levels = np.clip(np.rint(grey * grey_scale(bits)), 0, (1 << bits) - 1)
    return np.asarray(levels, np.uint8) if bits <= 8 else np.asarray(levels, np.uint16)
