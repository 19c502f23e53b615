"""Milliseconds of each classical transform by batchgenerators, batchgeneratorsv2, and NumPy, SciPy or torch alone.

    python benchmarks/augmentation.py [--repeats 15] [--threads 1]

The patches are those of the CPU plan (2 of 128 x 128) and of a GPU's (8 of 512 x 512), all exposed. Every way starts
from and comes back to a NumPy array, and is told its parameters where it can be told; where a library only draws from
the global random state, that is seeded and put back, as the loader must. The ways of one transform run in turn.
A second table gives what each variation costs in the loader, drawing it included.
"""

import argparse
import contextlib
import random
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from batchgenerators.augmentations.color_augmentations import (
    augment_brightness_additive,
    augment_contrast,
    augment_gamma,
)
from batchgenerators.augmentations.noise_augmentations import augment_gaussian_blur, augment_gaussian_noise
from batchgenerators.augmentations.resample_augmentations import augment_linear_downsampling_scipy
from batchgenerators.augmentations.spatial_transformations import augment_mirroring, augment_spatial
from batchgeneratorsv2.transforms.intensity.brightness import BrightnessAdditiveTransform
from batchgeneratorsv2.transforms.intensity.contrast import ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.noise.gaussian_blur import GaussianBlurTransform
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform
from batchgeneratorsv2.transforms.spatial.spatial import SpatialTransform
from scipy import ndimage

from gwunet.data.augmentation import VARIATIONS
from gwunet.data.store import Sample
from gwunet.data.variation import GreyScale

PATCHES = ((128, 2), (512, 8))
"""Edge in pixels, and patches in a batch."""
SHIFT, FACTOR, GAMMA, STD, SIGMA_PX, SHARE, ANGLE_DEG, ZOOM = 0.3, 0.8, 1.3, 0.2, 0.8, 0.6, 30.0, 0.9
Way = Callable[[np.ndarray], np.ndarray]
ONLY = torch.tensor([0])
"""bgv2 asks which channels to change; there is one."""


@contextlib.contextmanager
def numpy_state() -> Iterator[None]:
    """What batchgenerators costs a loader that must not depend on the global random state."""
    python, numpy = random.getstate(), np.random.get_state()
    random.seed(1)
    np.random.seed(1)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)


def old(function: Callable[..., np.ndarray], *arguments: object, **more: object) -> Way:
    """A function of batchgenerators, which works in place on (channels, rows, columns)."""

    def run(frame: np.ndarray) -> np.ndarray:
        with numpy_state():
            return np.asarray(function(frame[None].copy(), *arguments, **more)[0])

    return run


def new(transform: object, draw: bool = False, **parameters: object) -> Way:
    """A transform of batchgeneratorsv2, told its parameters or drawing them itself."""

    def run(frame: np.ndarray) -> np.ndarray:
        image = {"image": torch.from_numpy(frame.copy())[None]}
        if draw:
            with numpy_state(), torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(1)
                return transform(**image)["image"][0].numpy()  # type: ignore[operator, no-any-return]
        return transform.apply(image, **parameters)["image"][0].numpy()  # type: ignore[attr-defined, no-any-return]

    return run


def plain_contrast(frame: np.ndarray) -> np.ndarray:
    mean = frame.mean()
    return np.asarray(np.clip((frame - mean) * np.float32(FACTOR) + mean, frame.min(), frame.max()))


def plain_gamma(frame: np.ndarray) -> np.ndarray:
    low, mean, std = frame.min(), frame.mean(), frame.std()
    span = frame.max() - low
    curved = ((frame - low) / span) ** np.float32(GAMMA)
    return np.asarray((curved - curved.mean()) * (std / curved.std()) + mean)


def plain_noise(frame: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    return np.asarray(frame + np.float32(STD) * rng.standard_normal(frame.shape, np.float32))


def plain_low_resolution(frame: np.ndarray) -> np.ndarray:
    image = torch.from_numpy(frame)[None, None]
    small = F.interpolate(image, [round(edge * SHARE) for edge in frame.shape], mode="nearest-exact")
    return np.asarray(F.interpolate(small, frame.shape, mode="bilinear")[0, 0].numpy())


def plain_spatial(frame: np.ndarray) -> np.ndarray:
    turn = np.deg2rad(ANGLE_DEG)
    matrix = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0]]) / ZOOM
    grid = F.affine_grid(torch.from_numpy(matrix.astype(np.float32))[None], [1, 1, *frame.shape], align_corners=False)
    image = torch.from_numpy(frame)[None, None]
    return np.asarray(F.grid_sample(image, grid, align_corners=False)[0, 0].numpy())


def old_spatial(frame: np.ndarray) -> np.ndarray:
    turn = np.deg2rad(ANGLE_DEG)
    with numpy_state():
        turned, _ = augment_spatial(
            frame[None, None],
            None,
            frame.shape,
            do_elastic_deform=False,
            angle_x=(turn, turn),
            scale=(1 / ZOOM, 1 / ZOOM),
            border_mode_data="constant",
            order_data=1,
            random_crop=False,
        )
    return np.asarray(turned[0, 0])


def ways(edge: int) -> dict[str, dict[str, Way]]:
    """By transform: batchgenerators', batchgeneratorsv2's, and the plain way."""
    one = torch.ones(1)
    truth = torch.ones(1, dtype=torch.bool)
    return {
        "rotation and zoom": {
            "batchgenerators": old_spatial,
            "batchgeneratorsv2": new(
                SpatialTransform(
                    (edge, edge), 0, False, p_rotation=1, rotation=np.deg2rad(ANGLE_DEG), p_scaling=1, scaling=1 / ZOOM
                ),
                draw=True,
            ),
            "plain": plain_spatial,
        },
        "flip": {
            "batchgenerators": old(lambda frame: augment_mirroring(frame, None, (0, 1))[0]),
            "batchgeneratorsv2": new(MirrorTransform((0, 1)), axes=[0, 1]),
            "plain": lambda frame: np.ascontiguousarray(frame[::-1, ::-1]),
        },
        "brightness": {
            "batchgenerators": old(augment_brightness_additive, SHIFT, 0.0),
            "batchgeneratorsv2": new(BrightnessAdditiveTransform(0, 1), apply_to_channel=ONLY, shift=SHIFT * one),
            "plain": lambda frame: frame + np.float32(SHIFT),
        },
        "contrast": {
            "batchgenerators": old(augment_contrast, lambda: FACTOR),
            "batchgeneratorsv2": new(
                ContrastTransform((0, 1), True, True), apply_to_channel=ONLY, multipliers=FACTOR * one
            ),
            "plain": plain_contrast,
        },
        "gamma": {
            "batchgenerators": old(augment_gamma, (GAMMA, GAMMA), retain_stats=True),
            "batchgeneratorsv2": new(
                GammaTransform((0, 1), 0, True, 1, 1),
                apply_to_channel=ONLY,
                retain_stats=truth,
                invert_image=~truth,
                gamma=GAMMA * one,
            ),
            "plain": plain_gamma,
        },
        "noise": {
            "batchgenerators": old(augment_gaussian_noise, (STD, STD)),
            "batchgeneratorsv2": new(GaussianNoiseTransform(STD), draw=True),
            "plain": plain_noise,
        },
        "blur": {
            "batchgenerators": old(augment_gaussian_blur, (SIGMA_PX, SIGMA_PX)),
            "batchgeneratorsv2": new(GaussianBlurTransform(), apply_to_channel=truth, sigmas=[[SIGMA_PX, SIGMA_PX]]),
            "plain": lambda frame: np.asarray(ndimage.gaussian_filter(frame, SIGMA_PX)),
        },
        "low resolution": {
            "batchgenerators": old(
                augment_linear_downsampling_scipy, (SHARE, SHARE), order_downsample=0, order_upsample=1
            ),
            "batchgeneratorsv2": new(
                SimulateLowResolutionTransform((0, 1), True, True, None),
                apply_to_channel=[0],
                scales=SHARE * torch.ones(1, 2),
            ),
            "plain": plain_low_resolution,
        },
    }


def print_variations(edge: int, batch: int, repeats: int) -> None:
    """Each variation of gwunet where it comes to every patch; the patch has a wire of three pixels across it."""
    rows, columns = np.indices((edge, edge))
    wire = abs(rows - columns) <= 1
    frame = np.random.default_rng(0).normal(size=wire.shape) - 2 * wire
    patch = Sample(frame.astype(np.float32), wire.astype(np.uint8), np.ones_like(wire))
    grey, rng = GreyScale(120.0, 40.0, 255.0), np.random.default_rng(0)
    print("\n| variation | " + " | ".join(VARIATIONS) + " |\n" + "|---" * (len(VARIATIONS) + 1) + "|\n| ms |", end="")
    for draw in VARIATIONS.values():
        seconds = []
        for _ in range(4 * repeats):
            start = time.perf_counter()
            for _ in range(batch):
                variation = draw(rng, patch, grey)
                if variation is not None:
                    variation.apply(patch)
            seconds.append(time.perf_counter() - start)
        print(f" {1000 * statistics.median(seconds):.2f} |", end="")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for edge, batch in PATCHES:
        frames = np.random.default_rng(0).normal(size=(batch, edge, edge)).astype(np.float32)
        print(f"\n{batch} patches of {edge} x {edge}, ms a batch, {arguments.threads} threads\n")
        print("| transform | batchgenerators | batchgeneratorsv2 | NumPy, SciPy, torch |\n|---|---|---|---|")
        for name, kinds in ways(edge).items():
            found: dict[str, list[float]] = {kind: [] for kind in kinds}
            for repeat in range(arguments.repeats + 2):
                for kind, way in kinds.items():
                    start = time.perf_counter()
                    for frame in frames:
                        way(frame)
                    if repeat >= 2:  # the first ones warm up
                        found[kind].append(1000 * (time.perf_counter() - start))
            print(f"| {name} | " + " | ".join(f"{statistics.median(values):.2f}" for values in found.values()) + " |")
        print_variations(edge, batch, arguments.repeats)


if __name__ == "__main__":
    main()
