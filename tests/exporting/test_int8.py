"""Quantisation: what it makes, and what goes back to float32."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from gwunet.exporting.int8 import Quantiser, part_of, search
from gwunet.exporting.onnx_runtime import OnnxNetwork


@pytest.fixture
def graph() -> Any:
    """Convolutions in a row, in stages as the exporter names them; the weights of ``b.1`` differ a thousandfold."""
    rng = np.random.default_rng(0)
    nodes, weights, last = [], [], "tiles"
    for name, given, made in (("a.0", 1, 4), ("a.1", 4, 4), ("b.0", 4, 4), ("b.1", 4, 4), ("heads.0", 4, 1)):
        kernel = rng.normal(size=(made, given, 3, 3)).astype(np.float32) / 3
        if name == "b.1":
            kernel[:, 0] *= 1000  # and what comes from the other channels drowns in the rounding of 8 bits
        weights.append(numpy_helper.from_array(kernel, f"{name}.weight"))
        out = "logits" if name == "heads.0" else f"{name}.out"
        nodes.append(
            helper.make_node("Conv", [last, f"{name}.weight"], [out], f"/network/{name}/x/Conv", pads=[1, 1, 1, 1])
        )
        last = out
    edges = ["batch", 1, "height", "width"]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, edges) for name in ("tiles", "logits")]
    made = helper.make_graph(nodes, "g", value[:1], value[1:], weights)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def quantised_weights(model: Any) -> set[str]:
    names = {each.name: each.data_type for each in model.graph.initializer}
    return {name.removesuffix(".weight_quantized") for name, kind in names.items() if kind == TensorProto.INT8} - {
        name for name in names if name.endswith("zero_point")
    }


def test_weights_have_8_bits_and_a_scale_for_each_channel(graph: Any, tmp_path: Path) -> None:
    tiles = [torch.randn(1, 1, 16, 16) for _ in range(3)]
    before = graph.SerializeToString()
    model = Quantiser(graph, tiles, tmp_path).quantise(())
    assert quantised_weights(model) == {"a.1", "b.0", "b.1"}  # not the first and the last
    scales = [each for each in model.graph.initializer if each.name == "b.0.weight_scale"]
    assert numpy_helper.to_array(scales[0]).shape == (4,)
    assert graph.SerializeToString() == before
    onnx.checker.check_model(model)


def test_parts_stay_in_float(graph: Any, tmp_path: Path) -> None:
    tiles = [torch.randn(1, 1, 16, 16)]
    quantiser = Quantiser(graph, tiles, tmp_path)
    assert set(quantiser.parts) == {"a.1", "b.0", "b.1"}
    assert quantised_weights(quantiser.quantise(["b.0"])) == {"a.1", "b.1"}
    everything = quantiser.quantise(list(quantiser.parts))
    assert quantised_weights(everything) == set()
    exact = OnnxNetwork(graph.SerializeToString(), "float", threads=1)(tiles[0])
    torch.testing.assert_close(OnnxNetwork(everything.SerializeToString(), "float", threads=1)(tiles[0]), exact)


class Losing:
    """Quantises nothing, but knows what would be lost: the sum over parts that are not in float32."""

    def __init__(self, harm: dict[str, float]) -> None:
        self.harm = harm
        self.parts = {part: [part] for part in harm}

    def quantise(self, in_float: Collection[str]) -> float:
        return sum(loss for part, loss in self.harm.items() if part not in in_float)


@pytest.mark.parametrize(("enough", "left"), [(1.0, ()), (0.15, ("b",)), (0.05, ("b", "d")), (0.0, ("b", "d", "a"))])
def test_the_most_harmful_parts_go_back_first(
    enough: float, left: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quantiser = Losing({"a": 0.03, "b": 0.5, "c": 0.01, "d": 0.08})
    monkeypatch.setattr("gwunet.exporting.int8.probabilities", lambda model, _: torch.tensor(model))
    model, found = search(quantiser, [torch.zeros(1)], float, enough)  # type: ignore[arg-type]
    assert found == tuple(left)
    assert model == pytest.approx(quantiser.quantise(left))


def test_the_search_is_bounded_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    quantiser = Losing({"a": 0.03, "b": 0.5})
    monkeypatch.setattr("gwunet.exporting.int8.probabilities", lambda model, _: torch.tensor(model))
    model, found = search(quantiser, [torch.zeros(1)], float, 0.0, seconds=0.0)  # type: ignore[arg-type]
    assert (model, found) == (quantiser.quantise(()), ())


@pytest.mark.parametrize(
    ("node", "part"),
    [
        ("/network/encoder.2/encoder.2.0/pointwise/Conv", "encoder.2"),
        ("/network/heads.5/Conv", "heads.5"),
        ("/network/encoder/layer1/layer1.0/conv1/Conv", "encoder.layer1"),
        ("/network/decoder4/decoder4.0/Conv", "decoder4.decoder4.0"),
        ("/network/Concat", "Concat"),
    ],
)
def test_nodes_belong_to_stages(node: str, part: str) -> None:
    assert part_of(node) == part
