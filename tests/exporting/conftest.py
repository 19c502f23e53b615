"""What the tests of exporting share: a small trained model in a workspace, and its archive."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gwunet.checkpoint import FINAL, Checkpoint, save_checkpoint
from gwunet.exporting.archive import write_archive
from gwunet.exposed_field import Border
from gwunet.jsonio import write_json
from gwunet.networks import build_network
from gwunet.networks.deformable import DeformableConv2d
from gwunet.plans import Configuration, Inference, Preprocessing

DATASET = "Dataset001_Made"


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """For ONNX Runtime, as for torch: its threads wait busily and take the cores of other tests."""
    monkeypatch.setattr("gwunet.exporting.onnx_runtime.available_cores", lambda: 1)


def trained_checkpoint(configuration: Configuration, seed: int) -> Checkpoint:
    """A fold whose probabilities differ from pixel to pixel."""
    torch.manual_seed(seed)
    network = build_network(configuration)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, DeformableConv2d):
                module.predictor.weight.normal_(0, 0.1)
        network.train()(torch.randn(4, 1, 32, 48))
        head = network.get_submodule("heads.1")
        assert isinstance(head, torch.nn.Conv2d)
        head.weight *= 2 / network.eval()(torch.randn(1, 1, 32, 48)).std()
    return Checkpoint(
        dataset=DATASET,
        trainer="FGANetTrainer",
        configuration=configuration,
        preprocessing=Preprocessing(borders={"uint8": Border(level=15.0, threshold=20.0, spread=2.0)}),
        weights=network.state_dict(),
        epoch=3,
        cases=("p0_f0",),
    )


@pytest.fixture
def checkpoints(make_configuration: Callable[..., Configuration]) -> tuple[Checkpoint, ...]:
    """Two folds of a model."""
    inference = Inference(tile_size=(64, 64), step=0.5, mirror=False, threshold=0.5)
    configuration = dataclasses.replace(make_configuration(), inference=inference)
    return tuple(trained_checkpoint(configuration, seed) for seed in range(2))


@pytest.fixture
def workspace(tmp_path: Path, checkpoints: tuple[Checkpoint, ...]) -> Path:
    """A workspace with the two folds, six frames with masks, and their splits."""
    root = tmp_path / "workspace"
    base = root / "results" / DATASET / "fganet__FGANetTrainer"
    for fold, checkpoint in enumerate(checkpoints):
        save_checkpoint(base / f"fold_{fold}" / FINAL, checkpoint)
    rng = np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (root / "raw" / DATASET / part).mkdir(parents=True)
    for index in range(6):
        frame = rng.integers(60, 200, (40, 52), np.uint8)
        mask = np.zeros((40, 52), np.uint8)
        mask[10 + index : 13 + index, 5:40] = 255
        Image.fromarray(frame).save(root / "raw" / DATASET / "imagesTr" / f"p{index}_f0.png")
        Image.fromarray(mask).save(root / "raw" / DATASET / "labelsTr" / f"p{index}_f0.png")
    names = [f"p{index}_f0" for index in range(6)]
    folds = [{"train": names[:fold] + names[fold + 1 :], "val": [names[fold]]} for fold in range(6)]
    content = {"schema_version": 1, "grouping": "sequence", "folds": folds, "warnings": []}
    write_json(root / "preprocessed" / DATASET / "splits.json", content)
    return root


@pytest.fixture
def archive(tmp_path: Path, checkpoints: tuple[Checkpoint, ...]) -> Path:
    """The two folds as ``gw_export --format zip`` writes them."""
    path = tmp_path / "model.zip"
    write_archive(path, checkpoints, ("0", "1"))
    return path
