"""``Predictor``: frames in, masks out. Knows arrays; files are the business of ``gwunet.inference.folder``."""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gwunet.checkpoint import BEST, FINAL, Checkpoint, load_checkpoint, load_weights
from gwunet.device import computes_bf16, resolve_device
from gwunet.errors import FrameError, ModelError, SchemaError, UsageError
from gwunet.exposed_field import Frame
from gwunet.inference.ahead import ahead
from gwunet.inference.chosen_settings import chosen_settings
from gwunet.inference.localizer import Localizer
from gwunet.inference.prediction import Prediction, Spacing, Wires
from gwunet.inference.sliding_window import predict_probability, views_of
from gwunet.inference.streaming import Streamed, answer
from gwunet.networks import build_network
from gwunet.networks.folding import fold_batch_norms
from gwunet.plans import Configuration, Inference, Preprocessing
from gwunet.postprocessing import Postprocessing
from gwunet.preprocessing import CroppedFrame, crop_frame, normalise, put_back
from gwunet.workspace import Workspace

logger = logging.getLogger(__name__)

READ_AHEAD = 4
"""Frames read and cropped while others are predicted."""

Network = Callable[[Tensor], Tensor]
"""From tiles ``(B, 1, h, w)`` float32 to logits ``(B, 1, h, w)``."""
PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]


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
        precision: PrecisionName = "auto",
        compile: bool = False,
    ) -> None:
        """Build the networks of ``checkpoints``.

        Args:
            checkpoints: the folds of one model.
            device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
            mirror: average over four mirrored copies: better masks for four times the work. None as planned.
            step: distance of tiles as a share of their size. None as planned.
            threshold: probability from which a pixel is wire. None as planned.
            batch_size: tiles in one forward pass. None as planned for training.
            precision: numbers that networks compute in; ``auto`` is fp16 on a GPU, bf16 where a CPU has it, or fp32.
            compile: ``torch.compile`` the networks, on a GPU with CUDA graphs; the first frame of a size waits for it.

        Raises:
            ModelError: the checkpoints are of different models.
            UsageError: an option is out of its range.
        """
        if not checkpoints:
            raise UsageError("a Predictor needs at least one checkpoint")
        first = checkpoints[0]
        for other in checkpoints[1:]:
            if other.preprocessing != first.preprocessing or other.configuration.network != first.configuration.network:
                raise ModelError("the folds differ in network or preprocessing; train them from one plan")
        self.device = resolve_device(device)
        dtype = _dtype(precision, self.device)
        self._be(
            [_ready(checkpoint, self.device, dtype, compile) for checkpoint in checkpoints],
            first.configuration,
            first.preprocessing,
            _with_options(first.configuration.inference, mirror, step, threshold),
            batch_size,
        )
        self.runtime = f"torch {torch.__version__}, {str(dtype or torch.float32).removeprefix('torch.')}" + (
            ", compiled" if compile else ""
        )

    @classmethod
    def from_networks(
        cls,
        networks: Sequence[Network],
        configuration: Configuration,
        preprocessing: Preprocessing,
        *,
        runtime: str,
        device: str = "cpu",
        mirror: bool | None = None,
        step: float | None = None,
        threshold: float | None = None,
        batch_size: int | None = None,
    ) -> Self:
        """A predictor of networks that something else runs.

        Args:
            networks: the folds of one model, each from tiles ``(B, 1, h, w)`` float32 to logits ``(B, 1, h, w)``.
            configuration: what they were trained with.
            preprocessing: of the frames they were trained on.
            runtime: what runs them, in a few words.
            device: where tiles are handed over.
            mirror, step, threshold, batch_size: as in ``Predictor``.

        Raises:
            UsageError: an option is out of its range.
        """
        self = cls.__new__(cls)
        self.device = resolve_device(device)
        inference = _with_options(configuration.inference, mirror, step, threshold)
        self._be(networks, configuration, preprocessing, inference, batch_size)
        self.runtime = runtime
        return self

    def _be(
        self,
        networks: Sequence[Network],
        configuration: Configuration,
        preprocessing: Preprocessing,
        inference: Inference,
        batch_size: int | None,
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"--batch_size {batch_size}: must be at least 1")
        self.configuration = configuration
        self.preprocessing = preprocessing
        self.inference = inference
        self.batch_size = batch_size or configuration.batch_size
        self.networks = tuple(networks)
        self.postprocessing = Postprocessing(threshold=inference.threshold)
        self.is_postprocessed = False
        """Whether masks are made with settings that were chosen by cross-validation."""

    def use_postprocessing(self, settings: Postprocessing) -> None:
        """Make masks with these settings; their threshold is used in place of the planned one."""
        self.postprocessing = settings
        self.is_postprocessed = True
        self.inference = dataclasses.replace(self.inference, threshold=settings.threshold)

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
        precision: PrecisionName = "auto",
        compile: bool = False,
        postprocess: bool = True,
    ) -> "Predictor":
        """Load trained folds from a workspace.

        Args:
            dataset: id or folder name.
            configuration: which network.
            trainer: None where only one trainer was used with the configuration.
            folds: None takes every trained fold.
            checkpoint: the last weights, or those best on the fold's validation frames.
            workspace: a workspace or its folder; None looks for it as ``Workspace.find``.
            device, mirror, step, threshold, batch_size, precision, compile: as in ``Predictor``.
            postprocess: make masks with the settings that gw_find_best_configuration left beside the folds, where there
                are any and ``threshold`` is None.

        Raises:
            ModelError: nothing was trained, or a wanted fold is missing.
        """
        if not isinstance(workspace, Workspace):
            workspace = Workspace.find(workspace)
        base = find_model(workspace, workspace.dataset_name(dataset), configuration, trainer)
        paths = fold_checkpoints(base, folds, checkpoint)
        predictor = cls(
            [load_checkpoint(path) for path in paths],
            device=device,
            mirror=mirror,
            step=step,
            threshold=threshold,
            batch_size=batch_size,
            precision=precision,
            compile=compile,
        )
        settings = chosen_settings(paths) if postprocess and threshold is None else None
        if settings is not None:
            predictor.use_postprocessing(settings)
        return predictor

    def predict_frame(self, frame: Frame) -> Prediction:
        """Find the wires in one frame.

        Args:
            frame: ``(H, W)`` uint8 or uint16, as it comes from the detector.

        Raises:
            FrameError: the array has another shape or type.
            ModelError: not even one tile fits the device's memory.
        """
        return self._predict([self._cut(frame)])[0]

    def exposed_field(self, frame: Frame) -> NDArray[np.bool_] | None:
        """``(H, W)``: True where a frame was exposed; None where it was everywhere."""
        return _whole_field(crop_frame(frame, self.preprocessing))

    def predict_frames(
        self,
        frames: Iterable[Frame],
        *,
        track: bool = False,
        wires: Wires | None = None,
        spacing_mm: Spacing | None = None,
    ) -> Iterator[Prediction]:
        """Predictions of frames, in their order; memory does not grow with their number.

        The iterable runs in a thread of its own, a few frames ahead. On a GPU neighbours of one size are predicted
        together as far as ``batch_size`` goes; on a CPU that gains nothing, so each is predicted by itself, and to the
        bit as by ``predict_frame``.

        Args:
            frames: each as for ``predict_frame``.
            track: the frames are one sequence: wires keep their number from one to the next, and so on; see
                ``gwunet.localization.Tracker``.
            wires: how many are looked for in each frame. None leaves that to whoever asks for ``guidewires``; with
                ``track`` it is "auto".
            spacing_mm: of the frames' pixels.

        Raises:
            FrameError: as ``predict_frame``; in the place of the frame.
            Exception: whatever the iterable raises, in the place of its frame.
        """
        predictions, localizer = self._predict_in_turn(frames), _localizer(track, wires, spacing_mm)
        return predictions if localizer is None else map(localizer, predictions)

    def _predict_in_turn(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        together: list[_Cut] = []

        def predict_them() -> list[Prediction]:
            predictions = self._predict(together)
            together.clear()
            return predictions

        try:
            for cut in ahead(map(self._cut, frames), READ_AHEAD):
                if together and cut.scores.shape != together[0].scores.shape:
                    yield from predict_them()
                together.append(cut)
                if len(together) >= self._frames_together(cut):
                    yield from predict_them()
        except Exception:
            if together:  # those before the frame that failed
                yield from predict_them()
            raise
        if together:
            yield from predict_them()

    def stream(
        self,
        source: Iterable[Frame],
        *,
        waiting: int | None = 1,
        track: bool = False,
        wires: Wires | None = None,
        spacing_mm: Spacing | None = None,
    ) -> Iterator[Streamed]:
        """Predictions of frames as they come, with a bound on latency; see ``gwunet.inference.streaming.answer``.

        Args:
            source: gives frames ``(H, W)`` uint8 or uint16 as they come; read in a thread of its own.
            waiting: how many frames may wait; the oldest is dropped for the newest. None drops none.
            track: wires keep their number from frame to frame; see ``gwunet.localization.Tracker``.
            wires: how many are looked for in each frame before it counts as answered. None leaves that to whoever asks
                for ``guidewires``; with ``track`` it is "auto".
            spacing_mm: of the frames' pixels.
        """
        return answer(source, self.predict_frame, waiting, _localizer(track, wires, spacing_mm))

    def warm_up(self, frame_shape: tuple[int, int]) -> None:
        """Predict a made-up frame, so that the first real one of this shape does not wait for memory or compilers."""
        rows, columns = frame_shape
        self.predict_frame((np.add.outer(np.arange(rows), np.arange(columns)) % 251).astype(np.uint8))

    def _cut(self, frame: Frame) -> "_Cut":
        if frame.ndim != 2 or frame.dtype not in (np.uint8, np.uint16):
            raise FrameError(f"a frame must be (H, W) of uint8 or uint16, got {frame.shape} of {frame.dtype}")
        crop = crop_frame(frame, self.preprocessing)
        return _Cut(crop, torch.from_numpy(normalise(crop.pixels, crop.field, crop.mean, crop.std))[None])

    def _frames_together(self, cut: "_Cut") -> int:
        return 1 if self.device.type == "cpu" else max(1, self.batch_size // self._views(cut.scores))

    def _views(self, scores: Tensor) -> int:
        """Tiles of one frame, mirrored copies counted."""
        height, width = scores.shape[-2:]
        return views_of((height, width), self.inference.tile_size, self.inference.step, self.inference.mirror)

    def _predict(self, cuts: "Sequence[_Cut]") -> list[Prediction]:
        """Of frames whose crops are of one size."""
        scores = torch.stack([cut.scores for cut in cuts])
        if self.device.type == "cuda":
            scores = scores.pin_memory()
        probabilities = self._probability(scores.to(self.device, non_blocking=True)).cpu().numpy()
        return [self._finish(cut.crop, probability) for cut, probability in zip(cuts, probabilities, strict=True)]

    def _probability(self, scores: Tensor) -> Tensor:
        """``(N, h, w)``; where the device's memory is too small for a batch, smaller ones are tried from then on."""
        while True:
            try:
                with torch.inference_mode():
                    return predict_probability(
                        self.networks,
                        scores,
                        tile_size=self.inference.tile_size,
                        step=self.inference.step,
                        mirror=self.inference.mirror,
                        batch_size=self.batch_size,
                    )
            except RuntimeError as problem:
                if not _is_lack_of_memory(problem):
                    raise
                shown = str(problem).splitlines()[0]
            views = len(scores) * self._views(scores)
            if min(self.batch_size, views) == 1:
                raise ModelError(
                    f"{self.device}: found too little memory for a single tile of {self.configuration.name} ({shown}); "
                    "free some, or use --device cpu"
                )
            self.batch_size = min(self.batch_size, views) // 2
            logger.warning("%s: out of memory; going on with --batch_size %d", self.device, self.batch_size)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _finish(self, crop: CroppedFrame, probability: NDArray[np.float32]) -> Prediction:
        inside: NDArray[np.float32] = probability * crop.field
        whole = put_back(inside, crop.box, crop.frame_shape)
        threshold = self.inference.threshold
        return Prediction(self.postprocessing.mask(whole), whole, _whole_field(crop), threshold)


@dataclasses.dataclass(frozen=True, slots=True)
class _Cut:
    """A frame ready for the network."""

    crop: CroppedFrame
    scores: Tensor
    """``(1, h, w)`` float32."""


def _localizer(track: bool, wires: Wires | None, spacing_mm: Spacing | None) -> Localizer | None:
    """None where wires are left to whoever asks for them."""
    if wires is None and not track:
        return None
    return Localizer(wires="auto" if wires is None else wires, track=track, spacing_mm=spacing_mm)


def _whole_field(crop: CroppedFrame) -> NDArray[np.bool_] | None:
    """``(H, W)``: True where the frame was exposed; None where it was everywhere."""
    if crop.pixels.shape == crop.frame_shape and crop.field.all():
        return None
    return put_back(crop.field, crop.box, crop.frame_shape)


def _ready(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype | None, compiled: bool) -> Network:
    """The network of a checkpoint as it is called in prediction."""
    try:
        network: nn.Module = build_network(checkpoint.configuration)
    except SchemaError as problem:
        raise ModelError(f"{checkpoint.where}: {problem}") from problem
    load_weights(network, checkpoint, Path(checkpoint.where))
    network = fold_batch_norms(network).to(device)
    call: Network = network
    if compiled:
        call = torch.compile(network, mode="reduce-overhead" if device.type == "cuda" else "default")
    if dtype is None:
        return call

    def lower(tiles: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype):
            return call(tiles.to(memory_format=torch.channels_last))

    return lower


def _dtype(precision: PrecisionName, device: torch.device) -> torch.dtype | None:
    """What autocast computes in; None for float32."""
    if precision != "auto":
        return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if computes_bf16(device) else None


def _is_lack_of_memory(problem: RuntimeError) -> bool:
    """Torch has a class of its own for a GPU's; a CPU's is told by its words."""
    return isinstance(problem, torch.OutOfMemoryError) or "not enough memory" in str(problem)


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
