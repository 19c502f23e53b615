"""What is decided: ``plans.json``, one configuration for each network, every decision with its reason.

Everything here is frozen. A planner makes it, trainers and predictors follow it, and a person may edit the file:
reading it back checks every key, type and range.
"""

import dataclasses
import math
from typing import Any, Literal

from gwunet.errors import UsageError
from gwunet.exposed_field import Border

MAX_EDGE_PX = 1 << 13
"""Of patches and tiles: twice the largest detectors. A plan comes with a model, perhaps from a stranger, and room is
made for what it asks for."""
MAX_BATCH_SIZE = 1 << 12


def _require(holds: bool, what: str, wanted: str) -> None:
    if not holds:
        raise ValueError(f"{what}, it must be {wanted}")


def _is_size(edges: tuple[int, int]) -> bool:
    return all(0 < edge <= MAX_EDGE_PX for edge in edges)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """A registered class by name, with its arguments."""

    name: str
    arguments: dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The machine a plan is for."""

    device: Literal["cpu", "cuda"]
    memory_gb: float
    """Memory a training step may take, in GiB."""
    realtime_fps: float | None = None
    """Frames per second that prediction has to keep there; null where no rate was asked for, and in plans made before
    it was known. It concerns planners that measure (``Planner.keeps_rate``)."""

    def __post_init__(self) -> None:
        _require(0 < self.memory_gb < math.inf, f"memory_gb is {self.memory_gb}", "a number above 0")
        rate = self.realtime_fps
        _require(rate is None or 0 < rate < math.inf, f"realtime_fps is {rate}", "above 0, or null")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """Crop to the exposed field, then z-score inside it, 0 outside."""

    borders: dict[str, Border]
    """The collimator's black for each integer type the dataset has."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """Ranges from which every training patch draws; a probability of 0 turns a transform off."""

    rotation_deg: float
    """Rotation by an angle up to this, either way; 180 is the full circle."""
    scale: tuple[float, float]
    """Zoom; below 1 shows more of the frame."""
    spatial_probability: float
    """Share of patches that are rotated and zoomed."""
    flip: bool
    """Mirror rows and columns, each for half of the patches."""
    brightness_probability: float
    contrast_probability: float
    gamma_probability: float
    noise_probability: float
    """White noise of one strength everywhere."""
    blur_probability: float
    low_resolution_probability: float = 0.0
    """Down to fewer pixels and up again. This and what follows is off in plans made before it was known."""
    inversion_probability: float = 0.0
    """Bright wires on dark; only where frames to be predicted may be inverted."""
    occlusion_probability: float = 0.0
    """A short gap in the wire, or a dark band across it; the target stays."""
    collimator_probability: float = 0.0
    """A blade or a circle's arc moves into the patch."""
    exposure_probability: float = 0.0
    """Quantum noise of a lower dose, or saturation at a higher one."""

    def __post_init__(self) -> None:
        low, high = self.scale
        _require(0 < low <= high, f"scale is {self.scale}", "two positive numbers, the smaller first")
        for field in dataclasses.fields(self):
            if field.name.endswith("_probability"):
                value = getattr(self, field.name)
                _require(0 <= value <= 1, f"{field.name} is {value}", "in [0, 1]")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Optimiser:
    """How weights are updated."""

    name: Literal["sgd", "adamw"]
    learning_rate: float
    weight_decay: float
    momentum: float
    """SGD only."""
    schedule: Literal["poly", "cosine", "constant", "annealing", "plateau"]
    """``poly``: (1 - t)^0.9; ``cosine``: half a cosine; t is the share of all iterations done. By epochs go
    ``annealing``, half a cosine down and the next one up again, and ``plateau``, lower whenever the loss on training
    frames set aside stops falling."""
    warmup_share: float
    """The learning rate rises linearly over this share of all iterations."""
    gradient_clip: float | None
    """Largest L2 norm of all gradients together; null leaves them as they are."""
    nesterov: bool = True
    """SGD with momentum looks ahead."""
    annealing_epochs: int = 50
    """``annealing`` only: epochs from the highest learning rate to 0, and from 0 back."""
    plateau_factor: float = 0.5
    """``plateau`` only: the learning rate is multiplied by this."""
    plateau_patience: int = 10
    """``plateau`` only: so many epochs without a lower loss are borne, the next one lowers the learning rate."""

    def __post_init__(self) -> None:
        _require(self.learning_rate > 0, f"learning_rate is {self.learning_rate}", "above 0")
        _require(self.weight_decay >= 0, f"weight_decay is {self.weight_decay}", "at least 0")
        _require(0 <= self.momentum < 1, f"momentum is {self.momentum}", "in [0, 1)")
        _require(0 <= self.warmup_share < 1, f"warmup_share is {self.warmup_share}", "in [0, 1)")
        clip = self.gradient_clip
        _require(clip is None or clip > 0, f"gradient_clip is {clip}", "above 0, or null")
        _require(self.annealing_epochs > 0, f"annealing_epochs is {self.annealing_epochs}", "at least 1")
        _require(0 < self.plateau_factor < 1, f"plateau_factor is {self.plateau_factor}", "between 0 and 1")
        _require(self.plateau_patience >= 0, f"plateau_patience is {self.plateau_patience}", "at least 0")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Duration:
    """How long training takes: a number of iterations, or the number that fits a time."""

    epochs: int
    iterations_per_epoch: int
    minutes: float | None
    """If given, epochs x iterations give way to what fits this time, measured once at the start."""

    def __post_init__(self) -> None:
        _require(self.epochs > 0, f"epochs is {self.epochs}", "at least 1")
        _require(self.iterations_per_epoch > 0, f"iterations_per_epoch is {self.iterations_per_epoch}", "at least 1")
        _require(self.minutes is None or self.minutes > 0, f"minutes is {self.minutes}", "above 0, or null")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Inference:
    """How frames are predicted."""

    tile_size: tuple[int, int]
    """Rows and columns of a tile; a frame no larger is predicted in one forward pass."""
    step: float
    """Distance of neighbouring tiles as a share of their size."""
    mirror: bool
    """Average over the four mirrored copies of a frame."""
    threshold: float
    """Probability from which a pixel is wire."""

    def __post_init__(self) -> None:
        _require(_is_size(self.tile_size), f"tile_size is {self.tile_size}", f"from 1 to {MAX_EDGE_PX}")
        _require(0 < self.step <= 1, f"step is {self.step}", "in (0, 1]")
        _require(0 < self.threshold < 1, f"threshold is {self.threshold}", "in (0, 1)")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """One thing a planner decided, for people to read."""

    what: str
    value: str
    reason: str
    change: str = ""
    """What would change it: a flag, another machine, other data; empty in files of before it was recorded."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """Everything that defines the training and use of one network."""

    name: str
    planner: str
    trainer: str
    """Trainer used unless another is asked for."""
    target: Target
    network: Spec
    loss: Spec
    deep_supervision_weights: tuple[float, ...]
    """One for each output of the network in training, full resolution first."""
    patch_size: tuple[int, int]
    """Rows and columns of a training patch."""
    batch_size: int
    foreground_oversampling: float
    """Share of patches centred on a wire pixel."""
    augmentation: Augmentation
    optimiser: Optimiser
    duration: Duration
    inference: Inference
    decisions: tuple[Decision, ...]

    def __post_init__(self) -> None:
        _require(_is_size(self.patch_size), f"patch_size is {self.patch_size}", f"from 1 to {MAX_EDGE_PX}")
        _require(self.batch_size > 0, f"batch_size is {self.batch_size}", "at least 1")
        _require(self.batch_size <= MAX_BATCH_SIZE, f"batch_size is {self.batch_size}", f"at most {MAX_BATCH_SIZE}")
        share = self.foreground_oversampling
        _require(0 <= share <= 1, f"foreground_oversampling is {share}", "in [0, 1]")

    def differing_fields(self, other: "Configuration") -> list[str]:
        """Names of the fields in which two configurations make another model.

        Reasons do not count, nor do iterations measured to fit the same time: folds of one plan differ in these.
        """
        one, two = self._comparable(), other._comparable()
        return [field.name for field in dataclasses.fields(one) if getattr(one, field.name) != getattr(two, field.name)]

    def _comparable(self) -> "Configuration":
        duration = self.duration
        if duration.minutes is not None:
            duration = Duration(epochs=1, iterations_per_epoch=1, minutes=duration.minutes)
        return dataclasses.replace(self, duration=duration, decisions=())


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Plans:
    """All configurations of one dataset."""

    schema_version: Literal[1]
    dataset: str
    preprocessing: Preprocessing
    configurations: dict[str, Configuration]
    source: str | None = None
    """Of the fingerprint that was planned for; None in files of before it was recorded."""

    def configuration(self, name: str) -> Configuration:
        """One configuration by name.

        Raises:
            UsageError: there is none of that name.
        """
        if name not in self.configurations:
            known = ", ".join(sorted(self.configurations))
            raise UsageError(
                f"{self.dataset} has no configuration {name!r}: planned are {known}; "
                f"gw_plan_and_preprocess -c NAME plans another"
            )
        return self.configurations[name]
