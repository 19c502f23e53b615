"""The body as smooth line integrals of attenuation: soft tissue, lungs, heart, diaphragm, spine and ribs.

Positions are in body units, x to the right and y towards the feet, with the spine at x = 0, the lungs' bases near
y = 0.5 and a square frame about one unit wide. Line integrals are natural logarithms of attenuation.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.synthetic.raster import FloatImage, Shape, edge_of

Image = NDArray[np.floating]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Body:
    """What a patient keeps in all sequences."""

    tissue: float
    lung: float
    heart: float
    heart_size: float
    heart_outline: float
    """Phase of the outline's deviation from an ellipse, radians."""
    liver: float
    diaphragm_y: float
    spine: float
    vertebra_height: float
    spine_width: float
    rib: float
    rib_spacing: float
    clutter: float
    """Standard deviation of the fine structure of overlying tissue."""


def sample_body(rng: np.random.Generator) -> Body:
    """A random patient."""
    return Body(
        tissue=rng.uniform(1.2, 2.2),
        lung=rng.uniform(0.5, 1.0),
        heart=rng.uniform(0.3, 0.7),
        heart_size=rng.uniform(0.36, 0.5),
        heart_outline=rng.uniform(0, 2 * np.pi),
        liver=rng.uniform(0.4, 0.9),
        diaphragm_y=rng.uniform(0.45, 0.65),
        spine=rng.uniform(0.3, 0.7),
        vertebra_height=rng.uniform(0.17, 0.24),
        spine_width=rng.uniform(0.11, 0.15),
        rib=rng.uniform(0.08, 0.2),
        rib_spacing=rng.uniform(0.17, 0.24),
        clutter=rng.uniform(0.03, 0.07),
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Where the beam looks, of one sequence."""

    x: float
    y: float
    width: float
    """Edge of a square frame of the same area in body units; small is a high magnification."""
    parallax: float
    """Shift of the spine against the heart by the C-arm's angulation."""

    def grid(self, shape: Shape) -> tuple[Image, Image]:
        """x and y at every pixel, (H, W) each."""
        rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        scale = np.float32(self.width / edge_of(shape))
        middle_row, middle_column = ((edge - 1) / 2 for edge in shape)
        return self.x + (columns - middle_column) * scale, self.y + (rows - middle_row) * scale


def sample_view(rng: np.random.Generator) -> View:
    """Chest, upper abdomen, or between."""
    return View(
        x=rng.uniform(-0.45, 0.45),
        y=rng.uniform(-0.1, 0.8),
        width=rng.uniform(0.7, 1.4),
        parallax=rng.uniform(-0.35, 0.35),
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Layers:
    """Line integrals (H, W) of what moves in the same way."""

    still: FloatImage
    breathing: FloatImage
    beating: FloatImage


def build_layers(body: Body, view: View, shape: Shape, rng: np.random.Generator) -> Layers:
    """The body seen in a view, without vessels or devices."""
    x, y = view.grid(shape)
    still = _soft_tissue(body, x) + _spine(body, x - view.parallax, y)
    still += body.clutter * rough_texture(rng, shape, exponent=1.6)
    breathing = _lungs_and_liver(body, x, y) + _ribs(body, x, y)
    breathing += body.clutter * rough_texture(rng, shape, exponent=1.3)
    beating = _heart(body, x, y)
    beating += 0.5 * body.clutter * rough_texture(rng, shape, exponent=1.3)
    return Layers(
        still=np.asarray(still, np.float32),
        breathing=np.asarray(breathing, np.float32),
        beating=np.asarray(beating, np.float32),
    )


def _bowl(squared_radius: Image) -> Image:
    """Path through an ellipsoid: 1 at its centre, 0 outside, given the squared normalised distance from the centre."""
    return np.asarray(np.sqrt(np.clip(1 - squared_radius, 0, None)))


def _step(distance: Image, width: float) -> Image:
    """A smooth edge from 0 to 1 around distance 0."""
    return np.asarray(1 / (1 + np.exp(np.clip(-distance / width, -30, 30))))


def _soft_tissue(body: Body, x: Image) -> Image:
    return body.tissue * _bowl((x / 1.35) ** 2)


def _lungs_and_liver(body: Body, x: Image, y: Image) -> Image:
    side = np.hypot(x, 0.15) - 0.6  # rounded where the domes meet
    dome = body.diaphragm_y + 0.55 * side**2 + 0.05 * _step(x, 0.05)
    below = _step(y - dome, 0.006)
    lung = _bowl((side / 0.48) ** 2 + ((y + 0.25) / 1.0) ** 2)
    return body.liver * below * _bowl(((y - 1.1) / 1.3) ** 2) - body.lung * lung * (1 - below)


def _heart(body: Body, x: Image, y: Image) -> Image:
    tilted_x, tilted_y = x - 0.16 + 0.35 * (y - 0.2), y - 0.2 - 0.35 * (x - 0.16)
    angle = np.arctan2(tilted_y, tilted_x)
    outline = 1 + 0.12 * np.sin(2 * angle + body.heart_outline) + 0.07 * np.sin(3 * angle - body.heart_outline)
    squared_radius = (tilted_x / body.heart_size) ** 2 + (tilted_y / (0.85 * body.heart_size)) ** 2
    return body.heart * _bowl(squared_radius * outline)


def _spine(body: Body, x: Image, y: Image) -> Image:
    """Vertebral bodies with denser end plates, waisted sides, lighter discs, pedicles and spinous processes."""
    phase = np.mod(y / body.vertebra_height, 1) - 0.5
    half_width = body.spine_width * (0.88 + 0.5 * phase**2)
    column = _step(half_width - np.abs(x), 0.006)
    vertebra = _step(0.40 - np.abs(phase), 0.03)
    plates = np.exp(-(((np.abs(phase) - 0.39) / 0.03) ** 2))
    pedicles = np.exp(-(((np.abs(x) - 0.6 * body.spine_width) / 0.022) ** 2) - ((phase + 0.12) / 0.13) ** 2)
    process = np.exp(-((x / 0.018) ** 2) - ((phase - 0.15) / 0.2) ** 2)
    shadow = 0.5 * np.exp(-((x / (2.2 * body.spine_width)) ** 2))
    integral = body.spine * (
        shadow + column * (0.45 + 0.25 * vertebra + 0.12 * plates) + 0.2 * pedicles + 0.2 * process
    )
    return np.asarray(integral)


def _ribs(body: Body, x: Image, y: Image) -> Image:
    """Arcs on both sides, denser at their cortical edges; the front ribs cross the back ones."""
    outwards = np.abs(x)
    ribs = np.zeros_like(x)
    for slope, curve, share in ((0.35, 0.5, 1.0), (-0.55, 0.35, 0.6)):
        height = y - slope * outwards - curve * (outwards - 0.45) ** 2
        across = (np.mod(height / body.rib_spacing, 1) - 0.5) * body.rib_spacing
        half_width = 0.033
        solid = _step(half_width - np.abs(across), 0.004)
        cortex = np.exp(-(((np.abs(across) - half_width + 0.005) / 0.006) ** 2))
        ribs += share * (0.6 * solid + 0.5 * cortex)
    return body.rib * ribs * _step(outwards - 0.16, 0.02) * _step(0.85 - y, 0.1)


def rough_texture(rng: np.random.Generator, shape: Shape, exponent: float) -> FloatImage:
    """Random field of unit variance with amplitude falling as frequency to the ``-exponent``.

    Anatomical clutter in projections follows such a power law (power exponents of 2.5 to 3.5).

    Reference: Burgess et al., Human observer detection experiments with mammograms and power-law noise,
    Medical Physics 28 (2001) 419.
    """
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    frequency[0, 0] = np.inf
    # Below two periods per frame the body's own shape rules; above, detail finer than two pixels is left out.
    amplitude = np.maximum(frequency, 2 / edge_of(shape)) ** -exponent * np.exp(-((frequency / 0.25) ** 2))
    amplitude[0, 0] = 0
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * amplitude
    field = np.fft.irfft2(spectrum, s=shape)
    return np.asarray(field / field.std(), np.float32)


def bowel_gas(rng: np.random.Generator, shape: Shape) -> FloatImage:
    """(H, W) negative line integrals: a few rounded pockets of gas with sharp rims."""
    rough = ndimage.gaussian_filter(rng.standard_normal(shape), edge_of(shape) * 0.05, mode="wrap")
    rough /= rough.std()
    return np.asarray(-0.25 * np.sqrt(np.clip(rough - 1.1, 0, None)), np.float32)
