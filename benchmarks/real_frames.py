"""Real frames through the installed commands: plan, train folds with the default plan, validate, predict the folder.

    python benchmarks/real_frames.py IMAGES MASKS -o OUT [-c fganet] [--folds 0 1 2 3 4] [--train=--minutes=10]

IMAGES and MASKS are folders of pictures with equal names. The validation frames of all folds trained are scored
together: each is predicted by the network that never saw it. Prints a line for each step and writes OUT/result.json.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from gwunet.device import available_cores
from gwunet.io.frames import list_frames, read_frame, read_mask
from gwunet.jsonio import write_json
from gwunet.trained import SUMMARY, fold_folder
from shared.datasets import copy_pairs
from shared.installed import installed

DATASET = "Dataset001_Real"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("-o", dest="output", type=Path, required=True)
    parser.add_argument("-c", dest="configuration", default="fganet")
    parser.add_argument("--folds", nargs="+", default=["0"])
    parser.add_argument("--train", action="append", default=[], metavar="FLAG", help="for gw_train; may be repeated")
    parser.add_argument("--at_once", type=int, default=1, help="folds side by side, each with its share of the cores")
    parser.add_argument("--keep", action="store_true", help="go on after the folds that an earlier run has validated")
    arguments = parser.parse_args()
    workspace = arguments.output / "workspace"
    common = ["--workspace", str(workspace)]
    configuration = ["-c", arguments.configuration]
    seconds: dict[str, float] = {}
    if not arguments.keep:
        copy_pairs(arguments.images, arguments.masks, workspace / "raw" / DATASET)
        plan = ["gw_plan_and_preprocess", "-d", "1", *configuration, "--clean", *common]
        seconds["plan and preprocess"] = run(*plan)
    results, trained = workspace / "results" / DATASET, f"{arguments.configuration}__*"
    cores = sorted(os.sched_getaffinity(0))
    own = [cores[place :: arguments.at_once] for place in range(arguments.at_once)]

    def train(place: int) -> None:
        for fold in arguments.folds[place :: arguments.at_once]:
            if arguments.keep and (fold_folder(next(results.glob(trained)), fold) / "validation" / SUMMARY).is_file():
                continue
            flags = ("1", fold, *configuration, "--overwrite", *arguments.train, *common)
            seconds[f"train and validate fold {fold}"] = run("gw_train", *flags, cores=own[place])

    with ThreadPoolExecutor(arguments.at_once) as side_by_side:
        list(side_by_side.map(train, range(arguments.at_once)))
    frames = workspace / "raw" / DATASET / "imagesTr"
    predictions = arguments.output / "predictions"
    seconds["predict all frames"] = run(
        "gw_predict", "-i", str(frames), "-o", str(predictions), "-d", "1", *configuration, "--overlay", *common
    )
    pooled = arguments.output / "validation"
    shutil.rmtree(pooled, ignore_errors=True)
    pooled.mkdir(parents=True)
    by_fold = {}
    for fold in arguments.folds:
        validation = fold_folder(next(results.glob(trained)), fold) / "validation"
        by_fold[fold] = json.loads((validation / SUMMARY).read_text())["pooled"]["dice"]
        for mask in validation.glob("*.png"):
            shutil.copy(mask, pooled)
    references = arguments.output / "references"
    shutil.rmtree(references, ignore_errors=True)
    references.mkdir()
    for mask in pooled.iterdir():
        shutil.copy(workspace / "raw" / DATASET / "labelsTr" / mask.name, references)
    scored = arguments.output / SUMMARY
    run("gw_evaluate", "-r", str(references), "-p", str(pooled), "-o", str(scored))
    summary = json.loads(scored.read_text())
    sizes_equal = [
        read_mask(predictions / f"{path.stem}.png").shape == read_frame(path).shape for path in list_frames(frames)
    ]
    result = {
        "machine": f"{available_cores()} cores, {platform.processor() or platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "configuration": arguments.configuration,
        "flags": arguments.train,
        "folds_at_once": arguments.at_once,
        "dice_of_folds": by_fold,
        "seconds": {step: round(value, 1) for step, value in seconds.items()},
        "masks_of_the_frames_size": f"{sum(sizes_equal)} of {len(sizes_equal)}",
        "validation_frames": summary["n_frames"],
        "pooled": {key: summary["pooled"][key] for key in ("dice", "precision", "recall", "cldice", "hd95_px")},
        "paper": summary["paper"],
    }
    write_json(arguments.output / "result.json", result)
    print(json.dumps(result, indent=2))


def run(command: str, *arguments: str, cores: Sequence[int] = ()) -> float:
    start = time.perf_counter()
    pinned = ["taskset", "-c", ",".join(map(str, cores))] if cores else []
    subprocess.run([*pinned, installed(command), *arguments], check=True)
    seconds = time.perf_counter() - start
    print(f"{command}: {seconds:.1f} s", flush=True)
    return seconds


if __name__ == "__main__":
    main()
