"""Any loss on the outputs of several decoder stages.

Reference: FGA-Net paper, section "Loss" (last equation), figure 4C.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.errors import SchemaError


class DeepSupervision(nn.Module):
    """The weighted sum of a loss over a network's outputs, each upsampled to the target.

    The outputs go up and not the target down, since a thin wire does not survive downsampling. The loss sees all
    outputs at once, so that what depends on the target alone is found once.
    """

    def __init__(self, loss: nn.Module, weights: Sequence[float]) -> None:
        """``weights``: one for each output, full resolution first; an output of weight 0 costs nothing.

        ``loss`` takes logits ``(K, B, 1, H, W)`` and the target ``(B, 1, H, W)`` and gives ``K`` values, as every
        loss of gwunet does.
        """
        super().__init__()
        if not any(weights):
            raise ValueError(f"the deep-supervision weights are {tuple(weights)}, at least one must not be 0")
        self.loss = loss
        self.weights = tuple(weights)

    def forward(self, outputs: Tensor | Sequence[Tensor], target: Tensor) -> Tensor:
        """Logits (or a tuple of them) and the target ``(B, 1, H, W)`` to a scalar.

        Raises:
            SchemaError: the network gives another number of outputs than there are weights.
        """
        if isinstance(outputs, Tensor):
            outputs = (outputs,)
        if len(outputs) != len(self.weights):
            raise SchemaError(
                f"plans.json: deep_supervision_weights: found {len(self.weights)}; wanted one for each of the "
                f"network's {len(outputs)} outputs"
            )
        counting = [
            (_upsample(logits, target), weight) for logits, weight in zip(outputs, self.weights, strict=True) if weight
        ]
        values = self.loss(torch.stack([logits for logits, _ in counting]), target)
        total: Tensor = (values * values.new_tensor([weight for _, weight in counting])).sum()
        return total

    @property
    def sums(self) -> bool:
        """Whether the loss adds up over pixels, so that of the parts of a batch values add up too; most are means."""
        return bool(getattr(self.loss, "sums", False))

    def on_final(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of the full-resolution output alone, as in validation."""
        value: Tensor = self.loss(logits, target)
        return value


def _upsample(logits: Tensor, target: Tensor) -> Tensor:
    logits = logits.float()
    if logits.shape[-2:] == target.shape[-2:]:
        return logits
    return F.interpolate(logits, size=target.shape[-2:], mode="bilinear", align_corners=False)
