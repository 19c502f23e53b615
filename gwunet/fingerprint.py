"""What is measured of a raw dataset before anything is decided (``fingerprint.json``)."""

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gwunet.dataset import Case, Dataset
from gwunet.exposed_field import (
    Border,
    BorderSample,
    Box,
    Frame,
    Mask,
    border_sample,
    bounding_box,
    estimate_border,
    percentiles_of_counts,
)
from gwunet.io.frames import digest_pixels
from gwunet.io.spacing import Plane
from gwunet.thinning import thinned

MEASURING = 3
"""Raised when the same frames are measured to other numbers, so that earlier fingerprints are no longer up to date."""
BORDER_SAMPLE_PX = 2000
"""Border pixels kept of a frame for estimating the level."""
INTENSITY_PERCENTS = (0.5, 5, 50, 95, 99.5)
OUTSIDE_SHARE = 0.01
"""Frames are warned of that have more than this share of their wire outside the exposed field found."""
WORST = 5
"""So many of them are named."""

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Median, 5th and 95th percentile, smallest and largest of a quantity over frames."""

    median: float
    p05: float
    p95: float
    minimum: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value."""
        p05, median, p95 = np.percentile(np.asarray(values, np.float64), (5, 50, 95))
        names = ("median", "p05", "p95", "minimum", "maximum")
        numbers = (median, p05, p95, min(values), max(values))
        return cls(**dict(zip(names, (round(float(n), 6) for n in numbers), strict=True)))


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FrameMeasurement:
    """What is measured of one training frame."""

    case: str
    height: int
    width: int
    dtype: str
    box: Box
    field_share: float
    """Exposed pixels over all pixels."""
    intensity: tuple[float, float, float, float, float]
    """Percentiles 0.5, 5, 50, 95, 99.5 inside the exposed field."""
    mean: float
    std: float
    wire_pixels: int
    """Inside the exposed field."""
    wire_outside_px: int
    """Annotated outside it, and so neither trained on nor measured."""
    wire_width_px: tuple[float, float]
    """Median and 95th percentile of the wire's width; 0 without wire."""
    centreline_px: float
    components: int
    endpoints: int
    digest: str
    """Of the pixels, to find identical frames."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """A dataset in numbers; sizes in pixels, intensities in the frames' own units."""

    schema_version: Literal[1]
    dataset: str
    n_frames: int
    dtypes: dict[str, int]
    """Frames per integer type."""
    borders: dict[str, Border]
    """Per integer type, the collimator's black."""
    frames_with_border: int
    height: Spread
    width: Spread
    field_height: Spread
    field_width: Spread
    field_share: Spread
    intensity: tuple[float, float, float, float, float]
    """Medians over frames of the percentiles 0.5, 5, 50, 95, 99.5 inside the exposed field."""
    mean: Spread
    std: Spread
    wire_share: float
    """Wire pixels over exposed pixels, all frames together."""
    background_to_wire: float
    """Exposed pixels without wire for each wire pixel; 0 where no frame has a wire."""
    wire_width_px: tuple[float, float]
    """Median of the frames' median widths, and 95th percentile of their 95th percentiles; 0 without wires."""
    centreline_px: Spread
    components: Spread
    endpoints: Spread
    frames_without_wire: int
    frames_per_sequence: Spread
    n_sequences: int
    n_patients: int | None
    """None where patients are not declared."""
    sequences_per_patient: Spread | None
    duplicates: tuple[tuple[str, ...], ...]
    """Groups of cases with identical pixels."""
    wire_pixels: dict[str, int]
    """Of each case, inside its exposed field; folds are balanced by it."""
    pixel_spacing_mm: tuple[float, float] | None = None
    """Medians of row and column spacing over the frames that have one; None where none has. Spacings in the detector's
    plane count only where there are none at the patient."""
    spacing_plane: Plane | None = None
    """Where these millimetres are."""
    frames_with_spacing: dict[str, int] = dataclasses.field(default_factory=dict)
    """Frames with a known spacing per plane."""
    frame_rate_hz: float | None = None
    """Of the median time between frames."""
    frames_with_rate: int = 0
    sites: dict[str, int] = dataclasses.field(default_factory=dict)
    """Frames per site, of those whose site is declared."""
    source: str | None = None
    """What it was measured from (``source_of``); None in files of 0.1."""
    wire_outside_px: dict[str, int] = dataclasses.field(default_factory=dict)
    """Of the cases that have any, wire pixels annotated outside the exposed field; they count as background."""


BorderOfFrame = tuple[str, BorderSample]
"""A frame's integer type, and what it contributes to the border estimated for frames of that type."""


def sample_border(frame: Frame) -> BorderOfFrame:
    """Of a ``(H, W)`` frame, at most ``BORDER_SAMPLE_PX`` border pixels or a few more."""
    sample = border_sample(frame)
    step = max(1, sample.pixels.size // BORDER_SAMPLE_PX)
    few = sample.pixels[::step].copy()  # a view would keep all of them
    return str(frame.dtype), dataclasses.replace(sample, pixels=few)


def estimate_borders(samples: Sequence[BorderOfFrame]) -> dict[str, Border]:
    """The border of each integer type among the frames."""
    dtypes = sorted({dtype for dtype, _ in samples})
    return {dtype: estimate_border([sample for kind, sample in samples if kind == dtype]) for dtype in dtypes}


def measure_frame(case: str, frame: Frame, field: Mask, mask: NDArray[np.uint8]) -> FrameMeasurement:
    """Measure a ``(H, W)`` frame, given its exposed field and its mask (1 on wires)."""
    inside = frame[field]
    annotated = mask == 1
    wire = annotated & field
    wire_pixels = int(np.count_nonzero(wire))
    width, length, components, endpoints = measure_wire(wire)
    return FrameMeasurement(
        case=case,
        height=frame.shape[0],
        width=frame.shape[1],
        dtype=str(frame.dtype),
        box=bounding_box(field),
        field_share=float(field.mean()),
        intensity=_percentiles(inside),
        mean=float(inside.mean()),
        std=float(inside.std()),
        wire_pixels=wire_pixels,
        wire_outside_px=int(np.count_nonzero(annotated)) - wire_pixels,
        wire_width_px=width,
        centreline_px=length,
        components=components,
        endpoints=endpoints,
        digest=digest_pixels(frame).hex(),
    )


def _percentiles(values: Frame) -> tuple[float, float, float, float, float]:
    """As ``numpy.percentile``, but of integers by counting instead of sorting."""
    percentiles = percentiles_of_counts(np.bincount(values.ravel()), INTENSITY_PERCENTS)
    low, p05, median, p95, high = (round(float(p), 3) for p in percentiles)
    return low, p05, median, p95, high


def measure_wire(wire: NDArray[np.bool_]) -> tuple[tuple[float, float], float, int, int]:
    """Width (median, 95th percentile), centreline length, pieces and endpoints of a ``(H, W)`` mask, in pixels.

    The width at a centreline pixel follows from its distance to the background, twice that less one for the pixel's own
    extent, or twice where the ridge of the distances is two pixels wide.
    The length counts steps between neighbouring centreline pixels, diagonal ones as sqrt(2).
    """
    from scipy import ndimage

    if not wire.any():
        return (0.0, 0.0), 0.0, 0, 0
    rows, columns = bounding_box(wire).slices
    wire = np.pad(wire[rows, columns], 1)
    skeleton = thinned(wire)
    distance = _distances(wire)
    beside = ndimage.maximum_filter(np.where(skeleton, 0, distance), 3)
    widths = (2 * distance - (beside < distance))[skeleton]
    straight = (skeleton[1:] & skeleton[:-1]).sum() + (skeleton[:, 1:] & skeleton[:, :-1]).sum()
    # A diagonal step counts only where no straight path joins its ends.
    falling = skeleton[1:, 1:] & skeleton[:-1, :-1] & ~skeleton[1:, :-1] & ~skeleton[:-1, 1:]
    rising = skeleton[1:, :-1] & skeleton[:-1, 1:] & ~skeleton[1:, 1:] & ~skeleton[:-1, :-1]
    length = float(straight + np.sqrt(2) * (falling.sum() + rising.sum()))
    endpoints = int((_neighbours(skeleton)[skeleton] <= 1).sum())
    pieces = int(ndimage.label(wire, np.ones((3, 3)))[1])
    return (float(np.median(widths)), float(np.percentile(widths, 95))), length, pieces, endpoints


def _distances(wire: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The Euclidean distance transform, in half its time: of a thin wire few pixels count, and so few around it."""
    from scipy.spatial import cKDTree

    around = (_neighbours(wire) > 0) & ~wire
    distance = np.zeros(wire.shape)
    distance[wire] = cKDTree(np.argwhere(around)).query(np.argwhere(wire))[0]
    return distance


def _neighbours(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """How many of a pixel's eight neighbours are True."""
    padded = np.pad(mask, 1).view(np.uint8)
    height, width = mask.shape
    shifts = [(row, column) for row in range(3) for column in range(3) if (row, column) != (1, 1)]
    count = np.zeros(mask.shape, np.uint8)
    for row, column in shifts:
        count += padded[row : row + height, column : column + width]
    return count


def summarise_measurements(
    dataset: Dataset, borders: dict[str, Border], frames: Sequence[FrameMeasurement], source: str
) -> Fingerprint:
    """Measurements of single frames to a fingerprint; ``source`` is the dataset's ``source_of`` before reading."""
    _warn_of_wire_outside(dataset, frames)
    exposed = sum(frame.field_share * frame.height * frame.width for frame in frames)
    wire_pixels = sum(frame.wire_pixels for frame in frames)
    with_wire = [frame for frame in frames if frame.wire_pixels]
    patients = {case.patient for case in dataset.training}
    declared = None not in patients
    spacing, plane = _median_spacing(dataset.training)
    times_ms = [case.frame_time_ms for case in dataset.training if case.frame_time_ms is not None]
    sequence_of_patient = {(case.patient, case.sequence) for case in dataset.training}
    return Fingerprint(
        schema_version=1,
        dataset=dataset.name,
        n_frames=len(frames),
        dtypes=_counts(frame.dtype for frame in frames),
        borders=borders,
        frames_with_border=sum(frame.field_share < 1 for frame in frames),
        height=Spread.of([frame.height for frame in frames]),
        width=Spread.of([frame.width for frame in frames]),
        field_height=Spread.of([frame.box.height for frame in frames]),
        field_width=Spread.of([frame.box.width for frame in frames]),
        field_share=Spread.of([frame.field_share for frame in frames]),
        intensity=_medians([frame.intensity for frame in frames]),
        mean=Spread.of([frame.mean for frame in frames]),
        std=Spread.of([frame.std for frame in frames]),
        wire_share=wire_pixels / exposed,
        background_to_wire=(exposed - wire_pixels) / wire_pixels if wire_pixels else 0.0,
        wire_width_px=(
            round(float(np.median([frame.wire_width_px[0] for frame in with_wire])), 3) if with_wire else 0.0,
            # Not the largest: one mask that is too thick shall not decide the loss.
            round(float(np.percentile([frame.wire_width_px[1] for frame in with_wire], 95)), 3) if with_wire else 0.0,
        ),
        centreline_px=Spread.of([frame.centreline_px for frame in frames]),
        components=Spread.of([frame.components for frame in frames]),
        endpoints=Spread.of([frame.endpoints for frame in frames]),
        frames_without_wire=len(frames) - len(with_wire),
        frames_per_sequence=Spread.of(list(Counter(case.sequence for case in dataset.training).values())),
        n_sequences=len({case.sequence for case in dataset.training}),
        n_patients=len(patients) if declared else None,
        sequences_per_patient=(
            Spread.of(list(Counter(patient for patient, _ in sequence_of_patient).values())) if declared else None
        ),
        duplicates=_duplicates(frames),
        wire_pixels={frame.case: frame.wire_pixels for frame in frames},
        pixel_spacing_mm=spacing,
        spacing_plane=plane,
        frames_with_spacing=_counts(case.spacing_plane for case in dataset.training),
        frame_rate_hz=round(1000 / float(np.median(times_ms)), 3) if times_ms else None,
        frames_with_rate=len(times_ms),
        sites=_counts(case.site for case in dataset.training),
        source=source,
        wire_outside_px={frame.case: frame.wire_outside_px for frame in frames if frame.wire_outside_px},
    )


def _warn_of_wire_outside(dataset: Dataset, frames: Sequence[FrameMeasurement]) -> None:
    annotated = {frame.case: frame.wire_pixels + frame.wire_outside_px for frame in frames}
    shares = {frame.case: frame.wire_outside_px / max(annotated[frame.case], 1) for frame in frames}
    cut = sorted((case for case, share in shares.items() if share > OUTSIDE_SHARE), key=lambda case: -shares[case])
    if cut:
        worst = ", ".join(f"{case} ({shares[case]:.0%} of {annotated[case]} px)" for case in cut[:WORST])
        logger.warning(
            "%s: in %d of %d frames more than %.0f %% of the wire is annotated outside the exposed field found, where "
            "it counts as background: %s%s. Look whether these masks, or the field, are wrong; fingerprint.json has "
            "all in wire_outside_px",
            *(dataset.folder, len(cut), len(frames), 100 * OUTSIDE_SHARE, worst),
            f" and {len(cut) - WORST} more" if len(cut) > WORST else "",
        )


def source_of(dataset: Dataset) -> str:
    """The ``source`` of a fingerprint of this dataset that need not be measured again."""
    return f"{MEASURING}-{dataset.digest(dataset.training)}"


def _counts(values: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(value for value in values if value is not None).items()))


def _median_spacing(cases: Sequence[Case]) -> tuple[tuple[float, float] | None, Plane | None]:
    planes: tuple[Plane, ...] = ("patient", "detector")
    for plane in planes:
        known = [case.pixel_spacing_mm for case in cases if case.spacing_plane == plane and case.pixel_spacing_mm]
        if known:
            row_mm, column_mm = (round(float(value), 6) for value in np.median(np.asarray(known), axis=0))
            return (row_mm, column_mm), plane
    return None, None


def _medians(rows: Sequence[tuple[float, ...]]) -> tuple[float, float, float, float, float]:
    a, b, c, d, e = (round(float(value), 3) for value in np.median(np.asarray(rows), axis=0))
    return a, b, c, d, e


def _duplicates(frames: Sequence[FrameMeasurement]) -> tuple[tuple[str, ...], ...]:
    groups: dict[str, list[str]] = {}
    for frame in frames:
        groups.setdefault(frame.digest, []).append(frame.case)
    return tuple(tuple(sorted(group)) for group in groups.values() if len(group) > 1)
