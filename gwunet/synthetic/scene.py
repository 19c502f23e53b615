"""Everything of a sequence that is drawn once: the body in its view, devices, wires, motion, exposure and display."""

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gwunet.synthetic.anatomy import Body, Layers, bowel_gas, build_layers, sample_view
from gwunet.synthetic.collimator import sample_aperture
from gwunet.synthetic.compression import sample_quality
from gwunet.synthetic.curves import Points, random_curve
from gwunet.synthetic.distractors import catheter, clips, deposits, stent, sternal_wires
from gwunet.synthetic.motion import Motion, sample_motion
from gwunet.synthetic.options import FrameOptions
from gwunet.synthetic.physics import Detector, sample_detector
from gwunet.synthetic.raster import FloatImage, Shape, edge_of
from gwunet.synthetic.vessels import vessel_tree
from gwunet.synthetic.wire import Wire, crossing_path, sample_path, sample_wire

CONTRAST_SHARE = 0.4
"""Share of sequences with contrast agent in vessels; wires are mostly steered between injections."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One sequence before exposure; images are (H, W) float32."""

    aperture: FloatImage
    flood: FloatImage
    """Beam intensity without a patient, relative."""
    layers: Layers
    vessels: FloatImage
    """Line integrals of vessels full of contrast agent; they move with the heart."""
    bolus: tuple[float, ...]
    """Share of the contrast agent present, of each frame."""
    gain: tuple[float, ...]
    """Brightness of each frame relative to the first."""
    motion: Motion
    detector: Detector
    black_noise: float
    """Standard deviation of the collimator's shadow, grey levels."""
    jpeg_quality: int | None
    """None where frames are not compressed."""
    wires: tuple[Wire, ...]
    first_wire_frame: int
    """The wires come into the field in this frame."""

    @property
    def exposed(self) -> NDArray[np.bool_]:
        """(H, W) the exposed field."""
        return self.aperture >= 0.5


def sample_scene(
    body: Body, rng: np.random.Generator, asked_rng: np.random.Generator, *, frames: int, options: FrameOptions
) -> Scene:
    """A random sequence of a patient.

    Args:
        body: the patient.
        rng: of all that is always drawn, so that the same is drawn whatever was asked for.
        asked_rng: of what is drawn only because it was asked for.
        frames: number of frames.
        options: what is asked for.
    """
    shape = options.shape
    aperture = sample_aperture(rng, shape)
    if options.aperture is not None:
        aperture = sample_aperture(asked_rng, shape, options.aperture)
    depth = np.pad(aperture >= 0.5, 1)
    depth = ndimage.distance_transform_edt(depth)[1:-1, 1:-1].astype(np.float32)
    n_wires = int(rng.choice([1, 2], p=[0.6, 0.4])) if options.wires == "mixed" else options.wires
    sampled = _sample_wires(rng, depth, frames, n_wires, options.wire_width)
    layers = build_layers(body, sample_view(rng), shape, rng)
    layers = _with_distractors(rng, layers, shape, sampled[0])
    return Scene(
        aperture=aperture,
        flood=_sample_flood(rng, shape),
        layers=layers,
        vessels=_sample_vessels(rng, shape),
        bolus=_sample_bolus(rng, frames),
        gain=_sample_gain(rng, frames),
        motion=sample_motion(rng, shape, frames),
        detector=sample_detector(rng, shape),
        black_noise=rng.uniform(0.4, 1.5) * (options.black is None),
        jpeg_quality=sample_quality(asked_rng) if options.border == "jpeg" else None,
        wires=sampled,
        first_wire_frame=_sample_first_wire_frame(rng, frames),
    )


def _sample_wires(
    rng: np.random.Generator, depth: FloatImage, frames: int, count: int, width_range_px: tuple[float, float]
) -> tuple[Wire, ...]:
    first = sample_wire(rng, sample_path(rng, depth), depth, frames, width_range_px)
    if count == 1:
        return (first,)
    # The wires cross where the first already is in all frames, and the second starts beyond the crossing.
    settled = first.path[: max(2, min(first.advance) - first.tip_length)]
    path, crossing = crossing_path(rng, depth, settled)
    size = edge_of(depth.shape)
    start = min(len(path) - 1, crossing + int(rng.uniform(0.12, 0.3) * size))
    return first, sample_wire(rng, path, depth, frames, width_range_px, start)


def _with_distractors(rng: np.random.Generator, layers: Layers, shape: Shape, wire: Wire) -> Layers:
    """The layers with devices and deposits added to what they move with."""
    size = edge_of(shape)
    breathing, beating = layers.breathing, layers.beating
    if rng.random() < 0.4:  # vessels of the lung or the bowel's wall, without contrast agent
        tree = vessel_tree(rng, shape, np.multiply(shape, rng.uniform(0, 1, 2)), 0.012 * size)
        breathing = breathing + np.float32(rng.uniform(0.1, 0.3)) * tree
    if rng.random() < 0.3:
        breathing = breathing + bowel_gas(rng, shape)
    if rng.random() < 0.25:
        breathing = breathing + clips(rng, shape)
    if rng.random() < 0.2:
        breathing = breathing + deposits(rng, shape)
    if rng.random() < 0.15:
        breathing = breathing + sternal_wires(rng, shape)
    if rng.random() < 0.3:
        guide = wire.path[: int(min(wire.advance) * rng.uniform(0.3, 0.65))]
        beating = beating + _sample_catheter(rng, shape, guide)
    if rng.random() < 0.35:
        start = np.multiply(shape, [rng.choice([-0.02, 1.02]), rng.uniform(0.1, 0.9)])
        towards = np.pi / 2 * (1 if start[0] < 0 else -1) + rng.uniform(-0.4, 0.4)
        length = int(size * rng.uniform(0.3, 1.1))
        beating = beating + _sample_catheter(rng, shape, random_curve(rng, start, towards, length, 2.0 / size))
    for _ in range(rng.integers(1, 3) if rng.random() < 0.3 else 0):
        beating = beating + stent(rng, shape, np.multiply(shape, rng.uniform(0.2, 0.8, 2)), rng.uniform(0, 2 * np.pi))
    return Layers(still=layers.still, breathing=breathing, beating=beating)


def _sample_catheter(rng: np.random.Generator, shape: Shape, points: Points) -> FloatImage:
    if len(points) < 12:
        return np.zeros(shape, np.float32)
    radius_px = max(2.2, edge_of(shape) * rng.uniform(0.006, 0.010))
    return catheter(points, shape, radius_px, density=rng.uniform(0.12, 0.35) / radius_px)


def _sample_first_wire_frame(rng: np.random.Generator, frames: int) -> int:
    """Mostly the first; in some sequences the wires come in later, within the first third."""
    late = rng.random() < 0.15 and frames > 1
    return int(rng.integers(1, max(2, frames // 3 + 1))) if late else 0


def _sample_vessels(rng: np.random.Generator, shape: Shape) -> FloatImage:
    size = edge_of(shape)
    image = np.zeros(shape, np.float32)
    if rng.random() < CONTRAST_SHARE:
        for _ in range(rng.integers(1, 3)):
            root, radius_px = np.multiply(shape, rng.uniform(0, 1, 2)), size * rng.uniform(0.006, 0.013)
            image += vessel_tree(rng, shape, root, radius_px)
    return image * np.float32(rng.uniform(0.8, 1.8))


def _sample_bolus(rng: np.random.Generator, frames: int) -> tuple[float, ...]:
    """Contrast agent washes in or out slowly, or stays."""
    phase = rng.uniform(0.25, 0.75) + rng.uniform(-0.5, 0.5) * np.linspace(0, 1, frames)
    return tuple(float(share) for share in np.sin(np.pi * np.clip(phase, 0.05, 0.95)))


def _sample_gain(rng: np.random.Generator, frames: int) -> tuple[float, ...]:
    """Brightness control: a slow drift, and in some sequences a step."""
    gain = np.exp(np.cumsum(rng.normal(0, 0.008, frames)))
    if frames > 1 and rng.random() < 0.15:
        gain[rng.integers(1, frames) :] *= rng.uniform(0.8, 1.25)
    return tuple(float(g) for g in gain / gain[0])


def _sample_flood(rng: np.random.Generator, shape: Shape) -> FloatImage:
    """Vignetting and heel effect: brighter in the middle and towards one side."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    row = (rows / shape[0] - 0.5).astype(np.float32)
    column = (columns / shape[1] - 0.5).astype(np.float32)
    falloff = 1 - rng.uniform(0, 0.5) * (row**2 + column**2)
    return np.asarray(falloff * (1 + rng.uniform(-0.15, 0.15) * row), np.float32)
