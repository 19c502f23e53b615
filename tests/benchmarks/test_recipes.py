"""A row is trained once, with the flags of its recipe, and the table has what was scored."""

import json
from pathlib import Path
from types import ModuleType

import pytest

from gwunet.errors import UsageError
from gwunet.jsonio import to_json
from gwunet.trainers import FGANetPaper, LinkNetPaper
from gwunet.trainers.history import EpochRecord
from gwunet.training import TRAINERS


def test_every_recipe_names_what_there_is(script: ModuleType) -> None:
    trainers = {recipe.trainer for recipe in script.RECIPES.values() if recipe.trainer}
    assert {TRAINERS.get(name) for name in trainers} == {FGANetPaper, LinkNetPaper}


def epoch(number: int, loss: float) -> EpochRecord:
    """Of seven iterations."""
    return EpochRecord(
        epoch=number,
        iteration=7 * number,
        learning_rate=0.1,
        train_loss=1.0,
        val_loss=loss,
        val_dice=0.1,
        val_dice_ema=0.1,
        seconds=2.0,
    )


def test_a_row_is_trained_once_and_stands_in_the_table(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raw" / "Dataset001_Made").mkdir(parents=True)
    fold = tmp_path / "results" / "Dataset001_Made" / "fganet__FGANetPaper" / "fold_0"
    lines: list[tuple[str, ...]] = []

    def pretend(*line: str) -> None:
        lines.append(line)
        if line[0] == "gw_train":
            (fold / "validation").mkdir(parents=True)
            epochs = [to_json(epoch(number, loss)) for number, loss in ((1, 1.5), (2, 1.25))]
            (fold / "log.jsonl").write_text("\n".join(map(json.dumps, [{"resolved": {}}, *epochs])))
            pooled = {"dice": 0.12345, "precision": 0.5, "recall": None, "cldice": 0.25}
            (fold / "validation" / "summary.json").write_text(json.dumps({"n_frames": 3, "pooled": pooled}))

    monkeypatch.setattr(script, "run_installed", pretend)
    flags = ["-o", str(tmp_path / "rows"), "-d", "1", "--workspace", str(tmp_path), "--rows", "fganet_recipe_fast"]
    for _ in range(2):
        script.main([*flags, "--minutes", "2"])
        assert "| 14 | 1.5 to 1.25 | 0.123 | 0.500 | - | 0.250 |" in capsys.readouterr().out
    assert [line[0] for line in lines] == ["gw_plan_and_preprocess", "gw_train"]
    assert lines[1][5:11] == ("-tr", "FGANetPaper", "--lr", "0.1", "--minutes", "2.0")
    with pytest.raises(UsageError, match="choose another -o"):
        script.main([*flags, "--minutes", "3"])
