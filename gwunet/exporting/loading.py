"""An exported file as a ``Predictor``."""

import logging
import zipfile
from pathlib import Path
from typing import Literal

from gwunet.errors import ModelError, UsageError
from gwunet.exporting import extra
from gwunet.exporting.archive import read_archive
from gwunet.exporting.description import ModelDescription
from gwunet.exporting.onnx_file import read_onnx
from gwunet.exporting.onnx_runtime import OnnxNetwork, choose_provider
from gwunet.inference.chosen_settings import are_wanted
from gwunet.inference.predictor import Predictor
from gwunet.inference.torch_networks import PrecisionName

logger = logging.getLogger(__name__)

Runtime = Literal["torch", "onnx"]


def load_exported(
    path: Path,
    *,
    runtime: Runtime | None = None,
    provider: str | None = None,
    device: str = "auto",
    mirror: bool | None = None,
    step: float | None = None,
    threshold: float | None = None,
    batch_size: int | None = None,
    precision: PrecisionName = "auto",
    threads: int | None = None,
    postprocess: bool = True,
) -> Predictor:
    """Load a file that ``gw_export`` wrote, from whomever it comes.

    Args:
        path: an archive (runs in torch) or an ONNX file (runs in ONNX Runtime); which one is seen by its content.
        runtime: refuse the file if it runs in another one.
        provider: ONNX Runtime's execution provider, such as ``CPU``, ``CUDA`` or ``TensorRT``; None takes CUDA's where
            ``device`` is CUDA and the runtime has it, else the CPU's.
        device: see ``Predictor``; its number is also the GPU's for ONNX Runtime.
        mirror, step, threshold, batch_size: as in ``Predictor``.
        precision: of torch; see ``Predictor``. An ONNX file computes in the numbers it was exported in.
        postprocess: make masks with the settings in the file, where there are any and ``threshold`` is None.
        threads: of ONNX Runtime on a CPU; None takes a thread for each core of this process.

    Raises:
        ModelError: the file is missing, damaged, of another program or version, or not what gw_export writes.
        UsageError: an option is out of its range, or the runtime or provider is not here.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such file; wanted one that gw_export wrote")
    kind: Runtime = "torch" if zipfile.is_zipfile(path) else "onnx"
    if runtime is not None and runtime != kind:
        found = "an archive, which runs in torch" if kind == "torch" else "no archive, and torch cannot run ONNX"
        raise UsageError(f"--runtime {runtime}: {path} is {found}; leave --runtime out, or export in the other format")
    if kind == "torch":
        if provider is not None:
            raise UsageError(f"--provider {provider}: {path} is an archive, which runs in torch; choose by --device")
        description, checkpoints = read_archive(path)
        predictor = Predictor(
            checkpoints,
            device=device,
            mirror=mirror,
            step=step,
            threshold=threshold,
            batch_size=batch_size,
            precision=precision,
        )
        return _with_settings(predictor, description, postprocess, threshold)
    if precision != "auto":
        raise UsageError(
            f"--precision {precision}: {path} is an ONNX file, which computes in the numbers it was exported in; leave "
            "--precision out"
        )
    provider = _provider(provider, device)
    content, description = read_onnx(path)
    network = OnnxNetwork(content, str(path), provider, threads, gpu=_gpu(device))
    version = extra.load("onnxruntime").__version__
    predictor = Predictor.from_networks(
        [network],
        description.configuration,
        description.preprocessing,
        runtime=f"ONNX Runtime {version}, {network.provider.removesuffix('ExecutionProvider')}, {description.numbers}",
        device="cpu",
        runs_on=network.runs_on,
        mirror=mirror,
        step=step,
        threshold=threshold,
        batch_size=batch_size,
    )
    return _with_settings(predictor, description, postprocess, threshold)


def _with_settings(
    predictor: Predictor, description: ModelDescription, postprocess: bool, threshold: float | None
) -> Predictor:
    if are_wanted(postprocess, threshold) and description.postprocessing is not None:
        predictor.use_postprocessing(description.postprocessing)
    return predictor


def _gpu(device: str) -> int:
    """The number in ``cuda:N``; 0 where there is none."""
    kind, _, number = device.partition(":")
    if kind != "cuda" or not number:
        return 0
    if not number.isdecimal():
        raise UsageError(f"--device {device}: unknown; use auto, cpu, cuda or cuda:N")
    return int(number)


def _provider(name: str | None, device: str) -> str:
    """The provider that is asked for, or else the one that fits the device."""
    if name is not None or not device.startswith("cuda"):
        return choose_provider(name)
    try:
        return choose_provider("CUDA")
    except UsageError:
        logger.warning("ONNX Runtime here has no CUDA: the model runs on the CPU; onnxruntime-gpu has it")
        return choose_provider(None)
