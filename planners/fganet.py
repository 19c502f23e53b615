"""The plan of FGA-Net."""

import math
from collections.abc import Sequence
from typing import ClassVar

from gwunet.fingerprint import Fingerprint
from gwunet.planners.base import Planner, adamw_with_cosine
from gwunet.planning import PLANNERS
from gwunet.plans import Decision, Optimiser, Spec, Target

MAX_STAGES = 6
MIN_BOTTLENECK_EDGE = 4
"""A stage is added as long as so much of a patch is left there."""
GPU_FIRST_FEATURES = 32
CPU_FEATURES = (16, 16, 32, 64, 128, 128)
"""Nearly a quarter of the paper's; below 16 channels a CPU's vector registers would be half empty."""


def narrow_decoder(features: Sequence[int]) -> list[int]:
    """Decoder features each as wide as the encoder feature of the next stage, the last as the first of them."""
    return [*features[-3::-1], features[0]]


def skeleton_iterations(fingerprint: Fingerprint) -> int:
    """Soft-skeleton iterations that the widest wire needs: half its width, rounded up, plus one."""
    return math.ceil(fingerprint.wire_width_px[1] / 2) + 1


@PLANNERS.register("FGANetPlanner")
class FGANetPlanner(Planner):
    """FGA-Net with as many stages as the patch allows."""

    name = "FGANetPlanner"
    configuration_name = "fganet"
    trainer = "FGANetTrainer"
    max_batch = 8
    cpu_batch = 8
    without: ClassVar[tuple[str, ...]] = ()
    """Switches of the network that a variant turns off."""
    cldice_weight: ClassVar[float] = 0.0
    """Of the hybrid loss; 0 is BCE + Dice."""

    def stride(self, target: Target) -> int:
        """Of the full six stages."""
        del target
        return 1 << (MAX_STAGES - 1)

    def network(self, patch_size: tuple[int, int], target: Target) -> Spec:
        """Features double from stage to stage; the paper's widths on a GPU, a quarter of them on a CPU."""
        stages = min(MAX_STAGES, int(math.log2(min(patch_size) / MIN_BOTTLENECK_EDGE)) + 1)
        if target.device == "cuda":
            features = [GPU_FIRST_FEATURES << index for index in range(stages)]
        else:
            features = list(CPU_FEATURES[:stages])
        # As wide as the skip of the same stage (the text), or as that of the next one (the cost figure).
        decoder_features = features[-2::-1] if target.device == "cuda" else narrow_decoder(features)
        return Spec(
            name="FGANet",
            arguments={
                "in_channels": 1,
                "features": features,
                "decoder_features": decoder_features,
                **dict.fromkeys(self.without, False),
            },
        )

    def network_reason(self, target: Target) -> str:
        """Why these widths and parts."""
        if target.device == "cuda":
            reason = "the paper's text: features double from 32, 1x1 fusion, as many stages as leave a bottleneck of 4"
        else:
            reason = (
                "about a quarter of the paper's widths, so that a training step takes a fraction of a second on a CPU"
            )
        return reason + "".join(f"; {switch} is off for the ablation" for switch in self.without)

    def network_change(self, target: Target) -> str:
        """What would change the network."""
        return f"{super().network_change(target)}; smaller patches give fewer stages"

    def loss(
        self, fingerprint: Fingerprint, patch_size: tuple[int, int], target: Target, decisions: list[Decision]
    ) -> tuple[Spec, tuple[float, ...]]:
        """The hybrid loss on every output, halved from stage to stage."""
        stages = len(self.network(patch_size, target).arguments["features"])
        iterations = skeleton_iterations(fingerprint)
        decisions.append(self._loss_decision())
        if self.cldice_weight:
            decisions.append(
                Decision(
                    what="soft-skeleton iterations",
                    value=str(iterations),
                    reason=f"half the widest wire ({fingerprint.wire_width_px[1]:g} px), rounded up, plus one",
                    change="a widest wire of another width",
                )
            )
        total = sum(0.5**index for index in range(stages))
        weights = tuple(round(0.5**index / total, 6) for index in range(stages))
        decisions.append(
            Decision(
                what="weights of outputs",
                value=", ".join(f"{weight:.3f}" for weight in weights),
                reason=f"deep supervision of {stages} stages: the full resolution first, each then half, the sum 1",
                change="patches of another number of stages; deep_supervision_weights in plans.json",
            )
        )
        arguments = {"cldice_weight": self.cldice_weight, "skeleton_iterations": iterations}
        return Spec(name="HybridLoss", arguments=arguments), weights

    def _loss_decision(self) -> Decision:
        weight = self.cldice_weight
        if weight:
            return Decision(
                what="loss",
                value=f"BCE + {1 - weight:g} Dice + {weight:g} clDice",
                reason="the paper's; its text leaves the weight of clDice open, its authors' code has 0.25",
                change="loss in plans.json",
            )
        return Decision(
            what="loss",
            value="BCE + Dice, clDice off",
            reason="Dice is not drowned by background, BCE has a gradient everywhere; clDice costs skeletons",
            change="-c fganet_bsc (with clDice); loss in plans.json",
        )

    def optimiser(self, target: Target, decisions: list[Decision]) -> Optimiser:
        """AdamW with a cosine."""
        del target
        reason = "learns within minutes on a CPU; compared with the paper's recipe alone, for a minute"
        return adamw_with_cosine(3e-3, reason, decisions)
