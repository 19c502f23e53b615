"""The validation of a trained fold on the frames it never saw."""

import dataclasses
import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from gwunet.checkpoint import Checkpoint
from gwunet.dataset import MASKS, Dataset
from gwunet.device import resolve_device
from gwunet.errors import FrameError, SchemaError, SplitError, few
from gwunet.evaluation import score_frame, summarise, write_summary
from gwunet.evaluation.wire_sources import read_known_wires
from gwunet.inference.frame_writer import FrameWriter
from gwunet.inference.predictor import Predictor
from gwunet.io.probability import in_steps
from gwunet.jsonio import as_utf8, read_json, write_json
from gwunet.prepared import SPLITS
from gwunet.progress import Progress, no_progress
from gwunet.splits import known_to
from gwunet.trained import SUMMARY, validation_folder
from gwunet.world import ALONE, World

if TYPE_CHECKING:
    from gwunet.evaluation import Summary

RECORD = "made_by.json"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MadeBy:
    """What the predictions and scores in ``validation/`` are of; written after the last of them."""

    schema_version: Literal[1]
    checkpoint_sha256: str
    """Which weights."""
    frames_sha256: str | None = None
    """Of the files that were predicted (``frames_digest``): others may take their place under the same names. Null in
    files from before it was kept."""
    masks_sha256: str | None = None
    """Of the masks that the scores are against (``masks_digest``), likewise."""


def validate_fold(
    folder: Path,
    loaded: tuple[Checkpoint, str],
    raw: Dataset,
    cases: Sequence[str],
    *,
    device: str = "auto",
    world: World = ALONE,
    progress: Progress = no_progress,
) -> "Summary | None":
    """Predict a fold's validation frames as ``gw_predict`` would, and score them.

    Several processes share the frames; the first one scores them all, the others return None. The caller keeps other
    commands out of the folder (``gwunet.data.lock``), and knows that the weights have not seen the frames
    (``check_unseen``).

    Writes ``validation/<case>.png`` and ``.npz`` (as ``gw_predict --save_probabilities``, for cross-validation: some 10
    KB for a frame that the network would take a second for), and ``validation/summary.json`` (and ``.csv``) in the
    fold's folder.

    Args:
        folder: the fold's.
        loaded: its weights and their SHA-256, as ``load_with_digest`` gives them.
        raw: the dataset.
        cases: the fold's validation frames.
        device: where they are predicted.
        world: the processes that share the frames.
        progress: see ``gwunet.progress.Progress``.
    """
    own = str(resolve_device(device, world.local_rank if world.size > 1 else None))
    checkpoint, digest = loaded
    predictor = Predictor([checkpoint], device=own)
    if world.is_writer:
        forget_validation(folder)
    world.wait()  # else what another process has written by then would go too
    made_by = MadeBy(
        schema_version=1,
        checkpoint_sha256=digest,
        frames_sha256=frames_digest(raw, cases),  # before reading: what changes meanwhile is predicted again
        masks_sha256=masks_digest(raw, cases),
    )
    known = read_known_wires(raw.folder / MASKS)
    writer = FrameWriter(output=validation_folder(folder), probabilities=True)
    mine = world.share(cases)
    read: deque[tuple[NDArray[Any], NDArray[np.uint8]]] = deque()
    predictions = zip(mine, predictor.predict_frames(_frames(raw, mine, read)), strict=True)
    scores = []
    for name, prediction in (progress if world.is_writer else no_progress)(predictions, len(mine), "validate"):
        frame, reference = read.popleft()
        writer.write(name, frame, prediction)
        tips = known[name].tips if name in known else ()
        scores.append(score_frame(name, reference, prediction.mask, in_steps(prediction.probability), tips))
    scores = sorted(world.collect(scores), key=lambda score: cases.index(score.case))
    if not world.is_writer:
        return None
    groups = {name: (raw.case(name).patient, raw.case(name).sequence) for name in cases}
    summary = summarise(scores, groups)
    write_summary(validation_folder(folder) / SUMMARY, summary)
    write_json(validation_folder(folder) / RECORD, made_by)
    return summary


def _frames(raw: Dataset, cases: Sequence[str], read: deque[tuple[NDArray[Any], NDArray[np.uint8]]]) -> Iterator[Any]:
    """The frames of the cases, put into ``read`` with their masks."""
    for name in cases:
        frame, mask = raw.read_pair(raw.case(name))
        read.append((frame, mask))
        yield frame


def forget_validation(folder: Path) -> None:
    """Take a fold's validation away, it is about to become another: first what says of which weights it is.

    Masks and probabilities go too, of which some may be of frames that the fold no longer has.
    """
    validation = validation_folder(folder)
    for name in (RECORD, SUMMARY, Path(SUMMARY).with_suffix(".csv").name):
        (validation / name).unlink(missing_ok=True)
    for ending in ("png", "npz"):
        for path in validation.glob(f"*.{ending}"):
            path.unlink(missing_ok=True)


def check_unseen(checkpoint: Checkpoint, cases: Sequence[str], group_of: Mapping[str, str] | None = None) -> str | None:
    """That weights were trained on none of the frames they are to be judged on, nor on others of their groups.

    Args:
        checkpoint: the weights.
        cases: frames to judge them on.
        group_of: the patient, say, of each frame that the dataset has today; None compares frames alone.

    Returns:
        What could not be checked, in words; None where all could.

    Raises:
        SplitError: they were.
    """
    if checkpoint.cases is None:
        return "does not say which frames it was trained on"
    seen = known_to(checkpoint.cases, cases, group_of or {})
    if seen:
        known = set(seen) <= set(checkpoint.cases)
        raise SplitError(
            f"{checkpoint.where}: found that it was trained on {len(seen)} of the frames it would be judged on"
            f"{'' if known else ', or on others of their ' + (group_of or {})[seen[0]].partition(' ')[0]} "
            f"({few(seen)}); wanted none: the folds were made anew since, or it started from weights that knew them. "
            f"Train the fold again, or bring its {SPLITS} back"
        )
    gone = [name for name in checkpoint.cases if group_of is not None and name not in group_of]
    if gone:
        return f"was trained on {len(gone)} frames that the dataset no longer has by their names ({gone[0]}, for one)"
    return None


def is_validated(folder: Path, cases: Sequence[str], checkpoint: str, frames: str) -> bool:
    """Whether the probabilities of all ``cases`` are there, and of these weights and frames.

    Args:
        folder: the fold's.
        cases: its validation frames.
        checkpoint: SHA-256 of the weights.
        frames: ``frames_digest`` of the cases.
    """
    made_by = made_by_in(folder)
    if made_by is None or made_by.checkpoint_sha256 != checkpoint or made_by.frames_sha256 not in (None, frames):
        return False
    return all((validation_folder(folder) / f"{name}.npz").is_file() for name in cases)


def made_by_in(folder: Path) -> MadeBy | None:
    """What a fold's validation is of; None of one from before probabilities were kept, or that was broken off."""
    try:
        return read_json(MadeBy, validation_folder(folder) / RECORD)
    except SchemaError:
        return None


def frames_digest(raw: Dataset, cases: Iterable[str]) -> str:
    """SHA-256 of the frames' names and files; their times do not matter, which copying a dataset changes.

    Raises:
        DatasetError: there is no such case.
        FrameError: a file is gone.
    """
    return _digest({case: raw.case(case).image for case in cases})


def masks_digest(raw: Dataset, cases: Iterable[str]) -> str:
    """The same of their masks, and of what the values in them mean; errors as ``frames_digest``."""
    return _digest({case: raw.case(case).mask for case in cases}, repr(sorted(raw.mask_meaning.items())))


def _digest(files: Mapping[str, Path | None], *more: str) -> str:
    digest = hashlib.sha256(as_utf8("".join(more)))
    for case, path in sorted(files.items()):
        try:
            content = b"" if path is None else path.read_bytes()
        except OSError as problem:
            raise FrameError(f"{path}: cannot be read ({problem.strerror}); wanted a file of the dataset") from problem
        digest.update(as_utf8(f"{case}\n") + hashlib.sha256(content).digest())
    return digest.hexdigest()
