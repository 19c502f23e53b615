"""What the plans of the networks compared in the FGA-Net paper share."""

import copy
from typing import ClassVar

from gwunet.fingerprint import Fingerprint
from gwunet.planners.base import Planner, adamw_with_cosine
from gwunet.plans import Decision, Optimiser, Spec, Target

STRIDE = 32
"""FGA-Net's: every network gets patches of the same size, and each one's own reduction divides it."""


class ComparedPlanner(Planner):
    """A network in its paper's arguments on a GPU and in lesser ones on a CPU, with BCE + Dice on its one output."""

    by_default = False
    max_batch = 8
    cpu_batch = 4
    gpu_network: ClassVar[Spec]
    gpu_reason: ClassVar[str] = "the widths that the cost in the FGA-Net paper fits"
    cpu_network: ClassVar[Spec]
    cpu_reason: ClassVar[str]
    """What is less than on a GPU; ``network_reason`` says what for."""

    def stride(self, target: Target) -> int:
        """The same for all."""
        del target
        return STRIDE

    def network(self, patch_size: tuple[int, int], target: Target) -> Spec:
        """The same for any patch."""
        del patch_size
        return copy.deepcopy(self.gpu_network if target.device == "cuda" else self.cpu_network)

    def network_reason(self, target: Target) -> str:
        """Why these arguments."""
        if target.device == "cuda":
            return self.gpu_reason
        return f"{self.cpu_reason}, so that a training step takes a fraction of a second on a CPU"

    def loss(
        self, fingerprint: Fingerprint, patch_size: tuple[int, int], target: Target, decisions: list[Decision]
    ) -> tuple[Spec, tuple[float, ...]]:
        """BCE + Dice; one output."""
        del fingerprint, patch_size, target
        decisions.append(
            Decision(
                what="loss",
                value="BCE + Dice",
                reason="the usual one: Dice is not drowned by background, BCE has a gradient everywhere",
                change="-pl",
            )
        )
        return Spec(name="BCEDiceLoss", arguments={}), (1.0,)

    def optimiser(self, target: Target, decisions: list[Decision]) -> Optimiser:
        """AdamW with a cosine."""
        del target
        return adamw_with_cosine(1e-3, "as LinkNet's: converges in minutes from fresh weights", decisions)
