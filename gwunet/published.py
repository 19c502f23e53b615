"""The two papers' training settings, which the planners and trainers of these names follow.

A planner writes them into a plan; a trainer gives them to a configuration that was planned for another one.
"""

import copy
import dataclasses

from gwunet.plans import Augmentation, Configuration, Duration, Optimiser, Spec

FRAME_EDGE = 512
"""Both papers' frames are 512 x 512. The FGA-Net paper trains by patches whose size it does not give."""


def plain_augmentation(rotation_deg: float = 0.0, flip: bool = False) -> Augmentation:
    """Every patch turned by an angle up to ``rotation_deg`` and mirrored, or left alone; nothing else is varied."""
    return Augmentation(
        rotation_deg=rotation_deg,
        scale=(1.0, 1.0),
        spatial_probability=1.0 if rotation_deg else 0.0,
        flip=flip,
        brightness_probability=0.0,
        contrast_probability=0.0,
        gamma_probability=0.0,
        noise_probability=0.0,
        blur_probability=0.0,
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PublishedRecipe:
    """How a paper trained its network."""

    loss: Spec
    optimiser: Optimiser
    augmentation: Augmentation
    batch_size: int
    epochs: int
    halving_weights: bool
    """Deep-supervision weights 1, 1/2, 1/4, ... from full resolution down; else the plan's."""

    def weights(self, planned: tuple[float, ...]) -> tuple[float, ...]:
        """The deep-supervision weights in place of those planned, one for each output."""
        return tuple(0.5**index for index in range(len(planned))) if self.halving_weights else planned

    def applied_to(self, configuration: Configuration) -> Configuration:
        """A configuration with this loss, optimiser, augmentation and number of epochs.

        Network, patch, batch and iterations in an epoch stay as they were planned for the machine.
        """
        return dataclasses.replace(
            configuration,
            loss=copy.deepcopy(self.loss),
            deep_supervision_weights=self.weights(configuration.deep_supervision_weights),
            optimiser=self.optimiser,
            augmentation=self.augmentation,
            duration=Duration(
                epochs=self.epochs,
                iterations_per_epoch=configuration.duration.iterations_per_epoch,
                minutes=None,
            ),
        )


FGANET = PublishedRecipe(
    loss=Spec(name="HybridLoss", arguments={"cldice_weight": 0.25, "skeleton_iterations": 10, "bce_weight": 0.5}),
    optimiser=Optimiser(
        name="sgd",
        learning_rate=1e-8,
        weight_decay=5e-5,
        momentum=0.0,
        schedule="annealing",
        warmup_share=0.0,
        gradient_clip=None,
        annealing_epochs=50,
    ),
    augmentation=plain_augmentation(),
    batch_size=8,
    epochs=180,
    halving_weights=True,
)
"""Reference: FGA-Net paper, section "Implementation details". The weights in and of the loss and the number of
skeletonising iterations are left open there and taken from its authors' released code."""

LINKNET = PublishedRecipe(
    loss=Spec(name="ModifiedFocalLoss", arguments={"alpha": 100.0, "gamma": 2.5, "reduction": "sum"}),
    optimiser=Optimiser(
        name="sgd",
        learning_rate=1e-3,
        weight_decay=5e-4,
        momentum=0.9,
        nesterov=False,
        schedule="plateau",
        warmup_share=0.0,
        gradient_clip=5.0,
        plateau_factor=0.5,
        plateau_patience=10,
    ),
    augmentation=plain_augmentation(rotation_deg=180.0, flip=True),
    batch_size=32,
    epochs=300,
    halving_weights=False,
)
"""Reference: LinkNet paper, sections II-A and II-D, tables I and II. Its text gives no patience; 10 is torch's.
Its rate falls when accuracy on two sequences set aside is saturated; here it is when their loss no longer falls.
It does not clip gradients; without that a loss summed over pixels was not finite after a few iterations from fresh
weights."""
