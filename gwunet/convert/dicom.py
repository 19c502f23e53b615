"""X-ray runs in DICOM files, with patients, series and hospitals under other names."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gwunet.convert.pseudonym import Pseudonyms
from gwunet.convert.rate import RateSelection, check_rate
from gwunet.convert.writer import DatasetWriter
from gwunet.errors import DatasetError, FrameError, UsageError
from gwunet.io import dicom
from gwunet.io.dicom import DicomRun
from gwunet.io.dicom_elements import Elements, is_dicom, read_elements

MODALITIES = ("XA", "RF")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Instance:
    """One file, by names that lead back to nobody."""

    path: Path
    patient: str
    series: str
    site: str | None
    name: str
    order: tuple[float, str]
    n_frames: int
    burned_in: str | None


def convert_dicom(
    source: Path,
    writer: DatasetWriter,
    *,
    pseudonyms: Pseudonyms,
    rate_hz: float | None = None,
    progress: Callable[[], object] | None = None,
) -> None:
    """Convert X-ray angiography (XA) and radiofluoroscopy (RF).

    The frames have no annotation, so they go to imagesTs. Patients, series, files and hospitals get names made with the
    workspace's key; no name, number or date is taken over. A hospital is what Institution Name (0008,0080) spells,
    letter by letter; where that is absent, so is the site. A series is one sequence: the frames of its files are
    numbered on, by instance number.

    Args:
        source: a file, or a folder with files in it and in the folders below.
        writer: the dataset to write to.
        pseudonyms: makes the names.
        rate_hz: frames per second to take from each run; None takes all.
        progress: called after each frame that was looked at.

    Raises:
        UsageError: there is no such source, or the rate is impossible.
        DatasetError: two files have the same SOP instance but different pixels.
    """
    check_rate(rate_hz)
    instances, copies = _scan(source, writer, pseudonyms)
    _warn_of_burned_in_text(instances)
    for path, original in copies:
        try:
            _check_copy(path, original)
        except FrameError as problem:
            writer.skip(str(path), f"the same SOP instance as {original}, and one of the two is damaged: {problem}")
        else:
            writer.skip(str(path), f"the same SOP instance with the same pixels as {original}", on_purpose=True)
    next_number: dict[tuple[str, str], int] = defaultdict(int)
    for instance in sorted(instances, key=lambda instance: (instance.patient, instance.series, instance.order)):
        first = next_number[instance.patient, instance.series]
        next_number[instance.patient, instance.series] += instance.n_frames
        _convert_run(instance, writer, first, rate_hz, progress)


def _scan(
    source: Path, writer: DatasetWriter, pseudonyms: Pseudonyms
) -> tuple[list[_Instance], list[tuple[Path, Path]]]:
    """The instances to convert, and further files of the same instances with the first file of each."""
    instances: list[_Instance] = []
    copies: list[tuple[Path, Path]] = []
    first_of: dict[str, Path] = {}
    for path in _files(source):
        try:
            if not is_dicom(path):
                writer.skip(str(path), "no DICOM file", on_purpose=True)
                continue
            elements = read_elements(path)
            modality = elements.text(dicom.MODALITY)
            if modality not in MODALITIES:
                what = f"modality {modality or 'unknown'}, not {' or '.join(MODALITIES)}"
                writer.skip(str(path), what, on_purpose=True)
                continue
            run = DicomRun.of(elements)
        except (FrameError, OSError) as problem:
            writer.skip(str(path), _without_path(problem, path))
            continue
        uid = elements.text(dicom.SOP_INSTANCE)
        if uid is not None and uid in first_of:
            copies.append((path, first_of[uid]))
            continue
        if uid is not None:
            first_of[uid] = path
        instances.append(_instance(elements, run, uid, pseudonyms))
    return instances, copies


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    if not source.is_dir():
        raise UsageError(f"{source}: found no such file or folder; wanted DICOM files: check the path")
    for path in sorted(source.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(source).parts):
            yield path


def _instance(elements: Elements, run: DicomRun, uid: str | None, pseudonyms: Pseudonyms) -> _Instance:
    study = elements.text(dicom.STUDY_INSTANCE) or str(elements.path.parent)
    patient = elements.text(dicom.PATIENT_ID)
    # A file without patient still belongs with the others of its study.
    identity = (elements.text(dicom.PATIENT_ID_ISSUER) or "", patient) if patient else ("study", study)
    series = elements.text(dicom.SERIES_INSTANCE) or study
    name = pseudonyms.name("instance", uid or str(elements.path))
    number = elements.number(dicom.INSTANCE_NUMBER)
    institution = elements.text(dicom.INSTITUTION_NAME)
    return _Instance(
        path=elements.path,
        patient="p" + pseudonyms.name("patient", *identity),
        series="s" + pseudonyms.name("series", series),
        site=None if institution is None else "h" + pseudonyms.name("site", institution),
        name="i" + name,
        order=(float("inf") if number is None else number, name),
        n_frames=run.format.n_frames,
        burned_in=elements.text(dicom.BURNED_IN_ANNOTATION),
    )


def _warn_of_burned_in_text(instances: list[_Instance]) -> None:
    """Names of patients can stand in the pixels, where no pseudonym reaches them.

    Reference: DICOM PS3.3 section C.7.6.1.1.4, Burned In Annotation.
    """
    said = Counter(instance.burned_in for instance in instances if instance.burned_in != "NO")
    if not said:
        return
    marked = [str(instance.path) for instance in instances if instance.burned_in == "YES"]
    unknown = sum(said.values()) - len(marked)
    logger.warning(
        "Burned In Annotation (0028,0301) is YES in %d files%s and absent in %d: names and dates may be written in the "
        "pixels; look at the frames before they leave the hospital",
        len(marked),
        f" ({', '.join(marked[:5])}{', ...' if len(marked) > 5 else ''})" if marked else "",
        unknown,
    )


def _check_copy(path: Path, original: Path) -> None:
    """Raises ``DatasetError`` unless both files hold the same frames."""
    one, other = DicomRun.open(original), DicomRun.open(path)
    same = one.format.n_frames == other.format.n_frames and all(
        np.array_equal(first, second) for first, second in zip(one.frames(), other.frames(), strict=True)
    )
    if not same:
        raise DatasetError(
            f"{path}: found the SOP instance of {original} with different pixels; wanted one file per instance: "
            "remove the wrong one"
        )


def _convert_run(
    instance: _Instance,
    writer: DatasetWriter,
    first: int,
    rate_hz: float | None,
    progress: Callable[[], object] | None,
) -> None:
    run = DicomRun.open(instance.path)
    times = run.times_ms
    if rate_hz is not None and times is None:
        writer.skip(
            str(instance.path),
            "neither Frame Time, Frame Time Vector nor Cine Rate, so that no rate can be taken from it: convert it "
            "without --rate",
        )
        return
    selection = RateSelection(rate_hz=rate_hz, frame_time_ms=run.frame_time_ms)
    for index in range(instance.n_frames):
        if progress is not None:
            progress()
        if not selection.takes(0.0 if times is None else times[index]):
            continue
        source = str(instance.path) if instance.n_frames == 1 else f"{instance.path} frame {index + 1}"
        try:
            frame = run.frame(index)
        except FrameError as problem:
            writer.skip(source, _without_path(problem, instance.path))
            continue
        writer.add(
            f"{instance.patient}_{instance.series}_{instance.name}_f{index + 1:04d}",
            frame,
            None,
            source=source,
            patient=instance.patient,
            sequence=instance.series,
            frame_number=first + index,
            spacing=run.spacing,
            frame_time_ms=selection.chosen_frame_time_ms,
            site=instance.site,
        )


def _without_path(problem: Exception, path: Path) -> str:
    """The message without the file's name, beside which it is listed."""
    return str(problem).removeprefix(f"{path}: ")
