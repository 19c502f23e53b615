"""The tubed skeleton of a wire: found once, in preprocessing, for the skeleton recall loss.

Reference: Kirchhoff et al., Skeleton Recall Loss, ECCV 2024, section "Tubed Skeletonization".
"""

import numpy as np
from numpy.typing import NDArray

from gwunet.exposed_field import bounding_box
from gwunet.thinning import thinned

TUBE_RADIUS_PX = 2
"""As published: the skeleton alone would be too thin to survive resampling and to draw a network towards it."""


def tubed_skeleton(wire: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a wire within ``TUBE_RADIUS_PX`` steps along rows and columns of its skeleton.

    Of wires up to about 4 px wide that is every pixel, and skeleton recall is recall; of wider ones the
    middle, so that a thin prediction that never breaks costs nothing.

    Args:
        wire: ``(H, W)``.

    Returns:
        ``(H, W)``, True on wire only.
    """
    tube = np.zeros_like(wire)
    if not wire.any():
        return tube
    inside = bounding_box(wire).slices
    skeleton = thinned(wire[inside])
    near = np.pad(skeleton, TUBE_RADIUS_PX)
    for _ in range(TUBE_RADIUS_PX):
        grown = near.copy()
        grown[1:] |= near[:-1]
        grown[:-1] |= near[1:]
        grown[:, 1:] |= near[:, :-1]
        grown[:, :-1] |= near[:, 1:]
        near = grown
    tube[inside] = near[TUBE_RADIUS_PX:-TUBE_RADIUS_PX, TUBE_RADIUS_PX:-TUBE_RADIUS_PX] & wire[inside]
    return tube
