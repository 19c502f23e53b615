"""From networks to one ONNX graph: tiles ``(batch, 1, height, width)`` in, logits of the same shape out."""

import copy
import io
import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.exporting import extra
from gwunet.exporting.deformable import OPSET, use_onnx_operator
from gwunet.networks import FGANet
from gwunet.networks.folding import fold_batch_norms

INPUT, OUTPUT = "tiles", "logits"
AXES = ("batch", "height", "width")
"""Names of the sizes that are free."""
EXAMPLE = (2, 1, 96, 128)
"""A tile for the exporter to follow; its sizes do not stay in the graph."""
LEAST_PROBABILITY = 1e-7
"""Logits of averaged probabilities stay finite; nearer to 1 float32 has hardly a number."""


def network_graph(network: nn.Module) -> Any:
    """The ONNX model of one network as prediction runs it, batch norms folded.

    Args:
        network: with its weights, on the CPU; left as it is.

    Returns:
        An ``onnx.ModelProto``.

    Raises:
        UsageError: onnx is not installed.
    """
    onnx = extra.load("onnx")
    folded = fold_batch_norms(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    use_onnx_operator(folded)
    free = {0: AXES[0], 2: AXES[1], 3: AXES[2]}
    file = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter that needs no further package says that it is old; networks look at sizes on purpose.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _OfAnySize(folded).eval(),
            (torch.zeros(EXAMPLE),),
            file,  # type: ignore[arg-type]  # it takes files too
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: free, OUTPUT: free},
            opset_version=OPSET,
            dynamo=False,
        )
    return onnx.load_from_string(file.getvalue())


class _OfAnySize(nn.Module):
    """FGANet pads the smallest frames by a condition in Python, which a graph cannot follow; here it is arithmetic."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.least = network.stride + 1 if isinstance(network, FGANet) else 0

    def forward(self, tiles: Tensor) -> Tensor:
        if not self.least:
            logits: Tensor = self.network(tiles)
            return logits
        sizes = torch._shape_as_tensor(tiles)
        height, width = sizes[2], sizes[3]
        too_small = (torch.maximum(height, width) < self.least).long()
        padding = too_small * (self.least - width)
        inside: Tensor = self.network(F.pad(tiles, (0, padding, 0, 0)))  # type: ignore[arg-type]  # traced
        return inside[..., : tiles.shape[-1]]


def averaged(models: Sequence[Any]) -> Any:
    """One model of several: its logits are those of the mean of their probabilities.

    Args:
        models: each as ``network_graph`` gives it, or quantised.

    Returns:
        An ``onnx.ModelProto``; of one model that model itself.
    """
    if len(models) == 1:
        return models[0]
    onnx = extra.load("onnx")
    compose, helper = extra.load("onnx.compose"), onnx.helper
    merged = copy.deepcopy(models[0])
    graph = merged.graph
    for part in ("node", "initializer", "value_info"):
        graph.ClearField(part)
    names = []
    for index, model in enumerate(models):
        prefix = f"fold{index}/"
        part = compose.add_prefix(model, prefix, rename_inputs=False)
        graph.node.extend(part.graph.node)
        graph.initializer.extend(part.graph.initializer)
        probability = f"{prefix}probability"
        graph.node.append(helper.make_node("Sigmoid", [part.graph.output[0].name], [probability]))
        names.append(probability)
    constants = {"least": LEAST_PROBABILITY, "most": 1 - LEAST_PROBABILITY, "one": 1.0}
    graph.initializer.extend(
        helper.make_tensor(name, onnx.TensorProto.FLOAT, [], [value]) for name, value in constants.items()
    )
    for operator, given, made in (
        ("Mean", names, "mean"),
        ("Clip", ["mean", "least", "most"], "probability"),
        ("Sub", ["one", "probability"], "rest"),
        ("Log", ["probability"], "log_probability"),
        ("Log", ["rest"], "log_rest"),
        ("Sub", ["log_probability", "log_rest"], OUTPUT),
    ):
        graph.node.append(helper.make_node(operator, given, [made]))
    return merged
