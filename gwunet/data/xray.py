"""Variations of a patch that X-ray brings: hidden wires, blades that move in, dose.

Attenuation and quanta live in grey levels, which are taken to be proportional to the exposure; z-scores are turned
into them with the frame's mean and standard deviation. Displays bend this (windows, logarithms), so figures here are
approximate: they give the kind of change, not a calibrated one.
"""

import dataclasses
import math
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from gwunet.data.intensity import draw_seed
from gwunet.data.store import Sample
from gwunet.data.variation import GreyScale, Variation, with_frame
from gwunet.dataset import IGNORE

GAP_RADIUS_PX = (3.0, 8.0)
"""A gap of 6 to 16 pixels: the wire on both sides still tells where it runs; longer ones would teach to guess."""
GAP_OPACITY = (0.6, 1.0)
"""Share of the wire's darkness that is taken away in the middle of a gap."""
GAP_RIM_PX = 3.0
"""So far beyond a gap the wire must be seen again on both sides."""
GAP_STEP_PX = 2.0
"""Distances in which pixels beside the wire are looked for."""
BAND_HALF_WIDTH_PX = (4.0, 16.0)
"""From a guiding catheter to a rib."""
BAND_TRANSMISSION = (0.4, 0.85)
"""Share of the quanta that pass its thickest part: from a filled catheter or a dense bone to an empty catheter."""
CUT_SHARE = (0.03, 0.3)
"""Of a patch's edge that a blade covers: at most about a third, so that most of a patch still teaches."""
ARC_RADIUS_SHARE = (0.6, 1.5)
"""Radius of a circular collimator, in edges of the patch."""
DOSE_RANGE = (0.25, 1.3)
"""Quanta compared with the frame as it is: a quarter doubles the noise; above 1 the brightest parts saturate."""
LEAST_NOISE = 0.02
"""Standard deviation in z-scores below which a frame's noise is disbelieved: it was denoised or compressed."""


@dataclasses.dataclass(frozen=True, slots=True)
class WireGap:
    """A short stretch of wire painted over with what lies beside it; the target stays: continuity is to be learned."""

    centre: tuple[int, int]
    """Row and column of a wire pixel."""
    radius_px: float
    opacity: float
    angle_rad: float
    """Direction in which pixels beside the wire are looked for first; if the wire is there, others follow."""

    @classmethod
    def draw(cls, rng: np.random.Generator, patch: Sample) -> Self | None:
        """Anywhere on the wire; None where the patch shows none, or at a tip: what lies beyond cannot be known."""
        wire = np.flatnonzero(patch.wire)
        if not wire.size:
            return None
        row, column = divmod(int(wire[rng.integers(wire.size)]), patch.frame.shape[1])
        gap = cls(
            (row, column),
            float(rng.uniform(*GAP_RADIUS_PX)),
            float(rng.uniform(*GAP_OPACITY)),
            float(rng.uniform(0, 2 * math.pi)),
        )
        return gap if gap.lies_between(np.stack(np.divmod(wire, patch.frame.shape[1]))) else None

    def lies_between(self, wire: NDArray[np.int64]) -> bool:
        """Whether the wire, rows and columns of its pixels ``(2, n)``, goes on at two sides of the gap."""
        away = wire - np.asarray(self.centre)[:, None]
        distance = np.hypot(*away)
        ring = away[:, (distance >= self.radius_px) & (distance < self.radius_px + GAP_RIM_PX)]
        return bool((ring.T @ ring < 0).any())

    def apply(self, patch: Sample) -> Sample:
        """Paint; where all that lies around is wire or not exposed, nothing changes."""
        reach = math.ceil(self.radius_px)
        top, left = (max(0, place - reach) for place in self.centre)
        box = (slice(top, self.centre[0] + reach + 1), slice(left, self.centre[1] + reach + 1))
        rows, columns = np.nonzero(patch.field[box])
        rows, columns = rows + top, columns + left
        from_centre = np.hypot(rows - self.centre[0], columns - self.centre[1])
        inside = from_centre < self.radius_px
        rows, columns, from_centre = rows[inside], columns[inside], from_centre[inside]
        beside = self._beside(patch, rows, columns)
        if beside is None:
            return patch
        frame, wire = patch.frame, patch.wire
        painted = frame[rows + beside[0], columns + beside[1]]
        bare = ~wire[rows, columns]
        if bare.any():  # the background may be brighter there: what is painted has the level of what it covers
            painted = painted - painted[bare].mean() + frame[rows, columns][bare].mean()
        # Fades out over the last two pixels, so that no circle is left to be recognised.
        share = np.float32(self.opacity) * np.clip((self.radius_px - from_centre) / 2, 0, 1).astype(np.float32)
        varied = frame.copy()
        varied[rows, columns] += share * (painted - frame[rows, columns])
        return with_frame(patch, varied)

    def _beside(self, patch: Sample, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> tuple[int, int] | None:
        """The nearest shift to a disc of the same size that is exposed and free of wire."""
        height, width = patch.frame.shape
        free = patch.field & (patch.target == 0)
        for distance in np.arange(self.radius_px, 4 * self.radius_px + GAP_STEP_PX, GAP_STEP_PX):
            for eighth in range(8):
                angle = self.angle_rad + eighth * math.pi / 4
                down, right = round(distance * math.sin(angle)), round(distance * math.cos(angle))
                y, x = rows + down, columns + right
                if y.min() < 0 or x.min() < 0 or y.max() >= height or x.max() >= width:
                    continue
                if free[y, x].all():
                    return down, right
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class DarkBand:
    """A straight band that takes away quanta crosses the patch: a catheter, or with a flat side the edge of a bone.

    What lies below stays visible by its share of the quanta, as in X-ray, and so does the target.
    """

    through: tuple[float, float]
    """Row and column of a point on the band's axis."""
    angle_rad: float
    half_width_px: float
    transmission: float
    one_sided: bool
    """A bone's edge: dark from the axis on, fading out over four half widths; otherwise as thick as a cylinder."""
    black: float
    """Z-score of grey level 0."""

    @classmethod
    def draw(cls, rng: np.random.Generator, patch: Sample, grey: GreyScale) -> Self:
        """Through a wire pixel where there is one, in any direction."""
        wire = np.flatnonzero(patch.wire)
        height, width = patch.frame.shape
        place = int(wire[rng.integers(wire.size)]) if wire.size else int(rng.integers(height * width))
        return cls(
            (float(place // width), float(place % width)),
            float(rng.uniform(0, 2 * math.pi)),
            float(rng.uniform(*BAND_HALF_WIDTH_PX)),
            float(rng.uniform(*BAND_TRANSMISSION)),
            bool(rng.random() < 0.5),
            grey.black,
        )

    def apply(self, patch: Sample) -> Sample:
        """Multiply the grey levels above black by what passes."""
        across = _distance_along(patch.frame.shape, self.through, self.angle_rad)
        if self.one_sided:
            thickness = np.clip(across + 0.5, 0, 1) * np.clip(1 - across / (4 * self.half_width_px), 0, 1)
        else:
            thickness = np.sqrt(np.clip(1 - (across / self.half_width_px) ** 2, 0, None))
        passing = np.float32(self.transmission) ** thickness
        return with_frame(patch, (patch.frame - np.float32(self.black)) * passing + np.float32(self.black))


@dataclasses.dataclass(frozen=True, slots=True)
class Blade:
    """The straight edge of a collimator's blade moves in; beyond it nothing is exposed, and nothing is wire."""

    angle_rad: float
    """Direction from the patch's middle to the blade: 0 is towards higher rows."""
    distance_px: float
    """From the patch's middle to the edge."""

    def apply(self, patch: Sample) -> Sample:
        """Cover what lies beyond."""
        return _expose_only(patch, _from_middle(patch.frame.shape, self.angle_rad) <= self.distance_px)


@dataclasses.dataclass(frozen=True, slots=True)
class Arc:
    """The edge of a circular collimator moves in: as ``Blade``, but round."""

    angle_rad: float
    distance_px: float
    """From the patch's middle to the arc's nearest point."""
    radius_px: float

    def apply(self, patch: Sample) -> Sample:
        """Cover what lies outside the circle."""
        along = _from_middle(patch.frame.shape, self.angle_rad) - (self.distance_px - self.radius_px)
        aside = _from_middle(patch.frame.shape, self.angle_rad + math.pi / 2)
        return _expose_only(patch, along**2 + aside**2 <= self.radius_px**2)


@dataclasses.dataclass(frozen=True, slots=True)
class Exposure:
    """Fewer quanta, or more.

    Automatic exposure and normalisation keep the mean, so fewer quanta show as noise: its variance is proportional to
    the grey level and to 1 / dose, of which a frame has its own part already. More quanta would make noise less, which
    cannot be done to a frame; what is done is their other effect, that bright parts saturate. Wire in them is gone,
    and so is ignored.
    """

    dose: float
    """Quanta compared with the frame as it is."""
    noise_std: float
    """Standard deviation of the frame's own noise at its mean, in z-scores."""
    grey: GreyScale
    seed: int

    @classmethod
    def draw(cls, rng: np.random.Generator, patch: Sample, grey: GreyScale) -> Self:
        """A dose, equally often in every ratio, and the noise of the patch as it is."""
        low, high = (math.log(limit) for limit in DOSE_RANGE)
        return cls(math.exp(rng.uniform(low, high)), max(noise_of(patch), LEAST_NOISE), grey, draw_seed(rng))

    def apply(self, patch: Sample) -> Sample:
        """Add quantum noise, or saturate."""
        frame, grey = patch.frame, self.grey
        if self.dose >= 1:
            # Gain and offset are normalised away; what is lost beyond the highest level is not.
            bright = (grey.highest / self.dose - grey.mean) / grey.std
            lost = frame >= bright
            target = np.where(lost & patch.wire, np.uint8(IGNORE), patch.target)
            return Sample(np.where(lost & patch.field, np.float32(bright), frame), target, patch.field)
        signal = np.clip(1 + frame * np.float32(grey.std / max(grey.mean, 1.0)), 0, None)  # grey level over its mean
        std = np.float32(self.noise_std * math.sqrt(1 / self.dose - 1)) * np.sqrt(signal)
        noise = torch.empty(frame.shape).normal_(generator=torch.Generator().manual_seed(self.seed)).numpy()
        return with_frame(patch, frame + std * noise)


def draw_occlusion(rng: np.random.Generator, patch: Sample, grey: GreyScale) -> Variation | None:
    """A gap or a band, equally often."""
    return WireGap.draw(rng, patch) if rng.random() < 0.5 else DarkBand.draw(rng, patch, grey)


def draw_collimator(rng: np.random.Generator, patch: Sample) -> Variation:
    """A blade or an arc, equally often, from any side: patches are turned too."""
    height, width = patch.frame.shape
    angle = float(rng.uniform(0, 2 * math.pi))
    towards = (abs(math.cos(angle)), abs(math.sin(angle)))
    extent = min(size / part for size, part in zip((height, width), towards, strict=True) if part > 1e-6)
    distance = extent * (0.5 - float(rng.uniform(*CUT_SHARE)))
    if rng.random() < 0.5:
        return Blade(angle, distance)
    return Arc(angle, distance, max(height, width) * float(rng.uniform(*ARC_RADIUS_SHARE)))


def noise_of(patch: Sample) -> float:
    """Standard deviation of a patch's white noise: the median of its finest diagonal detail.

    Reference: Donoho and Johnstone, Ideal spatial adaptation by wavelet shrinkage, Biometrika 81 (1994), 425.
    """
    height, width = (edge // 2 * 2 for edge in patch.frame.shape)
    quarters = [(slice(row, height, 2), slice(column, width, 2)) for row in (0, 1) for column in (0, 1)]
    exposed = np.logical_and.reduce([patch.field[quarter] for quarter in quarters])
    a, b, c, d = (patch.frame[quarter][exposed] for quarter in quarters)
    return float(np.median(np.abs(a - b - c + d)) / (2 * 0.6745)) if a.size else 0.0


def _distance_along(shape: tuple[int, ...], origin: tuple[float, float], angle_rad: float) -> NDArray[np.float32]:
    """Signed distance of every pixel from the line through ``origin`` across the direction ``angle_rad``."""
    rows = (np.arange(shape[0], dtype=np.float32) - np.float32(origin[0])) * np.float32(math.cos(angle_rad))
    columns = (np.arange(shape[1], dtype=np.float32) - np.float32(origin[1])) * np.float32(math.sin(angle_rad))
    distance: NDArray[np.float32] = rows[:, None] + columns[None, :]
    return distance


def _from_middle(shape: tuple[int, ...], angle_rad: float) -> NDArray[np.float32]:
    return _distance_along(shape, ((shape[0] - 1) / 2, (shape[1] - 1) / 2), angle_rad)


def _expose_only(patch: Sample, lit: NDArray[np.bool_]) -> Sample:
    target = np.where(lit, patch.target, np.uint8(0))
    return Sample(np.where(lit, patch.frame, np.float32(0)), target, patch.field & lit)
