"""What ``gw_demo`` does: the whole pipeline on simulated fluoroscopy, in minutes on a CPU."""

import dataclasses
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gwunet.dataset import TEST_FRAMES, TEST_MASKS, Dataset
from gwunet.device import available_cores
from gwunet.errors import UsageError
from gwunet.evaluation import evaluate_folder
from gwunet.evenly import evenly
from gwunet.inference import Predictor, draw_overlay, predict_folder
from gwunet.io.frames import read_frame, read_mask, write_frame
from gwunet.jsonio import replacing
from gwunet.planning import plan_dataset
from gwunet.progress import Progress, no_progress
from gwunet.report import write_report
from gwunet.synthetic import synthesize_dataset
from gwunet.trained import SUMMARY
from gwunet.training import TrainConfig, train
from gwunet.workspace import Workspace

if TYPE_CHECKING:
    from gwunet.evaluation import Summary

logger = logging.getLogger(__name__)

DATASET = "Dataset900_Demo"
SHEET_FRAMES = 5
LEVEL_STEP = 8
"""Levels are rounded to this in the picture of a few frames, which halves the file."""
GAP_PX = 4


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DemoSize:
    """How large the demonstration is; the defaults take about five minutes on two cores."""

    patients: int = 30
    """Simulated patients, those of the test included; a fifth of the others validates."""
    test_patients: int = 4
    sequences: int = 3
    frames: int = 2
    size: int = 384
    training_minutes: float = 4.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DemoResult:
    """What the demonstration came to."""

    summary: "Summary"
    """Metrics of the patients that were never in training."""
    seconds: dict[str, float]
    """By step."""
    sheet: Path
    """A picture of frames and masks."""
    report: Path
    """One page on all of it."""


def run_demo(
    folder: Path,
    *,
    size: DemoSize | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress = no_progress,
) -> DemoResult:
    """Simulate, plan, train one fold, predict patients never seen, evaluate, and report.

    Leaves in ``folder``: ``workspace/``, ``predictions/``, ``overlays/`` (green found, orange false, blue missed),
    ``demo.png``, ``summary.json`` and ``report.html``.

    Raises:
        UsageError: ``folder`` holds something already and ``overwrite`` is not given.
    """
    size = size or DemoSize()
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise UsageError(
            f"{folder}: not empty; give another folder with -o, or --overwrite to run the demo again there"
        )
    workspace = Workspace.find(folder / "workspace")
    clock = _Clock()
    raw = workspace.raw / DATASET
    synthesize_dataset(
        raw,
        patients=size.patients,
        test_patients=size.test_patients,
        sequences=size.sequences,
        frames=size.frames,
        size=size.size,
        seed=seed,
        overwrite=overwrite,
        progress=progress,
    )
    clock.lap("simulate")
    cores = available_cores()
    plan_dataset(
        DATASET,
        workspace=workspace,
        configurations=["fganet"],
        processes=cores,
        clean=True,
        preprocess=True,
        progress=progress,
    )
    clock.lap("plan and preprocess")
    options = TrainConfig(minutes=size.training_minutes, seed=seed)
    train(DATASET, 0, workspace=workspace, options=options, overwrite=overwrite, progress=progress)
    clock.lap("train and validate fold 0")
    predictor = Predictor.from_results(DATASET, workspace=workspace, folds=(0,))
    predict_folder(predictor, raw / TEST_FRAMES, folder / "predictions", progress=progress)
    clock.lap("predict patients never seen")
    scores = folder / SUMMARY
    summary = evaluate_folder(raw / TEST_MASKS, folder / "predictions", scores, progress=progress)
    sheet = draw_results(Dataset.open(raw), folder)
    clock.lap("evaluate and draw")
    report = write_report(
        DATASET,
        folder / "report.html",
        workspace=workspace,
        predictions={folder / "predictions": scores},
    )
    clock.lap("report")
    return DemoResult(summary=summary, seconds=clock.seconds, sheet=sheet, report=report)


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] = round(now - self._last, 1)
        logger.info("%s: %.1f s", step, self.seconds[step])
        self._last = now


def draw_results(raw: Dataset, folder: Path) -> Path:
    """An overlay of every test frame, and one picture of a few of them beside the bare frames."""
    pairs: list[NDArray[np.uint8]] = []
    shown = {case.name for case in evenly(raw.test, SHEET_FRAMES)}
    for case in raw.test:
        frame = read_frame(case.image)
        overlay = draw_overlay(frame, read_mask(folder / "predictions" / f"{case.name}.png"), raw.read_mask(case))
        write_frame(folder / "overlays" / f"{case.name}.png", overlay)
        if case.name in shown:
            pairs.append(_stack([np.repeat(frame[..., None], 3, axis=2), overlay], axis=0))
    sheet = Image.fromarray(_stack(pairs, axis=1) // LEVEL_STEP * LEVEL_STEP)
    with replacing(folder / "demo.png") as partial:
        sheet.save(partial, optimize=True)
    return folder / "demo.png"


def _stack(pictures: list[NDArray[np.uint8]], axis: int) -> NDArray[np.uint8]:
    """Pictures of one size in a row (axis 1) or column (axis 0) with a white gap between them."""
    shape = list(pictures[0].shape)
    shape[axis] = GAP_PX
    gap = np.full(shape, 255, np.uint8)
    joined = [part for picture in pictures for part in (gap, picture)][1:]
    return np.concatenate(joined, axis=axis)
