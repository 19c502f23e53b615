"""``gw_ensemble``: the saved probabilities of several predictions averaged, and masks and wires of the average."""

import dataclasses
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import gwunet
from gwunet.data.lock import alone_in
from gwunet.errors import FrameError, UsageError, few
from gwunet.inference.folder_pictures import FolderPictures
from gwunet.inference.folder_wires import FolderWires, check_tracking
from gwunet.inference.frame_writer import FrameWriter
from gwunet.inference.own_results import check_own, results_of
from gwunet.inference.part import Part
from gwunet.inference.places import Places
from gwunet.inference.prediction import Prediction, Wires
from gwunet.inference.recorded_runs import recorded_runs
from gwunet.inference.sources import Run, find_runs
from gwunet.io.frames import write_mask
from gwunet.io.probability import read_average, read_field, read_shape, write_probability
from gwunet.io.record_files import ENSEMBLE, remove_other_records
from gwunet.jsonio import as_utf8, write_json
from gwunet.postprocessing import Postprocessing
from gwunet.progress import Progress, no_progress

logger = logging.getLogger(__name__)

RECORD = ENSEMBLE
SCHEMA_VERSION: Literal[1] = 1
NAMES_SHOWN = 5


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EnsembleRecord:
    """What made the masks in a folder; ``ensemble.json``."""

    schema_version: Literal[1]
    gwunet: str
    """Version."""
    sources: tuple[str, ...]
    """Names of the folders averaged."""
    settings: Postprocessing
    save_probabilities: bool
    n_frames: int
    wires: int | Literal["auto", "none"] = "none"
    """How many were looked for in a frame; in files from before they could be, none."""
    track: bool = False
    """Whether they kept their numbers along a sequence."""
    overlay: bool = False
    state: Literal["running", "finished"] = "finished"
    """``running`` in a file that nobody works on any more: the command was killed, or failed."""
    probabilities_sha256: tuple[str, ...] = ()
    """Of each source, SHA-256 of the names and files of all its frames, known in the end: names stay when a folder is
    predicted anew."""


def ensemble_folders(
    sources: Sequence[Path],
    output: Path,
    *,
    settings: Postprocessing,
    save_probabilities: bool = False,
    wires: Wires | None = "auto",
    track: bool = False,
    overlay: Path | None = None,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> EnsembleRecord:
    """Average what ``gw_predict --save_probabilities`` wrote, frame by frame, and write masks (0/255 PNG).

    Everything is compared before anything is written; then earlier results of these frames are removed. Memory holds
    one frame.

    Args:
        sources: two folders or more, with ``<name>.npz`` of the same frames, also in folders below. Which sequences the
            frames are of, and millimetres, come from the run records there.
        output: folder for ``<name>.png`` and ``ensemble.json``.
        settings: from the average to the mask.
        save_probabilities: also ``<name>.npz`` with the average, rounded to steps of 1/255.
        wires: how many wires are looked for in a frame, for ``guidewires.csv`` and ``centrelines.json``; None for none.
        track: keep the wires' numbers along each sequence; also ``tracks/<sequence>.png``.
        overlay: the frames that were predicted, a folder or a file; also ``overlays/<name>.png``.
        overwrite: replace files of these names in ``output`` also where no record says that this program made them.
        progress: see ``gwunet.progress.Progress``.

    Raises:
        UsageError: there are fewer than two folders, one has no probabilities, or they differ in frames; or the output
            is one of them, or holds what others made; or there are no frames of these names to draw on.
        DatasetError: there are no frames to draw on.
        FrameError: a file is damaged, or a frame's sizes differ.
        OutputError: a result cannot be written, or another command writes there.
    """
    _check_sources(sources, output)
    if track:
        check_tracking(wires, Part(), overlay=overlay is not None)
    names = _common_names(sources)
    writer = FrameWriter(
        output=output,
        overlay=overlay is not None,
        probabilities=save_probabilities,
        wires=wires is not None,
        draws_later=True,
    )
    _check_output(sources, writer, names)
    for name in names:
        _check_sizes([source / f"{name}.npz" for source in sources])
    frames = () if overlay is None else _frames(overlay, writer, names)
    if not overwrite:
        check_own(output, results_of(writer, names))
    record = EnsembleRecord(
        schema_version=SCHEMA_VERSION,
        gwunet=gwunet.__version__,
        sources=tuple(source.resolve().name for source in sources),
        settings=settings,
        save_probabilities=save_probabilities,
        n_frames=len(names),
        wires=wires or "none",
        track=track,
        overlay=overlay is not None,
        state="running",
    )
    with alone_in(output):
        found = FolderWires(writer, recorded_runs(sources, names), Part(), wires=wires, track=track)
        write_json(output / RECORD, record)
        found.forget()
        for name in names:
            writer.forget(name)
        remove_other_records(output / RECORD)
        digests = [hashlib.sha256() for _ in sources]
        for name in progress(names, len(names), "ensemble"):
            paths = [source / f"{name}.npz" for source in sources]
            _average(paths, name, writer, found, settings)
            for path, digest in zip(paths, digests, strict=True):
                digest.update(as_utf8(f"{name}\n") + path.read_bytes())
        found.write()
        if overlay is not None:
            _draw(FolderPictures(frames, writer, found), names, progress)
        sums = tuple(digest.hexdigest() for digest in digests)
        record = dataclasses.replace(record, state="finished", probabilities_sha256=sums)
        write_json(output / RECORD, record)
    return record


def _check_sources(sources: Sequence[Path], output: Path) -> None:
    if len({source.resolve() for source in sources}) < max(2, len(sources)):
        raise UsageError(f"-i {' '.join(map(str, sources))}: wanted two different folders or more to average")
    if any(output.resolve() == source.resolve() for source in sources):
        raise UsageError(f"-o {output}: holds the masks of one of the models; give another folder")


def _average(
    paths: Sequence[Path], name: str, writer: FrameWriter, wires: FolderWires, settings: Postprocessing
) -> None:
    """Write the results of one frame, the mask last."""
    levels, top = read_average(paths)
    mask, field = settings.mask_of_levels(levels, top), _exposed_in_any(paths)
    place = wires.places.at(name)
    assert place is not None
    wires.find(place, Prediction(mask, levels.astype(np.float32) / np.float32(top), field, settings.threshold))
    if writer.probabilities:
        write_probability(writer.probability_path(name), levels / top, field)
    write_mask(writer.mask_path(name), mask)


def _exposed_in_any(paths: Sequence[Path]) -> NDArray[np.bool_] | None:
    """Where the average of one frame's files may be above 0; None where they know of no limit."""
    fields = []
    for path in paths:
        field = read_field(path)
        if field is None:
            return None
        fields.append(field)
    exposed: NDArray[np.bool_] = np.logical_or.reduce(fields)
    return exposed


def _frames(overlay: Path, writer: FrameWriter, names: Sequence[str]) -> tuple[Run, ...]:
    """The files with the frames, if those of these names may be among them."""
    runs = find_runs(overlay, outside=[writer.output])
    files = {run.path.resolve() for run in runs}
    if any(path.resolve() in files for name in names for path in (writer.mask_path(name), writer.overlay_path(name))):
        raise UsageError(f"-o {writer.output}: holds the frames themselves; give another folder for the masks")
    places = Places(runs)
    missing = [name for name in names if places.find(name) is None]
    if missing:
        raise UsageError(
            f"--overlay {overlay}: found no frames for {len(missing)} of {len(names)}: {few(missing, NAMES_SHOWN)}; "
            "wanted what gw_predict -i took"
        )
    return runs


def _draw(pictures: FolderPictures, names: Sequence[str], progress: Progress) -> None:
    drawn = set(progress(pictures.write(frozenset(names)), len(names), "overlays"))
    missing = [name for name in names if name not in drawn]
    if missing:
        logger.warning("without an overlay: %s, which could not be drawn on their frames", few(missing, NAMES_SHOWN))


def _check_output(sources: Sequence[Path], writer: FrameWriter, names: Sequence[str]) -> None:
    """Refuse a folder in or above one of the models' whose files would take the place of theirs."""

    def files_in(folder: Path) -> set[Path]:
        return {folder.resolve() / f"{name}{ending}" for name in names for ending in (".npz", ".png")}

    if any(files_in(source) & files_in(writer.output) for source in sources):
        raise UsageError(f"-o {writer.output}: holds the masks of one of the models; give another folder")


def _common_names(sources: Sequence[Path]) -> list[str]:
    found = {source: _names(source) for source in sources}
    first = found[sources[0]]
    for source in sources[1:]:
        alone = sorted(found[source] ^ first)
        if alone:
            where = [f"{name} ({source if name in found[source] else sources[0]})" for name in alone]
            raise UsageError(
                f"{sources[0]} and {source}: found {len(alone)} frames in one alone: {few(where, NAMES_SHOWN)}; wanted "
                "the same frames in all: predict them with each model"
            )
    return sorted(first)


def _names(folder: Path) -> set[str]:
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; wanted what gw_predict --save_probabilities wrote")
    paths = (path for path in folder.rglob("*.npz") if not path.name.startswith("."))
    names = {path.relative_to(folder).with_suffix("").as_posix() for path in paths}
    if not names:
        raise UsageError(f"{folder}: found no .npz files; predict with --save_probabilities")
    return names


def _check_sizes(paths: Sequence[Path]) -> None:
    shapes = [read_shape(path) for path in paths]
    for path, shape in zip(paths, shapes, strict=True):
        if shape != shapes[0]:
            raise FrameError(
                f"{path}: found {'x'.join(map(str, shape))} px, and {'x'.join(map(str, shapes[0]))} px in {paths[0]}; "
                "wanted one size: predict the same frame with both"
            )
