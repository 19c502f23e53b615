"""What a training run leaves for people to read: ``log.jsonl`` and ``progress.png``."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gwunet.jsonio import replacing, to_json


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EpochRecord:
    """One line of the log."""

    epoch: int
    """Counted from 1."""
    iteration: int
    """Iterations done."""
    learning_rate: float
    train_loss: float
    val_loss: float | None
    """None where the fold has no validation frames (fold ``all``)."""
    val_dice: float | None
    """Pooled over the validation frames looked at during training."""
    val_dice_ema: float | None
    """Exponential moving average of ``val_dice``; chooses ``checkpoint_best``."""
    seconds: float
    aside_loss: float | None = None
    """On the training frames set aside, of which the plateau schedule looks; None with other schedules."""


class History:
    """The epochs of a run so far."""

    def __init__(self, folder: Path, start: dict[str, Any], records: Sequence[EpochRecord] = ()) -> None:
        """``start`` is the log's first line: versions, device and the whole resolved configuration."""
        self._folder = folder
        self._start = start
        self.records = list(records)

    def append(self, record: EpochRecord) -> None:
        """Add an epoch and write log and picture anew, so that both are whole at any time."""
        self.records.append(record)
        self.write()

    def write(self) -> None:
        """Write ``log.jsonl`` and, once there is an epoch, ``progress.png``."""
        lines = [self._start, *(to_json(record) for record in self.records)]
        with replacing(self._folder / "log.jsonl") as partial:
            partial.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        if self.records:
            with replacing(self._folder / "progress.png") as partial:
                draw_progress(self.records, partial)


def draw_progress(records: Sequence[EpochRecord], path: Path) -> None:
    """Losses, Dice, learning rate and seconds by epoch, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    FigureCanvasAgg(figure)
    losses, dice, rate, seconds = figure.subplots(2, 2).ravel()
    panels = (
        (losses, "loss", {"training": "train_loss", "validation": "val_loss"}),
        (dice, "Dice on validation frames", {"epoch": "val_dice", "moving average": "val_dice_ema"}),
        (rate, "learning rate", {"": "learning_rate"}),
        (seconds, "seconds per epoch", {"": "seconds"}),
    )
    for axes, title, curves in panels:
        for label, name in curves.items():
            points = [(r.epoch, getattr(r, name)) for r in records if getattr(r, name) is not None]
            if points:
                axes.plot(*zip(*points, strict=True), label=label or None, marker="." if len(points) < 30 else None)
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        if len(curves) > 1 and axes.lines:
            axes.legend()
    dice.set_ylim(0, 1)
    seconds.set_ylim(bottom=0)
    figure.savefig(path, dpi=80)
