"""``Predictor``: frames in, masks out. Knows arrays; files are the business of ``gwunet.inference.folder``."""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray

from gwunet.checkpoint import Checkpoint
from gwunet.device import resolve_device
from gwunet.errors import ModelError, UsageError
from gwunet.exposed_field import Frame
from gwunet.inference.ahead import ahead
from gwunet.inference.chosen_settings import are_wanted, chosen_settings
from gwunet.inference.cut_frame import CutFrame, of_one_size
from gwunet.inference.localizer import Localizer
from gwunet.inference.prediction import Prediction, Spacing, Wires
from gwunet.inference.streaming import Streamed, answer
from gwunet.inference.tiled_networks import TiledNetworks
from gwunet.inference.torch_networks import Network, PrecisionName, autocast_type, torch_network
from gwunet.inference.trained_folds import TrainedFolds, load_folds
from gwunet.plans import Configuration, Inference, Preprocessing
from gwunet.postprocessing import Postprocessing
from gwunet.trained import fold_folder
from gwunet.workspace import Workspace

logger = logging.getLogger(__name__)

READ_AHEAD = 4
"""Frames read and cropped while others are predicted."""


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
        self.runs_on = str(self.device)
        dtype = autocast_type(precision, self.device)
        self._be(
            [torch_network(checkpoint, self.device, dtype, compiled=compile) for checkpoint in checkpoints],
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
        runs_on: str | None = None,
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
            runs_on: the device that runs them, for messages and records; None where that is ``device``.
            mirror, step, threshold, batch_size: as in ``Predictor``.

        Raises:
            UsageError: an option is out of its range.
        """
        self = cls.__new__(cls)
        self.device = resolve_device(device)
        self.runs_on = runs_on or str(self.device)
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
        self.configuration = configuration
        self.preprocessing = preprocessing
        batch_size = configuration.batch_size if batch_size is None else batch_size
        self._tiled = TiledNetworks(
            networks, configuration.name, self.device, inference, batch_size, runs_on=self.runs_on
        )
        self.postprocessing = Postprocessing(threshold=inference.threshold)
        """How masks are made."""
        self.is_postprocessed = False
        """Whether masks are made with settings that were chosen by cross-validation."""
        self.trained: TrainedFolds | None = None
        """What ``from_results`` read."""

    @property
    def networks(self) -> tuple[Network, ...]:
        """The folds."""
        return self._tiled.networks

    @property
    def inference(self) -> Inference:
        """How frames are predicted; its threshold is the one that masks are made with."""
        return dataclasses.replace(self._tiled.inference, threshold=self.postprocessing.threshold)

    @property
    def batch_size(self) -> int:
        """Tiles in one forward pass; fewer than were asked for once memory did not hold as many."""
        return self._tiled.batch_size

    def use_postprocessing(self, settings: Postprocessing) -> None:
        """Make masks with these settings; their threshold is used in place of the planned one."""
        self.postprocessing = settings
        self.is_postprocessed = True

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
        trained, checkpoints = load_folds(workspace, dataset, configuration, trainer, folds, checkpoint)
        predictor = cls(
            checkpoints,
            device=device,
            mirror=mirror,
            step=step,
            threshold=threshold,
            batch_size=batch_size,
            precision=precision,
            compile=compile,
        )
        predictor.trained = trained
        _warn_of_differences(trained, checkpoints)
        settings = chosen_settings(trained) if are_wanted(postprocess, threshold) else None
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
        return self._cut(frame).field

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
        groups = of_one_size(
            ahead(map(self._cut, frames), READ_AHEAD), lambda cut: self._tiled.frames_together(cut.scores)
        )
        predictions = (prediction for group in groups for prediction in self._predict(group))
        finish = _finish(track, wires, spacing_mm)
        return predictions if finish is None else (finish(prediction, 1) for prediction in predictions)

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
        return answer(source, self.predict_frame, waiting, _finish(track, wires, spacing_mm))

    def warm_up(self, frame_shape: tuple[int, int]) -> None:
        """Predict a made-up frame, so that the first real one of this shape does not wait for memory or compilers."""
        rows, columns = frame_shape
        self.predict_frame((np.add.outer(np.arange(rows), np.arange(columns)) % 251).astype(np.uint8))

    def _cut(self, frame: Frame) -> CutFrame:
        return CutFrame.of(frame, self.preprocessing)

    def _predict(self, cuts: Sequence[CutFrame]) -> list[Prediction]:
        """Of frames whose crops are of one size."""
        scores = cuts[0].scores[None] if len(cuts) == 1 else torch.stack([cut.scores for cut in cuts])
        probabilities = self._tiled.probability(scores).numpy()
        return [
            cut.answered(probability, self.postprocessing) for cut, probability in zip(cuts, probabilities, strict=True)
        ]


def _finish(
    track: bool, wires: Wires | None, spacing_mm: Spacing | None
) -> Callable[[Prediction, int], Prediction] | None:
    """What completes the predictions of a sequence, given how many frames passed; None where nothing is left to do."""
    if wires is None and not track:  # wires are left to whoever asks for them
        if spacing_mm is None:
            return None
        return lambda prediction, _: dataclasses.replace(prediction, spacing_mm=spacing_mm)
    return Localizer(wires="auto" if wires is None else wires, track=track, spacing_mm=spacing_mm)


def _warn_of_differences(trained: TrainedFolds, checkpoints: Sequence[Checkpoint]) -> None:
    """Folds that were trained in different ways, by a plan that was edited in between, are no model of five folds."""
    first = checkpoints[0].configuration
    folders = [fold_folder(trained.model, fold).name for fold in trained.digests]
    for folder, checkpoint in zip(folders[1:], checkpoints[1:], strict=True):
        different = first.differing_fields(checkpoint.configuration)
        if different:
            logger.warning(
                "%s: %s and %s were trained with another %s; they are averaged all the same: train all folds from one "
                "plan, or choose with -f",
                trained.model,
                folders[0],
                folder,
                ", ".join(different),
            )


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
