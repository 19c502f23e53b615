"""A network that ONNX Runtime runs, called like one of torch's."""

import collections
import threading
from typing import Any

import torch
from torch import Tensor

from gwunet.device import available_cores
from gwunet.errors import ModelError, UsageError
from gwunet.exporting import extra
from gwunet.exporting.graph import AXES, INPUT, OUTPUT

CPU_PROVIDER = "CPUExecutionProvider"
OF_CUDA = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
"""Those that run on a GPU which torch calls ``cuda:N``."""
EVEN = 32
"""Tiles whose edges are multiples of this halve evenly all the way down. They get a session for their very size, in
which the runtime fuses what it cannot where sizes are unknown: upsampling by two stays in the convolutions' layout."""
SESSIONS = 2
"""Sessions of sizes that are kept; the one not used for longest gives way."""


def choose_provider(name: str | None) -> str:
    """The execution provider to use: the one of that name, or the CPU's.

    Raises:
        UsageError: ONNX Runtime is not installed, or has no such provider here.
    """
    present = extra.load("onnxruntime").get_available_providers()
    wanted = name or CPU_PROVIDER
    by_name = {each.lower().removesuffix("executionprovider"): each for each in present}
    found = by_name.get(wanted.lower().removesuffix("executionprovider"))
    if found is None:
        raise UsageError(
            f"--provider {wanted}: not in this ONNX Runtime, which has {', '.join(present)}; name one of them, or "
            "install a build of ONNX Runtime that has it"
        )
    return str(found)


class OnnxNetwork:
    """Tiles ``(B, 1, h, w)`` float32 to logits of the same shape; any sizes."""

    def __init__(
        self,
        model: bytes,
        where: str,
        provider: str | None = None,
        threads: int | None = None,
        *,
        gpu: int = 0,
    ) -> None:
        """
        Args:
            model: an ONNX file's content.
            where: its name in messages.
            provider: of the runtime's execution providers; None takes the CPU's.
            threads: None takes a thread for each core of this process.
            gpu: which one, for providers that run on CUDA's.

        Raises:
            ModelError: the runtime cannot run it.
            UsageError: there is no such provider, or no ONNX Runtime.
        """
        self.provider = choose_provider(provider)
        self._gpu = gpu
        self._model = model
        self._where = where
        self._threads = threads or available_cores()
        self._of_size: collections.OrderedDict[tuple[int, ...], Any] = collections.OrderedDict()
        self._lock = threading.Lock()
        self._general = self._session(None)

    @property
    def runs_on(self) -> str:
        """``cpu``, ``cuda:N``, or of another kind of device the provider's name."""
        if self.provider == CPU_PROVIDER:
            return "cpu"
        return f"cuda:{self._gpu}" if self.provider in OF_CUDA else self.provider.removesuffix("ExecutionProvider")

    def __call__(self, tiles: Tensor) -> Tensor:
        """Logits ``(B, 1, h, w)`` float32 on the device of ``tiles``.

        Raises:
            ModelError: the runtime fails, or gives another shape.
        """
        given = tiles.detach().to("cpu", torch.float32).contiguous()
        session = self._for_size(tuple(given.shape))
        try:
            (found,) = session.run([OUTPUT], {INPUT: given.numpy()})
        except Exception as problem:  # the runtime has a dozen kinds, all derived from Exception alone
            raise ModelError(f"{self._where}: ONNX Runtime cannot run the model: {_first_line(problem)}") from problem
        if found.shape != tuple(given.shape) or found.dtype.name != "float32":
            raise ModelError(
                f"{self._where}: found logits {found.shape} of {found.dtype} for tiles {tuple(given.shape)}; wanted "
                "their shape in float32: export the model again"
            )
        return torch.from_numpy(found).to(tiles.device)

    def _for_size(self, size: tuple[int, ...]) -> Any:
        """A session by size alone, so that a tile has the same logits whatever came before it."""
        if size[2] % EVEN or size[3] % EVEN:
            return self._general
        with self._lock:
            session = self._of_size.pop(size, None) or self._session((size[0], *size[2:]))
            self._of_size[size] = session
            if len(self._of_size) > SESSIONS:
                self._of_size.popitem(last=False)
        return session

    def _session(self, sizes: tuple[int, ...] | None) -> Any:
        runtime = extra.load("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self._threads
        # Its threads would keep the cores busy for a while after each run, and whatever comes next would wait for them.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 4  # what goes wrong is in the exception; standard output may be somebody's JSON
        for name, edge in zip(AXES, sizes or (), strict=False):
            options.add_free_dimension_override_by_name(name, edge)
        first = (self.provider, {"device_id": self._gpu}) if self.provider in OF_CUDA else self.provider
        providers = [first] if self.provider == CPU_PROVIDER else [first, CPU_PROVIDER]
        try:
            session = runtime.InferenceSession(self._model, options, providers=providers, enable_fallback=0)
        except Exception as problem:  # as above
            raise ModelError(f"{self._where}: ONNX Runtime cannot load the model: {_first_line(problem)}") from problem
        if self.provider not in session.get_providers():  # it goes on with the CPU by itself
            raise UsageError(
                f"--provider {self.provider}: ONNX Runtime has it but cannot start it; check that its libraries are "
                "installed, or name another one"
            )
        return session


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0][:300]
