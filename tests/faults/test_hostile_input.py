"""Some hundred bad files of every kind that a command reads: named with a reason, none believed, none obeyed.

Each is answered by exit status 1 or 2 and a message with the file's name; never by a traceback, by running what the
file holds, by writing outside of the output, or by gigabytes of memory.
"""

import functools
import io
import json
import pickle
import re
import resource
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from faults.workspace import write_dicom
from gwunet.checkpoint import FINAL
from gwunet.cli import convert, ensemble, evaluate, import_model, plan_and_preprocess, predict, train

GIB = 1 << 30
WANTED = 300
"""Bad files, at least."""
Files = dict[str, bytes]


@pytest.fixture(autouse=True)
def at_most_2_gib() -> Iterator[None]:
    """The process's peak stays below, whatever a file claims to hold; what asks for far more fails at once."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (memory("VmSize") + 5 * GIB, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert memory("VmHWM") < 2 * GIB


def memory(key: str) -> int:
    """Bytes of this process by a key of /proc."""
    found = re.search(rf"{key}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


class Canary:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A place that only code out of a file would write to."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


def answered(main: Callable[[list[str]], int], arguments: list[Any], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says to standard error, which refuses."""
    status = main([str(argument) for argument in arguments])
    said = capsys.readouterr().err
    assert status in (1, 2), said
    assert "Traceback" not in said
    return said


def wrongly_answered(
    files: Files,
    path: Path,
    main: Callable[[list[str]], int],
    arguments: list[Any],
    capsys: pytest.CaptureFixture[str],
    *,
    names: str = "",
) -> list[str]:
    """Which of the bad files, put one after another at ``path``, a command takes, or refuses without naming them."""
    wrong = []
    for name, content in files.items():
        path.write_bytes(content)
        try:
            status = main([str(argument) for argument in arguments])
        except BaseException as problem:
            wrong.append(f"{name}: {type(problem).__name__}: {problem!s:.200}")
            continue
        said = capsys.readouterr().err
        if status not in (1, 2) or (names or path.name) not in said or "Traceback" in said:
            wrong.append(f"{name}: status {status}: {said[-200:]}")
    return wrong


# ---- Pieces of bad files


def png_of(pixels: np.ndarray) -> bytes:
    return encoded(Image.fromarray(pixels), "PNG")


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def npy_of(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@functools.cache
def zeros_deflated(n_bytes: int, window: int) -> bytes:
    """So many zeros: the compressed form of some repeated, which takes no time to make."""
    part = zlib.compressobj(9, zlib.DEFLATED, window)
    first = part.compress(bytes(1 << 20)) + part.flush(zlib.Z_FULL_FLUSH)
    more = part.compress(bytes(1 << 20)) + part.flush(zlib.Z_FULL_FLUSH)
    return first + more * (n_bytes // (1 << 20) - 1) + part.flush()


def png_bomb(width: int, height: int, colour: int = 0, bits: int = 8) -> bytes:
    """A picture of zeros that claims, and holds, far more than its file."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    row = 1 + width * {0: 1, 2: 3, 6: 4}[colour] * bits // 8
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = zeros_deflated(row * height + (1 << 20), 15)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def npz_bomb(gib: float) -> bytes:
    """An .npz whose array of zeros has so many GiB."""
    edge = int((gib * GIB / 4) ** 0.5)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (edge, edge)})
    size = len(head.getvalue()) + (4 * edge * edge + (1 << 20) - 1) // (1 << 20) * (1 << 20)
    deflated = zlib.compressobj(1, zlib.DEFLATED, -15)
    data = deflated.compress(head.getvalue()) + deflated.flush(zlib.Z_FULL_FLUSH)
    data += zeros_deflated(size - len(head.getvalue()), -15)
    return zip_with_one(b"probability.npy", data, size)


def zip_with_one(name: bytes, data: bytes, size: int) -> bytes:
    """A zip of one deflated entry, written by hand so that its sizes are whatever is given."""
    sizes = struct.pack("<III", 0, len(data), size & 0xFFFFFFFF)
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 0) + sizes + struct.pack("<HH", len(name), 0) + name
    entry = b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0) + sizes
    entry += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(entry), len(local) + len(data), 0)
    return local + data + entry + end


def damaged(content: bytes, seed: int = 0) -> Files:
    """A file cut short, emptied, and with bytes overwritten in its head."""
    rng = np.random.default_rng(seed)
    noisy = bytearray(content)
    for place in rng.integers(0, min(len(content), 60), 12):
        noisy[place] = rng.integers(256)
    return {"empty": b"", "cut": content[: len(content) // 2], "nearly whole": content[:-60], "noise": bytes(noisy)}


NO_JSON: Files = {
    "empty": b"",
    "blank": b" \n",
    "cut": b'{"schema_version": 1, "folds": [',
    "another text": b"case,patient\n1,2\n",
    "UTF-16": '{"schema_version": 1}'.encode("utf-16"),
    "bytes": bytes(range(256)),
    "deep": b"[" * 200_000,
    "deep objects": b'{"a":' * 200_000,
    "NaN": b'{"schema_version": NaN}',
    "a number of many digits": b'{"schema_version": ' + b"9" * 10_000 + b"}",
    "an array": b"[1, 2]",
    "null": b"null",
    "a text": b'"dataset"',
    "a number": b"1e400",
}
ODD_VALUES = (None, True, -1, 1e308, "", "../../x", [], {}, [[]], {"a": {}})


def mistyped(document: dict[str, Any], keys: list[str]) -> Files:
    """The document with each of these keys, as ``a.b``, missing or with a value of another type."""
    made: Files = {}
    for number, key in enumerate(keys):
        *path, last = key.split(".")
        content = json.loads(json.dumps(document))
        place = content
        for part in path:
            place = place[part]
        before = place.pop(last)
        made[f"{key} missing"] = json.dumps(content).encode()
        wrong = [value for value in ODD_VALUES if not fits(value, before)]
        place[last] = wrong[number % len(wrong)]
        made[f"{key} {place[last]!r}"] = json.dumps(content).encode()
    return made


def fits(value: Any, before: Any) -> bool:
    """Whether a value may be meant: of the type of the one that was there, or null."""
    numbers = isinstance(value, int | float) and isinstance(before, int | float) and not isinstance(value, bool)
    return value is None or numbers or isinstance(value, type(before))


# ---- Frames and masks


def bad_frames(canary: Path) -> Files:
    good = np.random.default_rng(0).integers(60, 200, (64, 64), np.uint8)
    colour = np.stack([good, good, 255 - good], -1)
    files: Files = {
        "text.png": b"no picture",
        "page.png": b"<html></html>" * 20,
        "other_program.png": encoded(Image.fromarray(good), "GIF"),
        "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n",
        "colour.png": png_of(colour),
        "cmyk.jpg": encoded(Image.fromarray(colour).convert("CMYK"), "JPEG"),
        "tiny.png": png_of(good[:3, :3]),
        "thin.png": png_of(good[:1]),
        "pages.tif": encoded(Image.fromarray(good), "TIFF", save_all=True, append_images=[Image.fromarray(good)]),
        "floats.tif": encoded(Image.fromarray(good.astype(np.float32)), "TIFF"),
        "doubles.npy": npy_of(good.astype(np.float64)),
        "complex.npy": npy_of(good.astype(np.complex64)),
        "volume.npy": npy_of(np.stack([good] * 9)),
        "number.npy": npy_of(np.array(3, np.uint8)),
        "signed.npy": npy_of(good.astype(np.int64) - 100),
        "words.npy": npy_of(np.array(["a", "b"])),
        "pickled.npy": npy_of(np.array([Canary(canary)], dtype=object)),
        "pickle.npy": pickle.dumps(Canary(canary)),
        "zip.npy": zip_with_one(b"../../evil.npy", b"", 0),
        "header_of_exabytes.npy": npy_of(good).replace(b"(64, 64)", b"(1<<60,)")[:200],
        "bomb.png": png_bomb(50_000, 50_000),
        "colour_bomb.png": png_bomb(13_000, 13_000, colour=6),
        "wide_bomb.png": png_bomb(2_000_000, 80),
    }
    for ending, kind in (("png", "PNG"), ("tif", "TIFF"), ("jpg", "JPEG"), ("bmp", "BMP")):
        for how, content in damaged(encoded(Image.fromarray(good), kind)).items():
            files[f"{how.replace(' ', '_')}_{ending}.{ending}"] = content
    for how, content in damaged(npy_of(good)).items():
        files[f"{how.replace(' ', '_')}_npy.npy"] = content
    return files


def bad_masks(canary: Path) -> Files:
    mask = np.zeros((64, 64), np.uint8)
    mask[30:33, 5:60] = 255
    three = mask.copy()
    three[0, 0] = 7
    both = mask.copy()
    both[0, 0] = 1
    files = {f"m_{name}": content for name, content in bad_frames(canary).items() if name not in ACCEPTED_AS_MASKS}
    return files | {
        "seven.png": png_of(three),
        "one_and_255.png": png_of(both),
        "inverted.png": png_of(255 - mask),
        "other_size.png": png_of(mask[:50]),
        "jpeg.jpg": encoded(Image.fromarray(mask), "JPEG", quality=30),
        "soft.png": png_of(np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8)),
    }


ACCEPTED_AS_MASKS: tuple[str, ...] = ()


def test_bad_frames_are_named_and_the_others_come_out(
    copied: Callable[..., Path], tmp_path: Path, canary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copied("results")
    frames = tmp_path / "frames"
    frames.mkdir()
    bad = bad_frames(canary)
    for name, content in bad.items():
        (frames / name).write_bytes(content)
    (frames / "good.png").write_bytes(png_of(np.full((64, 64), 90, np.uint8)))
    (frames / "folder.png").mkdir()
    (frames / "nowhere.png").symlink_to(tmp_path / "nothing")
    said = answered(
        predict.main,
        ["-i", frames, "-o", tmp_path / "out", "-d", "901", "--device", "cpu", "--workspace", root],
        capsys,
    )
    assert [name for name in bad if name not in said] == [], said[-3000:]
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["good.png"]


def test_bad_frames_and_masks_of_a_dataset_are_named_at_once(
    whole: Path, tmp_path: Path, canary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "raw" / "Dataset911_Bad"
    good = png_of(np.random.default_rng(0).integers(60, 200, (64, 64), np.uint8))
    mask = np.zeros((64, 64), np.uint8)
    mask[30:33, 5:60] = 255
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    frames, masks = bad_frames(canary), bad_masks(canary)
    for name, content in frames.items():
        (folder / "imagesTr" / name).write_bytes(content)
        (folder / "labelsTr" / f"{Path(name).stem}.png").write_bytes(png_of(mask))
    for name, content in masks.items():
        (folder / "labelsTr" / name).write_bytes(content)
        (folder / "imagesTr" / f"{Path(name).stem}.png").write_bytes(good)
    said = answered(plan_and_preprocess.main, ["-d", "911", "-np", "1", "--workspace", tmp_path], capsys)
    assert {name for name in (*frames, *masks) if name not in said} == set()
    assert [path.name for path in tmp_path.glob("preprocessed/**/*") if path.is_file()] == [".lock"]


# ---- JSON


def declarations(whole: Path) -> Files:
    """dataset.json."""
    document = {
        "labels": {"background": 0, "wire": 1},
        "channel_names": {"0": "X-ray"},
        "cases": {"a": {"patient": "p", "sequence": "s", "frame": 1}},
    }
    keys = ["labels.background", "labels", "channel_names", "cases.a.patient", "cases.a.frame", "cases.a", "cases"]
    odd = {name: content for name, content in mistyped(document, keys).items() if "missing" not in name}
    return (
        NO_JSON
        | odd
        | {
            "a second channel": b'{"channel_names": {"0": "X-ray", "1": "DSA"}}',
            "two wires": b'{"labels": {"background": 0, "a": 1, "b": 2}}',
            "an unknown wire": b'{"labels": {"background": 0, "a": 1}, "wire_labels": ["b"]}',
            "a label of 300": b'{"labels": {"background": 0, "a": 300}}',
            "a label below 0": b'{"labels": {"background": 0, "a": -1}}',
            "background is 1": b'{"labels": {"background": 1, "a": 0}}',
            "an endless expression": b'{"grouping": "(?P<patient>(a+)+)+$"}',
            "no expression": b'{"grouping": "(?P<patient>"}',
            "an expression without groups": b'{"grouping": ".*"}',
            "a long expression": json.dumps({"grouping": "(?P<patient>" + "a?" * 5000 + ")"}).encode(),
            "both": b'{"grouping": "(?P<patient>.*)", "cases": {}}',
            "spacing of 0": b'{"cases": {"a": {"pixel_spacing_mm": [0, 1], "spacing_plane": "patient"}}}',
            "infinite spacing": b'{"cases": {"a": {"pixel_spacing_mm": [1e999, 1], "spacing_plane": "patient"}}}',
            "time below 0": b'{"cases": {"a": {"frame_time_ms": -1}}}',
        }
    )


def test_bad_declarations(copied: Callable[..., Path], whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copied("raw")
    path = root / "raw" / "Dataset901_Faults" / "dataset.json"
    assert not "\n".join(
        wrongly_answered(
            declarations(whole), path, plan_and_preprocess.main, ["-d", "901", "-np", "1", "--workspace", root], capsys
        )
    )


def plans(whole: Path) -> Files:
    document = json.loads((whole / "preprocessed/Dataset901_Faults/plans.json").read_text())
    planned = "configurations.fganet"
    below = [
        "name",
        "planner",
        "trainer",
        "target",
        "target.device",
        "target.memory_gb",
        "network",
        "network.name",
        "network.arguments",
        "loss",
        "loss.name",
        "deep_supervision_weights",
        "patch_size",
        "batch_size",
        "foreground_oversampling",
        "augmentation",
        "augmentation.scale",
        "augmentation.flip",
        "augmentation.rotation_deg",
        "optimiser",
        "optimiser.name",
        "optimiser.learning_rate",
        "optimiser.schedule",
        "duration",
        "duration.epochs",
        "inference",
        "inference.tile_size",
        "inference.threshold",
        "decisions",
    ]
    made = NO_JSON | mistyped(document, ["schema_version", "dataset", "preprocessing", "preprocessing.borders"])
    made |= mistyped(document, [*(f"{planned}.{key}" for key in below)])
    changes: dict[str, dict[str, Any]] = {
        "code as network": {"network": {"name": "os:system", "arguments": {}}},
        "a class as network": {"network": {"name": "gwunet.networks.fganet:FGANet", "arguments": {}}},
        "code as trainer": {"trainer": "os:system"},
        "code as loss": {"loss": {"name": "builtins:eval", "arguments": {}}},
        "unknown arguments": {"network": {"name": "FGANet", "arguments": {"hidden": 3}}},
        "a huge network": {
            "network": {"name": "FGANet", "arguments": {"features": [1 << 20] * 3, "decoder_features": [8, 8]}}
        },
        "features below 0": {"network": {"name": "FGANet", "arguments": {"features": [-2, 4]}}},
        "features of text": {"network": {"name": "FGANet", "arguments": {"features": "wide"}}},
        "no features": {"network": {"name": "FGANet", "arguments": {"features": []}}},
        "a patch of 0": {"patch_size": [0, 32]},
        "a huge patch": {"patch_size": [1 << 20, 1 << 20]},
        "a batch of 0": {"batch_size": 0},
        "a huge batch": {"batch_size": 1 << 40},
        "an unknown key": {"code": "import os"},
        "weights of another number": {"deep_supervision_weights": [1.0]},
        "infinite learning rate": {
            "optimiser": document["configurations"]["fganet"]["optimiser"] | {"learning_rate": 1e999}
        },
    }
    for name, change in changes.items():
        content = json.loads(json.dumps(document))
        content["configurations"]["fganet"] |= change
        made[name] = json.dumps(content).encode()
    return made


def test_bad_plans(copied: Callable[..., Path], whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copied("raw", "preprocessed")
    path = root / "preprocessed" / "Dataset901_Faults" / "plans.json"
    assert not "\n".join(
        wrongly_answered(
            plans(whole), path, train.main, ["901", "0", "--device", "cpu", "--overwrite", "--workspace", root], capsys
        )
    )


def splits(whole: Path) -> Files:
    document = json.loads((whole / "preprocessed/Dataset901_Faults/splits.json").read_text())
    first = document["folds"][0]
    return (
        NO_JSON
        | mistyped(document, ["grouping", "folds"])
        | {
            name: json.dumps(document | {"folds": folds}).encode()
            for name, folds in {
                "no folds": [],
                "a fold of texts": ["a"],
                "no validation": [first | {"val": []}],
                "an unknown case": [first | {"val": ["../../etc/passwd"]}],
                "a case in both": [first | {"val": first["train"][:1]}],
                "a case twice": [first | {"train": first["train"] * 2}],
                "a key too many": [first | {"test": []}],
                "numbers": [{"train": [1], "val": [2]}],
            }.items()
        }
    )


def test_bad_splits(copied: Callable[..., Path], whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copied("raw", "preprocessed")
    path = root / "preprocessed" / "Dataset901_Faults" / "splits.json"
    assert not "\n".join(
        wrongly_answered(splits(whole), path, train.main, ["901", "0", "--device", "cpu", "--workspace", root], capsys)
    )


def bad_postprocessing() -> Files:
    document = {
        "schema_version": 1,
        "settings": {"threshold": 0.5},
        "dataset": "Dataset901_Faults",
        "models": ["fganet__FGANetTrainer"],
        "n_frames": None,
        "checkpoints": {},
    }
    keys = ["schema_version", "settings", "settings.threshold", "dataset", "models", "checkpoints"]
    return NO_JSON | mistyped(document, keys)


def test_bad_postprocessing(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "postprocessing.json"
    arguments = ["-i", whole / "A", whole / "B", "-o", tmp_path / "out", "--postprocessing", path]
    assert not "\n".join(wrongly_answered(bad_postprocessing(), path, ensemble.main, arguments, capsys))
    assert not (tmp_path / "out").exists()


# ---- Models


def checkpoints(whole: Path, canary: Path) -> Files:
    content = (whole / "results/Dataset901_Faults/fganet__FGANetTrainer/fold_0" / FINAL).read_bytes()
    whole_one = torch.load(io.BytesIO(content), weights_only=True)

    def saved(value: Any) -> bytes:
        file = io.BytesIO()
        torch.save(value, file)
        return file.getvalue()

    made: Files = damaged(content) | {
        "text": b"no checkpoint",
        "a pickle": pickle.dumps(Canary(canary)),
        "an object": saved(whole_one | {"weights": Canary(canary)}),
        "an object as key": saved(whole_one | {"training": {"rng": Canary(canary)}}),
        "a list": saved([1, 2]),
        "somebody's weights": saved({"conv1.weight": torch.zeros(3)}),
        "a network as object": saved(torch.nn.Conv2d(1, 1, 1)),
        "a bomb": zip_with_one(b"archive/data.pkl", zeros_deflated(5 * GIB // 2, -15), 5 * GIB // 2),
    }
    for key in ("schema_version", "dataset", "trainer", "configuration", "preprocessing", "weights", "epoch"):
        made[f"{key} missing"] = saved({name: value for name, value in whole_one.items() if name != key})
        made[f"{key} of another type"] = saved(whole_one | {key: [[]]})
    configuration = whole_one["configuration"]
    changes = {
        "code as network": {"network": {"name": "os:system", "arguments": {}}},
        "a huge network": {"network": {"name": "FGANet", "arguments": {"features": [1 << 20] * 3}}},
        "another network": {"network": {"name": "UNet", "arguments": {"features": [2, 4]}}},
        "unknown arguments": {"network": {"name": "FGANet", "arguments": {"hidden": 3}}},
    }
    for name, change in changes.items():
        made[name] = saved(whole_one | {"configuration": configuration | change})
    first = next(iter(whole_one["weights"]))
    made["weights of text"] = saved(whole_one | {"weights": whole_one["weights"] | {first: "x"}})
    made["a weight of another shape"] = saved(
        whole_one | {"weights": whole_one["weights"] | {first: torch.zeros(1, 2, 3)}}
    )
    return made


def test_bad_checkpoints(
    copied: Callable[..., Path], whole: Path, tmp_path: Path, canary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copied("results")
    path = root / "results/Dataset901_Faults/fganet__FGANetTrainer/fold_0" / FINAL
    frames = whole / "raw/Dataset901_Faults/imagesTs"
    assert not "\n".join(
        wrongly_answered(
            checkpoints(whole, canary),
            path,
            predict.main,
            ["-i", frames, "-o", tmp_path / "out", "-d", "901", "--device", "cpu", "--workspace", root],
            capsys,
        )
    )
    assert not list(tmp_path.glob("out/*.png"))


def archives(whole: Path, canary: Path) -> Files:
    content = (whole / "model.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    weight = next(name for name in entries if name.endswith(".npy"))
    description = json.loads(entries["model.json"])

    def zipped(change: Files, mode: int = 0, method: int = zipfile.ZIP_STORED) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            for name, data in (entries | change).items():
                entry = zipfile.ZipInfo(name)
                entry.compress_type = method
                entry.external_attr = (mode if name in change else 0) << 16
                archive.writestr(entry, data)
        return file.getvalue()

    def described(**changes: Any) -> bytes:
        return zipped({"model.json": json.dumps(description | changes).encode()})

    outside = str(canary)
    made = damaged(content) | {f"model.json is {name}": zipped({"model.json": data}) for name, data in NO_JSON.items()}
    made |= {f"entry {name}": zipped({name: b"evil"}) for name in EVIL_NAMES} | {"absolute": zipped({outside: b"evil"})}
    made |= {
        "a link": zipped({"weights/fold_0/link.npy": outside.encode()}, stat.S_IFLNK | 0o777),
        "a device": zipped({"weights/fold_0/device.npy": b""}, stat.S_IFCHR | 0o777),
        "compressed": zipped({}, method=zipfile.ZIP_DEFLATED),
        "a bomb": zip_with_one(b"model.json", zeros_deflated(5 * GIB // 2, -15), 5 * GIB // 2),
        "a pickle": zipped({weight: npy_of(np.array([Canary(canary)], dtype=object))}),
        "a bare pickle": zipped({weight: pickle.dumps(Canary(canary))}),
        "another program": zipped({"setup.py": b"x"}),
        "a dataset that is a path": described(dataset="../../Dataset001_X"),
        "a trainer that is a path": described(trainer="../x"),
        "folds that are paths": described(folds=["../0"]),
        "a version to come": described(schema_version=2),
        "an unknown key": described(code="import os"),
        "code as network": described(
            configuration=description["configuration"] | {"network": {"name": "os:system", "arguments": {}}}
        ),
        "a huge network": described(
            configuration=description["configuration"]
            | {"network": {"name": "FGANet", "arguments": {"features": [1 << 20] * 3}}}
        ),
    }
    keys = ["dataset", "trainer", "folds", "epochs", "numbers", "configuration", "preprocessing"]
    return made | {name: zipped({"model.json": data}) for name, data in mistyped(description, keys).items()}


EVIL_NAMES = (
    "../evil.npy",
    "../../evil.py",
    "weights/../../evil.npy",
    "weights/fold_0/../../../evil.npy",
    "/evil.npy",
    "C:\\evil.npy",
    "weights\\fold_0\\evil.npy",
    "weights/fold_0/evil.npy\0.txt",
    "weights/",
    "MODEL.JSON",
    "weights/fold_0/.npy",
    "weights/fold_0/a b.npy",
)


def test_bad_archives(whole: Path, tmp_path: Path, canary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "given.zip"
    frames = whole / "raw/Dataset901_Faults/imagesTs"
    given = archives(whole, canary)
    importing = [path, "--workspace", tmp_path / "ws"]
    predicting = ["-i", frames, "-o", tmp_path / "out", "-m", path, "--device", "cpu"]
    assert not "\n".join(wrongly_answered(given, path, import_model.main, importing, capsys))
    assert not "\n".join(wrongly_answered(dict(list(given.items())[::5]), path, predict.main, predicting, capsys))
    assert sorted(place.name for place in tmp_path.iterdir() if place.name not in ("ws", "out")) == ["given.zip"]
    assert not [place for part in ("ws", "out") for place in (tmp_path / part).rglob("*") if place.is_file()]


def onnx_models() -> Files:
    """Of other programs, by hand: what gw_export's own can be changed to is tried in tests/exporting."""
    from onnx import TensorProto, helper

    def model(operator: str = "Relu", domain: str = "", description: str | None = None, shape: int = 4) -> bytes:
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1] * shape) for name in ("tiles", "logits")]
        node = helper.make_node(operator, ["tiles"], ["logits"], domain=domain)
        made = helper.make_model(helper.make_graph([node], "g", values[:1], values[1:]))
        if description is not None:
            helper.set_model_props(made, {"gwunet": description})
        return bytes(made.SerializeToString())

    files = damaged(model()) | {
        "another program's": model(),
        "an operator of somebody": model("Evil", "com.evil"),
        "text": b"no model",
        "zeros": bytes(1000),
        "a pickle": pickle.dumps({"a": 1}),
    }
    return files | {f"described by {name}": model(description=text.decode("latin-1")) for name, text in NO_JSON.items()}


def test_bad_onnx_files(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "given.onnx"
    frames = whole / "raw/Dataset901_Faults/imagesTs"
    assert not "\n".join(
        wrongly_answered(
            onnx_models(),
            path,
            predict.main,
            ["-i", frames, "-o", tmp_path / "out", "-m", path, "--device", "cpu"],
            capsys,
        )
    )
    assert not (tmp_path / "out").exists()


# ---- What is converted, and predictions of others


def dicom_files(tmp_path: Path) -> Files:
    write_dicom(tmp_path / "written", frames=1)
    content = (tmp_path / "written" / "0.dcm").read_bytes()

    def with_tag(tag: bytes, value: int) -> bytes:
        place = content.index(tag)
        return content[: place + len(tag)] + struct.pack("<H", value) + content[place + len(tag) + 2 :]

    def with_length(tag: bytes, length: bytes) -> bytes:
        place = content.index(tag) + len(tag)
        return content[:place] + length + content[place + 4 :]

    tags = {"rows": 0x0010, "columns": 0x0011, "allocated": 0x0100, "stored": 0x0101, "samples": 0x0002}
    files = {f"{how}.dcm": data for how, data in damaged(content).items() if how not in ("noise", "empty")}
    files["noise in the header.dcm"] = content[:140] + bytes(range(100)) + content[240:]
    for name, tag in tags.items():
        for value in (0, 3, 65535) if name != "samples" else (3, 65535):  # 0 is taken for 1
            files[f"{name} {value}.dcm"] = with_tag(struct.pack("<HHI", 0x0028, tag, 2), value)
    for length in (b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00", b"\xfe\xff\xff\xff"):
        files[f"pixels of {length.hex()}.dcm"] = with_length(struct.pack("<HH", 0x7FE0, 0x0010), length)
    return files


def test_bad_dicom_files(tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "hospital"
    source.mkdir()
    files = dicom_files(tmp_path)
    for name, content in files.items():
        (source / name).write_bytes(content)
    shutil.copy(tmp_path / "written" / "0.dcm", source / "sound.dcm")
    assert convert.main(["dicom", str(source), "Dataset001_D", "--workspace", str(tmp_path / "ws")]) == 1
    done = capsys.readouterr()
    assert "Traceback" not in done.out + done.err
    assert {name for name in files if f"skipped {source / name}" not in done.out} == set()
    images = tmp_path / "ws/raw/Dataset001_D/imagesTs"
    assert len(list(images.iterdir())) == 2


FRAME = png_of(np.random.default_rng(0).integers(60, 200, (64, 64), np.uint8))
SHAPE = {"label": "wire", "points": [[1, 2], [30, 40]], "shape_type": "line"}
LABELME = {"version": "5", "imagePath": "a.png", "imageHeight": 64, "imageWidth": 64, "shapes": [SHAPE]}
XML = '<?xml version="1.0"?><annotations><image id="0" name="a.png" width="64" height="64">{}</image></annotations>'
LAUGHS = "".join(f'<!ENTITY e{k} "{f"&e{k - 1};" * 9 if k else "ha"}">' for k in range(12))
ANNOTATIONS: dict[str, Files] = {
    "labelme a.json": NO_JSON
    | {
        name: json.dumps(LABELME | change).encode()
        for name, change in {
            "no shapes": {"shapes": None},
            "shapes of text": {"shapes": "wire"},
            "a shape of text": {"shapes": ["wire"]},
            "points of text": {"shapes": [SHAPE | {"points": "1 2"}]},
            "one point": {"shapes": [SHAPE | {"points": [[1, 2]]}]},
            "three coordinates": {"shapes": [SHAPE | {"points": [[1, 2, 3], [4, 5, 6]]}]},
            "points far away": {"shapes": [SHAPE | {"points": [[1e300, 1], [1, -1e300]]}]},
            "an infinite point": {"shapes": [SHAPE | {"points": [[1e999, 1], [2, 2]]}]},
            "an unknown kind": {"shapes": [SHAPE | {"shape_type": "spline"}]},
            "a label of number": {"shapes": [SHAPE | {"label": 3}]},
            "a frame elsewhere": {"imagePath": "/etc/passwd", "imageData": None},
            "a frame outside": {"imagePath": "../../../etc/passwd"},
            "no frame": {"imagePath": None, "imageData": "!!!"},
            "a frame that is a bomb": {"imagePath": "", "imageData": "AAAA"},
            "another size": {"imageHeight": 3, "imageWidth": 5},
        }.items()
    },
    "polyline a.csv": {
        "empty": b"",
        "no columns": b"1,2,3\n4,5,6\n",
        "text as numbers": b"case,wire,row,column\na,w,x,y\n",
        "infinite": b"case,wire,row,column\na,w,inf,nan\na,w,1,2\n",
        "one point": b"case,wire,row,column\na,w,1,2\n",
        "a case outside": b"case,wire,row,column\n../../a,w,1,2\n../../a,w,30,40\n",
        "an absolute case": b"case,wire,row,column\n/etc/passwd,w,1,2\n/etc/passwd,w,30,40\n",
        "an unknown case": b"case,wire,row,column\nzzz,w,1,2\nzzz,w,30,40\n",
        "bytes": bytes(range(256)),
        "NUL": b"case,wire,row,column\na\0,w,1,2\n",
        "a huge field": b"case,wire,row,column\n" + b"a" * 200_000 + b",w,1,2\n",
        "missing cells": b"case,wire,row,column\na,w\n",
    },
    "cvat a.xml": {
        "empty": b"",
        "cut": XML.format("<polyline").encode(),
        "bytes": bytes(range(256)),
        "another program's": b"<html/>",
        "a billion laughs": f"<!DOCTYPE a [{LAUGHS}]><annotations>&e11;</annotations>".encode(),
        "a file from outside": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>',
        "points of text": XML.format('<polyline label="w" points="a,b;c,d"/>').encode(),
        "no points": XML.format('<polyline label="w"/>').encode(),
        "infinite points": XML.format('<polyline label="w" points="1,inf;2,nan"/>').encode(),
        "a mask of many runs": XML.format(
            '<mask label="w" rle="99999999999" left="0" top="0" width="999999" height="999999"/>'
        ).encode(),
        "a frame outside": XML.replace("a.png", "../../../etc/passwd").format("").encode(),
        "sizes of text": XML.replace('"64"', '"x"').format("").encode(),
        "deep": b"<a>" * 100_000,
    },
}


@pytest.mark.parametrize("kind", ANNOTATIONS)
def test_bad_annotations(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each beside a frame that has none, which becomes a test frame: nothing of the bad file does."""
    how, file = kind.split()
    for number, (name, content) in enumerate(ANNOTATIONS[kind].items()):
        source = tmp_path / f"source{number}"
        source.mkdir()
        (source / file).write_bytes(content)
        (source / "a.png").write_bytes(FRAME)
        arguments = [how, source, f"Dataset{number + 1:03d}_A", "--width", "2", "--workspace", tmp_path / "ws"]
        status = convert.main([str(argument) for argument in arguments])
        done = capsys.readouterr()
        assert status in (1, 2), (name, done)
        assert file in done.out + done.err, name
        assert not list(tmp_path.glob("ws/raw/*/labelsTr/*")), name
        assert {path.name for path in tmp_path.iterdir()} <= {"ws", *(f"source{k}" for k in range(number + 1))}


def probabilities(canary: Path) -> Files:
    def npz(**arrays: np.ndarray) -> bytes:
        file = io.BytesIO()
        np.savez(file, **arrays)
        return file.getvalue()

    good = npz(probability=np.zeros((64, 64), np.float16))
    return damaged(good) | {
        "text": b"no arrays",
        "another array": npz(other=np.zeros((64, 64), np.float16)),
        "whole numbers": npz(probability=np.zeros((64, 64), np.int32)),
        "a volume": npz(probability=np.zeros((2, 64, 64), np.float16)),
        "beyond 1": npz(probability=np.full((64, 64), 2.0)),
        "NaN": npz(probability=np.full((64, 64), np.nan)),
        "another size": npz(probability=np.zeros((9, 9))),
        "objects": npz(probability=np.array([[Canary(canary)]], dtype=object)),
        "a pickle": pickle.dumps(Canary(canary)),
        "a bomb": npz_bomb(2.5),
    }


def test_bad_probabilities(whole: Path, tmp_path: Path, canary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(whole / "A", tmp_path / "A")
    path = min((tmp_path / "A").glob("*.npz"))
    arguments = ["-i", tmp_path / "A", whole / "B", "-o", tmp_path / "out"]
    assert not "\n".join(wrongly_answered(probabilities(canary), path, ensemble.main, arguments, capsys))


def test_bombs_in_place_of_probabilities(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of one size, so that this alone does not tell them apart."""
    for name in ("A", "B"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.npz").write_bytes(npz_bomb(2.5))
    said = answered(ensemble.main, ["-i", tmp_path / "A", tmp_path / "B", "-o", tmp_path / "out"], capsys)
    assert "a.npz: found" in said


def test_bad_predictions(whole: Path, tmp_path: Path, canary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(whole / "A", tmp_path / "A")
    path = min((tmp_path / "A").glob("*.png"))
    assert not "\n".join(
        wrongly_answered(
            damaged(path.read_bytes()),
            path,
            evaluate.main,
            ["-r", whole / "raw/Dataset901_Faults/labelsTs", "-p", tmp_path / "A", "-np", "1"],
            capsys,
        )
    )


def test_there_are_hundreds(whole: Path, tmp_path: Path, canary: Path) -> None:
    groups = [
        bad_frames(canary),
        bad_masks(canary),
        declarations(whole),
        plans(whole),
        splits(whole),
        bad_postprocessing(),
        checkpoints(whole, canary),
        archives(whole, canary),
        onnx_models(),
        dicom_files(tmp_path),
        *ANNOTATIONS.values(),
        probabilities(canary),
    ]
    count = sum(len(set(group.values())) for group in groups)
    assert count >= WANTED


@given(data=st.data())
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_plans_changed_anywhere_are_refused_by_name_or_read(
    data: st.DataObject, whole: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """One value anywhere replaced by any other: read as a plan, or refused with its file."""
    from gwunet.errors import SchemaError
    from gwunet.jsonio import read_json
    from gwunet.plans import Plans

    content = json.loads((whole / "preprocessed/Dataset901_Faults/plans.json").read_text())
    place, key = content, "configurations"
    while isinstance(place[key], dict | list) and place[key] and data.draw(st.integers(0, 3)):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
    place[key] = data.draw(st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
    path = tmp_path_factory.getbasetemp() / "plans.json"
    path.write_text(json.dumps(content))
    said = ""
    try:
        read_json(Plans, path)
    except SchemaError as problem:
        said = str(problem)
    assert not said or said.startswith(str(path))
