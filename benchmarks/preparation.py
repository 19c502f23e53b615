"""Time, memory and disk of fingerprint, plan and preprocessing, and nnU-Net v2's on the same frames in turn.

    python benchmarks/preparation.py -o OUT [--frames 2839] [--nnunet VENV] [--repeats 1]

Simulates 512x512 frames (once, in OUT) and runs the installed command on them. With --nnunet, a virtual environment
that has nnU-Net v2, both programs take turns. Memory is the resident memory of a command and all its child processes
together, sampled; pages that processes share count for each.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import threading
import time
from pathlib import Path

from gwunet.benchmark.memory import status_kib
from gwunet.dataset import Dataset
from gwunet.device import available_cores
from gwunet.synthetic import synthesize_dataset
from shared.installed import installed
from shared.nnunet import copy_for_nnunet

NAME = "Dataset907_Preparation"
EDGE, FRAMES_OF_SEQUENCE, SEQUENCES_OF_PATIENT = 512, 24, 3
SAMPLED_EVERY_S = 0.05


def make_frames(raw: Path, frames: int) -> int:
    """Simulate at least so many training frames, drop the rest, and say how many there are."""
    folder = raw / NAME
    if not folder.is_dir():
        patients = -(-frames // (FRAMES_OF_SEQUENCE * SEQUENCES_OF_PATIENT))
        synthesize_dataset(
            folder,
            patients=patients,
            test_patients=0,
            sequences=SEQUENCES_OF_PATIENT,
            frames=FRAMES_OF_SEQUENCE,
            size=EDGE,
            processes=available_cores(),
        )
        for path in sorted((folder / "imagesTr").iterdir())[frames:]:
            path.unlink()
            (folder / "labelsTr" / path.name).unlink()
        description = json.loads((folder / "dataset.json").read_text())
        kept = {path.stem for path in (folder / "imagesTr").iterdir()}
        description["cases"] = {name: case for name, case in description["cases"].items() if name in kept}
        (folder / "dataset.json").write_text(json.dumps(description))
    return len(list((folder / "imagesTr").iterdir()))


def run(command: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds and peak MiB of a command and its children."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    peak = 0.0

    def sample() -> None:
        nonlocal peak
        while process.poll() is None:
            peak = max(peak, sum(status_kib("VmRSS", pid) or 0 for pid in _family(process.pid)) / 1024)
            time.sleep(SAMPLED_EVERY_S)

    sampler = threading.Thread(target=sample)
    sampler.start()
    _, errors = process.communicate()
    seconds = time.perf_counter() - start
    sampler.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{errors[-2000:]}")
    return seconds, peak


def _family(pid: int) -> list[int]:
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _family(int(child))
    return found


def _disk_mib(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=2839, help="of the FGA-Net paper's dataset")
    parser.add_argument("--nnunet", type=Path, help="virtual environment with nnU-Net v2")
    parser.add_argument("--repeats", type=int, default=1)
    arguments = parser.parse_args()
    root = arguments.output.resolve() / f"frames_{arguments.frames}"
    count = make_frames(root / "raw", arguments.frames)
    cores = str(available_cores())
    ours = [installed("gw_plan_and_preprocess"), "-d", "907", "-np", cores, "--clean"]
    commands = {"gwunet": ([*ours, "--workspace", str(root)], root / "preprocessed", {})}
    if arguments.nnunet is not None:
        peer = {f"nnUNet_{name}": str(root / "nnunet" / name) for name in ("raw", "preprocessed", "results")}
        if not Path(peer["nnUNet_raw"]).is_dir():
            copy_for_nnunet(Dataset.open(root / "raw" / NAME), Path(peer["nnUNet_raw"]) / NAME)
        flags = ["-d", "907", "-c", "2d", "--verify_dataset_integrity", "-npfp", cores, "-np", cores]
        command = [str(arguments.nnunet / "bin" / "nnUNetv2_plan_and_preprocess"), *flags]
        commands["nnU-Net"] = (command, Path(peer["nnUNet_preprocessed"]), peer)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(arguments.repeats):
        for name, (command, written, environment) in commands.items():
            shutil.rmtree(written, ignore_errors=True)
            found[name].append(run(command, environment))
    print(f"{count} frames of {EDGE}x{EDGE}, {cores} cores; median of {arguments.repeats}")
    for name, (_, written, _) in commands.items():
        seconds = statistics.median(each[0] for each in found[name])
        memory = max(each[1] for each in found[name])
        print(f"{name:<8} {seconds:8.1f} s   peak {memory:7.0f} MiB   written {_disk_mib(written):8.1f} MiB")


if __name__ == "__main__":
    main()
