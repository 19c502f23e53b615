"""What in a folder of results is this program's own: what it did not make is not replaced unasked."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gwunet.checkpoint import digest_of
from gwunet.errors import SchemaError, UsageError
from gwunet.inference.frame_writer import FrameWriter
from gwunet.inference.run_record import PATTERN, read_record
from gwunet.inference.sources import Run, VideoFile, frame_index, frame_name

ENSEMBLE = "ensemble.json"
RECORDS = re.compile(r"run(_part_\d+)?\.json|ensemble\.json")
OVERWRITE = "give another folder, or --overwrite to replace them"


def has_record(output: Path) -> bool:
    """Whether a folder says that this program made what is in it."""
    return output.is_dir() and any(RECORDS.fullmatch(path.name) for path in output.iterdir())


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


def results_of_runs(writer: FrameWriter, runs: Sequence[Run]) -> Iterator[Path]:
    """The same for all frames of some files."""
    for run in runs:
        if not isinstance(run, VideoFile):  # the others know how many frames they have
            yield from results_of(writer, (frame_name(run, index) for index in range(run.n_frames or 0)))
            continue
        for path in (writer.mask_path(run.name), writer.overlay_path(run.name)):
            stem = run.name.rpartition("/")[2]
            there = path.parent.iterdir() if path.parent.is_dir() else ()
            within = run.name.removesuffix(stem)
            yield from (
                each
                for each in sorted(there)
                if each.suffix in (".png", ".npz") and frame_index(run, within + each.stem) is not None
            )


def is_own_video(video: Path, output: Path) -> bool:
    """Whether a record in ``output`` says that this very video was written by the command before."""
    if not video.is_file():
        return False
    known = set()
    for path in output.glob(PATTERN):
        try:
            known.add(read_record(path).video_sha256)
        except SchemaError:  # is told where the record is needed
            continue
    return bool(known - {None}) and digest_of(video) in known
