"""What the plans of the two papers' own settings share: data changes nothing, memory the batch alone."""

import copy
import dataclasses
import math
from typing import ClassVar

from gwunet.errors import UsageError
from gwunet.fingerprint import Fingerprint
from gwunet.planners.base import Planner
from gwunet.planners.memory import GIB, StepMemory
from gwunet.plans import Augmentation, Decision, Duration, Optimiser, Spec, Target
from gwunet.published import FRAME_EDGE, PublishedRecipe

TRAINING_SHARE = 0.8
"""Of all frames, in the training half of one of five folds."""
EDIT = "nothing but an edit of plans.json"


class PublishedPlanner(Planner):
    """A network and its recipe as published, for data and machines that may be others."""

    by_default = False
    mirror = False
    prediction_reason = "neither paper names mirrored copies; the tiles' distance and the threshold are this program's"
    recipe: ClassVar[PublishedRecipe]
    published_network: ClassVar[Spec]
    outputs: ClassVar[int] = 1
    """Of the network in training."""
    patch_source: ClassVar[str]
    """What the paper says of the size of a patch."""
    loss_source: ClassVar[str]
    """Where the loss's weights come from."""
    optimiser_source: ClassVar[str]
    augmentation_value: ClassVar[str]
    augmentation_source: ClassVar[str]

    def stride(self, target: Target) -> int:
        """Of both networks; the published patch is a multiple of it."""
        del target
        return 32

    def network(self, patch_size: tuple[int, int], target: Target) -> Spec:
        """The same on every machine."""
        del patch_size, target
        return copy.deepcopy(self.published_network)

    def network_change(self, target: Target) -> str:
        """What would change the network."""
        del target
        return EDIT

    def loss(
        self, fingerprint: Fingerprint, patch_size: tuple[int, int], target: Target, decisions: list[Decision]
    ) -> tuple[Spec, tuple[float, ...]]:
        """The published one, whatever the wires' width and share of the frame."""
        del fingerprint, patch_size, target
        loss = copy.deepcopy(self.recipe.loss)
        value = ", ".join(f"{name} {value}" for name, value in loss.arguments.items())
        decisions.append(Decision(what="loss", value=value, reason=self.loss_source, change=EDIT))
        return loss, self.recipe.weights((1.0,) * self.outputs)

    def optimiser(self, target: Target, decisions: list[Decision]) -> Optimiser:
        """The published one."""
        del target
        plan = self.recipe.optimiser
        value = f"SGD, {plan.learning_rate:g}, momentum {plan.momentum:g}, weight decay {plan.weight_decay:g}, " + (
            f"annealed over {plan.annealing_epochs} epochs and back"
            if plan.schedule == "annealing"
            else f"times {plan.plateau_factor:g} on a plateau of more than {plan.plateau_patience} epochs"
        )
        decisions.append(
            Decision(
                what="optimiser", value=value, reason=self.optimiser_source, change="--lr, or an edit of plans.json"
            )
        )
        return plan

    def augmentation(self, target: Target, decisions: list[Decision]) -> Augmentation:
        """The published one."""
        del target
        decisions.append(
            Decision(what="augmentation", value=self.augmentation_value, reason=self.augmentation_source, change=EDIT)
        )
        return self.recipe.augmentation

    def _patch_size(
        self, fingerprint: Fingerprint, target: Target, stride: int, decisions: list[Decision]
    ) -> tuple[int, int]:
        del target, stride
        rows, columns = _largest_field(fingerprint)
        whole = max(rows, columns) <= FRAME_EDGE
        decisions.append(
            Decision(
                what="patch size",
                value=f"{FRAME_EDGE} x {FRAME_EDGE}",
                reason=self.patch_source
                + ("" if whole else f"; of the largest here, {rows:.0f} x {columns:.0f}, a part"),
                change=EDIT,
            )
        )
        return FRAME_EDGE, FRAME_EDGE

    def _fit(
        self,
        fingerprint: Fingerprint,
        patch: tuple[int, int],
        stride: int,
        target: Target,
        decisions: list[Decision],
    ) -> tuple[tuple[int, int], int, StepMemory]:
        """The published batch, or what of it fits; the patch stays."""
        del stride
        memory = self._step_memory(fingerprint, patch, target)
        published, fitting = self.recipe.batch_size, memory.largest_batch(target.memory_gb)
        if fitting < 1:
            raise UsageError(
                f"{target.memory_gb:g} GiB do not hold a training step of {self.configuration_name} with one patch of "
                f"{patch[0]} x {patch[1]}, as published, which takes {memory.bytes_of(1) / GIB:.2g} GiB by count; give "
                "more with --memory_gb, or plan a configuration that follows the memory"
            )
        batch = min(published, fitting)
        reason, change = f"the published one; a training step takes {memory.bytes_of(batch) / GIB:.2g} GiB by count", ""
        if batch < published:
            reason = (
                f"departs from the published {published}, which take {memory.bytes_of(published) / GIB:.2g} GiB by "
                f"count: {target.memory_gb:g} GiB hold no more; the learning rate is not adapted to it"
            )
            change = "--memory_gb, or "
        decisions.append(Decision(what="batch size", value=str(batch), reason=reason, change=change + "--batch_size"))
        return patch, batch, memory

    def _oversampling(self, fingerprint: Fingerprint, patch: tuple[int, int], decisions: list[Decision]) -> float:
        """None of whole frames; where a patch is a part, as other plans, or most patches would have no wire."""
        if all(edge <= patch_edge for edge, patch_edge in zip(_largest_field(fingerprint), patch, strict=True)):
            decisions.append(
                Decision(what="patches centred on wire", value="0%", reason="whole frames need none", change=EDIT)
            )
            return 0.0
        share = super()._oversampling(fingerprint, patch, decisions)
        usual = decisions.pop()
        reason = f"departs from the papers, which name no centring, as a patch is a part here: {usual.reason}"
        decisions.append(dataclasses.replace(usual, reason=reason, change="frames of another size, or an edit"))
        return share

    def _duration(self, fingerprint: Fingerprint, batch: int, target: Target, decisions: list[Decision]) -> Duration:
        iterations = max(1, math.ceil(TRAINING_SHARE * fingerprint.n_frames / batch))
        reason = (
            f"as published; an epoch is one pass over four fifths of {fingerprint.n_frames} frames, as of five folds"
        )
        if target.device == "cpu":
            reason += "; how long a step of this size takes on a CPU is unmeasured, expect days"
        decisions.append(
            Decision(
                what="training time",
                value=f"{self.recipe.epochs} epochs of {iterations} iterations",
                reason=reason,
                change="--epochs, --iterations, --minutes; the number of frames",
            )
        )
        return Duration(epochs=self.recipe.epochs, iterations_per_epoch=iterations, minutes=None)


def _largest_field(fingerprint: Fingerprint) -> tuple[float, float]:
    return fingerprint.field_height.maximum, fingerprint.field_width.maximum
