"""What happens to a training patch: resampled as its view says, then its intensities are varied.

Space goes through ``grid_sample`` of torch, which resamples frame and mask together in a few milliseconds;
intensities go through batchgenerators, whose transforms nnU-Net made the field's habit. They see the exposed pixels
alone, so that the outside stays 0.
"""

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from gwunet.data.sampling import View
from gwunet.data.store import Sample
from gwunet.dataset import CENTRELINE, IGNORE
from gwunet.plans import Augmentation

CONTRAST_RANGE = (0.65, 1.5)
BRIGHTNESS_SIGMA = 0.3
"""Standard deviation of the added offset, in units of the normalised frame."""
GAMMA_RANGE = (0.7, 1.5)
NOISE_STD_RANGE = (0.0, 0.3)
BLUR_SIGMA_RANGE_PX = (0.4, 1.0)


def cut_patch(sample: Sample, view: View, patch_size: tuple[int, int]) -> Sample:
    """The patch that a view shows: frame bilinear, each mask where bilinear gives at least half, 0 outside."""
    height, width = sample.frame.shape
    rows = torch.arange(patch_size[0], dtype=torch.float32) - (patch_size[0] - 1) / 2
    columns = torch.arange(patch_size[1], dtype=torch.float32) - (patch_size[1] - 1) / 2
    (a, b), (c, d) = view.matrix.tolist()
    y = view.centre[0] + a * rows[:, None] + b * columns[None, :]
    x = view.centre[1] + c * rows[:, None] + d * columns[None, :]
    grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1)[None]
    masks = (sample.wire, sample.target == CENTRELINE, sample.target == IGNORE, sample.field)
    layers = np.stack((sample.frame, *masks)).astype(np.float32)
    frame, *shares = F.grid_sample(torch.from_numpy(layers)[None], grid, align_corners=False)[0].numpy()
    wire, centreline, ignored, exposed = (share >= 0.5 for share in shares)
    target = wire.astype(np.uint8)
    target[centreline] = CENTRELINE  # a part of the wire before, and so in every share
    target[ignored] = IGNORE
    # Bilinear sampling mixes the outside's 0 into the rim; outside stays exactly 0.
    return Sample(np.where(exposed, frame, np.float32(0)), target, exposed)


def vary_intensity(rng: np.random.Generator, patch: Sample, augmentation: Augmentation) -> NDArray[np.float32]:
    """The patch's frame with brightness, contrast, gamma, blur and noise varied inside the exposed field."""
    # batchgenerators counts pandas among what it imports: only training pays for it.
    from batchgenerators.augmentations.color_augmentations import (
        augment_brightness_additive,
        augment_contrast,
        augment_gamma,
    )
    from batchgenerators.augmentations.noise_augmentations import augment_gaussian_noise
    from scipy.ndimage import gaussian_filter

    blur, noise, brightness, contrast, gamma = rng.random(5)
    sigma_px = rng.uniform(*BLUR_SIGMA_RANGE_PX)
    frame = patch.frame
    if blur < augmentation.blur_probability:
        frame = gaussian_filter(frame, sigma_px)
    if not patch.field.any():
        return frame
    values = frame[patch.field][None]
    with _global_random_state(int(rng.integers(2**32))):
        if noise < augmentation.noise_probability:
            values = augment_gaussian_noise(values, NOISE_STD_RANGE)
        if brightness < augmentation.brightness_probability:
            values = augment_brightness_additive(values, 0.0, BRIGHTNESS_SIGMA)
        if contrast < augmentation.contrast_probability:
            values = augment_contrast(values, CONTRAST_RANGE)
        if gamma < augmentation.gamma_probability:
            values = augment_gamma(values, GAMMA_RANGE, retain_stats=True)
    varied = np.zeros_like(frame)
    varied[patch.field] = values[0]
    return varied


@contextlib.contextmanager
def _global_random_state(seed: int) -> Iterator[None]:
    """Seed the global generators that batchgenerators draws from, and restore them afterwards."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
