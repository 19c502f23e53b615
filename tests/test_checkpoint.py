"""Checkpoints come back as they were saved; anything else is refused with the file's name."""

import contextlib
import dataclasses
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gwunet.checkpoint import Checkpoint, load_checkpoint, load_weights, save_checkpoint
from gwunet.errors import ModelError, OutputError
from gwunet.exposed_field import Border
from gwunet.networks import build_network
from gwunet.plans import Configuration, Preprocessing, Spec


@pytest.fixture
def checkpoint(make_configuration: Callable[..., Configuration]) -> Checkpoint:
    configuration = make_configuration()
    return Checkpoint(
        dataset="Dataset001_Made",
        trainer="FGANetTrainer",
        configuration=configuration,
        preprocessing=Preprocessing(borders={"uint8": Border(level=15.0, threshold=20.0, spread=2.0)}),
        weights=build_network(configuration).state_dict(),
        epoch=3,
        training={"seed": 4, "torch_rng": torch.get_rng_state(), "records": [{"epoch": 1, "val_dice": None}]},
    )


def test_a_checkpoint_comes_back_as_it_was(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "new" / "checkpoint_final.pt"
    save_checkpoint(path, checkpoint)
    read = load_checkpoint(path)
    for field in ("dataset", "trainer", "configuration", "preprocessing", "epoch"):
        assert getattr(read, field) == getattr(checkpoint, field)
    assert read.weights.keys() == checkpoint.weights.keys()
    assert all(torch.equal(value, checkpoint.weights[key]) for key, value in read.weights.items())
    assert read.training["seed"] == 4
    assert read.training["records"] == [{"epoch": 1, "val_dice": None}]
    assert torch.equal(read.training["torch_rng"], checkpoint.training["torch_rng"])
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint_final.pt"]


def test_loaded_weights_predict_the_same(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c.pt", checkpoint)
    networks = [build_network(checkpoint.configuration).eval() for _ in range(2)]
    networks[0].load_state_dict(checkpoint.weights)
    load_weights(networks[1], load_checkpoint(tmp_path / "c.pt"), tmp_path / "c.pt")
    frames = torch.randn(1, 1, 16, 16)
    assert torch.equal(networks[0](frames), networks[1](frames))


def test_weights_that_do_not_fit_are_named(checkpoint: Checkpoint) -> None:
    spec = Spec(name="FGANet", arguments={"features": [2, 6], "decoder_features": [2]})
    other = build_network(dataclasses.replace(checkpoint.configuration, network=spec))
    with pytest.raises(ModelError, match=r"model: the weights do not fit the network: .*encoder\.1"):
        load_weights(other, checkpoint, Path("model"))
    fewer = dataclasses.replace(checkpoint, weights=dict(list(checkpoint.weights.items())[:-1]))
    with pytest.raises(ModelError, match=r"the weights do not fit the network: Missing key.*heads\.1\.bias"):
        load_weights(build_network(checkpoint.configuration), fewer, Path("model"))


def test_a_missing_or_damaged_file_is_named(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_final.pt"
    with pytest.raises(ModelError, match=r"checkpoint_final\.pt: no such checkpoint"):
        load_checkpoint(path)
    save_checkpoint(path, checkpoint)
    whole = path.read_bytes()
    for damaged in (b"", b"no checkpoint", whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"checkpoint_final\.pt: not a readable checkpoint"):
            load_checkpoint(path)


def test_damage_in_the_middle_gives_a_model_error_or_nothing(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_final.pt"
    save_checkpoint(path, checkpoint)
    whole = path.read_bytes()
    for position in range(100, 1500, 70):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        with contextlib.suppress(ModelError):
            load_checkpoint(path)


def test_a_flipped_byte_in_the_weights_is_noticed(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint_final.pt"
    save_checkpoint(path, checkpoint)
    whole = path.read_bytes()
    position = whole.index(checkpoint.weights["encoder.0.0.weight"].numpy().tobytes())
    path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
    with pytest.raises(ModelError, match="not a readable checkpoint"):
        load_checkpoint(path)


class Harmful:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)

    folder: Path


@pytest.mark.parametrize("place", ["weights", "training", "epoch"])
def test_a_pickled_object_is_refused_and_not_run(checkpoint: Checkpoint, tmp_path: Path, place: str) -> None:
    harmful = Harmful()
    harmful.folder = tmp_path / "was run"
    path = tmp_path / "checkpoint_final.pt"
    inside = harmful if place == "epoch" else {"object": harmful}
    save_checkpoint(path, dataclasses.replace(checkpoint, **{place: inside}))
    with zipfile.ZipFile(path) as archive:  # the object is in there, and unpickling it would run it
        (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        assert b"mkdir" in archive.read(name)
    with pytest.raises(ModelError, match="not a readable checkpoint"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps(harmful))
    with pytest.raises(ModelError, match="not a readable checkpoint"):
        load_checkpoint(path)
    assert not harmful.folder.exists()


def saved_content(checkpoint: Checkpoint, path: Path) -> dict[str, Any]:
    save_checkpoint(path, checkpoint)
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "not a gwunet checkpoint of schema version 1"),
        ({"weights": None}, "the key 'weights' is missing from the checkpoint"),
        ({"configuration": {"name": "fganet"}}, "c.pt: planner: missing"),
        ({"preprocessing": {"borders": 3}}, "c.pt: borders: expected object, got 3"),
    ],
)
def test_files_of_another_schema_are_refused(
    checkpoint: Checkpoint, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    content = saved_content(checkpoint, tmp_path / "c.pt") | changes
    torch.save({key: value for key, value in content.items() if value is not None}, tmp_path / "c.pt")
    with pytest.raises(ModelError, match=message):
        load_checkpoint(tmp_path / "c.pt")


@pytest.mark.parametrize("other", [[1, 2], {"state_dict": {}}, torch.zeros(3)])
def test_other_peoples_files_are_no_checkpoints(tmp_path: Path, other: Any) -> None:
    torch.save(other, tmp_path / "c.pt")
    with pytest.raises(ModelError, match="not a gwunet checkpoint"):
        load_checkpoint(tmp_path / "c.pt")


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": {"heads.0.bias": "x"}},
        {"weights": [1, 2]},
        {"epoch": "three"},
        {"training": 5},
    ],
)
def test_values_of_another_type_are_refused(checkpoint: Checkpoint, tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "c.pt"
    torch.save(saved_content(checkpoint, path) | changes, path)

    def load_all() -> None:
        read = load_checkpoint(path)
        load_weights(build_network(read.configuration), read, path)

    with pytest.raises(ModelError, match=r"c\.pt"):
        load_all()


def test_a_full_disk_is_named_and_the_last_checkpoint_stands(
    checkpoint: Checkpoint, tmp_path: Path, full_disk: Callable[[], contextlib.AbstractContextManager[None]]
) -> None:
    path = tmp_path / "checkpoint_latest.pt"
    save_checkpoint(path, checkpoint)
    with full_disk(), pytest.raises(OutputError, match=r"checkpoint_latest\.pt: cannot be written .* free space"):
        save_checkpoint(path, dataclasses.replace(checkpoint, epoch=4))
    assert load_checkpoint(path).epoch == 3
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_outlives_a_power_cut(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its content is on the disk before it has its name."""
    path, own, on_disk = tmp_path / "checkpoint.pt", os.fsync, []

    def sync(descriptor: int) -> None:
        own(descriptor)
        on_disk.append((os.fstat(descriptor).st_ino, path.exists()))

    monkeypatch.setattr(os, "fsync", sync)
    save_checkpoint(path, checkpoint)
    assert on_disk == [(path.stat().st_ino, False)]
