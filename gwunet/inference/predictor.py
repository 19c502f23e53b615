"""``Predictor``: frames in, masks out. Knows arrays; files are the business of ``gwunet.inference.folder``."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gwunet.checkpoint import BEST, FINAL, Checkpoint, load_checkpoint, load_weights
from gwunet.device import resolve_device
from gwunet.errors import FrameError, ModelError, UsageError
from gwunet.exposed_field import Frame
from gwunet.inference.sliding_window import predict_probability
from gwunet.networks import build_network
from gwunet.networks.folding import fold_batch_norms
from gwunet.plans import Inference
from gwunet.preprocessing import crop_frame, normalise, put_back
from gwunet.workspace import Workspace


@dataclasses.dataclass(frozen=True, slots=True)
class Prediction:
    """What is found in one frame."""

    mask: NDArray[np.uint8]
    """``(H, W)``: 0 or 1, in the frame's own size."""
    probability: NDArray[np.float32]
    """``(H, W)`` in [0, 1]; 0 outside the exposed field."""


class Predictor:
    """A trained model, loaded once; call it for any number of frames.

    Several folds are averaged as probabilities.
    """

    def __init__(
        self,
        checkpoints: Sequence[Checkpoint],
        *,
        device: str = "auto",
        mirror: bool | None = None,
        step: float | None = None,
        threshold: float | None = None,
        batch_size: int | None = None,
    ) -> None:
        """Build the networks of ``checkpoints``.

        Args:
            checkpoints: the folds of one model.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            mirror: average over four mirrored copies: better masks for four times the work. None as planned.
            step: distance of tiles as a share of their size. None as planned.
            threshold: probability from which a pixel is wire. None as planned.
            batch_size: tiles in one forward pass. None as planned for training.

        Raises:
            ModelError: the checkpoints are of different models.
            UsageError: an option is out of its range.
        """
        if not checkpoints:
            raise UsageError("a Predictor needs at least one checkpoint")
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"--batch_size {batch_size}: must be at least 1")
        first = checkpoints[0]
        for other in checkpoints[1:]:
            if other.preprocessing != first.preprocessing or other.configuration.network != first.configuration.network:
                raise ModelError("the folds differ in network or preprocessing; train them from one plan")
        self.configuration = first.configuration
        self.preprocessing = first.preprocessing
        self.device = resolve_device(device)
        self.inference = _with_options(first.configuration.inference, mirror, step, threshold)
        self.batch_size = batch_size or first.configuration.batch_size
        self._networks = [self._ready(checkpoint) for checkpoint in checkpoints]

    @classmethod
    def from_results(
        cls,
        dataset: str | int,
        *,
        configuration: str = "fganet",
        trainer: str | None = None,
        folds: Sequence[int | str] | None = None,
        checkpoint: Literal["final", "best"] = "final",
        workspace: Workspace | str | Path | None = None,
        device: str = "auto",
        mirror: bool | None = None,
        step: float | None = None,
        threshold: float | None = None,
        batch_size: int | None = None,
    ) -> "Predictor":
        """Load trained folds from a workspace.

        Args:
            dataset: id or folder name.
            configuration: which network.
            trainer: None where only one trainer was used with the configuration.
            folds: None takes every trained fold.
            checkpoint: the last weights, or those best on the fold's validation frames.
            workspace: a workspace or its folder; None looks for it as ``Workspace.find``.
            device, mirror, step, threshold, batch_size: as in ``Predictor``.

        Raises:
            ModelError: nothing was trained, or a wanted fold is missing.
        """
        if not isinstance(workspace, Workspace):
            workspace = Workspace.find(workspace)
        base = find_model(workspace, workspace.dataset_name(dataset), configuration, trainer)
        paths = fold_checkpoints(base, folds, checkpoint)
        return cls(
            [load_checkpoint(path) for path in paths],
            device=device,
            mirror=mirror,
            step=step,
            threshold=threshold,
            batch_size=batch_size,
        )

    def predict_frame(self, frame: Frame) -> Prediction:
        """Find the wires in one frame.

        Args:
            frame: ``(H, W)`` uint8 or uint16, as it comes from the detector.

        Raises:
            FrameError: the array has another shape or type.
        """
        if frame.ndim != 2 or frame.dtype not in (np.uint8, np.uint16):
            raise FrameError(f"a frame must be (H, W) of uint8 or uint16, got {frame.shape} of {frame.dtype}")
        crop = crop_frame(frame, self.preprocessing)
        scores = torch.from_numpy(normalise(crop.pixels, crop.field, crop.mean, crop.std))[None].to(self.device)
        with torch.inference_mode():
            probability = predict_probability(
                self._networks,
                scores,
                tile_size=self.inference.tile_size,
                step=self.inference.step,
                mirror=self.inference.mirror,
                batch_size=self.batch_size,
            )
        inside: NDArray[np.float32] = probability.cpu().numpy() * crop.field
        whole = put_back(inside, crop.box, crop.frame_shape)
        return Prediction((whole >= self.inference.threshold).astype(np.uint8), whole)

    def predict_frames(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        """Predictions of frames one after another, in their order; memory does not grow with their number."""
        return (self.predict_frame(frame) for frame in frames)

    def _ready(self, checkpoint: Checkpoint) -> Callable[[Tensor], Tensor]:
        network: nn.Module = build_network(checkpoint.configuration)
        load_weights(network, checkpoint, Path(f"{checkpoint.dataset}/{checkpoint.configuration.name}"))
        network = fold_batch_norms(network).to(self.device)
        if self.device.type != "cuda":
            return network

        def half_precision(tiles: Tensor) -> Tensor:
            with torch.autocast("cuda"):
                logits: Tensor = network(tiles.to(memory_format=torch.channels_last))
            return logits

        return half_precision


def _with_options(planned: Inference, mirror: bool | None, step: float | None, threshold: float | None) -> Inference:
    try:
        return dataclasses.replace(
            planned,
            mirror=planned.mirror if mirror is None else mirror,
            step=planned.step if step is None else step,
            threshold=planned.threshold if threshold is None else threshold,
        )
    except ValueError as problem:
        raise UsageError(str(problem)) from problem


def find_model(workspace: Workspace, dataset: str, configuration: str, trainer: str | None) -> Path:
    """The results folder of a trained configuration.

    Raises:
        ModelError: it was not trained, or with several trainers and none is named.
    """
    results = workspace.results_dataset(dataset)
    present = sorted(path.name for path in results.glob("*__*") if path.is_dir()) if results.is_dir() else []
    candidates = [name for name in present if name.split("__")[0] == configuration]
    if trainer is not None:
        candidates = [name for name in candidates if name == f"{configuration}__{trainer}"]
    if len(candidates) == 1:
        return results / candidates[0]
    found = ", ".join(present) or "nothing"
    if candidates:
        raise ModelError(f"{results}: {configuration} was trained by several trainers ({found}); name one with -tr")
    raise ModelError(
        f"{results}: no trained model of configuration {configuration!r}, found {found}; "
        f"run gw_train {dataset} 0 -c {configuration} first"
    )


def fold_checkpoints(base: Path, folds: Sequence[int | str] | None, checkpoint: Literal["final", "best"]) -> list[Path]:
    """Checkpoint files of the wanted folds of a model; of every trained one where none is named.

    Raises:
        ModelError: a wanted fold is not trained to its end, or none is.
    """
    file_name = FINAL if checkpoint == "final" else BEST
    trained = {path.parent.name.removeprefix("fold_"): path for path in sorted(base.glob(f"fold_*/{file_name}"))}
    # Every frame of the folds is in the training half of "all", so it joins them only when asked for.
    wanted = [str(fold) for fold in folds] if folds else [fold for fold in trained if fold != "all"] or list(trained)
    missing = [fold for fold in wanted if fold not in trained]
    if missing or not wanted:
        raise ModelError(
            f"{base}: no {file_name} of fold {', '.join(missing) or '(any)'}, trained are "
            f"{', '.join(trained) or 'none'}; "
            "train it with gw_train, or finish it with gw_train --continue"
        )
    return [trained[fold] for fold in wanted]
