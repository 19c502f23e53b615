"""Prediction of a folder of frames: masks, overlays and probabilities as files."""

import dataclasses
import logging
import platform
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from gwunet.errors import DatasetError, FrameError, UsageError
from gwunet.exposed_field import Frame
from gwunet.inference.overlay import draw_overlay
from gwunet.inference.prediction import Prediction
from gwunet.inference.predictor import Predictor
from gwunet.io.frames import FRAME_ENDINGS, list_frames, read_frame, write_frame, write_mask
from gwunet.jsonio import replacing, write_json
from gwunet.progress import Progress, no_progress

logger = logging.getLogger(__name__)

READ_AHEAD = 4
"""Frames read, or written, while others are predicted."""
CHANNEL_SUFFIX = "_0000"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FolderResult:
    """How the prediction of a folder went."""

    n_frames: int
    """Masks written."""
    failed: tuple[str, ...]
    """One message for each frame that could not be read."""
    seconds: float
    """From the first frame to the last mask; loading the model not counted."""


def find_frames(source: Path) -> dict[str, Path]:
    """The frames of a folder (or one file) by the name of their masks.

    Raises:
        UsageError: there is nothing at ``source``.
        DatasetError: the folder holds no frames, or two whose masks would have one name.
    """
    if not source.exists():
        raise UsageError(f"{source}: no such file or folder; -i names a folder of frames or one frame")
    paths = [source] if source.is_file() else list_frames(source)
    if not paths:
        raise DatasetError(f"{source}: no frames there; wanted files ending in {', '.join(FRAME_ENDINGS)}")
    names = [path.stem for path in paths]
    if len(names) > 1 and all(name.endswith(CHANNEL_SUFFIX) for name in names):
        names = [name.removesuffix(CHANNEL_SUFFIX) for name in names]
    frames: dict[str, Path] = {}
    for name, path in zip(names, paths, strict=True):
        if name in frames:
            raise DatasetError(f"{path}: its mask would have the name of {frames[name].name}'s; rename one of them")
        frames[name] = path
    return frames


def predict_folder(
    predictor: Predictor,
    source: Path,
    output: Path,
    *,
    overlay: bool = False,
    save_probabilities: bool = False,
    skip_finished: bool = False,
    progress: Progress = no_progress,
) -> FolderResult:
    """Predict every frame of a folder and write a mask (0/255 PNG) for each, with the frame's name and size.

    A frame that cannot be read is logged and left out, and the others still come out. Each file is written whole
    or not at all.

    Args:
        predictor: the model.
        source: a folder of frames, or one frame.
        output: folder for ``<name>.png`` and ``run.json``.
        overlay: also ``overlays/<name>.png``.
        save_probabilities: also ``<name>.npz`` with ``probability`` in float16.
        skip_finished: leave frames whose mask is there already.
        progress: see ``gwunet.progress.Progress``.

    Raises:
        UsageError: there is nothing at ``source``, or masks would overwrite frames.
        DatasetError: the folder holds no frames.
    """
    frames = find_frames(source)
    if output.resolve() in {path.resolve().parent for path in frames.values()}:
        raise UsageError(f"{output}: holds the frames themselves; give another folder for the masks")
    done = [name for name in frames if skip_finished and (output / f"{name}.png").is_file()]
    todo = {name: path for name, path in frames.items() if name not in set(done)}
    failed: list[str] = []
    start = time.perf_counter()
    with ThreadPoolExecutor(1) as writer:
        pending: deque[Future[None]] = deque()
        for name, frame in progress(_read_ahead(todo, failed), len(todo), "predict"):
            result = predictor.predict_frame(frame)
            pending.append(writer.submit(_write, output, name, frame, result, overlay, save_probabilities))
            while len(pending) > READ_AHEAD:
                pending.popleft().result()
        for future in pending:
            future.result()
    seconds = time.perf_counter() - start
    outcome = FolderResult(n_frames=len(todo) - len(failed), failed=tuple(failed), seconds=seconds)
    write_json(output / "run.json", _run_record(predictor, outcome, done))
    return outcome


def _read_ahead(frames: dict[str, Path], failed: list[str]) -> Iterator[tuple[str, Frame]]:
    """Frames in order, the next ones being read meanwhile; unreadable ones go to ``failed``."""
    with ThreadPoolExecutor(1) as reader:
        waiting = iter(frames.items())
        queue: deque[tuple[str, Future[Frame]]] = deque()
        while True:
            for name, path in waiting:
                queue.append((name, reader.submit(read_frame, path)))
                if len(queue) >= READ_AHEAD:
                    break
            if not queue:
                return
            name, future = queue.popleft()
            try:
                frame = future.result()
            except FrameError as problem:
                logger.error("%s", problem)
                failed.append(str(problem))
                continue
            yield name, frame


def _write(output: Path, name: str, frame: Frame, result: Prediction, overlay: bool, probabilities: bool) -> None:
    # The mask comes last: where it is there, all that was asked for is there.
    if probabilities:
        with replacing(output / f"{name}.npz") as partial:
            np.savez_compressed(partial, probability=result.probability.astype(np.float16))
    if overlay:
        write_frame(output / "overlays" / f"{name}.png", draw_overlay(frame, result.mask))
    write_mask(output / f"{name}.png", result.mask)


def _run_record(predictor: Predictor, outcome: FolderResult, done: Sequence[str]) -> dict[str, Any]:
    import torch

    return {
        "schema_version": 1,
        "configuration": predictor.configuration.name,
        "device": str(predictor.device),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "mirror": predictor.inference.mirror,
        "step": predictor.inference.step,
        "threshold": predictor.inference.threshold,
        "n_frames": outcome.n_frames,
        "n_finished_before": len(done),
        "failed": list(outcome.failed),
        "seconds": round(outcome.seconds, 3),
        "ms_per_frame": round(1000 * outcome.seconds / outcome.n_frames, 2) if outcome.n_frames else None,
    }
