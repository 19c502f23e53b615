"""The part of the page on the frames themselves: numbers, pictures with their annotation, and remarks."""

from collections.abc import Sequence

from gwunet.dataset import Case, Dataset
from gwunet.errors import GwunetError
from gwunet.evenly import evenly
from gwunet.fingerprint import Fingerprint, Spread
from gwunet.report.markup import Markup, element
from gwunet.report.material import Material
from gwunet.report.parts import facts, picture, section, table
from gwunet.report.pictures import annotated

PICTURES = 6
REMARKS_SHOWN = 40


def dataset_section(material: Material) -> Markup:
    """Everything known before training."""
    found = material.fingerprint
    spreads = {
        "frame height (px)": found.height,
        "frame width (px)": found.width,
        "exposed field, share of the frame": found.field_share,
        "mean grey value in the field": found.mean,
        "its standard deviation": found.std,
        "length of the centreline (px)": found.centreline_px,
        "pieces of wire in a frame": found.components,
        "ends of wires in a frame": found.endpoints,
        "frames in a sequence": found.frames_per_sequence,
    } | ({"sequences of a patient": found.sequences_per_patient} if found.sequences_per_patient else {})
    return section(
        "dataset",
        "Dataset",
        facts(_facts(material)),
        _gallery(material.raw),
        element("h3", "Measured over all frames"),
        table(
            ("", "median", "5 % to 95 %", "least", "most"),
            [_spread_row(name, spread) for name, spread in spreads.items()],
            label="spread of what was measured",
        ),
        _sites(found),
        _remarks(material.remarks),
    )


def _facts(material: Material) -> dict[str, str]:
    found = material.fingerprint
    wire, widest = found.wire_width_px
    known = {
        "frames": str(found.n_frames),
        "patients": "not declared" if found.n_patients is None else str(found.n_patients),
        "sequences": str(found.n_sequences),
        "frames without wire": str(found.frames_without_wire),
        "pixel type": ", ".join(f"{dtype} ({count})" for dtype, count in found.dtypes.items()),
        "frames with a border": str(found.frames_with_border),
        "wire width": f"{wire:.1f} px, 95 % below {widest:.1f} px",
        "wire": f"{found.wire_share:.2%} of the exposed pixels",
    }
    if found.pixel_spacing_mm is not None:
        rows_mm, columns_mm = found.pixel_spacing_mm
        known["pixel spacing"] = f"{rows_mm:g} x {columns_mm:g} mm ({found.spacing_plane})"
    if found.frame_rate_hz is not None:
        known["frame rate"] = f"{found.frame_rate_hz:g} per second"
    if material.n_folds:
        known["folds"] = f"{material.n_folds}" + (f", none divides a {material.grouping}" if material.grouping else "")
    return known


def _spread_row(name: str, spread: Spread) -> tuple[str, ...]:
    inner = f"{spread.p05:.4g} to {spread.p95:.4g}"
    return name, f"{spread.median:.4g}", inner, f"{spread.minimum:.4g}", f"{spread.maximum:.4g}"


def _sites(found: Fingerprint) -> Markup | None:
    if not found.sites:
        return None
    return table(("site", "frames"), [(site, str(count)) for site, count in found.sites.items()], label="sites")


def _gallery(raw: Dataset | None) -> Markup | None:
    pictures = [_annotated(raw, case) for case in _spread_out(raw.training)] if raw is not None else []
    if raw is None or not pictures:
        return None
    return element(
        "div",
        element("h3", "Frames with their annotation"),
        element("div", *pictures, class_="gallery"),
    )


def _spread_out(cases: Sequence[Case]) -> list[Case]:
    """A few cases from the whole of them, of different patients or sequences where there are enough."""
    groups: dict[str, Case] = {}
    for case in cases:
        groups.setdefault(case.patient or case.sequence, case)
    chosen = list(groups.values()) if len(groups) >= PICTURES else list(cases)
    return evenly(chosen, PICTURES)


def _annotated(raw: Dataset, case: Case) -> Markup:
    try:
        shown = annotated(*raw.read_pair(case))
    except GwunetError as problem:
        return element("p", f"{case.name}: no picture ({problem})", class_="note")
    words = f"{case.name}" + (f", patient {case.patient}" if case.patient else "")
    return element(
        "figure", picture(shown, f"frame {words}, its wire tinted green"), element("figcaption", words), class_="tile"
    )


def _remarks(remarks: Sequence[str]) -> Markup | None:
    if not remarks:
        return element("p", "Verification found nothing to remark on.")
    more = len(remarks) - REMARKS_SHOWN
    return element(
        "details",
        element("summary", f"{len(remarks)} remarks from verification and splitting"),
        element("ul", *(element("li", remark) for remark in remarks[:REMARKS_SHOWN])),
        element("p", f"and {more} more, in integrity.json") if more > 0 else None,
    )
