"""Variations of a patch's grey levels that any photograph might show.

Which library does what was measured (``benchmarks/augmentation.py``, documentation/explanation/training.md):
batchgeneratorsv2 is told its parameters and is the fastest at noise and, of the two libraries, at contrast, gamma (on
small patches) and low resolution; batchgenerators at blur. An addition and a change of sign need no library. The
libraries are imported late: only training pays for them.
"""

import dataclasses
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from gwunet.data.store import Sample
from gwunet.data.variation import draw_around_one, with_frame

CONTRAST_RANGE = (0.65, 1.5)
"""nnU-Net's habits, as are gamma's and the blur's: a start that served many kinds of image, not tuned here."""
BRIGHTNESS_SIGMA = 0.3
"""Standard deviation of the added offset, in units of the normalised frame."""
GAMMA_RANGE = (0.7, 1.5)
NOISE_STD_RANGE = (0.0, 0.3)
"""In units of the normalised frame; beyond 0.3 a thin wire of low contrast can no longer be told by eye."""
BLUR_SIGMA_RANGE_PX = (0.4, 1.0)
LOW_RESOLUTION_RANGE = (0.5, 1.0)
"""Share of the pixels along each axis that is kept: below a half a wire of two pixels would go missing in places."""


@dataclasses.dataclass(frozen=True, slots=True)
class Brightness:
    """An offset of all exposed pixels."""

    offset: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Normally distributed about 0."""
        return cls(float(rng.normal(0, BRIGHTNESS_SIGMA)))

    def apply(self, patch: Sample) -> Sample:
        """Add it."""
        return with_frame(patch, patch.frame + np.float32(self.offset))


@dataclasses.dataclass(frozen=True, slots=True)
class Contrast:
    """Distances to the exposed pixels' mean times a factor, within the range they had."""

    factor: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Flatter or steeper, equally often."""
        return cls(draw_around_one(rng, *CONTRAST_RANGE))

    def apply(self, patch: Sample) -> Sample:
        """Multiply, and clip."""
        from batchgeneratorsv2.transforms.intensity.contrast import ContrastTransform

        transform = ContrastTransform(CONTRAST_RANGE, preserve_range=True, synchronize_channels=True)
        return _of_exposed(patch, transform, multipliers=torch.tensor([self.factor]))


@dataclasses.dataclass(frozen=True, slots=True)
class Gamma:
    """A power of the exposed pixels scaled to [0, 1], with their mean and standard deviation kept."""

    exponent: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Brighter or darker middle tones, equally often."""
        return cls(draw_around_one(rng, *GAMMA_RANGE))

    def apply(self, patch: Sample) -> Sample:
        """Bend the grey levels."""
        from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform

        transform = GammaTransform(GAMMA_RANGE, 0, synchronize_channels=True, p_per_channel=1, p_retain_stats=1)
        return _of_exposed(
            patch,
            transform,
            gamma=torch.tensor([self.exponent]),
            retain_stats=torch.tensor([True]),
            invert_image=torch.tensor([False]),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Noise:
    """White Gaussian noise of one strength everywhere, as electronics add it."""

    std: float
    seed: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Any strength of the range."""
        return cls(float(rng.uniform(*NOISE_STD_RANGE)), draw_seed(rng))

    def apply(self, patch: Sample) -> Sample:
        """Add it."""
        from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform

        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would seed the GPUs as well, whose state is not put back here.
            torch.default_generator.manual_seed(self.seed)
            image = GaussianNoiseTransform().apply(
                _as_image(patch.frame),
                apply_mask=torch.tensor([True]),
                apply_idx=torch.tensor([0]),
                num_apply=1,
                sigmas=[self.std],
            )
        return with_frame(patch, image["image"][0].numpy())


@dataclasses.dataclass(frozen=True, slots=True)
class Blur:
    """A Gaussian blur."""

    sigma_px: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Any width of the range."""
        return cls(float(rng.uniform(*BLUR_SIGMA_RANGE_PX)))

    def apply(self, patch: Sample) -> Sample:
        """Blur the frame, not the target."""
        from batchgenerators.augmentations.noise_augmentations import augment_gaussian_blur

        state = np.random.get_state()  # it asks the global generator whether to blur at all
        try:
            blurred = augment_gaussian_blur(patch.frame[None].copy(), (self.sigma_px, self.sigma_px))
        finally:
            np.random.set_state(state)
        return with_frame(patch, blurred[0])


@dataclasses.dataclass(frozen=True, slots=True)
class LowResolution:
    """Fewer pixels, enlarged again: a coarser detector, binning, or video."""

    share: float
    """Of the pixels along each axis."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Any share of the range."""
        return cls(float(rng.uniform(*LOW_RESOLUTION_RANGE)))

    def apply(self, patch: Sample) -> Sample:
        """Nearest pixels down, bilinear up; the target keeps its resolution."""
        from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform

        transform = SimulateLowResolutionTransform(LOW_RESOLUTION_RANGE, True, True, ignore_axes=())
        image = transform.apply(
            _as_image(patch.frame), apply_to_channel=[0], scales=torch.full((1, 2), self.share, dtype=torch.float64)
        )
        return with_frame(patch, image["image"][0].numpy())


@dataclasses.dataclass(frozen=True, slots=True)
class Inversion:
    """Dark for bright, as stations show it where wires are white."""

    def apply(self, patch: Sample) -> Sample:
        """The negative: z-scores of the inverted frame."""
        return with_frame(patch, -patch.frame)


def draw_seed(rng: np.random.Generator) -> int:
    """A seed for noise that is made when it is applied."""
    return int(rng.integers(2**32))


def _as_image(values: NDArray[np.float32]) -> dict[str, torch.Tensor]:
    """What batchgeneratorsv2 works on, in place: a copy with one channel."""
    return {"image": torch.from_numpy(values.copy())[None]}


def _of_exposed(patch: Sample, transform: Any, **parameters: Any) -> Sample:
    """A transform of batchgeneratorsv2, told its parameters, of the exposed pixels alone."""
    whole = bool(patch.field.all())
    values = patch.frame if whole else patch.frame[patch.field]
    if not values.size:
        return patch
    image = transform.apply(_as_image(values), apply_to_channel=torch.tensor([0]), **parameters)
    varied = image["image"][0].numpy()
    if whole:
        return with_frame(patch, varied)
    frame = np.zeros_like(patch.frame)
    frame[patch.field] = varied
    return Sample(frame, patch.target, patch.field)
