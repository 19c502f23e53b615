"""``-tr module:Class`` wherever a checkpoint is read: its network is one that only that module registers."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gwunet.checkpoint import FINAL, Checkpoint, save_checkpoint
from gwunet.cli import explain, export, find_best_configuration, predict
from gwunet.dataset import Dataset
from gwunet.exposed_field import NO_BORDER
from gwunet.jsonio import write_json
from gwunet.networks import NETWORKS
from gwunet.plans import Configuration, Preprocessing, Spec
from gwunet.splits import make_splits
from gwunet.training import TRAINERS
from gwunet.workspace import Workspace

CODE = """
from torch import nn

from gwunet.networks import NETWORKS
from gwunet.trainers import UNetTrainer


@NETWORKS.register("OneLayer")
class OneLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, frames):
        return self.layer(frames)


class OwnTrainer(UNetTrainer):
    name = "OwnTrainer"
"""
OWN = ["-tr", "module_of_ones_own:OwnTrainer"]


@pytest.fixture
def _own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In the current folder, not imported; what it registers is forgotten afterwards."""
    for registry in (NETWORKS, TRAINERS):
        registry.names()
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    (tmp_path / "module_of_ones_own.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield
    sys.modules.pop("module_of_ones_own", None)


@pytest.fixture
def checkpoint(
    tmp_path: Path, make_raw_dataset: Callable[..., Dataset], make_configuration: Callable[..., Configuration]
) -> Path:
    """Of the first of five folds, one frame each, in the workspace ``tmp_path``."""
    grey = np.random.default_rng(0).integers(90, 160, (40, 48), dtype=np.uint8)
    mask = np.zeros((40, 48), np.uint8)
    mask[20:23, 4:44] = 255
    names = [f"p{number}" for number in range(5)]
    raw = make_raw_dataset(dict.fromkeys(names, (grey, mask)), cases={name: {"patient": name} for name in names})
    splits = make_splits(raw.training, dict.fromkeys(names, 120))
    write_json(Workspace.find(tmp_path).preprocessed / raw.name / "splits.json", splits)
    (tmp_path / "frames").mkdir()
    Image.fromarray(grey).save(tmp_path / "frames" / "frame.png")
    path = tmp_path / "results" / raw.name / "own__OwnTrainer" / "fold_0" / FINAL
    save_checkpoint(
        path,
        Checkpoint(
            dataset=raw.name,
            trainer="OwnTrainer",
            configuration=make_configuration(name="own", network=Spec(name="OneLayer", arguments={})),
            preprocessing=Preprocessing(borders={"uint8": NO_BORDER}),
            weights={"layer.weight": -torch.ones(1, 1, 3, 3), "layer.bias": torch.zeros(1)},
            epoch=1,
            cases=splits.folds[0].train,
        ),
    )
    return path


@pytest.mark.usefixtures("_own_module")
def test_every_command_that_reads_a_checkpoint_imports_the_module_of_its_trainer(
    tmp_path: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace, device = ["--workspace", str(tmp_path)], ["--device", "cpu"]
    best = ["1", "--folds", "0", *workspace, *device, "-np", "1"]
    assert find_best_configuration.main([*best, "-tr", "OwnTrainer"]) == 1
    said = capsys.readouterr().err
    assert f"{checkpoint}: " in said
    assert "unknown network 'OneLayer'" in said
    # The first command validates the fold, which the second one explains.
    commands: dict[str, tuple[Callable[[list[str]], int], list[str]]] = {
        "find_best_configuration": (find_best_configuration.main, best),
        "explain": (explain.main, ["1", "-c", "own", "--layer", "layer", *workspace, *device]),
        "predict": (predict.main, ["-i", "frames", "-o", "masks", "-d", "1", "-c", "own", *workspace, *device]),
        "export": (export.main, ["1", "-c", "own", "-o", "m.zip", "--format", "zip", "--frames", "frames", *workspace]),
    }
    for name, (main, flags) in commands.items():
        NETWORKS._entries.pop("OneLayer", None)
        sys.modules.pop("module_of_ones_own", None)
        assert main([*flags, *OWN]) == 0, name
    assert (tmp_path / "masks" / "frame.png").is_file()
    assert (tmp_path / "m.zip").is_file()


@pytest.mark.usefixtures("_own_module")
@pytest.mark.parametrize("main", [find_best_configuration.main, explain.main])
def test_a_class_that_is_not_there_is_named(
    main: Callable[[list[str]], int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["1", "-tr", "module_of_ones_own:MyTrainer", "--workspace", str(tmp_path), "--device", "cpu"]) == 2
    assert "found no MyTrainer in" in capsys.readouterr().err
