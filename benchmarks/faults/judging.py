"""Whether files are whole and what they were, and whether a command ended as it should."""

import csv
import hashlib
import json
import signal
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from faults.running import Ended


def visible_files(root: Path) -> Iterator[Path]:
    """Files with final names, in folders with such."""
    for path in sorted(root.rglob("*")):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path


def damage_of(path: Path) -> str | None:
    """Why a file is not whole, by a reader of its kind; None where it is."""
    try:
        if path.suffix in WHOLE:
            WHOLE[path.suffix](path)
    except Exception as problem:  # whatever the reader has
        return f"{type(problem).__name__}: {problem}"
    return None


def read_lines(path: Path) -> None:
    for line in path.read_text().splitlines():
        json.loads(line)


def read_picture(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()


def read_weights(path: Path) -> None:
    from gwunet.checkpoint import load_checkpoint

    load_checkpoint(path)


def read_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
        if broken is not None:
            raise ValueError(broken)


def read_onnx(path: Path) -> None:
    import onnx

    onnx.checker.check_model(onnx.load(str(path)))


def read_page(path: Path) -> None:
    if not path.read_text().rstrip().endswith("</html>"):
        raise ValueError("no end")


def read_table(path: Path) -> None:
    text = path.read_text()
    rows = list(csv.reader(text.splitlines()))
    if not text.endswith("\n") or len({len(row) for row in rows}) != 1:
        raise ValueError("rows of different lengths, or no end")


WHOLE: dict[str, Callable[[Path], None]] = {
    ".json": lambda path: json.loads(path.read_text()),
    ".jsonl": read_lines,
    ".png": read_picture,
    ".npz": read_zip,
    ".pt": read_weights,
    ".zip": read_zip,
    ".onnx": read_onnx,
    ".html": read_page,
    ".csv": read_table,
}


def content_of(path: Path, root: Path) -> str:
    """A digest of what a file says: of a checkpoint the weights, of others the bytes but for the workspace's place."""
    if path.suffix != ".pt":
        return hashlib.sha256(path.read_bytes().replace(str(root).encode(), b"")).hexdigest()
    from gwunet.checkpoint import load_checkpoint

    weights = load_checkpoint(path).weights
    return hashlib.sha256(b"".join(value.numpy().tobytes() for _, value in sorted(weights.items()))).hexdigest()


def contents_of(root: Path) -> dict[str, str]:
    """By place."""
    return {str(path.relative_to(root)): content_of(path, root) for path in visible_files(root)}


def is_below(place: str, folders: Sequence[str]) -> bool:
    return any(place == folder or place.startswith(f"{folder}/") for folder in folders)


def unexplained(ended: Ended, root: Path) -> str | None:
    """What is wrong with the way a command ended that was not killed."""
    if "Traceback" in ended.said:
        return "a traceback"
    if ended.status in (1, 2):
        last = ended.said.replace("\r", "\n").rstrip()
        return None if str(root) in last or "gw_" in last else "a failure that names no file"
    return None if ended.status == 0 else f"status {ended.status}"


def after_kill(ended: Ended, number: signal.Signals, installed: bool) -> str | None:
    """What is wrong with the way a killed command ended."""
    shown = ended.said.replace("\r", "\n")
    if "Traceback" in shown or "Exception ignored" in shown:
        # Before the first line of gwunet.cli has run, Python answers by itself.
        early = installed and "gwunet/cli" not in shown
        return None if early or "init_import_site" in shown else "a traceback"
    if ended.status not in (0, 1, -number, 128 + number):
        return f"status {ended.status} after {number.name}"
    if number == signal.SIGINT and ended.status == 130 and not shown.rstrip().splitlines()[-1].startswith("gw_"):
        return "no line after SIGINT"
    return None
