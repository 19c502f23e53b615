"""The plan of the focal-loss LinkNet."""

from gwunet.fingerprint import Fingerprint
from gwunet.planners.base import Planner, adamw_with_cosine
from gwunet.planning import PLANNERS
from gwunet.plans import Decision, Optimiser, Spec, Target

GAMMA = 2.5
MIN_ALPHA = 1.0


@PLANNERS.register("LinkNetPlanner")
class LinkNetPlanner(Planner):
    """LinkNet with ResNet-50 on a GPU and a narrow ResNet-18 on a CPU."""

    name = "LinkNetPlanner"
    configuration_name = "linknet"
    trainer = "LinkNetTrainer"
    max_batch = 32
    cpu_batch = 4

    def stride(self, target: Target) -> int:
        """Of the encoder."""
        del target
        return 32

    def network(self, patch_size: tuple[int, int], target: Target) -> Spec:
        """The paper's on a GPU."""
        del patch_size
        if target.device == "cuda":
            return Spec(name="LinkNet", arguments={"in_channels": 1, "encoder": "resnet50", "width": 64})
        return Spec(name="LinkNet", arguments={"in_channels": 1, "encoder": "resnet18", "width": 32})

    def network_reason(self, target: Target) -> str:
        """Why this encoder."""
        if target.device == "cuda":
            return "the paper's encoder, ResNet-50"
        return "ResNet-18 of half the width, so that a training step takes well under a second on a CPU"

    def loss(
        self, fingerprint: Fingerprint, patch_size: tuple[int, int], target: Target, decisions: list[Decision]
    ) -> tuple[Spec, tuple[float, ...]]:
        """The modified focal loss; one output."""
        del patch_size, target
        alpha = max(MIN_ALPHA, round(fingerprint.background_to_wire / 10, 1))
        decisions.append(
            Decision(
                what="loss",
                value=f"focal, alpha {alpha:g}, gamma {GAMMA:g}",
                reason=f"alpha is a tenth of the background-to-wire ratio {fingerprint.background_to_wire:.0f}, as the "
                "paper found best (100 at 1:1000)",
                change="wires that cover another share of the frames",
            )
        )
        return Spec(name="ModifiedFocalLoss", arguments={"alpha": alpha, "gamma": GAMMA}), (1.0,)

    def optimiser(self, target: Target, decisions: list[Decision]) -> Optimiser:
        """AdamW with a cosine."""
        del target
        return adamw_with_cosine(1e-3, "converges in minutes from fresh weights", decisions)
