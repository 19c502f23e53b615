"""Latency per frame of exported models in ONNX Runtime beside torch.

    python benchmarks/exported_latency.py CHECKPOINT [CHECKPOINT ...] --onnx FILE [--int8 FILE] [--size 512] [--compile]

CHECKPOINT are the folds (``checkpoint_final.pt``) that FILE was exported from by ``gw_export``. All take turns on one
frame of noise that fills the field, in the tiles that are planned, without mirroring; medians, 95th percentiles and
ratios. Torch in bf16 stands beside it: where a CPU multiplies that, it is the fastest of all. With --compile also as
``torch.compile`` makes it.
"""

import argparse
import datetime
import platform
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from gwunet.benchmark.turns import seconds_in_turn
from gwunet.checkpoint import load_checkpoint
from gwunet.device import available_cores, keep_freed_memory
from gwunet.exporting import load_exported
from gwunet.inference import Predictor

WARM_UP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--onnx", type=Path, required=True)
    parser.add_argument("--int8", type=Path)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--compile", action="store_true", help="compiling takes a minute or two")
    parser.add_argument("--provider")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    folds = [load_checkpoint(path) for path in arguments.checkpoints]
    exported = {"mirror": False, "provider": arguments.provider, "threads": arguments.threads}
    predictors = {
        "torch, fp32": Predictor(folds, device=arguments.device, mirror=False, precision="fp32"),
        "torch, bf16": Predictor(folds, device=arguments.device, mirror=False, precision="bf16"),
        "ONNX, fp32": load_exported(arguments.onnx, **exported),
    }
    if arguments.compile:
        lower = Predictor(folds, device=arguments.device, mirror=False, precision="bf16", compile=True)
        predictors["torch, bf16 compiled"] = lower
    if arguments.int8:
        predictors["ONNX, int8"] = load_exported(arguments.int8, **exported)
    scores = torch.randn(1, 1, arguments.size, arguments.size)
    calls: dict[str, Callable[[], object]] = {}
    for name, predictor in predictors.items():
        calls[f"{name}, network"] = lambda own=predictor: own._tiled.probability(scores)
    frame = np.random.default_rng(0).integers(60, 200, (arguments.size, arguments.size), np.uint8)
    for name, predictor in predictors.items():
        calls[f"{name}, frame"] = lambda own=predictor: own.predict_frame(frame)
    timed = seconds_in_turn(calls, arguments.repeats, warm_up=WARM_UP)
    ms = {name: [1e3 * seconds for seconds in found] for name, found in timed.items()}
    print(
        f"{datetime.date.today()}, {platform.processor() or platform.machine()}, {arguments.threads} threads; "
        + "; ".join(predictor.runtime for predictor in predictors.values())
    )
    tile = " x ".join(map(str, folds[0].configuration.inference.tile_size))
    print(
        f"{arguments.size}x{arguments.size} in tiles of {tile}, {len(folds)} folds, {arguments.repeats} repeats in turn"
    )
    medians = {name: statistics.median(values) for name, values in ms.items()}
    for name, values in ms.items():
        part = name.rpartition(", ")[2]
        to_torch = medians[name] / medians[f"torch, fp32, {part}"]
        to_float = medians[name] / medians[f"ONNX, fp32, {part}"]
        print(
            f"  {name:<29} median {medians[name]:7.1f} ms  p95 {np.percentile(values, 95):7.1f} ms  of torch's fp32 "
            f"{to_torch:.2f}  of ONNX's fp32 {to_float:.2f}"
        )


if __name__ == "__main__":
    main()
