"""The deformable convolution in ONNX Runtime: the operator ``DeformConv`` beside ``GridSample`` and a matrix product.

    python benchmarks/export_deformable.py [--repeats 11] [--threads 2] [--provider CPU]

Both ways are exported alone, at the sizes they have in FGA-Net, and take turns with torch's own; medians, and ratios to
``DeformConv``. ``gwunet.exporting.deformable`` takes what is faster here.
"""

import argparse
import io
import statistics
import warnings
from collections.abc import Callable

import onnxruntime
import torch
from torch import Tensor, nn

from gwunet.benchmark.turns import seconds_in_turn
from gwunet.device import available_cores, keep_freed_memory
from gwunet.exporting.deformable import OPSET, _DeformConv
from gwunet.exporting.onnx_runtime import choose_provider
from gwunet.networks.deformable import TAPS, by_grid, by_rows

SIZES = ((16, 128), (64, 128), (128, 64), (256, 32), (768, 64))
"""Channels and edge: on a frame of 512x512 the CPU plan's encoder and decoder, and the widest of the paper's text."""


class Alone(nn.Module):
    """One way of computing it as a network."""

    def __init__(self, way: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor], channels: int) -> None:
        super().__init__()
        self.way = way
        self.weight = nn.Parameter(torch.randn(channels, channels, 3, 3))

    def forward(self, features: Tensor, offsets: Tensor, modulation: Tensor) -> Tensor:
        """As ``deformable_conv2d``."""
        return self.way(features, offsets, modulation, self.weight)


def runtimes(module: Alone, given: tuple[Tensor, ...], provider: str, threads: int) -> Callable[[], Tensor]:
    """The module in ONNX Runtime, its sizes fixed, called with ``given``."""
    file, names = io.BytesIO(), ["features", "offsets", "modulation"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, given, file, input_names=names, dynamo=False, opset_version=OPSET)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=[provider])
    inputs = {name: each.numpy() for name, each in zip(names, given, strict=True)}
    return lambda: torch.from_numpy(session.run(None, inputs)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--provider")
    arguments = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(arguments.threads)
    provider = choose_provider(arguments.provider)
    print(f"ONNX Runtime {onnxruntime.__version__}, {provider}, torch {torch.__version__}, {arguments.threads} threads")
    for channels, edge in SIZES:
        torch.manual_seed(0)
        shapes = ((1, channels, edge, edge), (1, 2 * TAPS, edge, edge), (1, TAPS, edge, edge))
        given = tuple(torch.randn(shape) for shape in shapes)
        operator, grid = Alone(_DeformConv.apply, channels), Alone(by_grid, channels)
        grid.load_state_dict(operator.state_dict())
        ways = {
            "DeformConv": runtimes(operator, given, provider, arguments.threads),
            "GridSample": runtimes(grid, given, provider, arguments.threads),
            "torch, by rows": lambda given=given, grid=grid: by_rows(*given, grid.weight),
        }
        with torch.inference_mode():
            expected = by_grid(*given, grid.weight)
            for name, way in ways.items():
                torch.testing.assert_close(way(), expected, atol=1e-3 * float(expected.std()), rtol=1e-3, msg=name)
            seconds = seconds_in_turn(ways, arguments.repeats)
        ms = {name: 1e3 * statistics.median(values) for name, values in seconds.items()}
        shown = "  ".join(f"{name} {value:7.1f} ms ({value / ms['DeformConv']:.2f})" for name, value in ms.items())
        print(f"{channels:4} channels x {edge:3} x {edge:3}  {shown}", flush=True)


if __name__ == "__main__":
    main()
