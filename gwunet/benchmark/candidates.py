"""Which networks are measured: registered ones with their papers' arguments, or those of a dataset's plans."""

import dataclasses
from collections.abc import Sequence

from gwunet.errors import UsageError
from gwunet.networks import NETWORKS
from gwunet.plans import Configuration, Plans, Spec

VARIANTS: dict[str, Spec] = {
    "FGANetTable1": Spec(
        name="FGANet",
        arguments={
            "features": (32, 64, 128, 256, 512, 512),
            "decoder_features": (256, 128, 64, 32, 32),
            "decoder_middle": "in",
            "fusion_kernel_size": 3,
        },
    )
}
"""Named arguments other than a network's defaults. The FGA-Net paper's text, the defaults here, does not cost what its
Table 1 says; these arguments do."""

OWN_LOSSES: dict[str, Spec] = {
    "FGANet": Spec(name="HybridLoss", arguments={}),
    "LinkNet": Spec(name="ModifiedFocalLoss", arguments={}),
}
"""The loss of a network's own paper; the others train with BCE + Dice."""
BCE_AND_DICE = Spec(name="BCEDiceLoss", arguments={})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A network, its loss, and the sizes at which both are measured."""

    label: str
    network: Spec
    """With ``in_channels`` among its arguments."""
    loss: Spec
    loss_weights: tuple[float, ...] | None
    """Of the outputs in training, full resolution first; None halves the weight from output to output."""
    frame_size: tuple[int, int]
    """Rows and columns of a frame of the forward pass."""
    batch_size: int
    """Frames in a forward pass."""
    patch_size: tuple[int, int]
    """Rows and columns of a training patch."""
    training_batch_size: int

    def __post_init__(self) -> None:
        sizes = {"--size": min(self.frame_size), "--batch_size": self.batch_size, "--channels": self.channels}
        for flag, value in sizes.items():
            if value < 1:
                raise UsageError(f"{flag} {value}: must be at least 1")

    @property
    def channels(self) -> int:
        """Of a frame."""
        return int(self.network.arguments["in_channels"])


def named_candidates(
    names: Sequence[str] | None = None, *, size: tuple[int, int] = (512, 512), channels: int = 1, batch_size: int = 1
) -> list[Candidate]:
    """Networks in their papers' arguments, trained on whole frames.

    Args:
        names: registered networks and ``VARIANTS``; None takes all of both.
        size: rows and columns of a frame.
        channels: of a frame.
        batch_size: frames in a batch, in the forward pass and in training.

    Raises:
        UsageError: a name is unknown, the message suggests the closest; or a number is below 1.
    """
    candidates = []
    for label in names or sorted({*NETWORKS.names(), *VARIANTS}):
        if label not in VARIANTS:
            NETWORKS.get(label)
        spec = VARIANTS.get(label, Spec(name=label, arguments={}))
        candidates.append(
            Candidate(
                label=label,
                network=Spec(name=spec.name, arguments={"in_channels": channels, **spec.arguments}),
                loss=OWN_LOSSES.get(spec.name, BCE_AND_DICE),
                loss_weights=None,
                frame_size=size,
                batch_size=batch_size,
                patch_size=size,
                training_batch_size=batch_size,
            )
        )
    return candidates


def planned_candidates(
    plans: Plans,
    configurations: Sequence[str] | None = None,
    *,
    size: tuple[int, int] | None = None,
    batch_size: int | None = None,
) -> list[Candidate]:
    """The configurations of a dataset: the forward pass on tiles, training on patches, both as planned.

    Args:
        plans: of the dataset.
        configurations: names; None takes all that are planned.
        size: rows and columns of the forward pass in place of the planned tile's.
        batch_size: frames of the forward pass; None is one, as when frames arrive one after another.

    Raises:
        UsageError: a configuration is not planned.
    """
    chosen = [plans.configuration(name) for name in configurations or plans.configurations]
    frames = 1 if batch_size is None else batch_size
    return [_planned(each, size or each.inference.tile_size, frames) for each in chosen]


def _planned(configuration: Configuration, size: tuple[int, int], batch_size: int) -> Candidate:
    network = configuration.network
    # Cost and time are the same with any weights, so none are loaded or fetched.
    arguments = {key: value for key, value in network.arguments.items() if key != "pretrained"}
    return Candidate(
        label=configuration.name,
        network=Spec(name=network.name, arguments={"in_channels": 1, **arguments}),
        loss=configuration.loss,
        loss_weights=configuration.deep_supervision_weights,
        frame_size=size,
        batch_size=batch_size,
        patch_size=configuration.patch_size,
        training_batch_size=configuration.batch_size,
    )
