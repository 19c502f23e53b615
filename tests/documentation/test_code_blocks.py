"""Every block of code on a page runs, or is declared by its language as something that does not."""

import argparse
import ast
import dataclasses
import importlib
import json
import os
import re
import shlex
import subprocess
import sysconfig
import textwrap
import tomllib
import unittest.mock
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from gwunet.checkpoint import FINAL, Checkpoint, save_checkpoint
from gwunet.exporting.archive import write_archive
from gwunet.exposed_field import NO_BORDER
from gwunet.io.frames import read_frame, write_frame, write_mask
from gwunet.networks import NETWORKS
from gwunet.plans import Configuration, Inference, Preprocessing, Spec

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "documentation").rglob("*.md")])
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
NOT_RUN = {"text", "csv"}
"""Languages of blocks that show what something looks like."""
SIMULATED = "Dataset900_Simulated"
RUN_ELSEWHERE = {
    "how-to/add_network_or_loss.md": "tests/documentation/test_own_network.py",
    "how-to/live.md": "tests/inference/test_live.py",
    "how-to/outside_code.md": "tests/test_registry.py",
}
"""Pages whose Python another test runs, with more around it than is here."""
OTHER_PROGRAMS = ("cat", "export", "ffmpeg", "labelme", "ln", "ls", "mkdir", "pytest")


class Block(NamedTuple):
    page: str
    line: int
    language: str
    """``commands`` where it is indented and not fenced."""
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Fenced and indented blocks."""
    name = str(page.relative_to(ROOT)).removeprefix("documentation/")
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        start = at
        if fence := re.match(r"( *)```(\S*)$", lines[at]):
            at += 1
            while lines[at] != fence[1] + "```":
                at += 1
            yield Block(name, start + 1, fence[2], textwrap.dedent("\n".join(lines[start + 1 : at])))
        elif lines[at].startswith("    "):
            while at < len(lines) and (lines[at].startswith("    ") or not lines[at]):
                at += 1
            text = textwrap.dedent("\n".join(lines[start:at])).strip()
            at -= 1
            yield Block(name, start + 1, "commands", text)
        at += 1


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def of_language(*languages: str) -> pytest.MarkDecorator:
    chosen = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", chosen, ids=str)


def test_every_block_says_what_it_is() -> None:
    """Not fenced are commands alone, and the Python of pages that another test knows."""
    known = {"bash", "python", "json", "commands", *NOT_RUN}
    assert [str(block) for block in BLOCKS if block.language not in known] == []
    assert {block.language for block in BLOCKS} >= {"bash", "python", "json", "commands", "text"}


def commands(text: str) -> list[str]:
    """Commands of a block, each in one line; pipes and ``&&`` divide them."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return [part.strip() for line in lines for part in re.split(r"\s(?:\||&&)\s", line)]


def is_python(block: Block) -> bool:
    return block.page in RUN_ELSEWHERE and block.text.startswith(("import ", "from "))


@of_language("commands")
def test_commands_are_accepted(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their own parsers; what they would do is not done."""
    if is_python(block):
        ast.parse(block.text)
        return
    for line in commands(block.text):
        check_command(line, monkeypatch)


def check_command(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(line, comments=True)
    while re.fullmatch(r"[A-Z_]+=\S+", words[0]):
        words = words[1:]
    if words[0] in SCRIPTS:
        check_own_command(words, monkeypatch)
    elif words[0] == "python":
        script = (ROOT / words[1]).read_text(encoding="utf-8")
        assert [
            flag for flag in words[2:] if re.match(r"-+[a-z]", flag) and f'"{flag.split("=")[0]}"' not in script
        ] == []
    elif words[0] == "pip":
        wanted = re.findall(r"(?:\.|gwunet)\[(\w+)\]", line)
        assert set(wanted) <= EXTRAS.keys()
    else:
        assert words[0] in OTHER_PROGRAMS, line


def check_own_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = words[1 : words.index(">")] if ">" in words else words[1:]
    captured_parser(words[0], arguments, monkeypatch).parse_args(arguments)


@of_language("bash")
def test_scripts_are_accepted(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell can read them, and their commands of this program have flags that there are."""
    subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
    for line in commands(block.text):
        plain = re.sub(r'"?\$\{\w+\[@\]\}"?|&$', "", line)
        words = shlex.split(re.sub(r"\$\{?\w+\}?", "0", plain), comments=True)
        own = next((at for at, word in enumerate(words) if word in SCRIPTS), None)
        if own is not None:  # torchrun names it after options of its own
            check_own_command(words[own:], monkeypatch)


@of_language("json")
def test_json_is_json(block: Block) -> None:
    json.loads(block.text)


INLINE = re.findall(
    r"`(gw_\w+ [^`]*)`", "\n".join(page.read_text(encoding="utf-8") for page in PAGES if "commands.md" not in page.name)
)


@pytest.mark.parametrize("line", sorted(set(INLINE)))
def test_flags_named_in_the_text_are_there(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``gw_train --minutes`` and the like: not whole commands, so only their flags are looked at."""
    name, *words = shlex.split(line)
    known = flags_of(captured_parser(name, [], monkeypatch))
    assert [word for word in words if re.match(r"-+[a-z]", word) and word.split("=")[0] not in known] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_flags_in_tables_are_there(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first column of every table of flags: each is a flag of a command that the page names."""
    text = page.read_text(encoding="utf-8")
    tables = re.findall(r"^\| flag.*\n\|-.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    cells = [row.split("|")[1] for table in tables for row in table.splitlines()]
    named = {flag for cell in cells for flag in re.findall(r"(?<![\w-])--?[a-z]\w*", cell)}
    commands = set(re.findall(r"gw_\w+", text)) & SCRIPTS.keys()
    known = {flag for command in commands for flag in flags_of(captured_parser(command, [], monkeypatch))}
    assert named - known == set()


def captured_parser(name: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    """The parser that a command gives to ``run``, which is not called."""
    module = importlib.import_module(SCRIPTS[name].split(":")[0])
    run = unittest.mock.Mock()
    monkeypatch.setattr(module, "run", run)
    module.main(arguments)
    parser: argparse.ArgumentParser = run.call_args.args[1]
    return parser


def flags_of(parser: argparse.ArgumentParser) -> set[str]:
    """Of a parser and those below it."""
    below = [action.choices.values() for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    own = {flag for action in parser._actions for flag in action.option_strings}
    return own.union(*(flags_of(each) for parsers in below for each in parsers))


class DarkPixels(torch.nn.Module):
    """Wire is where a frame is darker than two deviations below its mean."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(1, 1, 1)
        torch.nn.init.constant_(self.convolution.weight, -5)
        torch.nn.init.constant_(self.convolution.bias, -10)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.convolution(frames)
        return logits


@pytest.fixture
def trained(tmp_path: Path, make_configuration: Callable[..., Configuration], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a workspace that has a model of dataset 501 that finds wires, and the same model as one file.

    The tutorial's dataset 900 is there too, with a frame to test on and the same model under the real-time plan's name.
    """
    NETWORKS.names()
    monkeypatch.setattr(NETWORKS, "_entries", {**NETWORKS._entries, "DarkPixels": DarkPixels})
    inference = Inference(tile_size=(512, 512), step=1.0, mirror=False, threshold=0.5)
    configuration = make_configuration(network=Spec(name="DarkPixels", arguments={}), inference=inference)
    checkpoint = Checkpoint(
        dataset="Dataset501_Mine",
        trainer="FGANetTrainer",
        configuration=configuration,
        preprocessing=Preprocessing(borders={"uint8": NO_BORDER}),
        weights=DarkPixels().state_dict(),
        epoch=1,
    )
    results = tmp_path / "gwunet_workspace" / "results"
    save_checkpoint(results / "Dataset501_Mine" / "fganet__FGANetTrainer" / "fold_0" / FINAL, checkpoint)
    write_archive(tmp_path / "model.onnx", (checkpoint,), ("0",))  # what it is, is seen by its content
    paced = dataclasses.replace(checkpoint, dataset=SIMULATED)
    save_checkpoint(results / SIMULATED / "fganet_realtime__FGANetTrainer" / "fold_0" / FINAL, paced)
    raw = tmp_path / "gwunet_workspace" / "raw" / SIMULATED
    for folder in ("imagesTr", "imagesTs"):
        write_frame(raw / folder / "sim_0000.png", frame_with_wire())
    write_mask(raw / "labelsTr" / "sim_0000.png", (frame_with_wire() < 80).astype(np.uint8))
    (raw / "dataset.json").write_text("{}")
    return tmp_path


def frame_with_wire() -> np.ndarray:
    """``(48, 64)`` uint8 with a dark wire in rows 20 to 22, from its left edge to column 50."""
    frame = np.random.default_rng(0).integers(110, 130, (48, 64), dtype=np.uint8)
    frame[20:23, :51] -= 80
    return frame


PYTHON_PAGES = sorted({block.page for block in BLOCKS if block.language == "python"} - RUN_ELSEWHERE.keys())


@pytest.mark.parametrize("page", PYTHON_PAGES)
def test_python_runs(page: str, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page, one after another, where a trained model is; a wire that is there is found."""
    monkeypatch.chdir(trained)
    frame = frame_with_wire()
    names: dict[str, Any] = {"frame": frame, "frames": [frame, frame]}
    names |= {"probability": (frame < 80).astype(np.float32), "exposed": np.ones(frame.shape, bool)}
    for block in BLOCKS:
        if block.page == page and block.language == "python":
            exec(compile(block.text, str(block), "exec"), names)
    found = [names["wire"].tip] if "wire" in names else names.get("tips", [])
    np.testing.assert_allclose(np.reshape(found, (-1, 2)), np.tile((21, 50), (len(found), 1)), atol=1)
    assert found or not names.keys() & {"wire", "tips"}


SMALLER = {
    "tutorials/first_model.md": {
        "--patients 30 --size 384 --sequences 3 --frames 2": "--patients 8 --size 96 --sequences 1 --frames 2",
        "--test_patients 6": "--test_patients 2",
        "--minutes 4": "--epochs 1 --iterations 2",
    },
    "how-to/move_from_nnunet.md": {
        "pip install -c constraints.txt -e . ": "true ",  # what is tested is installed
        "gw_train 101 0": "gw_train 101 0 --epochs 1 --iterations 2",
    },
}
"""Pages that are run line by line, and what makes that short."""


def write_nnunet_dataset(raw: Path) -> None:
    """``Dataset101_Wires`` as nnU-Net wants it: ten frames with a wire to train on, two to test on."""
    rng = np.random.default_rng(0)
    for folder, count in (("Tr", 10), ("Ts", 2)):
        for case in range(count):
            frame = rng.integers(110, 130, (96, 112), dtype=np.uint8)
            mask = np.zeros_like(frame)
            mask[5 * case + 20 : 5 * case + 23, :80] = 1
            write_frame(raw / f"images{folder}" / f"wire_{folder}{case:03}_0000.png", frame - 70 * mask)
            write_frame(raw / f"labels{folder}" / f"wire_{folder}{case:03}.png", mask)
    labels = {"background": 0, "wire": 1}
    described = {"channel_names": {"0": "X-ray"}, "labels": labels, "numTraining": 10, "file_ending": ".png"}
    (raw / "dataset.json").write_text(json.dumps(described))


@pytest.mark.slow
@pytest.mark.parametrize("page", SMALLER)
def test_a_page_runs_line_by_line(page: str, tmp_path: Path) -> None:
    """As somebody who copies it: in one shell, in an empty folder, without anything of this machine's set."""
    lines = "\n".join(block.text for block in BLOCKS if block.page == page and block.language in ("bash", "commands"))
    for old, new in SMALLER[page].items():
        assert lines.count(old) == 1, old
        lines = lines.replace(old, new)
    raw = tmp_path / "nnunet" / "Dataset101_Wires"
    write_nnunet_dataset(raw)
    before = {path: path.stat().st_mtime_ns for path in raw.rglob("*")}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GWUNET_", "CUDA_"))}
    scripts = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    mine = {"PATH": scripts, "HOME": str(tmp_path), "nnUNet_raw": str(raw.parent), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        cwd=tmp_path,
        env={**kept, **mine, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in raw.rglob("*")}
    simulated = tmp_path / "gwunet_workspace" / "raw" / SIMULATED
    references = raw if page == "how-to/move_from_nnunet.md" else simulated
    wanted = {path.name for path in (references / "labelsTs").iterdir()}
    assert len(wanted) >= 2
    for folder in ("masks", "masks/overlays"):
        assert {path.name for path in (tmp_path / folder).glob("*.png")} == wanted
    assert all(set(np.unique(read_frame(path))) <= {0, 255} for path in (tmp_path / "masks").glob("*.png"))
    assert (tmp_path / "masks" / "guidewires.csv").is_file()
    assert len(json.loads((tmp_path / "masks" / "summary.json").read_text())["frames"]) == len(wanted)
    if references == simulated:
        assert (tmp_path / "gwunet_workspace" / "results" / SIMULATED / "report.html").is_file()
