"""gw_explain from files to pictures, with two networks that have not learned anything."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gwunet.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from gwunet.dataset import Dataset
from gwunet.errors import ModelError, SplitError, UsageError
from gwunet.explaining import explain_dataset
from gwunet.exposed_field import NO_BORDER
from gwunet.io.frames import write_mask
from gwunet.networks import build_network
from gwunet.plans import Configuration, Preprocessing, Spec


@pytest.fixture
def workspace(
    tmp_path: Path, make_raw_dataset: Callable[..., Dataset], make_configuration: Callable[..., Configuration]
) -> Path:
    masks = {name: np.zeros((72, 80), np.uint8) for name in ("a", "b", "bare")}
    masks["a"][30:33, 10:70], masks["b"][50:53, 10:70] = 1, 1
    grey = np.random.default_rng(0).integers(90, 160, (72, 80), dtype=np.uint8)
    make_raw_dataset({name: (grey, mask) for name, mask in masks.items()})
    for name, gates in (("fganet", True), ("fganet_plain", False)):
        network = {"features": [2, 4, 4], "decoder_features": [4, 2], "use_sda": gates}
        configuration = make_configuration(name=name, network=Spec(name="FGANet", arguments=network))
        torch.manual_seed(0)
        checkpoint = Checkpoint(
            dataset="Dataset001_Made",
            trainer="FGANetTrainer",
            configuration=configuration,
            preprocessing=Preprocessing(borders={"uint8": NO_BORDER}),
            weights=build_network(configuration).state_dict(),
            epoch=1,
        )
        folder = tmp_path / "results" / "Dataset001_Made" / f"{name}__FGANetTrainer" / "fold_0"
        (folder / "validation").mkdir(parents=True)
        save_checkpoint(folder / "checkpoint_final.pt", checkpoint)
        for case, mask in masks.items():
            predicted = mask if case == "a" else np.roll(mask, 12, axis=0)
            write_mask(folder / "validation" / f"{case}.png", predicted)
        (folder / "validation" / "summary.json").write_text(json.dumps({"frames": [{"case": name} for name in masks]}))
    return tmp_path


def test_maps_and_marks_of_two_models_side_by_side(workspace: Path) -> None:
    written = explain_dataset(1, workspace=workspace, device="cpu")
    assert written.layers == {"fganet, SDA": "encoder.2", "fganet_plain, no SDA": "encoder.2"}
    for path in (written.grad_cam, written.comparison):
        with Image.open(path) as picture:
            assert picture.width > 4 * 150  # frame, reference and two models
    found = json.loads(written.errors.read_text())
    worst, best = found["frames"]  # the bare frame has nothing to explain
    assert (worst["case"], best["case"]) == ("b", "a")
    assert best["models"]["fganet, SDA"] == {"dice": 1.0, "marks": []}
    assert [mark["kind"] for mark in worst["models"]["fganet, SDA"]["marks"]] == ["missed", "wrong"]


def test_a_checkpoint_whose_network_is_not_there_is_named(workspace: Path) -> None:
    path = next(workspace.rglob("fganet__FGANetTrainer/fold_0/checkpoint_final.pt"))
    checkpoint = load_checkpoint(path)
    network = Spec(name="SomebodysNet", arguments={})
    other = dataclasses.replace(checkpoint.configuration, network=network)
    save_checkpoint(path, dataclasses.replace(checkpoint, configuration=other))
    with pytest.raises(ModelError, match=f"^{re.escape(str(path))}: .*unknown network 'SomebodysNet'"):
        explain_dataset(1, workspace=workspace, device="cpu")


def test_frames_of_an_earlier_validation_are_not_shown(workspace: Path) -> None:
    """The weights of today may have been trained on them."""
    for summary in workspace.rglob("summary.json"):
        summary.write_text(json.dumps({"frames": [{"case": "a"}]}))
    found = json.loads(explain_dataset(1, workspace=workspace, device="cpu").errors.read_text())
    assert [frame["case"] for frame in found["frames"]] == ["a"]
    with pytest.raises(UsageError, match="--cases b: no validation frame of the fold; there are 1, such as a"):
        explain_dataset(1, workspace=workspace, cases=["b"], device="cpu")
    path = next(workspace.rglob("fganet__FGANetTrainer/fold_0/checkpoint_final.pt"))
    save_checkpoint(path, dataclasses.replace(load_checkpoint(path), cases=("a", "bare")))
    with pytest.raises(SplitError, match=r"trained on 1 of the frames it would be judged on \(a\)"):
        explain_dataset(1, workspace=workspace, device="cpu")


def test_of_a_trainer_alone(workspace: Path) -> None:
    plain = next(workspace.rglob("fganet_plain__FGANetTrainer"))
    plain.rename(plain.with_name("fganet_plain__OtherTrainer"))
    written = explain_dataset(1, workspace=workspace, trainer="FGANetTrainer", n_frames=1, device="cpu")
    assert list(written.layers) == ["fganet, SDA"]


def test_what_cannot_be_explained_is_named(workspace: Path) -> None:
    with pytest.raises(UsageError, match="--cases c: no validation frame of the fold; there are 3, such as a, b, bare"):
        explain_dataset(1, workspace=workspace, cases=["c"], device="cpu")
    with pytest.raises(UsageError, match="--cases bare: has no wire to explain"):
        explain_dataset(1, workspace=workspace, cases=["bare"], device="cpu")
    with pytest.raises(ModelError, match="found no validated fold 3; run gw_train Dataset001_Made 3"):
        explain_dataset(1, workspace=workspace, fold=3, device="cpu")
