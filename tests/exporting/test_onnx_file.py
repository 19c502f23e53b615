"""ONNX files: loaded with all that prediction needs, and refused where they are not what gw_export writes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from PIL import Image

from gwunet.checkpoint import Checkpoint, load_weights
from gwunet.cli.predict import main
from gwunet.errors import GwunetError, ModelError, UsageError
from gwunet.exporting import load_exported
from gwunet.exporting.description import describe
from gwunet.exporting.graph import averaged, network_graph
from gwunet.exporting.onnx_file import write_onnx
from gwunet.inference import Predictor
from gwunet.networks import build_network

WRITTEN: list[bytes] = []
"""The file, once made: exporting takes longer than all the rest."""


@pytest.fixture
def model(checkpoints: tuple[Checkpoint, ...], tmp_path: Path) -> Path:
    """The two folds as ``gw_export --format onnx`` writes them."""
    path = tmp_path / "model.onnx"
    if not WRITTEN:
        graphs = []
        for checkpoint in checkpoints:
            network = build_network(checkpoint.configuration)
            load_weights(network, checkpoint, path)
            graphs.append(network_graph(network))
        write_onnx(path, averaged(graphs), describe(checkpoints, ("0", "1")))
        WRITTEN.append(path.read_bytes())
    path.write_bytes(WRITTEN[0])
    return path


def test_the_file_alone_predicts_what_torch_does(model: Path, checkpoints: tuple[Checkpoint, ...]) -> None:
    """Frames of one tile and of several, mirrored too."""
    loaded = load_exported(model, mirror=True, batch_size=3, threads=1)
    trained = Predictor(checkpoints, device="cpu", mirror=True, precision="fp32")
    assert loaded.configuration == trained.configuration
    assert loaded.preprocessing == trained.preprocessing
    assert "ONNX Runtime" in loaded.runtime
    rng = np.random.default_rng(2)
    for shape in ((33, 47), (64, 64), (90, 131)):
        frame = rng.integers(40, 220, shape, np.uint8)
        found, expected = loaded.predict_frame(frame).probability, trained.predict_frame(frame).probability
        assert expected.std() > 0.05
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_options_count(model: Path) -> None:
    loaded = load_exported(model, step=0.7, threshold=0.2, batch_size=5, threads=1)
    assert (loaded.inference.step, loaded.inference.threshold, loaded.batch_size) == (0.7, 0.2, 5)
    with pytest.raises(UsageError, match="threshold"):
        load_exported(model, threshold=2.0)


def test_the_runtime_must_fit_the_file(model: Path, archive: Path) -> None:
    with pytest.raises(UsageError, match="--runtime torch"):
        load_exported(model, runtime="torch")
    with pytest.raises(UsageError, match="--runtime onnx"):
        load_exported(archive, runtime="onnx")
    with pytest.raises(UsageError, match="--provider CPU"):
        load_exported(archive, provider="CPU")


def test_an_absent_provider_is_an_error_that_lists_those_there_are(model: Path) -> None:
    absent = next(name for name in onnxruntime.get_all_providers() if name not in onnxruntime.get_available_providers())
    with pytest.raises(UsageError, match=r"CPUExecutionProvider") as raised:
        load_exported(model, provider=absent)
    assert absent in str(raised.value)
    assert load_exported(model, provider="cpu", threads=1).runtime.startswith("ONNX Runtime")


def test_a_gpu_without_a_runtime_for_it_says_so(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    """``--device auto`` finds the GPU; the usual build of ONNX Runtime does not."""
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    assert "CPU" in load_exported(model, device="cuda", threads=1).runtime
    assert "onnxruntime-gpu" in caplog.text


class SessionOnGpu:
    """What ``onnxruntime.InferenceSession`` is to ``OnnxNetwork``, on a machine with GPUs."""

    asked: ClassVar[list[list[Any]]] = []

    def __init__(self, *_: object, providers: list[Any], **__: object) -> None:
        self.asked.append(providers)
        self.providers = [each if isinstance(each, str) else each[0] for each in providers]

    def get_providers(self) -> list[str]:
        return self.providers

    def run(self, _: list[str], given: dict[str, Any]) -> list[Any]:
        return list(given.values())


CUDA, TENSORRT, CPU = (f"{name}ExecutionProvider" for name in ("CUDA", "Tensorrt", "CPU"))


@pytest.mark.parametrize(
    ("device", "provider", "asked", "runs_on"),
    [
        ("cuda:2", None, [(CUDA, {"device_id": 2}), CPU], "cuda:2"),
        ("cuda", None, [(CUDA, {"device_id": 0}), CPU], "cuda:0"),
        ("cuda:1", "TensorRT", [(TENSORRT, {"device_id": 1}), CPU], "cuda:1"),
        ("cpu", "CUDA", [(CUDA, {"device_id": 0}), CPU], "cuda:0"),
        ("cuda:1", "CPU", [CPU], "cpu"),
        ("cpu", "Dml", ["DmlExecutionProvider", CPU], "Dml"),
    ],
)
def test_the_gpu_that_is_asked_for_runs_it_and_is_recorded(
    device: str,
    provider: str | None,
    asked: list[Any],
    runs_on: str,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [TENSORRT, CUDA, "DmlExecutionProvider", CPU]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "InferenceSession", SessionOnGpu)
    monkeypatch.setattr("gwunet.device.resolve_device", lambda name, _: name)
    SessionOnGpu.asked.clear()
    Image.fromarray(np.full((40, 40), 99, np.uint8)).save(tmp_path / "frame.png")
    flags = ["-i", str(tmp_path / "frame.png"), "-o", str(tmp_path / "out"), "-m", str(model), "--device", device]
    assert main([*flags, *(["--provider", provider] if provider else [])]) == 0
    assert SessionOnGpu.asked
    assert all(each == asked for each in SessionOnGpu.asked)
    assert f"per second) on {runs_on}; masks" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "run.json").read_text())["device"] == runs_on


def test_a_gpu_without_a_number_is_refused(model: Path) -> None:
    with pytest.raises(UsageError, match="--device cuda:first: unknown"):
        load_exported(model, provider="CPU", device="cuda:first")


@pytest.mark.gpu
@pytest.mark.parametrize("provider", ["CUDA", "TensorRT"])
def test_providers_of_a_gpu_give_the_same(provider: str, model: Path, checkpoints: tuple[Checkpoint, ...]) -> None:
    if f"{provider.lower()}executionprovider" not in map(str.lower, onnxruntime.get_available_providers()):
        pytest.skip(f"this ONNX Runtime has no {provider}")
    frame = np.random.default_rng(2).integers(40, 220, (64, 64), np.uint8)
    expected = Predictor(checkpoints, device="cpu", precision="fp32").predict_frame(frame).probability
    np.testing.assert_allclose(
        load_exported(model, provider=provider).predict_frame(frame).probability, expected, atol=1e-3
    )


def no_metadata(model: Any) -> None:
    del model.metadata_props[:]


def of_another_version(model: Any) -> None:
    model.metadata_props[0].value = model.metadata_props[0].value.replace(
        '"schema_version": 1', '"schema_version": 9', 1
    )


def broken_json(model: Any) -> None:
    model.metadata_props[0].value = model.metadata_props[0].value[:50]


def outside_data(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def outside_data_in_a_constant(model: Any) -> None:
    tensor = helper.make_tensor("hidden", TensorProto.FLOAT, [1], [0.0])
    outside = helper.make_node("Constant", [], ["hidden"], value=tensor)
    outside.attribute[0].t.ClearField("float_data")
    outside.attribute[0].t.data_location = TensorProto.EXTERNAL
    outside.attribute[0].t.external_data.add(key="location", value="../secret")
    model.graph.node.insert(0, outside)


def operator_of_somebody(model: Any) -> None:
    model.graph.node[0].domain = "com.evil"


def endless_loop(model: Any) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.insert(0, helper.make_node("Loop", ["", "yes"], [], body=body))


def unknown_operator(model: Any) -> None:
    model.graph.node[0].op_type = "Nonsense"


def other_names(model: Any) -> None:
    model.graph.input[0].name = "x"


def wrong_shape(model: Any) -> None:
    """Half of the logits."""
    *_, last = model.graph.node
    last.output[0] = "all_logits"
    model.graph.initializer.append(helper.make_tensor("to_0", TensorProto.INT64, [1], [0]))
    model.graph.initializer.append(helper.make_tensor("to_1", TensorProto.INT64, [1], [1]))
    model.graph.initializer.append(helper.make_tensor("on", TensorProto.INT64, [1], [2]))
    model.graph.node.append(helper.make_node("Slice", ["all_logits", "to_0", "to_1", "on"], ["logits"]))


EVIL: dict[str, tuple[Callable[[Any], None], str]] = {
    "of another program": (no_metadata, "without a description of gwunet"),
    "another version": (of_another_version, "schema version 9, wanted 1"),
    "broken description": (broken_json, "not valid JSON"),
    "data outside": (outside_data, "lies in another file"),
    "data outside, hidden": (outside_data_in_a_constant, "lies in another file"),
    "operators of somebody": (operator_of_somebody, "'com.evil'"),
    "a loop": (endless_loop, "found a graph inside"),
    "an unknown operator": (unknown_operator, "cannot load the model"),
    "other inputs": (other_names, "wanted 'tiles'"),
    "another shape": (wrong_shape, "found logits"),
}


@pytest.mark.parametrize("kind", EVIL)
def test_evil_models_are_refused(kind: str, model: Path) -> None:
    change, words = EVIL[kind]
    content = onnx.load(str(model))
    change(content)
    model.write_bytes(content.SerializeToString())
    with pytest.raises(ModelError, match=words):
        load_exported(model, threads=1).predict_frame(np.full((40, 40), 99, np.uint8))


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x0a", bytes(1000)])
def test_what_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx"):
        load_exported(path)
    with pytest.raises(ModelError, match="no such file"):
        load_exported(tmp_path / "absent.onnx")


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_truncated_model_is_refused(share: float, model: Path) -> None:
    content = model.read_bytes()
    model.write_bytes(content[: int(share * len(content))])
    with pytest.raises(GwunetError, match=r"model\.onnx"):
        load_exported(model)
