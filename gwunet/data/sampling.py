"""Which part of which frame a training patch shows: drawn here, applied in ``augmentation``."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gwunet.data.store import FIELD_BIT, Sample, StoredFrame
from gwunet.plans import Augmentation

JITTER_SHARE = 0.25
"""A patch centred on a wire pixel moves by up to this share of its size, so that wires lie anywhere in it."""
EXPOSED_DRAWS = 16
"""Draws before all exposed pixels of a frame are listed, which takes longer than reading a patch."""


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """How a patch looks at a frame: the patch's centre, turned, zoomed and mirrored."""

    centre: tuple[float, float]
    """Row and column in the frame, pixel centres at whole numbers."""
    angle_rad: float
    zoom: float
    """Above 1 the patch shows fewer pixels of the frame, enlarged."""
    flip_rows: bool
    flip_columns: bool

    @property
    def matrix(self) -> NDArray[np.float64]:
        """``(2, 2)``: from a patch's (row, column) distance to its centre to that in the frame."""
        cosine, sine = math.cos(self.angle_rad), math.sin(self.angle_rad)
        turn = np.array([[cosine, -sine], [sine, cosine]]) / self.zoom
        flips = np.array([-1.0 if self.flip_rows else 1.0, -1.0 if self.flip_columns else 1.0])
        matrix: NDArray[np.float64] = turn * flips
        return matrix


def draw_view(
    rng: np.random.Generator,
    frame: StoredFrame,
    patch_size: tuple[int, int],
    augmentation: Augmentation,
    foreground_oversampling: float,
) -> View:
    """Draw the view of one training patch.

    The centre is a stored wire pixel (with the probability ``foreground_oversampling``, where there is wire) or any
    exposed pixel, and then pulled in so that the patch does not show more of the outside than it must. An unturned
    patch lies on whole pixels and is an exact copy: between them its noise would be halved and its wires widened.
    """
    turned = rng.random() < augmentation.spatial_probability
    angle = math.radians(rng.uniform(-augmentation.rotation_deg, augmentation.rotation_deg)) if turned else 0.0
    low, high = (math.log(limit) for limit in augmentation.scale)
    zoom = math.exp(rng.uniform(low, high)) if turned else 1.0
    flips = rng.random(2) < 0.5 if augmentation.flip else np.zeros(2, bool)
    on_wire = rng.random() < foreground_oversampling
    wire = frame.wire_locations
    location = int(wire[rng.integers(wire.size)]) if on_wire and wire.size else _draw_exposed(rng, frame)
    row, column = divmod(location, frame.pixels.shape[1])
    jitter = rng.uniform(-JITTER_SHARE, JITTER_SHARE, 2) if on_wire else np.zeros(2)
    centre = tuple(
        _pull_in(position + shift * patch / zoom, extent, patch / zoom)
        for position, shift, extent, patch in zip((row, column), jitter, frame.pixels.shape, patch_size, strict=True)
    )
    if not turned:
        centre = tuple(_on_pixels(position, patch) for position, patch in zip(centre, patch_size, strict=True))
    return View((centre[0], centre[1]), angle, zoom, bool(flips[0]), bool(flips[1]))


def _draw_exposed(rng: np.random.Generator, frame: StoredFrame) -> int:
    """Any exposed pixel, each as likely: drawn from all until one is exposed, which takes two or three draws."""
    labels = frame.labels.ravel()
    for location in rng.integers(labels.size, size=EXPOSED_DRAWS):
        if labels[location] & FIELD_BIT:
            return int(location)
    exposed = np.flatnonzero(frame.exposed)
    return int(exposed[rng.integers(exposed.size)])


def _pull_in(position: float, extent: int, patch: float) -> float:
    """The centre nearest to ``position`` whose patch lies inside; the middle where the patch is the larger one."""
    half = (patch - 1) / 2
    if 2 * half >= extent - 1:
        return (extent - 1) / 2
    return min(max(position, half), extent - 1 - half)


def _on_pixels(position: float, patch: int) -> float:
    """The centre nearest to ``position`` at which the patch's pixels are the frame's: of an even patch, between two."""
    half = (patch - 1) / 2
    return half + math.floor(position - half + 0.5)


class CaseOrder:
    """Which case each patch of each iteration comes from: every case once before any comes twice.

    Any iteration can be asked for at any time, so training resumes without replaying what came before.
    """

    def __init__(self, cases: Sequence[str], seed: int) -> None:
        self._cases = tuple(cases)
        self._seed = seed

    def case(self, position: int) -> str:
        """The case at a position of the endless shuffled sequence."""
        lap, index = divmod(position, len(self._cases))
        order = np.random.default_rng((self._seed, 0, lap)).permutation(len(self._cases))
        return self._cases[int(order[index])]


def read_window(frame: StoredFrame, view: View, patch_size: tuple[int, int]) -> tuple[Sample, View]:
    """The part of a frame that a view can reach, normalised, and the view in that part's coordinates.

    Only this part is inflated to float; what lies beyond the frame is 0 and not exposed.
    """
    reach = np.abs(view.matrix) @ (np.asarray(patch_size) / 2) + 2
    low = np.floor(np.asarray(view.centre) - reach).astype(int)
    high = np.ceil(np.asarray(view.centre) + reach).astype(int) + 1
    shape = np.asarray(frame.pixels.shape)
    if (high - low).prod() >= shape.prod():
        return frame.sample(), view
    from acvl_utils.cropping_and_padding.bounding_boxes import crop_and_pad_nd

    box = [[int(a), int(b)] for a, b in zip(low, high, strict=True)]
    window = dataclasses.replace(
        frame, pixels=crop_and_pad_nd(frame.pixels, box), labels=crop_and_pad_nd(frame.labels, box)
    )
    centre = np.asarray(view.centre) - low
    return window.sample(), dataclasses.replace(view, centre=(float(centre[0]), float(centre[1])))
