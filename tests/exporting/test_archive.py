"""Archives: what is written is read again, and nothing else is."""

import dataclasses
import io
import json
import pickle
import stat
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gwunet.checkpoint import FINAL, Checkpoint, load_checkpoint, save_checkpoint
from gwunet.cli import import_model as command
from gwunet.exporting import import_model, load_exported
from gwunet.exporting.archive import read_archive, write_archive
from gwunet.exporting.description import describe as describe_model
from gwunet.exporting.description import to_text
from gwunet.inference import Predictor
from gwunet.plans import Spec

WEIGHT = "weights/fold_0/heads.1.weight.npy"
Entries = dict[str, bytes]


def test_the_folds_come_back_bit_for_bit(archive: Path, checkpoints: tuple[Checkpoint, ...]) -> None:
    description, found = read_archive(archive)
    assert description.folds == ("0", "1")
    for given, back in zip(checkpoints, found, strict=True):
        assert (back.dataset, back.trainer, back.epoch) == (given.dataset, given.trainer, given.epoch)
        assert (back.configuration, back.preprocessing) == (given.configuration, given.preprocessing)
        assert back.weights.keys() == given.weights.keys()
        assert all(torch.equal(back.weights[key], given.weights[key]) for key in given.weights)


def test_a_model_is_one_file_byte_for_byte(archive: Path, tmp_path: Path, checkpoints: tuple[Checkpoint, ...]) -> None:
    again = tmp_path / "again.zip"
    write_archive(again, checkpoints, ("0", "1"))
    assert again.read_bytes() == archive.read_bytes()


def test_names_of_frames_stay_at_home(archive: Path) -> None:
    assert b"p0_f0" not in archive.read_bytes()


def test_paths_of_the_trainers_machine_stay_at_home(tmp_path: Path, checkpoints: tuple[Checkpoint, ...]) -> None:
    configuration = checkpoints[0].configuration
    network = Spec(name="FGANet", arguments={**configuration.network.arguments, "pretrained": "/home/me/resnet.pth"})
    described = dataclasses.replace(configuration, network=network)
    description = describe_model([dataclasses.replace(checkpoints[0], configuration=described)], ("0",))
    assert "/home/me" not in to_text(description)
    assert description.configuration.network.arguments["pretrained"] is None


def test_an_imported_model_predicts_the_same(
    archive: Path, tmp_path: Path, checkpoints: tuple[Checkpoint, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "elsewhere"
    assert command.main([str(archive), "--workspace", str(root), "--name", "Dataset077_Given"]) == 0
    assert "-d Dataset077_Given -c fganet" in capsys.readouterr().out
    base = root / "results" / "Dataset077_Given" / "fganet__FGANetTrainer"
    assert sorted(path.name for path in base.iterdir()) == ["dataset.json", "fold_0", "fold_1", "plans.json"]
    frame = np.random.default_rng(1).integers(60, 200, (70, 52), np.uint8)
    expected = Predictor(checkpoints, device="cpu").predict_frame(frame)
    installed = Predictor.from_results(77, workspace=root, device="cpu")
    assert np.array_equal(installed.predict_frame(frame).probability, expected.probability)
    assert np.array_equal(load_exported(archive, device="cpu").predict_frame(frame).mask, expected.mask)
    assert not list(root.rglob(".partial-*"))


def test_a_model_is_never_overwritten(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--workspace", str(tmp_path / "there")]
    assert command.main([str(archive), *flags]) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "there").rglob("*") if path.is_file()}
    assert command.main([str(archive), *flags]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (tmp_path / "there").rglob("*") if path.is_file()} == before


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def npy(array: np.ndarray, pickled: bool = False) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickled)
    return file.getvalue()


def rewrite(archive: Path, change: Callable[[Entries], None], **options: Any) -> None:
    """The archive anew, after ``change`` of its entries."""
    with zipfile.ZipFile(archive) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    change(entries)
    with zipfile.ZipFile(archive, "w", **options) as new:
        for name, content in entries.items():
            new.writestr(name, content)


def describe(**changes: Any) -> Callable[[Entries], None]:
    def change(entries: Entries) -> None:
        description = json.loads(entries["model.json"]) | changes
        entries["model.json"] = json.dumps(description).encode()

    return change


def in_configuration(**changes: Any) -> Callable[[Entries], None]:
    def change(entries: Entries) -> None:
        description = json.loads(entries["model.json"])
        description["configuration"] |= changes
        entries["model.json"] = json.dumps(description).encode()

    return change


def level_of_borders(written: bytes) -> Callable[[Entries], None]:
    def change(entries: Entries) -> None:
        assert entries["model.json"].count(b'"level": 15.0') == 1
        entries["model.json"] = entries["model.json"].replace(b'"level": 15.0', b'"level": ' + written)

    return change


def weight(content: bytes) -> Callable[[Entries], None]:
    return lambda entries: entries.__setitem__(WEIGHT, content)


def huge_header() -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (1 << 60,)})
    return file.getvalue()


EVIL: dict[str, tuple[Callable[[Entries], None], str]] = {
    "traversal": (lambda entries: entries.__setitem__("../../evil.py", b"x"), "evil.py"),
    "traversal in a weight": (lambda entries: entries.__setitem__("weights/fold_0/../../x.npy", b"x"), "wanted"),
    "absolute": (lambda entries: entries.__setitem__("/tmp/evil.npy", b"x"), "/tmp/evil.npy"),
    "backslashes": (lambda entries: entries.__setitem__("weights\\fold_0\\a.npy", b"x"), "wanted"),
    "a folder": (lambda entries: entries.__setitem__("weights/", b""), "weights/"),
    "something else": (lambda entries: entries.__setitem__("setup.py", b"x"), "setup.py"),
    "no description": (lambda entries: entries.pop("model.json"), "no model.json"),
    "no JSON": (lambda entries: entries.__setitem__("model.json", b"{"), "not valid JSON"),
    "deep JSON": (lambda entries: entries.__setitem__("model.json", b"[" * 100_000), "not valid JSON"),
    "a number that is none": (level_of_borders(b"NaN"), "not valid JSON (NaN is not a number of JSON)"),
    "an endless number": (level_of_borders(b"-Infinity"), "not valid JSON (-Infinity is not a number of JSON)"),
    "a number that becomes endless": (level_of_borders(b"1e999"), "not valid JSON (1e999 is beyond"),
    "not text": (lambda entries: entries.__setitem__("model.json", b"\xff\xfe"), "not a readable archive"),
    "another version": (describe(schema_version=2), "schema version 2, wanted 1"),
    "an unknown key": (describe(code="import os"), "code: unknown key"),
    "a fold that is a path": (describe(folds=["../0", "1"]), "folds"),
    "a trainer that is a path": (describe(trainer="../../x"), "found the name"),
    "a configuration that is a path": (in_configuration(name="/etc"), "found the name"),
    "a dataset that is a path": (describe(dataset="../Dataset001_X"), "wanted the form"),
    "an unknown network": (in_configuration(network={"name": "os.system", "arguments": {}}), "unknown network"),
    "a huge network": (
        in_configuration(network={"name": "FGANet", "arguments": {"features": [1 << 20] * 6}}),
        "far larger than the weights",
    ),
    "another network": (
        in_configuration(network={"name": "UNet", "arguments": {"features": [2, 4]}}),
        "wanted those of UNet",
    ),
    "a fold too many": (describe(folds=["0", "1", "2"], epochs=[1, 1, 1]), "missing"),
    "a fold too few": (describe(folds=["0"], epochs=[1]), "does not list"),
    "a missing weight": (lambda entries: entries.pop(WEIGHT), "1 missing (heads.1.weight)"),
    "another shape": (weight(npy(np.zeros((1, 3, 1, 1), np.float32))), "heads.1.weight: found (1, 3, 1, 1)"),
    "another type": (weight(npy(np.zeros((1, 2, 1, 1)))), "'<f8'"),
    "values that are no numbers": (weight(npy(np.full((1, 2, 1, 1), np.nan, np.float32))), "no numbers"),
    "more bytes than its header": (weight(npy(np.zeros((1, 2, 1, 1), np.float32)) + b"more"), "12 bytes"),
    "a header of exabytes": (weight(huge_header()), "found 0 bytes"),
    "no tensor": (weight(b"hello"), "not a plain .npy"),
    "a pickle": (weight(pickle.dumps({"a": 1})), "not a plain .npy"),
}


@pytest.mark.parametrize("kind", EVIL)
def test_evil_archives_are_refused(
    kind: str, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a message, not a traceback; and nothing is written anywhere."""
    change, words = EVIL[kind]
    rewrite(archive, change)
    before = sorted(tmp_path.rglob("*"))
    assert command.main([str(archive), "--workspace", str(tmp_path / "workspace")]) in (1, 2)
    assert words in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_objects_are_never_unpickled(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "made"
    rewrite(archive, weight(npy(np.array([Touch(made)], dtype=object), pickled=True)))
    assert command.main([str(archive), "--workspace", str(tmp_path / "workspace")]) == 1
    assert "'|O'" in capsys.readouterr().err
    assert not made.exists()


def test_a_link_is_refused(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(archive, "a") as opened:
        link = zipfile.ZipInfo("weights/fold_0/link.npy")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(link, "/etc/passwd")
    assert command.main([str(archive), "--workspace", str(tmp_path / "workspace")]) == 1
    assert "found a link" in capsys.readouterr().err


def test_a_name_that_comes_twice_is_refused(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(archive, "a") as opened:
        warnings.simplefilter("ignore")
        opened.writestr("model.json", "{}")
    assert command.main([str(archive), "--workspace", str(tmp_path / "workspace")]) == 1
    assert "found twice" in capsys.readouterr().err


def test_a_bomb_is_refused_unopened(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """64 MiB of zeros in 64 KiB."""
    rewrite(archive, weight(bytes(64 << 20)), compression=zipfile.ZIP_DEFLATED)
    assert archive.stat().st_size < 1 << 20
    assert command.main([str(archive), "--workspace", str(tmp_path / "workspace")]) == 1
    assert "compressed" in capsys.readouterr().err


def test_a_bomb_that_hides_its_size_is_refused(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The directory at the end says that entries overlap: each is as large as most of the file."""
    content = archive.read_bytes()
    start = content.index(b"PK\x01\x02")
    while start >= 0:
        length = (archive.stat().st_size // 2).to_bytes(4, "little")
        content = content[: start + 20] + length + length + content[start + 28 :]
        start = content.find(b"PK\x01\x02", start + 4)
    archive.write_bytes(content)
    assert command.main([str(archive), "--workspace", str(tmp_path / "workspace")]) == 1
    assert "overlap" in capsys.readouterr().err


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_archive_is_refused(
    share: float, archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = archive.read_bytes()
    archive.write_bytes(content[: int(share * len(content))])
    assert command.main([str(archive), "--workspace", str(tmp_path / "workspace")]) == 1
    assert "not a readable archive" in capsys.readouterr().err


def test_a_changed_byte_is_noticed(archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    assert command.main([str(archive), "--workspace", str(tmp_path / "workspace")]) == 1
    assert str(archive) in capsys.readouterr().err
    assert not (tmp_path / "workspace" / "results").exists()


def test_a_checkpoint_is_told_apart(
    tmp_path: Path, checkpoints: tuple[Checkpoint, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / FINAL
    save_checkpoint(path, checkpoints[0])
    assert command.main([str(path), "--workspace", str(tmp_path / "workspace")]) == 1
    assert "wanted model.json" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing(
    archive: Path, tmp_path: Path, full_disk: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "workspace"
    with full_disk():
        assert command.main([str(archive), "--workspace", str(root)]) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert [path for path in root.rglob("*") if path.is_file()] == []
    folder = import_model(archive, workspace=root)
    assert load_checkpoint(folder / "fold_1" / FINAL).epoch == 3
