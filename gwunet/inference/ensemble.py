"""``gw_ensemble``: the saved probabilities of several predictions averaged, and masks of the average."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import gwunet
from gwunet.errors import FrameError, UsageError
from gwunet.io.frames import write_mask
from gwunet.io.probability import read_average, read_shape, write_probability
from gwunet.jsonio import write_json
from gwunet.postprocessing import Postprocessing
from gwunet.progress import Progress, no_progress

RECORD = "ensemble.json"
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


def ensemble_folders(
    sources: Sequence[Path],
    output: Path,
    *,
    settings: Postprocessing,
    save_probabilities: bool = False,
    progress: Progress = no_progress,
) -> EnsembleRecord:
    """Average what ``gw_predict --save_probabilities`` wrote, frame by frame, and write masks (0/255 PNG).

    Everything is compared before anything is written. Memory holds one frame.

    Args:
        sources: two folders or more, with ``<name>.npz`` of the same frames, also in folders below.
        output: folder for ``<name>.png`` and ``ensemble.json``.
        settings: from the average to the mask.
        save_probabilities: also ``<name>.npz`` with the average, rounded to steps of 1/255.
        progress: see ``gwunet.progress.Progress``.

    Raises:
        UsageError: there are fewer than two folders, one has no probabilities, or they differ in frames; or the output
            is one of them.
        FrameError: a file is damaged, or a frame's sizes differ.
        OutputError: a result cannot be written.
    """
    if len({source.resolve() for source in sources}) < max(2, len(sources)):
        raise UsageError(f"-i {' '.join(map(str, sources))}: wanted two different folders or more to average")
    if any(output.resolve() == source.resolve() for source in sources):
        raise UsageError(f"-o {output}: holds the masks of one of the models; give another folder")
    names = _common_names(sources)
    for name in names:
        _check_sizes([source / f"{name}.npz" for source in sources])
    for name in progress(names, len(names), "ensemble"):
        levels, top = read_average([source / f"{name}.npz" for source in sources])
        if save_probabilities:
            write_probability(output / f"{name}.npz", levels / top)
        write_mask(output / f"{name}.png", settings.mask_of_levels(levels, top))
    record = EnsembleRecord(
        schema_version=SCHEMA_VERSION,
        gwunet=gwunet.__version__,
        sources=tuple(source.resolve().name for source in sources),
        settings=settings,
        save_probabilities=save_probabilities,
        n_frames=len(names),
    )
    write_json(output / RECORD, record)
    return record


def _common_names(sources: Sequence[Path]) -> list[str]:
    found = {source: _names(source) for source in sources}
    first = found[sources[0]]
    for source in sources[1:]:
        alone = sorted(found[source] ^ first)
        if alone:
            where = [source if name in found[source] else sources[0] for name in alone[:NAMES_SHOWN]]
            listed = ", ".join(f"{name} ({folder})" for name, folder in zip(alone, where, strict=False))
            raise UsageError(
                f"{sources[0]} and {source}: found {len(alone)} frames in one alone: {listed}"
                + (", ..." if len(alone) > NAMES_SHOWN else "")
                + "; wanted the same frames in all: predict them with each model"
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
