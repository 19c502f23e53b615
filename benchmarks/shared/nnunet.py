"""nnU-Net v2 beside this program: its environment, its folders, its commands. Knows nothing that it measures."""

import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from gwunet.dataset import Dataset
from gwunet.errors import UsageError
from gwunet.io.frames import write_frame
from gwunet.jsonio import write_json
from shared.datasets import description

LAUNCH = """
import random, sys
import numpy, torch
from nnunetv2.run.run_training import run_training_entry
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
seed = int(sys.argv.pop(1))
random.seed(seed), numpy.random.seed(seed), torch.manual_seed(seed)
nnUNetTrainer.perform_actual_validation = lambda *arguments: None
run_training_entry()
"""
"""nnU-Net's training command with the weights' seed, and without the validation that follows its training."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """nnU-Net's environment and folders."""

    venv: Path
    trainer: Path
    folder: Path
    mirroring: bool = False
    """Predict mirrored copies too."""

    def environment(self, **more: object) -> dict[str, str]:
        folders = {f"nnUNet_{name}": self.folder / name for name in ("raw", "preprocessed", "results")}
        return {name: str(value) for name, value in {**folders, "nnUNet_extTrainer": self.trainers, **more}.items()}

    @property
    def trainers(self) -> Path:
        return self.folder / "trainers"

    def command(self, name: str) -> str:
        return str(self.venv / "bin" / name)

    def check(self) -> None:
        """Refuse an environment without nnU-Net, or with another trainer of the same name, which would be the one run.

        Raises:
            UsageError: as said.
        """
        for path in (Path(self.command("nnUNetv2_train")), self.trainer):
            if not path.is_file():
                raise UsageError(f"{path}: no such file; --nnunet wants a virtual environment with nnU-Net v2, and "
                                 "--nnunet_trainer the file of a trainer")  # fmt: skip
        installed = list(
            self.venv.glob(f"lib/python*/site-packages/nnunetv2/training/nnUNetTrainer/{self.trainer.name}")
        )
        if any(path.read_bytes() != self.trainer.read_bytes() for path in installed):
            raise UsageError(f"{self.trainer}: {installed[0]} differs and would be run; make them equal or remove that")
        self.trainers.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.trainer, self.trainers)

    def training(
        self, name: str, plans: str, seed: int, seconds: float, steps_of_epoch: int, log: Path
    ) -> tuple[list[str], Path, dict[str, str]]:
        """Of fold 0 for so many seconds: command, log and environment, as ``run_logged`` takes them."""
        shutil.rmtree(self.folder / "results" / name, ignore_errors=True)
        model = [name, "2d", "0", "-tr", self.trainer.stem, "-p", plans, "-device", "cpu"]
        environment = self.environment(TIMED_SECONDS=seconds, TIMED_ITERATIONS=steps_of_epoch)
        return [self.command("python"), "-c", LAUNCH, str(seed), *model], log, environment


def read_timed(log: Path) -> tuple[int, float]:
    """Steps and seconds that nnU-Net's trainer says it took.

    Raises:
        UsageError: it says nothing.
    """
    found = re.findall(r"TIMED steps=(\d+) seconds=([\d.]+)", log.read_text(encoding="utf-8"))
    if not found:
        raise UsageError(f"{log}: found no 'TIMED steps=N seconds=S'; wanted a --nnunet_trainer that prints it")
    return int(found[-1][0]), float(found[-1][1])


def copy_for_nnunet(raw: Dataset, folder: Path) -> None:
    """The training frames as grey PNG with nnU-Net's suffix, and masks of 0 and 1."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    cases = [case for case in raw.training if case.mask is not None]
    for case in cases:
        write_frame(folder / "imagesTr" / f"{case.name}_0000.png", raw.read_frame(case))
        write_frame(folder / "labelsTr" / f"{case.name}.png", raw.read_mask(case))
    write_json(folder / "dataset.json", description(len(cases)))


def run_logged(command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> float:
    """Seconds of a command; what it prints goes to ``log``."""
    start = time.perf_counter()
    with log.open("w", encoding="utf-8") as file:
        variables = {**os.environ, **(environment or {})}
        ended = subprocess.run(command, env=variables, stdout=file, stderr=subprocess.STDOUT, check=False)
    if ended.returncode:
        end = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise SystemExit(f"{shlex.join(command)} ended with {ended.returncode}:\n{end}\nall of it: {log}")
    return time.perf_counter() - start
