"""What in a folder of results is this program's own: what it did not make is not replaced unasked."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gwunet.checkpoint import digest_of
from gwunet.errors import SchemaError, UsageError
from gwunet.inference.frame_writer import FrameWriter
from gwunet.inference.part import Part
from gwunet.inference.run_record import read_record
from gwunet.inference.sources import Run, VideoFile, frame_index, frame_name
from gwunet.io.record_files import ENSEMBLE, records, run_records

OVERWRITE = "give another folder, or --overwrite to replace them"


def has_record(output: Path) -> bool:
    """Whether a folder says that this program made what is in it."""
    return bool(records(output))


def check_own(output: Path, results: Iterable[Path]) -> None:
    """Refuse to replace what this program did not make: somebody's masks, drawn by hand, may have the same names.

    Args:
        output: folder for results.
        results: files in it that would be removed or replaced.

    Raises:
        UsageError: some are there, and no record of this program.
    """
    if not output.is_dir() or has_record(output):
        return
    found = [path for path in results if path.exists()]
    if found:
        raise UsageError(
            f"{output}: found {found[0].relative_to(output)}{_more(found)}, and no run.json or {ENSEMBLE} that says "
            f"that gwunet made {'it' if len(found) == 1 else 'them'}; wanted a folder of its own: {OVERWRITE}"
        )


def _more(found: Sequence[Path]) -> str:
    return "" if len(found) == 1 else f" and {len(found) - 1} more of these names"


def results_of(writer: FrameWriter, names: Iterable[str]) -> Iterator[Path]:
    """The files that hold, or would hold, the results of frames."""
    for name in names:
        yield from (writer.mask_path(name), writer.probability_path(name), writer.overlay_path(name))


def results_of_runs(writer: FrameWriter, runs: Sequence[Run], part: Part | None = None) -> Iterator[Path]:
    """The same for the frames of some files: all of them, or those of one command among several."""
    part = part or Part()
    for number, run in enumerate(runs):
        for name in _names(writer, run):
            index = frame_index(run, name)
            if index is not None and part.has(number, index):
                yield from results_of(writer, [name])


def _names(writer: FrameWriter, run: Run) -> list[str]:
    """What a run's frames are called, and of a video, which may have any number, what any file in their place is."""
    if not isinstance(run, VideoFile):
        return [frame_name(run, index) for index in range(run.n_frames or 0)]
    within = run.name.removesuffix(run.name.rpartition("/")[2])
    places = (writer.mask_path(run.name), writer.probability_path(run.name), writer.overlay_path(run.name))
    return sorted({within + path.stem for place in places for path in place.parent.glob(f"*{place.suffix}")})


def is_own_video(video: Path, output: Path) -> bool:
    """Whether a record in ``output`` says that this very video was written by the command before."""
    if not video.is_file():
        return False
    known = set()
    for path in run_records(output):
        try:
            known.add(read_record(path).video_sha256)
        except SchemaError:  # is told where the record is needed
            continue
    return bool(known - {None}) and digest_of(video) in known
