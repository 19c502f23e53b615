"""What a training run leaves for people to read: ``log.jsonl`` and ``progress.png``."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gwunet.errors import SchemaError, UsageError
from gwunet.jsonio import from_json, replacing, to_json
from gwunet.plans import Configuration

LOG = "log.jsonl"
"""The run itself in the first line, then one for each epoch."""


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
    """On the training frames set aside, at which the plateau schedule and ``--patience`` look; None without any."""


def read_epochs(folder: Path) -> list[EpochRecord]:
    """The epochs of a run that ``log.jsonl`` in its folder tells of."""
    path = folder / LOG
    _, *epochs = path.read_text(encoding="utf-8").splitlines()
    return [from_json(EpochRecord, json.loads(line), str(path)) for line in epochs]


def read_configuration(folder: Path) -> Configuration:
    """What a run was begun with, after all flags, from ``log.jsonl`` in its folder.

    Raises:
        OSError: there is none.
        SchemaError: it says something else, as of another version.
    """
    path = folder / LOG
    with path.open(encoding="utf-8") as lines:
        try:
            start = json.loads(next(lines, "null"))
        except ValueError as problem:
            raise SchemaError(f"{path}: not JSON ({problem})") from problem
    if not isinstance(start, dict) or "configuration" not in start:
        raise SchemaError(f"{path}: configuration: missing in the first line")
    return from_json(Configuration, start["configuration"], str(path))


class History:
    """The epochs of a run so far."""

    def __init__(
        self, folder: Path, start: dict[str, Any], records: list[EpochRecord], tensorboard: bool = False
    ) -> None:
        """
        Args:
            folder: of the run.
            start: the log's first line: versions, device and the whole resolved configuration.
            records: the epochs, which grow while the run goes on.
            tensorboard: write events too; TensorBoard is installed then.
        """
        self._folder = folder
        self._start = start
        self.records = records
        self._events = open_events(folder, len(records)) if tensorboard else None

    def write(self) -> None:
        """Write ``log.jsonl`` anew and, once there is an epoch, ``progress.png``, so that both are always whole."""
        if self._events is not None and self.records:
            write_events(self._events, self.records[-1])
        lines = [self._start, *(to_json(record) for record in self.records)]
        with replacing(self._folder / LOG) as partial:
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


def check_tensorboard() -> None:
    """Before anything of an earlier run gives way.

    Raises:
        UsageError: TensorBoard is not installed.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError:
        raise UsageError("--tensorboard: TensorBoard is not installed; pip install 'gwunet[tensorboard]'") from None


def open_events(folder: Path, epochs: int) -> Any:
    """TensorBoard's writer; what stands there from the last of so many epochs on is forgotten and written again."""
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"), purge_step=epochs)


def write_events(events: Any, record: EpochRecord) -> None:
    """One epoch's numbers."""
    for name, value in to_json(record).items():
        if value is not None and name != "epoch":
            events.add_scalar(name, value, record.epoch)
    events.flush()
