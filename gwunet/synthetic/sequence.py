"""A sequence of simulated frames with the truth about their wires."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gwunet.synthetic.anatomy import sample_body
from gwunet.synthetic.compression import through_jpeg
from gwunet.synthetic.contrast import attenuation_for, contrast_to_noise, neighbourhood, noise_near
from gwunet.synthetic.curves import Points
from gwunet.synthetic.motion import resample
from gwunet.synthetic.options import Border, Collimator, FrameOptions, Size, WireCount
from gwunet.synthetic.physics import Display, grey_scale, quantise, sample_display
from gwunet.synthetic.raster import FloatImage, chord, footprint
from gwunet.synthetic.scene import Scene, sample_scene
from gwunet.synthetic.wire import WIDTH_RANGE_PX, Wire

MIN_LENGTH_PX = 8
"""A wire of which less is inside the field is left out of image and truth."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedWire:
    """The truth about one wire in one frame."""

    centreline: Points
    """(N, 2) row and column, 0-based pixel centres, from base to tip; only what lies in the exposed field."""
    width_px: float
    cnr: float
    """Measured in the frame, off the crossings with other wires; see ``contrast_to_noise``."""

    @property
    def tip(self) -> NDArray[np.float64]:
        """(2,) row and column."""
        return np.asarray(self.centreline[-1])


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedFrame:
    """One frame; all images (H, W), grey levels in the units of ``image``."""

    image: NDArray[np.uint8] | NDArray[np.uint16]
    mask: NDArray[np.uint8]
    """1 on wires, else 0."""
    exposed: NDArray[np.bool_]
    noise_free: FloatImage
    """Expected grey levels."""
    background: FloatImage
    """Expected grey levels without any wire."""
    wires: tuple[SimulatedWire, ...]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _DrawnWire:
    """A wire put into a frame: where it is and the path of the rays through it."""

    centreline: Points
    wanted_cnr: float
    width_px: float
    mask: NDArray[np.bool_]
    near: NDArray[np.bool_]
    path_px: FloatImage


def simulate_sequence(
    *,
    seed: int,
    patient: int,
    sequence: int,
    frames: int = 8,
    size: Size = 512,
    wires: WireCount = "mixed",
    bits: int = 8,
    border: Border = "random",
    collimator: Collimator = "random",
    wire_width: tuple[float, float] = WIDTH_RANGE_PX,
) -> Iterator[SimulatedFrame]:
    """Frames of one sequence, in order.

    They depend on the arguments alone: a sequence is the same whatever else is simulated. The options from ``size`` on
    are those of ``synthesize_dataset``.

    Raises:
        UsageError: an option cannot work.
    """
    options = FrameOptions(
        size=size, wires=wires, bits=bits, border=border, collimator=collimator, wire_width=wire_width
    )
    options.check()
    return frames_of(options, seed=seed, patient=patient, sequence=sequence, frames=frames)


def frames_of(
    options: FrameOptions, *, seed: int, patient: int, sequence: int, frames: int
) -> Iterator[SimulatedFrame]:
    """``simulate_sequence`` with options that are checked already."""
    body = sample_body(_generator(seed, patient))
    rng = _generator(seed, patient, sequence)
    scene = sample_scene(body, rng, _generator(seed, patient, sequence, 0), frames=frames, options=options)
    display = None
    for frame in range(frames):
        primary = scene.detector.expected_quanta(_line_integrals(scene, frame), scene.flood, scene.exposed)
        if display is None:
            display = sample_display(rng, primary + scene.detector.scatter(primary), scene.exposed, options.black)
        shown = dataclasses.replace(display, high=display.high / scene.gain[frame])
        yield _expose(scene, frame, primary, shown, options.bits, rng)


def _generator(seed: int, *key: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _line_integrals(scene: Scene, frame: int) -> FloatImage:
    """(H, W) attenuation of all but the wires."""
    still, breathing, beating = scene.motion.sources(frame)
    inner = scene.layers.beating + np.float32(scene.bolus[frame]) * scene.vessels
    outer = scene.layers.still if scene.motion.zoom[frame] == 1 else resample(scene.layers.still, still)
    return np.asarray(np.clip(outer + resample(scene.layers.breathing, breathing) + resample(inner, beating), 0, None))


def _expose(
    scene: Scene, frame: int, primary: FloatImage, display: Display, bits: int, rng: np.random.Generator
) -> SimulatedFrame:
    detector = scene.detector
    scatter = detector.scatter(primary)
    unwired = detector.blur(primary + scatter)
    drawn = _draw_wires(scene, frame)
    integral = np.zeros_like(primary)
    for wire in drawn:
        contrast = wire.wanted_cnr * noise_near(unwired[wire.near], detector, display)
        path = detector.blur(wire.path_px)[wire.mask]
        density = attenuation_for(contrast, path, primary[wire.mask], unwired[wire.mask], display)
        integral += np.float32(density) * wire.path_px
    expected = primary * np.exp(-integral) + scatter
    background = display.grey(unwired, scene.aperture) * grey_scale(bits)
    noise_free = display.grey(detector.blur(expected), scene.aperture) * grey_scale(bits)
    shadow = scene.black_noise * rng.standard_normal(primary.shape, np.float32) * (1 - scene.aperture)
    image = quantise(display.grey(detector.read_out(expected, rng), scene.aperture) + shadow, bits)
    if scene.jpeg_quality is not None:
        image = through_jpeg(image, scene.jpeg_quality)
    wires = []
    for wire in drawn:
        alone = wire.mask & (sum(other.mask.astype(np.uint8) for other in drawn) == 1)
        cnr = contrast_to_noise(
            background - noise_free, image - noise_free, alone if alone.any() else wire.mask, wire.near
        )
        wires.append(SimulatedWire(centreline=wire.centreline, width_px=wire.width_px, cnr=cnr))
    return SimulatedFrame(
        image=image,
        mask=np.any([wire.mask for wire in drawn] or [np.zeros(image.shape, bool)], axis=0).astype(np.uint8),
        exposed=scene.exposed,
        noise_free=noise_free,
        background=background,
        wires=tuple(wires),
    )


def _draw_wires(scene: Scene, frame: int) -> list[_DrawnWire]:
    if frame < scene.first_wire_frame:
        return []
    drawn = (_draw(wire, scene, frame) for wire in scene.wires)
    return [wire for wire in drawn if wire is not None]


def _draw(wire: Wire, scene: Scene, frame: int) -> _DrawnWire | None:
    """The wire in a frame, from where it last enters the field to its tip; None if too little of it is inside."""
    points = scene.motion.move(wire.shape(frame), frame)
    inside = _inside(points, scene.exposed)
    first = int(np.flatnonzero(~inside)[-1]) + 1 if not inside.all() else 0
    if len(points) - first < MIN_LENGTH_PX:
        return None
    # Some points before the entry, so that the wire reaches into the penumbra.
    drawn = points[max(0, first - 8) :]
    width_px = min(wire.widest_px, wire.width_px * scene.motion.zoom[frame])
    near = footprint(drawn, scene.motion.shape, width_px / 2 + 1)
    density = wire.density(len(drawn))[near.segment]
    mask = (near.distance_image(far=np.inf) <= width_px / 2) & scene.exposed
    return _DrawnWire(
        centreline=points[first:],
        wanted_cnr=wire.cnr,
        width_px=width_px,
        mask=mask,
        near=neighbourhood(mask, scene.exposed),
        path_px=near.largest(density * chord(near.distance, width_px / 2)),
    )


def _inside(points: Points, exposed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    rows, columns = np.rint(points).astype(int).T
    within = (rows >= 0) & (rows < exposed.shape[0]) & (columns >= 0) & (columns < exposed.shape[1])
    within[within] = exposed[rows[within], columns[within]]
    return np.asarray(within)
