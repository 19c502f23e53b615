"""What happens to a training patch: resampled as its view says, then its content is varied.

Space goes through ``grid_sample`` of torch, which resamples frame and masks together; content through the variations
of ``xray`` and ``intensity``, each drawn first and applied then, in the order in which an image comes about: what is
in the body, the collimator, the detector, the display. They see the exposed pixels alone: the outside stays 0.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from gwunet.data.intensity import Blur, Brightness, Contrast, Gamma, Inversion, LowResolution, Noise
from gwunet.data.sampling import View
from gwunet.data.store import Sample
from gwunet.data.variation import GreyScale, Variation
from gwunet.data.xray import Exposure, draw_collimator, draw_occlusion
from gwunet.dataset import CENTRELINE, IGNORE
from gwunet.plans import Augmentation

Draw = Callable[[np.random.Generator, Sample, GreyScale], Variation | None]
VARIATIONS: dict[str, Draw] = {
    "occlusion": draw_occlusion,
    "collimator": lambda rng, patch, _: draw_collimator(rng, patch),
    "exposure": Exposure.draw,
    "blur": lambda rng, *_: Blur.draw(rng),
    "noise": lambda rng, *_: Noise.draw(rng),
    "brightness": lambda rng, *_: Brightness.draw(rng),
    "contrast": lambda rng, *_: Contrast.draw(rng),
    "gamma": lambda rng, *_: Gamma.draw(rng),
    "inversion": lambda *_: Inversion(),
    "low_resolution": lambda rng, *_: LowResolution.draw(rng),
}
"""How each variation is drawn, in the order of applying; ``<name>_probability`` of the plan says how often."""


def cut_patch(sample: Sample, view: View, patch_size: tuple[int, int]) -> Sample:
    """The patch that a view shows: frame bilinear, each mask where bilinear gives at least half, 0 outside."""
    grid = _where_to_look(view, patch_size, sample.frame.shape)
    masks = {1: sample.wire, CENTRELINE: sample.target == CENTRELINE, IGNORE: sample.target == IGNORE}
    shown = {value: mask for value, mask in masks.items() if mask.any()}
    layers = np.empty((2 + len(shown), *sample.frame.shape), np.float32)
    for layer, content in zip(layers, (sample.frame, sample.field, *shown.values()), strict=True):
        layer[...] = content
    sampled = F.grid_sample(torch.from_numpy(layers)[None], grid, align_corners=False)[0]
    frame, (exposed, *shares) = sampled[0], sampled[1:] >= 0.5
    target = np.zeros(patch_size, np.uint8)
    for value, share in zip(shown, shares, strict=True):  # the centreline is a part of the wire before
        target[share.numpy()] = value
    # Bilinear sampling mixes the outside's 0 into the rim; outside stays exactly 0.
    return Sample((frame * exposed).numpy(), target, exposed.numpy())


def _where_to_look(view: View, patch_size: tuple[int, int], shape: tuple[int, ...]) -> torch.Tensor:
    """``(1, h, w, 2)``: x and y of each of the patch's pixels, from -1 to 1 over a frame of ``shape``."""
    rows, columns = (torch.arange(edge, dtype=torch.float32) - (edge - 1) / 2 for edge in patch_size)
    (a, b), (c, d) = view.matrix.tolist()
    grid = torch.empty(1, *patch_size, 2)
    for axis, extent, centre, by_row, by_column in (
        (0, shape[1], view.centre[1], c, d),
        (1, shape[0], view.centre[0], a, b),
    ):
        scale = 2 / extent
        along_rows = scale * by_row * rows + (scale * centre + 1 / extent - 1)
        torch.add(along_rows[:, None], scale * by_column * columns[None, :], out=grid[0, :, :, axis])
    return grid


def vary(rng: np.random.Generator, patch: Sample, augmentation: Augmentation, grey: GreyScale) -> Sample:
    """The patch with its content varied, each variation as often as the plan's probability says."""
    chances = rng.random(len(VARIATIONS))
    for (name, draw), chance in zip(VARIATIONS.items(), chances, strict=True):
        if chance < getattr(augmentation, f"{name}_probability"):
            variation = draw(rng, patch, grey)
            if variation is not None:
                patch = variation.apply(patch)
    return patch
