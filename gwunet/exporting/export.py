"""``gw_export``: from trained folds to one file that is known to predict the same."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from gwunet.dataset import Dataset
from gwunet.errors import ModelError, UsageError
from gwunet.evenly import evenly
from gwunet.exporting.agreement import largest_difference
from gwunet.exporting.archive import write_archive
from gwunet.exporting.description import describe
from gwunet.exporting.graph import averaged, network_graph
from gwunet.exporting.int8 import MAX_DICE_LOSS, Quantised, quantise_fold
from gwunet.exporting.loading import load_exported
from gwunet.exporting.onnx_file import write_onnx
from gwunet.exporting.onnx_runtime import choose_provider
from gwunet.exposed_field import Frame
from gwunet.inference.chosen_settings import chosen_settings
from gwunet.inference.predictor import Predictor
from gwunet.inference.torch_networks import network_of
from gwunet.inference.trained_folds import load_folds
from gwunet.io.frames import list_frames, read_frame
from gwunet.jsonio import replacing
from gwunet.workspace import Workspace

FRAMES_TO_COMPARE = 4
Format = Literal["onnx", "zip"]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """How an export went."""

    path: Path
    n_bytes: int
    folds: tuple[str, ...]
    compared: tuple[str, ...]
    """Frames on which the file was compared with torch; empty with int8, which is judged by its Dice."""
    difference: float | None
    """Largest difference of a pixel's probability from torch's; None with int8."""
    quantised: tuple[Quantised, ...]
    """What int8 cost each fold; empty without it."""


def export_model(
    dataset: str | int,
    path: Path,
    *,
    format: Format,
    configuration: str = "fganet",
    trainer: str | None = None,
    folds: Sequence[int | str] | None = None,
    checkpoint: Literal["final", "best"] = "final",
    workspace: Workspace | str | Path | None = None,
    frames: Path | None = None,
    provider: str | None = None,
    int8: bool = False,
    max_dice_loss: float = MAX_DICE_LOSS,
) -> Exported:
    """Write trained folds as one file, compare what it predicts with torch, and keep it only if that agrees.

    Args:
        dataset: id or folder name.
        path: of the file; what stood there is replaced once the new one is known to be good.
        format: ``onnx``, one graph with the folds averaged as probabilities, or ``zip``, the folds' weights.
        configuration, trainer, folds, checkpoint, workspace: as in ``Predictor.from_results``.
        frames: folder of frames to compare on; None takes some of the raw dataset's.
        provider: ONNX Runtime's execution provider for the comparison; None takes the CPU's.
        int8: quantise convolutions; needs the raw dataset, its folds, and folds with validation frames.
        max_dice_loss: int8 may cost each fold so much Dice on its validation frames.

    Raises:
        ModelError: nothing was trained, or the file does not predict what torch does.
        UsageError: an option does not fit, or there are no frames to compare on.
        OutputError: the file cannot be written.
    """
    if format == "zip" and (int8 or provider is not None):
        raise UsageError("--format zip holds the weights as they are: --int8 and --provider go with --format onnx")
    if not 0 <= max_dice_loss <= 1:
        raise UsageError(f"--max_dice_loss {max_dice_loss}: must be in [0, 1]")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; -o names the file")
    if format == "onnx":
        choose_provider(provider)
    workspace = Workspace.find(workspace)
    name = workspace.dataset_name(dataset)
    read, checkpoints = load_folds(workspace, name, configuration, trainer, folds, checkpoint)
    names = tuple(read.digests)
    settings = chosen_settings(read)
    trained = Predictor(checkpoints, device="cpu", precision="fp32")
    quantised: tuple[Quantised, ...] = ()
    compared: Mapping[str, Frame] = {}
    difference = None
    if not int8:
        compared = _frames_to_compare(workspace, name, frames)
    with replacing(path) as partial:
        if format == "zip":
            write_archive(partial, checkpoints, names, settings)
        else:
            models = [network_graph(network_of(each)) for each in checkpoints]
            if int8:
                quantised = tuple(
                    quantise_fold(model, each, fold, workspace, name, max_dice_loss)
                    for model, each, fold in zip(models, checkpoints, names, strict=True)
                )
                models = [each.model for each in quantised]
            numbers: Literal["float32", "int8"] = "int8" if int8 else "float32"
            write_onnx(partial, averaged(models), describe(checkpoints, names, numbers, settings))
        exported = load_exported(
            partial, provider=provider, device="cpu", precision="fp32" if format == "zip" else "auto"
        )
        if not int8:
            difference = largest_difference(exported, trained, compared)
    return Exported(
        path=path,
        n_bytes=path.stat().st_size,
        folds=names,
        compared=tuple(compared),
        difference=difference,
        quantised=quantised,
    )


def _frames_to_compare(workspace: Workspace, dataset: str, folder: Path | None) -> dict[str, Frame]:
    """Some frames, evenly spread over all there are."""
    if folder is not None:
        paths = list_frames(folder) if folder.is_dir() else []
        if not paths:
            raise UsageError(f"--frames {folder}: found no frames there; wanted a folder of some")
    elif (workspace.raw / dataset).is_dir():
        raw = Dataset.open(workspace.raw / dataset)
        paths = [case.image for case in (*raw.training, *raw.test)]
    else:
        raise UsageError(
            f"{workspace.raw / dataset}: not there, and an exported file is kept only if it predicts real frames as "
            "torch does; name a folder of frames with --frames"
        )
    if not paths:
        raise ModelError(f"{workspace.raw / dataset}: found no frames; name a folder of some with --frames")
    return {path.stem: read_frame(path) for path in evenly(paths, FRAMES_TO_COMPARE)}
