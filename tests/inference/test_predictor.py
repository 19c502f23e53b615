"""The same prediction of a frame alone, among others and in a stream; and what happens when memory is too small."""

import logging
from collections.abc import Callable, Iterator

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort
from torch import Tensor

from gwunet.checkpoint import Checkpoint
from gwunet.device import computes_bf16
from gwunet.errors import FrameError, ModelError, UsageError
from gwunet.exporting.onnx_runtime import OnnxNetwork
from gwunet.exposed_field import Border
from gwunet.inference import Prediction, Predictor
from gwunet.inference.tiled_networks import TiledNetworks
from gwunet.networks import build_network
from gwunet.plans import Configuration, Preprocessing, Spec

Frame = NDArray[np.uint8]
PREPROCESSING = Preprocessing(borders={"uint8": Border(level=0.0, threshold=-1.0, spread=0.0)})


def dark(tiles: Tensor) -> Tensor:
    """Wire where a pixel is darker than its frame's mean."""
    return -4 * tiles


@pytest.fixture
def make_predictor(make_configuration: Callable[..., Configuration]) -> Callable[..., Predictor]:
    def make(network: Callable[[Tensor], Tensor] = dark, **options: object) -> Predictor:
        return Predictor.from_networks([network], make_configuration(), PREPROCESSING, runtime="made", **options)  # type: ignore[arg-type]

    return make


@pytest.fixture
def trained(make_configuration: Callable[..., Configuration]) -> Predictor:
    torch.manual_seed(0)
    configuration = make_configuration()
    weights = build_network(configuration).state_dict()
    checkpoint = Checkpoint(
        dataset="Dataset001_Made",
        trainer="FGANetTrainer",
        configuration=configuration,
        preprocessing=PREPROCESSING,
        weights=weights,
        epoch=1,
        training={},
    )
    return Predictor([checkpoint], device="cpu")


def frames_of(*shapes: tuple[int, int]) -> list[Frame]:
    rng = np.random.default_rng(3)
    return [rng.integers(40, 200, shape, dtype=np.uint8) for shape in shapes]


def same(one: Prediction, other: Prediction) -> bool:
    return np.array_equal(one.mask, other.mask) and np.array_equal(one.probability, other.probability)


def test_a_frame_is_predicted_alike_alone_among_others_and_in_a_stream(trained: Predictor) -> None:
    frames = frames_of((64, 64), (64, 64), (70, 64), (64, 64), (45, 99))
    alone = [trained.predict_frame(frame) for frame in frames]
    assert all(map(same, trained.predict_frames(frames), alone))
    assert all(map(same, trained.predict_frames(reversed(frames)), reversed(alone)))
    streamed = list(trained.stream(frames, waiting=None))
    assert [each.number for each in streamed] == list(range(5))
    assert all(same(each.prediction, before) for each, before in zip(streamed, alone, strict=True))


def test_frames_of_one_size_share_a_forward_pass_where_that_pays(
    make_predictor: Callable[..., Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: the batch is as planned, and a frame of another size begins a new one."""
    batches: list[tuple[int, ...]] = []

    def noting(tiles: Tensor) -> Tensor:
        batches.append(tuple(tiles.shape))
        return dark(tiles)

    predictor = make_predictor(noting, mirror=False, batch_size=2)
    frames = frames_of((30, 20), (30, 20), (30, 20), (20, 30), (20, 30))
    alone = [predictor.predict_frame(frame) for frame in frames]
    assert batches == [(1, 1, *frame.shape) for frame in frames]
    batches.clear()
    monkeypatch.setattr(TiledNetworks, "frames_together", lambda self, _: self.batch_size)
    for found, before in zip(predictor.predict_frames(frames), alone, strict=True):
        np.testing.assert_allclose(found.probability, before.probability, atol=1e-6)
    assert batches == [(2, 1, 30, 20), (1, 1, 30, 20), (2, 1, 20, 30)]


def test_what_the_frames_raise_comes_in_its_place(
    make_predictor: Callable[..., Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Iterator[Frame]:
        yield from frames_of((30, 20), (30, 20), (30, 20))
        raise OSError("unplugged")

    for together in (1, 2, 8):
        monkeypatch.setattr(TiledNetworks, "frames_together", lambda *_, together=together: together)
        predictions = make_predictor().predict_frames(broken())
        assert len([next(predictions) for _ in range(3)]) == 3
        with pytest.raises(OSError, match="unplugged"):
            next(predictions)
    with pytest.raises(FrameError, match="must be"):
        list(make_predictor().predict_frames([np.zeros((4, 4, 3), np.uint8)]))
    with pytest.raises(FrameError, match=r"at least one pixel, got \(0, 5\)"):
        make_predictor().predict_frame(np.zeros((0, 5), np.uint8))


def test_smaller_batches_where_memory_is_short(
    make_predictor: Callable[..., Predictor], caplog: pytest.LogCaptureFixture
) -> None:
    def small(tiles: Tensor) -> Tensor:
        if len(tiles) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB")
        return dark(tiles)

    frame = frames_of((30, 20))[0]
    predictor = make_predictor(small, mirror=True, batch_size=8)
    with caplog.at_level(logging.WARNING):
        found = predictor.predict_frame(frame)
    assert same(found, make_predictor(mirror=True).predict_frame(frame))
    assert [record.getMessage().split("; ")[1] for record in caplog.records] == [
        "going on with --batch_size 2",
        "going on with --batch_size 1",
    ]
    assert predictor.batch_size == 1


def lack_on_a_cpu() -> RuntimeError:
    """What torch itself says here."""
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 45)
    return raised.value


LACKS_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory."),
    lack_on_a_cpu(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:116] data. DefaultCPUAllocator: not enough memory: you tried"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    MemoryError(),
    *(
        kind(f"[ONNXRuntimeError] : {code} : Non-zero status code returned while running Conv node. {message}")
        for kind, code, message in (
            (
                ort.Fail,
                "1 : FAIL",
                "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 9",
            ),
            (
                ort.RuntimeException,
                "6 : RUNTIME_EXCEPTION",
                "Available memory of 5 is smaller than requested bytes of 9",
            ),
            (ort.RuntimeException, "6 : RUNTIME_EXCEPTION", "Status Message: std::bad_alloc"),
            (ort.Fail, "1 : FAIL", "CUDA failure 2: out of memory ; GPU=0 ; hostname=host"),
            (ort.EPFail, "11 : EP_FAIL", "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0"),
        )
    ),
]


@pytest.mark.parametrize("problem", LACKS_OF_MEMORY, ids=range(len(LACKS_OF_MEMORY)))
def test_memory_that_does_not_hold_a_tile_is_said(make_predictor: Callable[..., Predictor], problem: Exception) -> None:
    def none(_: Tensor) -> Tensor:
        raise problem

    with pytest.raises(ModelError, match=r"too little memory for a single tile .* use --device cpu"):
        make_predictor(none, mirror=False, batch_size=1).predict_frame(frames_of((30, 20))[0])


@pytest.mark.parametrize(
    "problem",
    [
        RuntimeError("sizes differ"),
        ort.InvalidArgument("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : sizes differ"),
        ModelError("sizes differ"),
        FrameError("sizes differ: not enough memory of earlier frames"),  # only runtimes are taken at their words
    ],
)
def test_other_errors_of_a_network_are_no_lack_of_memory(
    make_predictor: Callable[..., Predictor], problem: Exception
) -> None:
    def wrong(_: Tensor) -> Tensor:
        raise problem

    with pytest.raises(type(problem), match="sizes differ"):
        make_predictor(wrong, mirror=True, batch_size=4).predict_frame(frames_of((30, 20))[0])


@pytest.mark.parametrize("mirror", [False, True])
def test_numbers_that_are_none_are_no_frame_without_wire(
    make_predictor: Callable[..., Predictor], mirror: bool
) -> None:
    def overflows(tiles: Tensor) -> Tensor:
        return torch.where(tiles > 1, torch.inf - torch.inf, -4 * tiles)

    with pytest.raises(ModelError, match=r"gives NaN on cpu.*--precision fp32"):
        make_predictor(overflows, mirror=mirror).predict_frame(frames_of((30, 20))[0])


class SmallSession:
    """What ``onnxruntime.InferenceSession`` is to ``OnnxNetwork``, with memory for one tile."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]

    def run(self, _: list[str], given: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        (tiles,) = given.values()
        if len(tiles) > 1:
            raise ort.Fail("[ONNXRuntimeError] : 1 : FAIL : Failed to allocate memory for requested buffer of size 9")
        return [-4 * tiles]


def test_onnx_runtime_gets_smaller_batches_too(
    make_predictor: Callable[..., Predictor], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(onnxruntime, "InferenceSession", SmallSession)
    predictor = make_predictor(OnnxNetwork(b"", "model.onnx"), mirror=True, batch_size=4)
    frame = frames_of((30, 20))[0]
    with caplog.at_level(logging.WARNING):
        assert same(predictor.predict_frame(frame), make_predictor(mirror=True).predict_frame(frame))
    assert predictor.batch_size == 1
    assert len(caplog.records) == 2


def test_a_batch_that_fails_is_not_tried_again(
    make_predictor: Callable[..., Predictor], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def failing(tiles: Tensor) -> Tensor:
        tried.append(len(tiles))
        raise RuntimeError("sizes differ")

    monkeypatch.setattr(TiledNetworks, "frames_together", lambda *_: 2)
    with pytest.raises(RuntimeError, match="sizes differ"):
        list(make_predictor(failing, mirror=False, batch_size=2).predict_frames(frames_of((30, 20), (30, 20))))
    assert tried == [2]


def test_precision_is_what_was_asked_for(trained: Predictor, make_configuration: Callable[..., Configuration]) -> None:
    assert trained.runtime.endswith("bfloat16" if computes_bf16(torch.device("cpu")) else "float32")
    network = build_network(make_configuration(network=Spec(name="UNet", arguments={"features": (4, 8)})))
    checkpoint = Checkpoint(
        dataset="Dataset001_Made",
        trainer="UNetTrainer",
        configuration=make_configuration(network=Spec(name="UNet", arguments={"features": (4, 8)})),
        preprocessing=PREPROCESSING,
        weights=network.state_dict(),
        epoch=1,
        training={},
    )
    frame = frames_of((64, 64))[0]
    exact, rough = (
        Predictor([checkpoint], device="cpu", precision=name).predict_frame(frame).probability  # type: ignore[arg-type]
        for name in ("fp32", "bf16")
    )
    assert 0 < np.abs(exact - rough).max() < 0.02
    with pytest.raises(UsageError, match="--batch_size 0"):
        Predictor([checkpoint], device="cpu", batch_size=0)


def test_warming_up_needs_no_frame(make_predictor: Callable[..., Predictor]) -> None:
    shapes: list[tuple[int, ...]] = []

    def noting(tiles: Tensor) -> Tensor:
        shapes.append(tuple(tiles.shape[-2:]))
        return dark(tiles)

    make_predictor(noting, mirror=False).warm_up((40, 56))
    assert shapes == [(40, 56)]
