"""The log of a run, written and read again."""

from pathlib import Path

import pytest

from gwunet.errors import SchemaError
from gwunet.trainers.history import LOG, EpochRecord, History, read_epochs


def record(epoch: int, **changes: float | None) -> EpochRecord:
    figures = {"learning_rate": 1e-3, "train_loss": 0.5, "val_loss": None, "val_dice": None, "val_dice_ema": None}
    return EpochRecord(epoch=epoch, iteration=10 * epoch, seconds=1.5, **{**figures, **changes})  # type: ignore[arg-type]


def test_epochs_are_read_as_they_were_written(tmp_path: Path) -> None:
    records = [record(1), record(2, val_loss=0.25, val_dice=0.5, val_dice_ema=0.5, aside_loss=0.75)]
    History(tmp_path, {"device": "cpu"}, records).write()
    assert read_epochs(tmp_path) == records


def test_a_damaged_epoch_is_named(tmp_path: Path) -> None:
    History(tmp_path, {"device": "cpu"}, []).write()
    assert read_epochs(tmp_path) == []
    path = tmp_path / LOG
    path.write_text(path.read_text() + '{"epoch": "one"}\n')
    with pytest.raises(SchemaError, match=r"log\.jsonl"):
        read_epochs(tmp_path)
