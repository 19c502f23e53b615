"""How large a pixel is, and in which plane: the tags of a DICOM file decide, never a default."""

import math
from dataclasses import dataclass
from typing import Literal

Plane = Literal["patient", "detector"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PixelSpacing:
    """Distance between the centres of neighbouring pixels."""

    row_mm: float
    """From a row to the next, in millimetres."""
    column_mm: float
    """From a column to the next, in millimetres."""
    plane: Plane
    """``patient``: lengths are those of the object. ``detector``: lengths are magnified, by a factor not known."""

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value > 0 for value in (self.row_mm, self.column_mm)):
            raise ValueError(f"wanted millimetres above 0, got {self.row_mm!r} and {self.column_mm!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class SpacingTags:
    """What a DICOM file says about the size of its pixels; None or empty where a tag is absent or no usable number.

    Reference: DICOM PS3.3 sections 10.7.1.3 (calibration), C.8.7.1 and C.8.7.5 (X-ray image and positioner).
    """

    pixel_spacing: tuple[float, ...] = ()
    """(0028,0030), row then column, mm."""
    calibration_type: str | None = None
    """(0028,0A02): GEOMETRY or FIDUCIAL; only with it is Pixel Spacing known to be measured at the object."""
    imager_pixel_spacing: tuple[float, ...] = ()
    """(0018,1164), row then column, mm at the detector."""
    magnification: float | None = None
    """(0018,1114), Estimated Radiographic Magnification Factor."""
    source_to_detector_mm: float | None = None
    """(0018,1110)."""
    source_to_patient_mm: float | None = None
    """(0018,1111)."""


def spacing_of(tags: SpacingTags) -> PixelSpacing | None:
    """The spacing that the tags give, by the first of four rules that fits.

    1. Pixel Spacing, where its calibration type is given: at the patient.
    2. Imager Pixel Spacing divided by the magnification factor, else by the ratio of the distances from the source to
       the detector and to the patient: at the patient.
    3. Imager Pixel Spacing alone: in the detector's plane.
    4. Nothing: a Pixel Spacing without calibration type may be either, so it is not used.
    """
    if tags.calibration_type and _is_pair(tags.pixel_spacing):
        return PixelSpacing(row_mm=tags.pixel_spacing[0], column_mm=tags.pixel_spacing[1], plane="patient")
    if not _is_pair(tags.imager_pixel_spacing):
        return None
    row_mm, column_mm = tags.imager_pixel_spacing
    magnification = _magnification(tags)
    if magnification is None:
        return PixelSpacing(row_mm=row_mm, column_mm=column_mm, plane="detector")
    return PixelSpacing(row_mm=row_mm / magnification, column_mm=column_mm / magnification, plane="patient")


def _magnification(tags: SpacingTags) -> float | None:
    """How many times larger the object is on the detector; None where the tags do not say or say the impossible.

    The detector is behind the patient, so a factor of 1 fills in for an unknown one, and one below 1 is a mistake.
    """
    detector_mm, patient_mm = tags.source_to_detector_mm, tags.source_to_patient_mm
    ratio = None
    if detector_mm is not None and patient_mm is not None and patient_mm > 0:
        ratio = detector_mm / patient_mm
    possible = (factor for factor in (tags.magnification, ratio) if factor is not None and math.isfinite(factor))
    return next((factor for factor in possible if factor > 1), None)


def _is_pair(values: tuple[float, ...]) -> bool:
    return len(values) == 2 and all(_is_positive(value) for value in values)


def _is_positive(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0
