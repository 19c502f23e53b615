"""The two papers' settings as plans: the same on every machine, but for a batch that says why it is smaller."""

import dataclasses
from collections.abc import Callable, Iterator

import pytest

from gwunet.errors import UsageError
from gwunet.fingerprint import Fingerprint
from gwunet.planners import FGANetPaperPlanner, LinkNetPaperPlanner, Planner
from gwunet.planners.memory import GIB, StepMemory
from gwunet.planners.published import PublishedPlanner
from gwunet.plans import Augmentation, Configuration, Decision, Optimiser, Spec, Target

MakeFingerprint = Callable[..., Fingerprint]
CPU = Target(device="cpu", memory_gb=64.0)
GPU_80 = Target(device="cuda", memory_gb=80.0)
both = pytest.mark.parametrize(
    "planner", [FGANetPaperPlanner(), LinkNetPaperPlanner()], ids=lambda planner: planner.configuration_name
)
UNVARIED = Augmentation(
    rotation_deg=0.0,
    scale=(1.0, 1.0),
    spatial_probability=0.0,
    flip=False,
    brightness_probability=0.0,
    contrast_probability=0.0,
    gamma_probability=0.0,
    noise_probability=0.0,
    blur_probability=0.0,
)


@pytest.fixture(autouse=True, scope="module")
def _counted_once() -> Iterator[None]:
    """Patch, network and loss are always the same, so a step's memory is counted once for each kind of machine."""
    counted: dict[tuple[str, str], StepMemory] = {}
    count = PublishedPlanner._step_memory

    def remember(self: Planner, fingerprint: Fingerprint, patch: tuple[int, int], target: Target) -> StepMemory:
        key = (self.configuration_name, target.device)
        if key not in counted:
            counted[key] = count(self, fingerprint, patch, target)
        return counted[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PublishedPlanner, "_step_memory", remember)
        yield


def decision(plan: Configuration, what: str) -> Decision:
    (found,) = (each for each in plan.decisions if each.what == what)
    return found


def test_fganet_as_published(make_fingerprint: MakeFingerprint) -> None:
    plan = FGANetPaperPlanner().plan(make_fingerprint(), GPU_80)
    assert plan.network == Spec(
        name="FGANet",
        arguments={
            "in_channels": 1,
            "features": [32, 64, 128, 256, 512, 1024],
            "decoder_features": [512, 256, 128, 64, 32],
            "fusion_kernel_size": 1,
        },
    )
    assert plan.loss == Spec(
        name="HybridLoss", arguments={"cldice_weight": 0.25, "skeleton_iterations": 10, "bce_weight": 0.5}
    )
    assert plan.deep_supervision_weights == (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32)
    assert plan.optimiser == Optimiser(
        name="sgd",
        learning_rate=1e-8,
        weight_decay=5e-5,
        momentum=0.0,
        schedule="annealing",
        warmup_share=0.0,
        gradient_clip=None,
        annealing_epochs=50,
    )
    assert (plan.batch_size, plan.duration.epochs, plan.duration.minutes) == (8, 180, None)
    assert plan.augmentation == UNVARIED
    assert plan.trainer == "FGANetPaper"


def test_linknet_as_published(make_fingerprint: MakeFingerprint) -> None:
    plan = LinkNetPaperPlanner().plan(make_fingerprint(), GPU_80)
    assert plan.network == Spec(name="LinkNet", arguments={"in_channels": 1, "encoder": "resnet50", "width": 64})
    assert plan.loss == Spec(name="ModifiedFocalLoss", arguments={"alpha": 100.0, "gamma": 2.5, "reduction": "sum"})
    assert plan.optimiser == Optimiser(
        name="sgd",
        learning_rate=1e-3,
        weight_decay=5e-4,
        momentum=0.9,
        nesterov=False,
        schedule="plateau",
        warmup_share=0.0,
        gradient_clip=5.0,  # not the paper's
        plateau_factor=0.5,
    )
    assert (plan.batch_size, plan.duration.epochs, plan.duration.minutes) == (32, 300, None)
    turned = dataclasses.replace(UNVARIED, rotation_deg=180.0, spatial_probability=1.0, flip=True)
    assert plan.augmentation == turned
    assert plan.trainer == "LinkNetPaper"
    assert "clipped" in decision(plan, "optimiser").reason
    assert "ImageNet" in decision(plan, "network").change  # what the plan leaves out, and how to put it back
    assert not plan.inference.mirror
    assert decision(plan, "prediction").value.startswith("no mirrored copies")
    assert "--disable_tta" not in decision(plan, "prediction").change


@both
@pytest.mark.parametrize(("n_frames", "share"), [(10, 8), (1000, 800), (1, 1)])
def test_an_epoch_is_one_pass_over_four_of_five_folds(
    planner: Planner, n_frames: int, share: int, make_fingerprint: MakeFingerprint
) -> None:
    plan = planner.plan(dataclasses.replace(make_fingerprint(), n_frames=n_frames), GPU_80)
    seen = plan.duration.iterations_per_epoch * plan.batch_size
    assert share <= seen < share + plan.batch_size


@both
@pytest.mark.parametrize("memory_gb", [8.0, 11.0, 24.0, 80.0])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_memory_changes_the_batch_alone_and_says_so(
    planner: Planner, memory_gb: float, device: str, make_fingerprint: MakeFingerprint
) -> None:
    whole = planner.plan(make_fingerprint(), GPU_80)
    target = Target(device="cuda" if device == "cuda" else "cpu", memory_gb=memory_gb)
    plan = planner.plan(make_fingerprint(), target)
    assert plan.patch_size == (512, 512)
    same = ("network", "loss", "deep_supervision_weights", "optimiser", "augmentation", "foreground_oversampling")
    for name in same:
        assert getattr(plan, name) == getattr(whole, name)
    assert plan.duration.epochs == whole.duration.epochs
    step = planner._step_memory(make_fingerprint(), plan.patch_size, target)
    assert step.bytes_of(plan.batch_size) <= memory_gb * GIB
    said = decision(plan, "batch size")
    departs = plan.batch_size < planner.max_batch
    assert departs == (step.bytes_of(planner.max_batch) > memory_gb * GIB)
    assert (f"departs from the published {planner.max_batch}" in said.reason) == departs
    assert ("--memory_gb" in said.change) == departs
    if departs:
        assert step.bytes_of(plan.batch_size + 1) > memory_gb * GIB
    assert ("CPU is unmeasured" in decision(plan, "training time").reason) == (device == "cpu")


def test_four_gib_hold_one_of_them(make_fingerprint: MakeFingerprint) -> None:
    target = Target(device="cuda", memory_gb=4.0)
    assert LinkNetPaperPlanner().plan(make_fingerprint(), target).batch_size == 3  # CUDA itself takes the fourth's
    with pytest.raises(UsageError, match=r"4 GiB do not hold .* fganet_paper with one patch of 512 x 512, as publ"):
        FGANetPaperPlanner().plan(make_fingerprint(), target)


@both
def test_neither_data_nor_a_cpu_change_patch_loss_and_network(
    planner: Planner, make_fingerprint: MakeFingerprint
) -> None:
    usual = planner.plan(make_fingerprint(), GPU_80)
    other = planner.plan(make_fingerprint((1024, 900), widest_px=9.0, background_to_wire=50.0), CPU)
    assert (other.patch_size, other.loss, other.network) == (usual.patch_size, usual.loss, usual.network)
    assert "of the largest here, 1024 x 900, a part" in decision(other, "patch size").reason


@both
@pytest.mark.parametrize(
    ("field", "share", "covers"),
    [
        ((512, 512), 0.0, None),
        ((400, 300), 0.0, None),
        ((540, 500), 0.33, "95%"),
        ((300, 900), 0.67, "57%"),  # as many pixels as a patch, but not the same ones
        ((2048, 2048), 0.67, "6%"),
    ],
)
def test_patches_are_centred_on_wire_where_they_are_a_part_of_the_frame(
    planner: Planner, field: tuple[int, int], share: float, covers: str | None, make_fingerprint: MakeFingerprint
) -> None:
    plan = planner.plan(make_fingerprint(field), GPU_80)
    assert plan.foreground_oversampling == share
    said = decision(plan, "patches centred on wire")
    assert said.value == f"{share:.0%}"
    if covers is None:
        assert said.reason == "whole frames need none"
    else:
        assert said.reason.startswith("departs from the papers, which name no centring")
        assert f"covers {covers} of the median field" in said.reason


def test_what_the_papers_do_not_say_is_not_said_to_be_published(make_fingerprint: MakeFingerprint) -> None:
    assert (
        "gives no size for them" in decision(FGANetPaperPlanner().plan(make_fingerprint(), GPU_80), "patch size").reason
    )
    assert "accuracy" in decision(LinkNetPaperPlanner().plan(make_fingerprint(), GPU_80), "optimiser").reason
