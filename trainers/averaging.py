"""An exponential moving average of the weights, which is validated and kept in place of the last ones."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

WARM_UP_STEPS = 10
"""Early on the average follows more closely: after n steps with (1 + n) / (10 + n), the decay at most."""


class WeightAverage:
    """Averages what a network's state dict holds; whole numbers (a batch norm's count) are copied."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self._network = network
        self._average = {name: value.detach().clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        """Add the network's weights as they are now."""
        share = 1 - min(self.decay, (1 + self.steps) / (WARM_UP_STEPS + self.steps))
        self.steps += 1
        averages, values = [], []
        for name, value in self._network.state_dict().items():
            if value.is_floating_point():
                averages.append(self._average[name])
                values.append(value)
            else:
                self._average[name].copy_(value)
        torch._foreach_lerp_(averages, values, share)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The network has the averaged weights for as long as the context lasts."""
        own = {name: value.detach().clone() for name, value in self._network.state_dict().items()}
        self._network.load_state_dict(self._average)
        try:
            yield
        finally:
            self._network.load_state_dict(own)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"steps": self.steps, "average": self._average}

    def restore(self, state: Mapping[str, Any]) -> None:
        """From a checkpoint."""
        self.steps = state["steps"]
        average: dict[str, Tensor] = state["average"]
        for name, value in average.items():
            self._average[name].copy_(value)
