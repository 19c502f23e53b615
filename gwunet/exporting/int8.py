"""Static quantisation to int8: 8 bits for weights (by channel) and activations, what hurts left in float32.

Ranges of activations come from frames the fold was trained on, and so does the choice of what stays in float32. What it
costs is measured on the fold's validation frames, which neither has seen.
"""

import copy
import dataclasses
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gwunet.checkpoint import Checkpoint
from gwunet.dataset import Case, Dataset
from gwunet.errors import ModelError, UsageError
from gwunet.evenly import evenly
from gwunet.exporting import extra
from gwunet.exporting.graph import INPUT
from gwunet.exporting.onnx_runtime import OnnxNetwork
from gwunet.inference.predictor import Predictor
from gwunet.prepared import SPLITS, read_splits
from gwunet.workspace import Workspace

MAX_DICE_LOSS = 0.01
CALIBRATION_FRAMES = 24
SEARCH_FRAMES = 12
"""Training frames by which it is judged what stays in float32."""
SEARCH_SECONDS = 600.0
"""After so long no further part is tried; what was found until then counts."""
OPERATORS = ("Conv", "ConvTranspose", "MaxPool", "Resize", "Concat", "LeakyRelu", "Relu")
"""Convolutions, and what stands between them and would otherwise go back to float32. Norms, sigmoids and the deformable
convolution, which the runtime has in float32 alone, stay as they are."""

Measure = Callable[[Any], float]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Quantised:
    """A fold in int8, and what that cost."""

    fold: str
    model: Any
    """``onnx.ModelProto``."""
    dice: float
    """Pooled Dice on the fold's validation frames in int8, without mirroring."""
    float_dice: float
    """The same in float32."""
    n_frames: int
    """Validation frames."""
    left_in_float: tuple[str, ...]
    """Parts of the network that lost too much in int8."""


def quantise_fold(
    model: Any, checkpoint: Checkpoint, fold: str, workspace: Workspace, dataset: str, max_dice_loss: float
) -> Quantised:
    """Quantise one fold's graph and judge it on the frames the fold never saw.

    Args:
        model: as ``network_graph`` gives it.
        checkpoint: for its plan and preprocessing.
        fold: its number.
        workspace, dataset: where the frames and folds are.
        max_dice_loss: so much Dice may be lost.

    Raises:
        UsageError: the fold has no validation frames, or frames or folds are missing.
        ModelError: more is lost, whatever stays in float32.
    """
    raw = Dataset.open(workspace.raw_dataset(dataset))
    prepared = workspace.preprocessed_dataset(dataset)
    if fold == "all" or not (prepared / SPLITS).is_file():
        raise UsageError(
            f"--int8: its cost is measured on frames that a fold never saw; fold {fold} has none of "
            f"{prepared / SPLITS}: choose folds by -f, or plan the dataset here"
        )
    chosen = read_splits(prepared, raw, allow_leaking=True).fold(fold, raw.training)
    training = evenly([raw.case(name) for name in chosen.train], CALIBRATION_FRAMES)
    float_predictor = _predictor(model, checkpoint)
    # The tiles the network will see, from frames prepared as in prediction.
    tiles = _tiles(raw, training, checkpoint)
    wanted = _counts(float_predictor, raw, few := evenly(training, SEARCH_FRAMES))

    def loss(candidate: Any) -> float:
        return _dice(wanted) - _dice(_counts(_predictor(candidate, checkpoint), raw, few))

    with tempfile.TemporaryDirectory(prefix="gw_export-") as folder:
        quantiser = Quantiser(model, tiles, Path(folder))
        quantised, left = search(quantiser, tiles, loss, max_dice_loss / 2)
    validation = [raw.case(name) for name in chosen.val]
    dice, float_dice = (_dice(_counts(_predictor(each, checkpoint), raw, validation)) for each in (quantised, model))
    if not float_dice - dice <= max_dice_loss:
        raise ModelError(
            f"fold {fold}: int8 costs {float_dice - dice:.4f} Dice on {len(validation)} validation frames "
            f"({dice:.4f} in place of {float_dice:.4f}), wanted at most {max_dice_loss:g}; the file is not kept. "
            "Export without --int8, or accept more with --max_dice_loss"
        )
    return Quantised(
        fold=fold,
        model=quantised,
        dice=dice,
        float_dice=float_dice,
        n_frames=len(validation),
        left_in_float=left,
    )


class Quantiser:
    """Quantises a graph again and again with one calibration."""

    def __init__(self, model: Any, tiles: Sequence[Tensor], folder: Path) -> None:
        """
        Args:
            model: an ``onnx.ModelProto``; left as it is.
            tiles: ``(1, 1, h, w)`` each; ranges of activations are the least and largest values on them.
            folder: for temporary files.
        """
        self._tiles, self._folder = tiles, folder
        self._path = folder / "float.onnx"
        marked = copy.deepcopy(model)
        # The library asks for preparation of its own, which a graph of known shapes and folded norms does not need.
        extra.load("onnx").helper.set_model_props(marked, {"onnx.quant.pre_process": "onnxruntime.quant"})
        self._path.write_bytes(marked.SerializeToString())
        convolutions = [node.name for node in model.graph.node if node.op_type in ("Conv", "ConvTranspose")]
        # The first sees the frame and the last gives the logits; they are small, and what they lose is lost for good.
        self._ends = {convolutions[0], convolutions[-1]}
        self.parts: dict[str, list[str]] = {}
        """Names of nodes that can be quantised, by the stage of the network they are in."""
        for node in model.graph.node:
            if node.op_type in OPERATORS and node.name not in self._ends:
                self.parts.setdefault(part_of(node.name), []).append(node.name)

    def quantise(self, in_float: Collection[str]) -> Any:
        """The graph in int8 but for the parts named."""
        quantization = extra.load("onnxruntime.quantization")
        onnx = extra.load("onnx")
        chosen = [name for part, names in self.parts.items() if part not in in_float for name in names]
        if not chosen:  # which the library takes for all
            return onnx.load(str(self._path))
        target = self._folder / "int8.onnx"
        quantization.quantize_static(
            str(self._path),
            str(target),
            _Reader(self._tiles),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,  # the pair that CPUs multiply fastest
            weight_type=quantization.QuantType.QInt8,
            op_types_to_quantize=list(OPERATORS),
            nodes_to_quantize=chosen,
            calibration_cache_path=str(self._folder / "ranges.json"),
        )
        return onnx.load(str(target))


class _Reader:
    """What the library's calibration asks for tiles."""

    def __init__(self, tiles: Sequence[Tensor]) -> None:
        self._waiting = iter(tiles)

    def get_next(self) -> dict[str, Any] | None:
        tile = next(self._waiting, None)
        return None if tile is None else {INPUT: tile.numpy()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.get_next, None)


def part_of(node: str) -> str:
    """The stage of the network that a node of the exporter's naming is in: ``/network/encoder.2/...`` is encoder.2."""
    first, *rest = node.strip("/").removeprefix("network/").split("/")
    return first if "." in first or len(rest) < 2 else f"{first}.{rest[0]}"


def search(
    quantiser: Quantiser, tiles: Sequence[Tensor], loss: Measure, enough: float, seconds: float = SEARCH_SECONDS
) -> tuple[Any, tuple[str, ...]]:
    """Quantise everything; while that loses too much, the part that changes the logits most goes back to float32.

    Args:
        quantiser: of the graph.
        tiles: on which changes are compared.
        loss: Dice a candidate loses.
        enough: a loss that is small enough.
        seconds: after which no further part is tried.

    Returns:
        The last candidate, and the parts of it in float32.
    """
    end = time.monotonic() + seconds
    candidate = quantiser.quantise(())
    left: list[str] = []
    if loss(candidate) <= enough:
        return candidate, ()
    parts = list(quantiser.parts)
    few = tiles[:2]
    unharmed = quantiser.quantise(parts)
    exact = [probabilities(unharmed, tile) for tile in few]
    harm: dict[str, float] = {}
    for part in parts:
        if time.monotonic() > end:
            break
        alone = quantiser.quantise([other for other in parts if other != part])
        changes = [(probabilities(alone, tile) - old).abs().mean() for tile, old in zip(few, exact, strict=True)]
        harm[part] = float(sum(changes))
    for part in sorted(harm, key=harm.__getitem__, reverse=True)[: len(parts) - 1]:
        left.append(part)
        candidate = quantiser.quantise(left)
        if loss(candidate) <= enough or time.monotonic() > end:
            break
    return candidate, tuple(left)


def probabilities(model: Any, tile: Tensor) -> Tensor:
    """Of a tile, by a graph."""
    return OnnxNetwork(model.SerializeToString(), "int8")(tile).sigmoid()


def _predictor(model: Any, checkpoint: Checkpoint) -> Predictor:
    return Predictor.from_networks(
        [OnnxNetwork(model.SerializeToString(), "int8")],
        checkpoint.configuration,
        checkpoint.preprocessing,
        runtime="ONNX Runtime",
        mirror=False,
    )


def _tiles(raw: Dataset, cases: Sequence[Case], checkpoint: Checkpoint) -> list[Tensor]:
    """Tiles ``(1, 1, h, w)`` as the predictor hands them to its network."""
    seen: list[Tensor] = []

    def keep(tiles: Tensor) -> Tensor:
        seen.extend(tile[None].clone() for tile in tiles)
        return torch.zeros_like(tiles)

    watched = Predictor.from_networks(
        [keep], checkpoint.configuration, checkpoint.preprocessing, runtime="none", mirror=False
    )
    for case in cases:
        watched.predict_frame(raw.read_frame(case))
    return evenly(seen, 2 * CALIBRATION_FRAMES)


def _counts(predictor: Predictor, raw: Dataset, cases: Sequence[Case]) -> Mapping[str, int]:
    """Pixels right and wrong, over all frames; ignored ones left out."""
    both = found = there = 0
    for case in cases:
        frame, reference = raw.read_pair(case)
        mask = (predictor.predict_frame(frame).mask == 1) & (reference <= 1)
        wire = reference == 1
        both += int(np.count_nonzero(mask & wire))
        found += int(np.count_nonzero(mask))
        there += int(np.count_nonzero(wire))
    return {"both": both, "found": found, "there": there}


def _dice(counts: Mapping[str, int]) -> float:
    total = counts["found"] + counts["there"]
    return 2 * counts["both"] / total if total else 1.0
