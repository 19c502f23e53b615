"""The deformable convolution as ONNX has it: the operator ``DeformConv``.

It could go through ``GridSample`` as well. ONNX Runtime has both on a CPU, and there ``DeformConv`` is the faster one
(``benchmarks/export_deformable.py``). The choice stands here alone.
"""

from typing import Any

import torch
from torch import Tensor, nn

from gwunet.networks.deformable import KERNEL_SIZE, TAPS, DeformableConv2d, by_grid

OPSET = 20
"""The highest that torch's exporter without further packages writes; ``DeformConv`` came with 19, ``Gelu`` with 20."""


class _DeformConv(torch.autograd.Function):
    """``deformable_conv2d`` that an exporter writes as one operator; ours has its order of offsets and taps."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor) -> Tensor:
        del ctx
        return by_grid(features, offsets, modulation, weight)

    @staticmethod
    def symbolic(graph: Any, features: Any, offsets: Any, modulation: Any, weight: Any) -> Any:
        """The node in place of ``forward``."""
        channels = weight.type().sizes()[0]
        bias = graph.op("Constant", value_t=torch.zeros(channels))
        edges = {"kernel_shape_i": [KERNEL_SIZE] * 2, "pads_i": [KERNEL_SIZE // 2] * 4}
        output = graph.op("DeformConv", features, weight, offsets, bias, modulation, **edges)
        output.setType(features.type().with_sizes([None, channels, None, None]))
        return output


class _ExportedDeformableConv2d(nn.Module):
    def __init__(self, trained: DeformableConv2d) -> None:
        super().__init__()
        self.weight, self.predictor = trained.weight, trained.predictor

    def forward(self, features: Tensor) -> Tensor:
        offsets, modulation = self.predictor(features).split((2 * TAPS, TAPS), dim=1)
        output: Tensor = _DeformConv.apply(features, offsets, modulation.sigmoid(), self.weight)  # type: ignore[no-untyped-call]
        return output


def use_onnx_operator(network: nn.Module) -> None:
    """Replace every deformable convolution inside ``network`` by one that is exported as ``DeformConv``."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, DeformableConv2d):
                setattr(module, name, _ExportedDeformableConv2d(child))
