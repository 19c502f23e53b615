"""From a fingerprint and a target machine to one configuration: pure, and every decision with its reason."""

import abc
import importlib
import math
from typing import ClassVar

from gwunet.errors import UsageError
from gwunet.fingerprint import Fingerprint
from gwunet.planners.memory import GIB, StepMemory
from gwunet.plans import Augmentation, Configuration, Decision, Duration, Inference, Optimiser, Spec, Target
from gwunet.tiling import tile_starts

CPU_PATCH_EDGE = 128
"""On a CPU patches are no larger: time and not memory is the limit, and small patches make many steps in it."""
CPU_MINUTES = 8.0
"""Training time on a CPU: a first result within ten minutes, planning and validation included."""
SMALLEST_PATCH_EDGE = 64
SHRINK_SHARE = 0.1
"""A patch that does not fit the memory loses about this share of its longest edge at a time."""
TILE_OVER_PATCH = 1.5
"""In prediction a network sees at most so many times the edge of what it was trained on. Networks trained on patches of
128 pixels lost 0.05 of Dice in whole frames of 384 and 512."""
CPU_STEP, GPU_STEP = 0.75, 0.5
"""Distance of tiles as a share of their edge. Tiles of 192 side by side lost 34% of the wires' pixels within 4 px of
where they meet, and 8% elsewhere; overlapping by a quarter, 7% and 6%."""
SIDE_BY_SIDE = "tiles that overlap would leave time for a smaller network alone"
CPU_PREDICTION = "four mirrored copies take a CPU four times as long and gave less than tiles that overlap"
FORWARD_SHARE = 0.4
"""What a forward pass takes of a training step on the same pixels, at most: counted, 0.13 to 0.36 for all networks."""


class Planner(abc.ABC):
    """Decides a configuration; a subclass says what its network, loss and recipe are.

    One planner plans one configuration name. The order of decisions is that of ``plan``: crop, patch, batch, loss,
    network, then the recipe and prediction.
    """

    name: ClassVar[str]
    """Registered name."""
    configuration_name: ClassVar[str]
    by_default: ClassVar[bool] = True
    """Whether the configuration is planned when none is named."""
    trainer: ClassVar[str]
    max_batch: ClassVar[int]
    """On a GPU: larger batches were not found better, or the paper's."""
    cpu_batch: ClassVar[int]
    cpu_patch_edge: ClassVar[int] = CPU_PATCH_EDGE
    cpu_patch_reason: ClassVar[str] = "on a CPU so that training makes many steps in minutes"
    cpu_step: ClassVar[float] = CPU_STEP
    keeps_rate: ClassVar[bool] = False
    """Whether it plans for the target's frame rate, and so only where one is asked for."""
    mirror: ClassVar[bool] = True
    """Whether prediction averages over mirrored copies."""
    prediction_reason: ClassVar[str] = "copies even out single passes"

    def plan(self, fingerprint: Fingerprint, target: Target) -> Configuration:
        """The configuration for a dataset on a machine.

        Raises:
            UsageError: not even the smallest patch fits the memory.
        """
        decisions = [_crop(fingerprint)]
        stride = self.stride(target)
        patch = self._patch_size(fingerprint, target, stride, decisions)
        patch, batch, memory = self._fit(fingerprint, patch, stride, target, decisions)
        network = self.network(patch, target)
        loss, weights = self.loss(fingerprint, patch, target, decisions)
        decisions.append(
            Decision(
                what="network",
                value=_describe(network),
                reason=self.network_reason(target),
                change=self.network_change(target),
            )
        )
        return Configuration(
            name=self.configuration_name,
            planner=self.name,
            trainer=self.trainer,
            target=target,
            network=network,
            loss=loss,
            deep_supervision_weights=weights,
            patch_size=patch,
            batch_size=batch,
            foreground_oversampling=self._oversampling(fingerprint, patch, decisions),
            augmentation=self.augmentation(target, decisions),
            optimiser=self.optimiser(target, decisions),
            duration=self._duration(fingerprint, batch, target, decisions),
            inference=self._inference(fingerprint, patch, batch, target, memory, decisions),
            decisions=tuple(decisions),
        )

    @staticmethod
    def warm_up() -> None:
        """Import what ``plan`` takes seconds to import, torch; called while frames are read."""
        importlib.import_module("gwunet.planners.counting")

    @abc.abstractmethod
    def stride(self, target: Target) -> int:
        """The network's whole reduction; networks take edges of any size.

        On a GPU patch edges are multiples of it, on a CPU of at most 16: small patches are padded less.
        """

    @abc.abstractmethod
    def network(self, patch_size: tuple[int, int], target: Target) -> Spec:
        """The network for a patch size."""

    @abc.abstractmethod
    def network_reason(self, target: Target) -> str:
        """Why this network, in a sentence."""

    def network_change(self, target: Target) -> str:
        """What would change the network."""
        return f"--target_device {'cpu' if target.device == 'cuda' else 'cuda'}, or -pl"

    @abc.abstractmethod
    def loss(
        self, fingerprint: Fingerprint, patch_size: tuple[int, int], target: Target, decisions: list[Decision]
    ) -> tuple[Spec, tuple[float, ...]]:
        """The loss and the deep-supervision weights, their reasons added to ``decisions``."""

    @abc.abstractmethod
    def optimiser(self, target: Target, decisions: list[Decision]) -> Optimiser:
        """How weights are updated, the reason added to ``decisions``."""

    def augmentation(self, target: Target, decisions: list[Decision]) -> Augmentation:
        """How training patches are varied."""
        everything = target.device == "cuda"
        decisions.append(
            Decision(
                what="augmentation",
                value="full circle, zoom 0.8 to 1.25, flips, intensity"
                + (", noise, blur, low resolution, hidden wire, collimator, dose" if everything else ""),
                reason="wires run in any direction, zoom and window change during an intervention"
                + (
                    "; the rest is what frames of other machines may show, its gain not measured yet"
                    if everything
                    else "; what makes frames harder needs more steps than minutes on a CPU have"
                ),
                change="augmentation in plans.json" + ("" if everything else "; --target_device cuda turns more on"),
            )
        )
        return Augmentation(
            rotation_deg=180.0,
            scale=(0.8, 1.25),
            spatial_probability=0.8,
            flip=True,
            brightness_probability=0.15,
            contrast_probability=0.15,
            gamma_probability=0.3,
            noise_probability=0.15 if everything else 0.0,
            blur_probability=0.1 if everything else 0.0,
            low_resolution_probability=0.1 if everything else 0.0,
            occlusion_probability=0.15 if everything else 0.0,
            collimator_probability=0.1 if everything else 0.0,
            exposure_probability=0.15 if everything else 0.0,
        )

    def _patch_size(
        self, fingerprint: Fingerprint, target: Target, stride: int, decisions: list[Decision]
    ) -> tuple[int, int]:
        field = (fingerprint.field_height.median, fingerprint.field_width.median)
        multiple = stride if target.device == "cuda" else min(stride, 16)
        wanted = [max(_round_up(edge, multiple), SMALLEST_PATCH_EDGE) for edge in field]
        reason = f"the median exposed field is {field[0]:.0f} x {field[1]:.0f}, rounded up to a multiple of {multiple}"
        change = "frames of another size"
        if target.device == "cpu" and max(wanted) > self.cpu_patch_edge:
            wanted = [min(edge, self.cpu_patch_edge) for edge in wanted]
            reason += f", at most {self.cpu_patch_edge} {self.cpu_patch_reason}"
            change = "--target_device cuda"
        decisions.append(Decision(what="patch size", value=f"{wanted[0]} x {wanted[1]}", reason=reason, change=change))
        return wanted[0], wanted[1]

    def _fit(
        self,
        fingerprint: Fingerprint,
        patch: tuple[int, int],
        stride: int,
        target: Target,
        decisions: list[Decision],
    ) -> tuple[tuple[int, int], int, StepMemory]:
        """Shrink the patch until a training step fits the memory, then fill the memory with patches."""
        smallest_batch = 2  # batch norm needs more than one patch
        memory = self._step_memory(fingerprint, patch, target)
        while memory.largest_batch(target.memory_gb) < smallest_batch:
            if max(patch) <= SMALLEST_PATCH_EDGE:
                raise UsageError(
                    f"{target.memory_gb} GiB do not hold a training step of {self.configuration_name} even with "
                    f"patches of {patch[0]} x {patch[1]}; give more with --memory_gb or plan another configuration"
                )
            # Activations grow with the area, so counting again after every cut is not needed.
            share = (target.memory_gb * GIB - memory.fixed) / (smallest_batch * memory.per_patch)
            patch = _shrink(patch, stride, share * patch[0] * patch[1])
            decisions.append(
                Decision(
                    what="patch size",
                    value=f"{patch[0]} x {patch[1]}",
                    reason=f"shrunk: two larger patches do not fit a training step into {target.memory_gb:g} GiB",
                    change="--memory_gb",
                )
            )
            memory = self._step_memory(fingerprint, patch, target)
        wanted = self.max_batch if target.device == "cuda" else self.cpu_batch
        fitting = memory.largest_batch(target.memory_gb)
        batch = min(wanted, fitting)
        decisions.append(
            Decision(
                what="batch size",
                value=str(batch),
                reason=f"at most {wanted} wanted, {fitting} would fit {target.memory_gb:g} GiB; a training step takes "
                f"{memory.bytes_of(batch) / GIB:.2g} GiB by count",
                change="--batch_size in training" if fitting >= wanted else "--memory_gb, or frames of another size",
            )
        )
        return patch, batch, memory

    def _step_memory(self, fingerprint: Fingerprint, patch: tuple[int, int], target: Target) -> StepMemory:
        # Torch comes late, so that commands begin at once; see warm_up.
        from gwunet.losses import LOSSES
        from gwunet.networks import NETWORKS
        from gwunet.planners.counting import count_step_memory

        network = self.network(patch, target)
        loss, weights = self.loss(fingerprint, patch, target, [])
        return count_step_memory(
            lambda: NETWORKS.get(network.name)(**network.arguments),
            LOSSES.get(loss.name)(**loss.arguments),
            weights,
            patch,
            target.device,
        )

    def _oversampling(self, fingerprint: Fingerprint, patch: tuple[int, int], decisions: list[Decision]) -> float:
        field = (fingerprint.field_height.median, fingerprint.field_width.median)
        # A patch may be larger than the field in one direction, where it shows no more of it.
        shown = math.prod(min(edge, math.ceil(extent)) for edge, extent in zip(patch, field, strict=True))
        covered = shown / math.prod(field)
        share = 0.33 if covered >= 0.9 else 0.67
        decisions.append(
            Decision(
                what="patches centred on wire",
                value=f"{share:.0%}",
                reason=f"a patch covers {min(covered, 1):.0%} of the median field; the less, the more often it would "
                "miss the wire",
                change="frames of another size, or another patch",
            )
        )
        return share

    def _inference(
        self,
        fingerprint: Fingerprint,
        patch: tuple[int, int],
        batch: int,
        target: Target,
        memory: StepMemory,
        decisions: list[Decision],
    ) -> Inference:
        largest, what = self._largest_frame(fingerprint)
        stride = self.stride(target)
        step = self.cpu_step if target.device == "cpu" else GPU_STEP
        wanted = _cheapest_tile(largest, patch, stride, step)
        # Activations grow with the area. A pass keeps less than the step that was counted, but takes a batch of tiles.
        fitting = (target.memory_gb * GIB - memory.fixed) / max(1.0, memory.per_patch) / max(1.0, FORWARD_SHARE * batch)
        tile = _largest_tile(wanted, patch, stride, fitting * math.prod(patch))
        if tile != wanted:
            reason = f"the largest of which a batch fits {target.memory_gb:g} GiB; {wanted[0]} x {wanted[1]} does not"
            change = "--memory_gb"
        elif all(edge >= extent for edge, extent in zip(tile, largest, strict=True)):
            reason, change = f"{what}: one forward pass for a frame, tiles only for larger ones", "larger frames"
        else:
            reason = (
                f"{what}, {largest[0]} x {largest[1]}, in tiles of 1 to {TILE_OVER_PATCH:g} patches a side, of which "
                "these take the least time: in much larger ones a network finds less than in what it was trained on"
            )
            change = "frames or patches of another size"
        decisions.append(
            Decision(what="tile size in prediction", value=f"{tile[0]} x {tile[1]}", reason=reason, change=change)
        )
        mirror = self.mirror and target.device != "cpu"
        planned = Inference(tile_size=tile, step=step, mirror=mirror, threshold=0.5)
        decisions.append(
            Decision(
                what="prediction",
                value=f"{'four' if mirror else 'no'} mirrored copies, tiles at most {step:g} of their size apart, wire "
                f"from {planned.threshold:g} on",
                reason=f"{CPU_PREDICTION if self.mirror and not mirror else self.prediction_reason}; "
                + ("tiles overlap, as at their ends a network lacks the surroundings" if step < 1 else SIDE_BY_SIDE)
                + "; the threshold is not tuned",
                change=("--disable_tta, " if mirror else "")
                + "--step_size, --threshold in prediction; inference in plans.json",
            )
        )
        return planned

    def _largest_frame(self, fingerprint: Fingerprint) -> tuple[tuple[int, int], str]:
        """Rows and columns that prediction is planned for, and what they are."""
        field = (math.ceil(fingerprint.field_height.maximum), math.ceil(fingerprint.field_width.maximum))
        return field, "the largest exposed field"

    def _duration(self, fingerprint: Fingerprint, batch: int, target: Target, decisions: list[Decision]) -> Duration:
        del fingerprint, batch
        if target.device == "cpu":
            decisions.append(
                Decision(
                    what="training time",
                    value=f"{CPU_MINUTES:g} minutes",
                    reason="on a CPU the plan is for a first result in minutes",
                    change="--minutes, --epochs, --iterations",
                )
            )
            return Duration(epochs=100, iterations_per_epoch=50, minutes=CPU_MINUTES)
        decisions.append(
            Decision(
                what="training time",
                value="250 epochs of 250 iterations",
                reason="a default not measured on a GPU yet",
                change="--epochs, --iterations, --minutes",
            )
        )
        return Duration(epochs=250, iterations_per_epoch=250, minutes=None)


def adamw_with_cosine(learning_rate: float, reason: str, decisions: list[Decision]) -> Optimiser:
    """AdamW that warms up and then follows half a cosine, the reason added to ``decisions``."""
    decisions.append(
        Decision(what="optimiser", value=f"AdamW, {learning_rate:g}, cosine", reason=reason, change="--lr")
    )
    return Optimiser(
        name="adamw",
        learning_rate=learning_rate,
        weight_decay=1e-2,
        momentum=0.0,
        schedule="cosine",
        warmup_share=0.05,
        gradient_clip=5.0,
    )


def _crop(fingerprint: Fingerprint) -> Decision:
    """What frames are cut to, which is the dataset's and no planner's."""
    kinds = [kind for border in fingerprint.borders.values() for kind in (border.depths.values() or [border])]
    levels = sorted({kind.level for kind in kinds if kind.threshold >= 0})
    border = f"; the border at {', '.join(f'{level:g}' for level in levels)}" if levels else ""
    return Decision(
        what="crop",
        value=f"to the exposed field, then mean 0 and deviation 1 inside it, 0 outside{border}",
        reason=f"{fingerprint.frames_with_border} of {fingerprint.n_frames} frames have a border, which shows nothing "
        "and would shift mean and deviation",
        change="frames of another border",
    )


def _cheapest_tile(extent: tuple[int, int], patch: tuple[int, int], stride: int, step: float) -> tuple[int, int]:
    """The whole extent where it is small, or the tile with which the fewest pixels are computed; of two the larger."""

    def edge_along(whole: int, least: int) -> int:
        most = max(least, math.floor(TILE_OVER_PATCH * least / stride) * stride)
        if whole <= most:
            return max(least, whole)
        return min(range(most, least - 1, -stride), key=lambda edge: edge * len(tile_starts(whole, edge, step)))

    return edge_along(extent[0], patch[0]), edge_along(extent[1], patch[1])


def _largest_tile(whole: tuple[int, int], patch: tuple[int, int], stride: int, area: float) -> tuple[int, int]:
    """The whole of it, or what has its shape, at most ``area`` pixels and edges of multiples; a patch at the least."""
    if math.prod(whole) <= area:
        return whole
    steps = max(whole) // stride
    for step in range(steps, 0, -1):
        rows, columns = (
            max(least, edge * step // steps // stride * stride) for edge, least in zip(whole, patch, strict=True)
        )
        if rows * columns <= area:
            return rows, columns
    return patch


def _shrink(patch: tuple[int, int], stride: int, area: float) -> tuple[int, int]:
    """Cut the longer edge, at least once, until the patch has at most ``area`` pixels or is the smallest there is."""
    while True:
        longest = max(patch)
        less = max(1, round(SHRINK_SHARE * longest / stride)) * stride
        rows, columns = (max(SMALLEST_PATCH_EDGE, edge - less) if edge == longest else edge for edge in patch)
        patch = (rows, columns)
        if rows * columns <= area or max(patch) <= SMALLEST_PATCH_EDGE:
            return patch


def _round_up(edge: float, multiple: int) -> int:
    return math.ceil(edge / multiple) * multiple


def _describe(spec: Spec) -> str:
    arguments = ", ".join(f"{key}={value}" for key, value in spec.arguments.items())
    return f"{spec.name}: {arguments}"
