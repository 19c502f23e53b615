"""X-ray runs in DICOM files, with patients, series and hospitals under other names."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gwunet.convert.pseudonym import Pseudonyms
from gwunet.convert.rate import RateSelection, check_rate
from gwunet.convert.writer import DatasetWriter
from gwunet.errors import DatasetError, FrameError, UsageError, few
from gwunet.io import dicom
from gwunet.io.dicom import DICOM_ENDINGS, DicomRun
from gwunet.io.dicom_elements import Elements, is_dicom, read_elements
from gwunet.io.dicom_order import OrderTags, in_order, warn_of_names
from gwunet.progress import Progress, no_progress

MODALITIES = ("XA", "RF")
_NAMED = 5
"""Files with text in the pixels that a warning names."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Instance:
    """One file, by names that lead back to nobody."""

    path: Path
    patient: str
    patient_of_any: str
    """The patient's name where nobody says who gave the number; the same where this file does not."""
    has_number: bool
    """Whether the file has a patient's number; else ``patient`` stands for its study."""
    study: str
    series: str
    site: str | None
    name: str
    order: OrderTags
    n_frames: int
    burned_in: str | None


def convert_dicom(
    source: Path,
    writer: DatasetWriter,
    *,
    pseudonyms: Pseudonyms,
    rate_hz: float | None = None,
    progress: Progress = no_progress,
) -> None:
    """Convert X-ray angiography (XA) and radiofluoroscopy (RF).

    The frames have no annotation, so they go to imagesTs. Patients, series, files and hospitals get names made with the
    workspace's key; no name, number or date is taken over. A hospital is what Institution Name (0008,0080) spells,
    letter by letter; where that is absent, so is the site. A series is one sequence: the frames of its files are
    numbered on, in the order of ``gwunet.io.dicom_order.in_order``.

    Args:
        source: a file, or a folder with files in it and in the folders below.
        writer: the dataset to write to.
        pseudonyms: makes the names.
        rate_hz: frames per second to take from each run; None takes all.
        progress: see ``gwunet.progress.Progress``; of the frames that are looked at, taken or not.

    Raises:
        UsageError: there is no such source, or the rate is impossible.
        DatasetError: two files have the same SOP instance but different pixels.
    """
    check_rate(rate_hz)
    instances, copies = _scan(source, writer, pseudonyms)
    instances = _with_patients_of_studies(_with_joined_patients(instances))
    _warn_of_burned_in_text(instances)
    for path, original in copies:
        try:
            _check_copy(path, original)
        except FrameError as problem:
            writer.skip(str(path), f"the same SOP instance as {original}, and one of the two is damaged: {problem}")
        else:
            writer.skip(str(path), f"the same SOP instance with the same pixels as {original}", on_purpose=True)
    looked_at = _convert_all(instances, writer, rate_hz)
    for _ in progress(looked_at, sum(instance.n_frames for instance in instances), "convert"):
        pass


def _scan(
    source: Path, writer: DatasetWriter, pseudonyms: Pseudonyms
) -> tuple[list[_Instance], list[tuple[Path, Path]]]:
    """The instances to convert, and further files of the same instances with the first file of each."""
    instances: list[_Instance] = []
    copies: list[tuple[Path, Path]] = []
    first_of: dict[str, Path] = {}
    for path in _files(source):
        try:
            is_meant = path.suffix.lower() in DICOM_ENDINGS or not path.stat().st_size  # damaged, then
            if not is_meant and not is_dicom(path):
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
    institution = elements.text(dicom.INSTITUTION_NAME)
    return _Instance(
        path=elements.path,
        patient="p" + pseudonyms.name("patient", *identity),
        patient_of_any="p" + pseudonyms.name("patient", *(("", patient) if patient else identity)),
        has_number=patient is not None,
        study=pseudonyms.name("study", study),
        series="s" + pseudonyms.name("series", series),
        site=None if institution is None else "h" + pseudonyms.name("site", institution),
        name="i" + name,
        order=OrderTags.of(elements),
        n_frames=run.format.n_frames,
        burned_in=elements.text(dicom.BURNED_IN_ANNOTATION),
    )


def _with_joined_patients(instances: list[_Instance]) -> list[_Instance]:
    """Those of a number that stands in some files with, in others without its issuer are one patient's.

    Files straight from the device have no issuer, those of the archive have. Two patients taken for one make a group
    larger; one taken for two would be in both halves of a fold.
    """
    without_issuer = {instance.patient for instance in instances if instance.patient == instance.patient_of_any}
    joined = [
        replace(instance, patient=instance.patient_of_any) if instance.patient_of_any in without_issuer else instance
        for instance in instances
    ]
    several = {
        after.patient for before, after in zip(instances, joined, strict=True) if before.patient != after.patient
    }
    if several:
        logger.warning(
            "%d patient numbers stand in some files with, in others without Issuer of Patient ID (0010,0021): each is "
            "taken for one patient; if several hospitals gave them, convert their files into datasets of their own",
            len(several),
        )
    return joined


def _with_patients_of_studies(instances: list[_Instance]) -> list[_Instance]:
    """Those without a number are the patient's whom the other files of their study name, if they name one alone."""
    named: dict[str, set[str]] = defaultdict(set)
    for instance in instances:
        if instance.has_number:
            named[instance.study].add(instance.patient)
    known = {study: next(iter(patients)) for study, patients in named.items() if len(patients) == 1}
    return [
        instance if instance.has_number else replace(instance, patient=known.get(instance.study, instance.patient))
        for instance in instances
    ]


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
        f" ({few(marked, _NAMED)})" if marked else "",
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


def _convert_all(instances: list[_Instance], writer: DatasetWriter, rate_hz: float | None) -> Iterator[None]:
    """Comes back before each frame that is looked at."""
    by_series: dict[tuple[str, str], dict[str, _Instance]] = defaultdict(dict)
    for instance in instances:
        by_series[instance.patient, instance.series][str(instance.path)] = instance
    named = []
    for _, members in sorted(by_series.items()):
        ordered, by_name = in_order({path: instance.order for path, instance in members.items()})
        if by_name:
            named.append(ordered[0])
        first = 0
        for instance in map(members.__getitem__, ordered):
            yield from _convert_run(instance, writer, first, rate_hz)
            first += instance.n_frames
    warn_of_names(named)


def _convert_run(instance: _Instance, writer: DatasetWriter, first: int, rate_hz: float | None) -> Iterator[None]:
    run = DicomRun.open(instance.path)
    times = run.times_ms
    if rate_hz is not None and times is None:
        what = (
            "neither Frame Time, Frame Time Vector nor Cine Rate"
            if instance.n_frames > 1
            else "a single frame, which does not say how long after the one before it was taken"
        )
        writer.skip(str(instance.path), f"{what}, so that no rate can be taken from it: convert it without --rate")
        return
    selection = RateSelection(rate_hz=rate_hz, frame_time_ms=run.frame_time_ms)
    for index in range(instance.n_frames):
        yield
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
