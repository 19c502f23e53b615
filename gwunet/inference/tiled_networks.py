"""The networks of a model, asked for whole frames in batches that fit into memory."""

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from gwunet.errors import ModelError, UsageError
from gwunet.inference.lack_of_memory import is_lack_of_memory
from gwunet.inference.sliding_window import predict_probability, views_of
from gwunet.inference.torch_networks import Network
from gwunet.plans import Inference

logger = logging.getLogger(__name__)


class TiledNetworks:
    """The folds of a model; where memory is too small for a batch, smaller ones are tried from then on."""

    def __init__(
        self,
        networks: Sequence[Network],
        name: str,
        device: torch.device,
        inference: Inference,
        batch_size: int,
        *,
        runs_on: str,
    ) -> None:
        """
        Args:
            networks: the folds.
            name: what messages call the model.
            device: where tiles are handed over.
            inference: size and distance of tiles; whether there are mirrored copies.
            batch_size: tiles in one forward pass.
            runs_on: what messages call the device that runs the networks, which may take the tiles from ``device``.

        Raises:
            UsageError: there is no such batch size.
        """
        if batch_size < 1:
            raise UsageError(f"--batch_size {batch_size}: must be at least 1")
        self.networks = tuple(networks)
        self.batch_size = batch_size
        self._name = name
        self._device = device
        self._runs_on = runs_on
        self.inference = inference

    def frames_together(self, scores: Tensor) -> int:
        """How many frames as this ``(1, h, w)`` one share a batch; on a CPU that gains nothing."""
        return 1 if self._device.type == "cpu" else max(1, self.batch_size // self._views(scores))

    def probability(self, scores: Tensor) -> Tensor:
        """``(N, h, w)`` float32 on the CPU, from ``(N, 1, h, w)`` float32.

        Raises:
            ModelError: not even one tile fits the device's memory, or a network gives numbers that are none.
        """
        if self._device.type == "cuda":
            scores = scores.pin_memory()
        scores = scores.to(self._device, non_blocking=True)
        while True:
            try:
                with torch.inference_mode():
                    probability = predict_probability(
                        self.networks,
                        scores,
                        tile_size=self.inference.tile_size,
                        step=self.inference.step,
                        mirror=self.inference.mirror,
                        batch_size=self.batch_size,
                    ).cpu()
                return self._finite(probability)
            except Exception as problem:
                if not is_lack_of_memory(problem):
                    raise
                shown = (str(problem) or type(problem).__name__).splitlines()[0]
            self._take_smaller_batches(len(scores) * self._views(scores), shown)

    def _finite(self, probability: Tensor) -> Tensor:
        """As it is: NaN would look like a frame without wire."""
        if not bool(probability.isfinite().all()):
            raise ModelError(
                f"{self._name}: found that its network gives NaN on {self._runs_on}; wanted probabilities: try "
                "--precision fp32, and if that gives NaN too, train it again"
            )
        return probability

    def _take_smaller_batches(self, views: int, shown: str) -> None:
        if min(self.batch_size, views) == 1:
            raise ModelError(
                f"{self._runs_on}: found too little memory for a single tile of {self._name} ({shown}); free some, or "
                "use --device cpu (for an ONNX file --provider CPU)"
            )
        self.batch_size = min(self.batch_size, views) // 2
        logger.warning("%s: out of memory; going on with --batch_size %d", self._runs_on, self.batch_size)
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _views(self, scores: Tensor) -> int:
        """Tiles of one frame, mirrored copies counted."""
        height, width = scores.shape[-2:]
        inference = self.inference
        return views_of((height, width), inference.tile_size, inference.step, inference.mirror)
