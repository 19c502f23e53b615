"""One probability map from overlapping tiles.

Reference: FGA-Net paper, Introduction and "Preprocessing" (patch-based inference); weighting as in Isensee et al.,
nnU-Net, Nature Methods 2021.
"""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gwunet.tiling import tile_starts

SIGMA_SHARE = 1 / 8
"""Standard deviation of a tile's Gaussian weights as a share of its edge."""
MIN_WEIGHT = 1e-3
"""Smallest weight relative to the largest, so that corners seen by one tile alone stay defined in float16."""
MIRRORINGS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
"""Axes along which a frame is flipped in each of the four mirrored copies."""


@functools.lru_cache(maxsize=8)
def gaussian_weights(tile_size: tuple[int, int], device: torch.device) -> Tensor:
    """``(h, w)`` float32 weights of a tile's pixels, 1 at its centre."""
    axes = []
    for edge in tile_size:
        distance = torch.arange(edge, dtype=torch.float32) - (edge - 1) / 2
        axes.append(torch.exp(-0.5 * (distance / (edge * SIGMA_SHARE)) ** 2))
    weights = axes[0][:, None] * axes[1][None, :]
    return (weights / weights.max()).clamp(min=MIN_WEIGHT).to(device)


def predict_probability(
    networks: Sequence[Callable[[Tensor], Tensor]],
    frames: Tensor,
    *,
    tile_size: tuple[int, int],
    step: float,
    mirror: bool,
    batch_size: int,
) -> Tensor:
    """The wire probability of frames, averaged over networks and mirrored copies.

    Args:
        networks: each ``(B, 1, h, w)`` to logits ``(B, 1, h, w)``; the folds of a model.
        frames: ``(N, 1, h, w)`` float32, normalised.
        tile_size: rows and columns of a tile; a frame no larger is one tile of the frame's own size.
        step: distance of neighbouring tiles as a share of their size.
        mirror: average over the four mirrored copies.
        batch_size: tiles in one forward pass, of all frames together.

    Returns:
        ``(N, h, w)`` float32 in [0, 1].
    """
    height, width = frames.shape[-2:]
    tile = (min(tile_size[0], height), min(tile_size[1], width))
    corners = _corners(height, width, tile, step)
    mirrorings = MIRRORINGS if mirror else MIRRORINGS[:1]
    if len(corners) == 1 and not mirror and len(frames) <= batch_size:  # nothing to cut or to put together
        return _mean_probability(networks, frames)[:, 0]
    views = [(index, corner, axes) for index in range(len(frames)) for corner in corners for axes in mirrorings]
    weights = gaussian_weights(tile, frames.device)
    total = torch.zeros(len(frames), height, width, device=frames.device)
    covered = torch.zeros(height, width, device=frames.device)
    for top, left in corners:
        covered[top : top + tile[0], left : left + tile[1]] += len(mirrorings) * weights
    for start in range(0, len(views), batch_size):
        chunk = views[start : start + batch_size]
        tiles = torch.stack([_tile(frames[index], corner, tile).flip(axes) for index, corner, axes in chunk])
        probabilities = _mean_probability(networks, tiles)
        for (index, (top, left), axes), probability in zip(chunk, probabilities[:, 0], strict=True):
            total[index, top : top + tile[0], left : left + tile[1]] += probability.flip(axes) * weights
    return total / covered


def views_of(frame_shape: tuple[int, int], tile_size: tuple[int, int], step: float, mirror: bool) -> int:
    """How many tiles, mirrored ones counted, a frame of ``(h, w)`` takes."""
    tile = (min(tile_size[0], frame_shape[0]), min(tile_size[1], frame_shape[1]))
    return len(_corners(*frame_shape, tile, step)) * (len(MIRRORINGS) if mirror else 1)


def _corners(height: int, width: int, tile: tuple[int, int], step: float) -> list[tuple[int, int]]:
    return [(top, left) for top in tile_starts(height, tile[0], step) for left in tile_starts(width, tile[1], step)]


def _mean_probability(networks: Sequence[Callable[[Tensor], Tensor]], tiles: Tensor) -> Tensor:
    first, *others = networks
    mean = first(tiles).float().sigmoid()
    for network in others:
        mean += network(tiles).float().sigmoid()
    return mean / len(networks) if others else mean


def _tile(frame: Tensor, corner: tuple[int, int], tile: tuple[int, int]) -> Tensor:
    return frame[:, corner[0] : corner[0] + tile[0], corner[1] : corner[1] + tile[1]]
