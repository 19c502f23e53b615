"""The files that saved predictions came from, by the run records beside them; the frames themselves are not needed."""

import dataclasses
import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from gwunet.errors import SchemaError
from gwunet.inference.run_record import RunFile, RunRecord, read_record
from gwunet.inference.series import InSequence
from gwunet.inference.sources import frame_index
from gwunet.io.record_files import run_records
from gwunet.io.spacing import PixelSpacing

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RecordedRun:
    """A ``NamedRun`` whose file is not at hand."""

    name: str
    is_numbered: bool
    spacing: PixelSpacing | None
    place: InSequence | None = None


def recorded_runs(folders: Sequence[Path], names: Collection[str]) -> tuple[RecordedRun, ...]:
    """The runs that frames of these names came from; frames of no recorded DICOM file or video are pictures.

    Pictures that could not be read are among them: time passed with them.

    Args:
        folders: predictions of the same frames, with ``run.json`` where ``gw_predict`` made them.
        names: of the frames.
    """
    given: dict[str, list[RunFile]] = {}
    failed: set[str] = set()
    for record in (record for folder in folders for record in _records(folder)):
        for file in record.runs:
            given.setdefault(file.name, []).append(file)
        failed.update(failure.frame for failure in record.failed)
    files = {
        name: RecordedRun(
            name=name,
            is_numbered=name not in names and found[0].is_numbered,
            spacing=_agreed(name, [file.spacing for file in found]),
            place=next((file.place for file in found if file.place is not None), None),
        )
        for name, found in given.items()
    }

    def run_of(name: str) -> RecordedRun:
        run = files.get(name) or files.get(name.rpartition("_")[0])
        if run is not None and frame_index(run, name) is not None:
            return run
        return RecordedRun(name=name, is_numbered=False, spacing=None)

    of_videos = tuple(f"{name} after frame " for name in files)
    pictures = {name for name in failed if not name.startswith(of_videos)}
    return tuple(dict.fromkeys(run_of(name) for name in sorted({*names, *pictures})))


def _records(folder: Path) -> list[RunRecord]:
    records = []
    for path in run_records(folder):
        try:
            records.append(read_record(path))
        except SchemaError as problem:
            logger.warning("spacings and sequences of frames cannot be seen: %s", problem)
    return records


def _agreed(name: str, spacings: Sequence[PixelSpacing | None]) -> PixelSpacing | None:
    different = {spacing for spacing in spacings if spacing is not None}
    if len(different) > 1:
        logger.warning(
            "%s: the run records of the folders differ in its spacing, so nothing is given in millimetres: %s",
            name,
            " and ".join(sorted(f"{each.row_mm} x {each.column_mm} mm ({each.plane})" for each in different)),
        )
    return different.pop() if len(different) == 1 else None
