"""Plans follow their rules, fit the machine, and survive being written to a file."""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gwunet.errors import SchemaError, UsageError
from gwunet.exposed_field import NO_BORDER, Border
from gwunet.fingerprint import Fingerprint
from gwunet.jsonio import from_json, read_json, to_json, write_json
from gwunet.losses import LOSSES, build_loss
from gwunet.networks import NETWORKS, build_network
from gwunet.networks.fganet import FGANet
from gwunet.planners import FGANetPlanner, LinkNetPlanner, Planner, base, counting
from gwunet.planners.base import FORWARD_SHARE
from gwunet.planners.fganet import skeleton_iterations
from gwunet.planners.memory import GIB, StepMemory
from gwunet.planning import PLANNERS, planners_for, target_machine
from gwunet.plans import Configuration, Decision, Plans, Preprocessing, Spec, Target
from gwunet.tiling import tile_starts
from gwunet.training import TRAINERS

NETWORK_CONFIGURATIONS = ("fganet", "linknet", "unet", "unetplusplus", "attention_unet", "cenet", "deeplabv3plus")
ABLATIONS = {
    "fganet_baseline": (False, False, 0.25),
    "fganet_bga": (True, False, 0.25),
    "fganet_sda": (False, True, 0.25),
    "fganet_bd": (True, True, 0.0),
    "fganet_bsc": (True, True, 0.25),
}
"""Rows of the FGA-Net paper's Table 2: BGA, SDA, weight of clDice ("BSC" has it, "BD" not)."""
PUBLISHED = ("fganet_paper", "linknet_paper")
MakeFingerprint = Callable[..., Fingerprint]
CPU = Target(device="cpu", memory_gb=8.0)
GPUS = [Target(device="cuda", memory_gb=memory) for memory in (4.0, 8.0, 11.0, 24.0, 80.0)]

ample_memory = pytest.mark.usefixtures("_ample_memory")
EVERY_PLANNER: list[type[Planner]] = [  # those that measure the machine have tests of their own
    planner
    for planner in map(PLANNERS.get, PLANNERS.names())
    if not planner.keeps_rate  # type: ignore[misc]
]
every_planner = pytest.mark.parametrize("planner", EVERY_PLANNER)
every_following_planner = pytest.mark.parametrize(
    "planner", [planner for planner in EVERY_PLANNER if planner.configuration_name not in PUBLISHED]
)
"""Those that follow data and machine."""
NETWORK_PLANNERS = [type(planner) for planner in planners_for(None, None)]
every_target = pytest.mark.parametrize(
    "target", [CPU, *GPUS], ids=lambda target: f"{target.device}{target.memory_gb:g}"
)


def set_memory_of_a_patch(monkeypatch: pytest.MonkeyPatch, gib: Callable[[tuple[int, int]], float]) -> None:
    """Counting a step takes most of a second, and most rules do not depend on it."""
    monkeypatch.setattr(
        Planner, "_step_memory", lambda _, __, patch, ___: StepMemory(fixed=0.0, per_patch=GIB * gib(patch))
    )


@pytest.fixture
def _ample_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    set_memory_of_a_patch(monkeypatch, lambda _: 1e-3)


@ample_memory
@every_planner
@every_target
def test_a_plan_is_pure_and_whole(planner: type[Planner], target: Target, make_fingerprint: MakeFingerprint) -> None:
    plan = planner().plan(make_fingerprint(), target)
    assert planner().plan(make_fingerprint(), target) == plan
    assert plan.target == target
    assert plan.trainer in TRAINERS.names()
    assert PLANNERS.get(plan.planner) is planner
    assert plan.loss.name in LOSSES.names()
    decided = {decision.what for decision in plan.decisions}
    usual = {"crop", "patch size", "batch size", "loss", "network", "optimiser", "augmentation", "training time"}
    assert usual | {"tile size in prediction", "prediction"} <= decided
    assert all(len(decision.reason) >= 10 for decision in plan.decisions)
    assert all(decision.change for decision in plan.decisions)


@ample_memory
@every_following_planner
def test_network_and_loss_of_a_plan_work_together(planner: type[Planner], make_fingerprint: MakeFingerprint) -> None:
    plan = planner().plan(make_fingerprint((100, 90)), CPU)
    network = build_network(plan)
    outputs = network(torch.randn(2, 1, 64, 64))
    target = torch.zeros(2, 1, 64, 64)
    assert build_loss(plan)(outputs, target).isfinite()


@ample_memory
@every_planner
def test_plans_survive_json(planner: type[Planner], make_fingerprint: MakeFingerprint) -> None:
    fingerprint = make_fingerprint()
    plan = planner().plan(fingerprint, CPU)
    plans = Plans(
        schema_version=1,
        dataset=fingerprint.dataset,
        preprocessing=Preprocessing(borders=fingerprint.borders),
        configurations={plan.name: plan},
    )
    assert from_json(Plans, json.loads(json.dumps(to_json(plans))), "plans.json") == plans
    assert from_json(Fingerprint, json.loads(json.dumps(to_json(fingerprint))), "f") == fingerprint


def test_an_edited_plan_is_checked(tmp_path: Path, make_configuration: Callable[..., Configuration]) -> None:
    path = tmp_path / "plans.json"
    plans = Plans(
        schema_version=1,
        dataset="Dataset001_Made",
        preprocessing=Preprocessing(borders={}),
        configurations={"fganet": make_configuration()},
    )
    write_json(path, plans)
    whole = path.read_text()
    where = r"plans\.json: configurations\.fganet"
    for old, new, message in [
        ('"batch_size": 2', '"batch_size": 0', where + ": batch_size is 0, it must be at least 1"),
        ('"step": 0.5', '"step": 1.5', where + r"\.inference: step is 1\.5"),
        ('"threshold": 0.5', '"threshold": 0.0', where + r"\.inference: threshold is 0\.0"),
        ('"device": "cpu"', '"device": "tpu"', where + r"\.target\.device: expected one of 'cpu', 'cuda', got 'tpu'"),
        ('"name": "adamw"', '"name": "adam"', where + r"\.optimiser\.name: expected one of"),
        ('"schema_version": 1', '"schema_version": 2', r"plans\.json: schema_version: expected one of 1, got 2"),
    ]:
        assert whole.count(old) == 1
        path.write_text(whole.replace(old, new))
        with pytest.raises(SchemaError, match=message):
            read_json(Plans, path)


# Patch, stages, batch -------------------------------------------------------------------------------------------


@ample_memory
@pytest.mark.parametrize("field", [(500.0, 480.0), (512.0, 513.0), (300.0, 900.0), (130.5, 65.0)])
def test_a_gpus_patch_is_the_median_field_rounded_up(
    field: tuple[float, float], make_fingerprint: MakeFingerprint
) -> None:
    for planner in (FGANetPlanner(), LinkNetPlanner()):
        patch = planner.plan(make_fingerprint(field), GPUS[-1]).patch_size
        for edge, extent in zip(patch, field, strict=True):
            assert edge % 32 == 0
            assert edge == 32 * math.ceil(extent / 32)


@ample_memory
@ample_memory
def test_a_patch_shows_no_more_than_the_field(make_fingerprint: MakeFingerprint) -> None:
    """Of 40 rows and 400 columns a patch of 64 x 128 shows a third."""
    plan = LinkNetPlanner().plan(make_fingerprint((40.0, 400.0)), CPU)
    assert plan.patch_size == (64, 128)
    assert plan.foreground_oversampling == 0.67
    (told,) = [made for made in plan.decisions if made.what == "patches centred on wire"]
    assert "a patch covers 32% of the median field" in told.reason


def test_a_cpus_patch_is_small(make_fingerprint: MakeFingerprint) -> None:
    for planner in (FGANetPlanner(), LinkNetPlanner()):
        assert planner.plan(make_fingerprint((1024, 1000)), CPU).patch_size == (128, 128)
        assert planner.plan(make_fingerprint((100, 1000)), CPU).patch_size == (112, 128)


@ample_memory
@pytest.mark.parametrize("target", [CPU, GPUS[-1]], ids=["cpu", "gpu"])
@pytest.mark.parametrize("field", [(512.0, 480.0), (200.0, 300.0), (100.0, 130.0), (60.0, 80.0)])
def test_stages_leave_a_bottleneck_of_four(
    target: Target, field: tuple[float, float], make_fingerprint: MakeFingerprint
) -> None:
    plan = FGANetPlanner().plan(make_fingerprint(field), target)
    features = plan.network.arguments["features"]
    assert len(features) <= 6
    assert min(plan.patch_size) >> (len(features) - 1) >= 4
    assert len(features) == 6 or min(plan.patch_size) >> len(features) < 4
    assert features[0] == (32 if target.device == "cuda" else 16)
    assert all(after in (before, 2 * before) for before, after in itertools.pairwise(features))
    assert len(plan.deep_supervision_weights) == len(features)
    weights = plan.deep_supervision_weights
    assert sum(weights) == pytest.approx(1, abs=1e-4)
    assert all(after == pytest.approx(before / 2, abs=1e-5) for before, after in itertools.pairwise(weights))


@every_following_planner
def test_less_memory_shrinks_the_batch_and_then_the_patch(
    planner: type[Planner], make_fingerprint: MakeFingerprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a step that takes 1 GiB for 256 x 256 pixels of one patch."""
    set_memory_of_a_patch(monkeypatch, lambda patch: math.prod(patch) / 256**2)

    def plan(memory_gb: float) -> Configuration:
        return planner().plan(make_fingerprint((512, 256)), Target(device="cuda", memory_gb=memory_gb))

    assert (plan(1000).patch_size, plan(1000).batch_size) == ((512, 256), planner.max_batch)
    assert (plan(10).patch_size, plan(10).batch_size) == ((512, 256), 5)
    assert (plan(4).patch_size, plan(4).batch_size) == ((512, 256), 2)
    assert (plan(3).patch_size, plan(3).batch_size) == ((384, 256), 2)  # its longer edge first
    assert (plan(1).patch_size, plan(1).batch_size) == ((160, 160), 2)
    said = [any("shrunk" in decision.reason for decision in plan(memory).decisions) for memory in (10, 4, 3, 1)]
    assert said == [False, False, True, True]


@pytest.mark.parametrize(
    ("planner", "target"),
    [
        *itertools.product((FGANetPlanner, LinkNetPlanner), GPUS),
        *((planner, GPUS[3]) for planner in NETWORK_PLANNERS if planner not in (FGANetPlanner, LinkNetPlanner)),
    ],
    ids=lambda value: f"{value.memory_gb:g}" if isinstance(value, Target) else value.name,
)
def test_a_planned_step_fits_the_gpu(planner: type[Planner], target: Target, make_fingerprint: MakeFingerprint) -> None:
    fingerprint = make_fingerprint((512, 512))
    plan = planner().plan(fingerprint, target)
    memory = planner()._step_memory(fingerprint, plan.patch_size, target)
    assert 2 <= plan.batch_size <= memory.largest_batch(target.memory_gb)
    assert memory.bytes_of(plan.batch_size) <= target.memory_gb * GIB
    assert target.memory_gb < 24 or plan.patch_size == (512, 512)


@every_planner
def test_a_memory_that_holds_nothing_is_refused(planner: type[Planner], make_fingerprint: MakeFingerprint) -> None:
    with pytest.raises(UsageError, match=r"0\.001 GiB do not hold a training step of .*--memory_gb"):
        planner().plan(make_fingerprint((64, 50)), Target(device="cuda", memory_gb=0.001))


# Prediction -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "memory_gb", "tile", "change"),
    [
        ((192.0, 150.0), 12, (192, 150), "larger frames"),  # one and a half patches of 128
        ((257.0, 100.0), 12, (160, 112), "frames or patches of another size"),  # two tiles, no narrower than a patch
        ((512.0, 384.0), 12, (160, 160), "frames or patches of another size"),  # four by three
        ((600.0, 200.0), 12, (192, 128), "frames or patches of another size"),  # four by two
        ((600.0, 600.0), 2, (160, 160), "--memory_gb"),  # 2 GiB hold two patches
    ],
)
def test_a_tile_is_little_more_than_a_patch_and_fits_the_memory(
    field: tuple[float, float],
    memory_gb: float,
    tile: tuple[int, int],
    change: str,
    make_fingerprint: MakeFingerprint,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a step that takes 1 GiB for 128 x 128 pixels; by hand, in multiples of 32 unless the field is one tile."""
    set_memory_of_a_patch(monkeypatch, lambda patch: math.prod(patch) / 128**2)
    monkeypatch.setattr(FGANetPlanner, "cpu_batch", 2)
    plan = FGANetPlanner().plan(make_fingerprint(field), Target(device="cpu", memory_gb=memory_gb))
    assert plan.batch_size == 2
    assert plan.inference.tile_size == tile
    (said,) = (decision for decision in plan.decisions if decision.what == "tile size in prediction")
    assert ("one forward pass" in said.reason) == (tile == field)
    assert said.change == change


@ample_memory
def test_prediction_is_told_in_a_line(make_fingerprint: MakeFingerprint) -> None:
    for target, copies, step in ((CPU, "no", 0.75), (GPUS[-1], "four", 0.5)):
        plan = FGANetPlanner().plan(make_fingerprint(), target)
        (said,) = (decision for decision in plan.decisions if decision.what == "prediction")
        assert said.value == (f"{copies} mirrored copies, tiles at most {step:g} of their size apart, wire from 0.5 on")
        assert (plan.inference.mirror, plan.inference.step) == (copies == "four", step)
        assert plan.inference.threshold == 0.5


@given(st.integers(1, 3000), st.sampled_from([64, 96, 128, 256]), st.sampled_from([0.5, 0.75]))
def test_no_tile_computes_fewer_pixels(extent: int, patch: int, step: float) -> None:
    """Of those of one to one and a half patches in multiples of 32; a frame that small is one tile."""
    edge, other = base._cheapest_tile((extent, extent), (patch, patch), 32, step)
    assert edge == other
    candidates = range(patch, patch * 3 // 2 + 1, 32)
    if extent <= candidates[-1]:
        assert edge == max(extent, patch)
    else:
        assert edge in candidates
        computed = {each: each * len(tile_starts(extent, each, step)) for each in candidates}
        assert computed[edge] == min(computed.values())


@pytest.mark.parametrize("planner", [FGANetPlanner, LinkNetPlanner])
@pytest.mark.parametrize("target", [CPU, GPUS[-1]], ids=["cpu", "gpu"])
def test_a_forward_pass_takes_no_more_of_a_step_than_is_reckoned(
    planner: type[Planner], target: Target, make_fingerprint: MakeFingerprint
) -> None:
    fingerprint = make_fingerprint((128, 128))
    spec = planner().network((128, 128), target)
    with torch.no_grad(), torch.device("meta"), counting._LivingBytes() as living:
        network = NETWORKS.get(spec.name)(**spec.arguments).eval()
        network(torch.empty(2, 1, 128, 128))
    weights = sum(4 * parameter.numel() for parameter in network.parameters())
    forward = (living.peak - weights) / 2 * counting.SHARE_ABOVE_TENSORS[target.device]
    step = planner()._step_memory(fingerprint, (128, 128), target)
    assert 0.1 * step.per_patch < forward <= FORWARD_SHARE * step.per_patch


# Crop -----------------------------------------------------------------------------------------------------------


@ample_memory
def test_the_crop_names_the_border(make_fingerprint: MakeFingerprint) -> None:
    def crop(**changes: Any) -> Decision:
        fingerprint = dataclasses.replace(make_fingerprint(), frames_with_border=7, **changes)
        return FGANetPlanner().plan(fingerprint, CPU).decisions[0]

    twelve, sixteen = (Border(level=level, threshold=level + 5, spread=2.0) for level in (240.0, 3855.0))
    assert crop().value.endswith("; the border at 15")
    assert crop().reason.startswith("7 of 10 frames have a border")
    deep = dataclasses.replace(sixteen, depths={"12": twelve, "16": sixteen})
    assert crop(borders={"uint8": NO_BORDER, "uint16": deep}).value.endswith("; the border at 240, 3855")
    assert crop(borders={"uint8": NO_BORDER}).value.endswith("0 outside")


# Losses ---------------------------------------------------------------------------------------------------------


@ample_memory
@pytest.mark.parametrize("target", [CPU, GPUS[-1]], ids=["cpu", "gpu"])
def test_the_loss_of_fganet_is_told_as_it_is(target: Target, make_fingerprint: MakeFingerprint) -> None:
    """What is off is not told as if it were on."""
    said = {}
    for name in ("fganet", "fganet_bsc"):
        (planner,) = planners_for([name], None)
        plan = planner.plan(make_fingerprint((64, 64)), target)
        said[name] = {decision.what: decision.value for decision in plan.decisions}
        assert said[name]["weights of outputs"] == "0.516, 0.258, 0.129, 0.065, 0.032"
    assert said["fganet"]["loss"] == "BCE + Dice, clDice off"
    assert "soft-skeleton iterations" not in said["fganet"]
    assert said["fganet_bsc"]["loss"] == "BCE + 0.75 Dice + 0.25 clDice"
    assert said["fganet_bsc"]["soft-skeleton iterations"] == "3"


@ample_memory
@pytest.mark.parametrize(
    ("widest_px", "iterations"), [(0.0, 1), (1.0, 2), (2.0, 2), (3.0, 3), (4.0, 3), (5.5, 4), (20.0, 11)]
)
def test_skeleton_iterations_are_half_the_widest_wire_plus_one(
    widest_px: float, iterations: int, make_fingerprint: MakeFingerprint
) -> None:
    fingerprint = make_fingerprint(widest_px=widest_px)
    assert skeleton_iterations(fingerprint) == iterations
    assert FGANetPlanner().plan(fingerprint, CPU).loss.arguments["skeleton_iterations"] == iterations


@ample_memory
@pytest.mark.parametrize(("ratio", "alpha"), [(1000.0, 100.0), (250.0, 25.0), (4.0, 1.0), (0.0, 1.0)])
def test_alpha_is_a_tenth_of_the_background_to_wire_ratio(
    ratio: float, alpha: float, make_fingerprint: MakeFingerprint
) -> None:
    loss = LinkNetPlanner().plan(make_fingerprint(background_to_wire=ratio), CPU).loss
    assert loss.arguments == {"alpha": alpha, "gamma": 2.5}


# Table 2 of the FGA-Net paper -----------------------------------------------------------------------------------


@ample_memory
@pytest.mark.parametrize("target", [CPU, GPUS[-1]], ids=["cpu", "gpu"])
@pytest.mark.parametrize(("name", "row"), ABLATIONS.items())
def test_the_rows_of_the_ablation(
    name: str, row: tuple[bool, bool, float], target: Target, make_fingerprint: MakeFingerprint
) -> None:
    """Each is the whole network's plan but for what its row says."""
    (planner,) = planners_for([name], None)
    plan, whole = planner.plan(make_fingerprint(), target), FGANetPlanner().plan(make_fingerprint(), target)
    with torch.device("meta"):
        network = build_network(plan)
    assert isinstance(network, FGANet)
    kinds = {type(module).__name__ for module in network.modules()}
    use_bga, use_sda, cldice_weight = row
    assert ("BGA" in kinds, "SDA" in kinds) == (use_bga, use_sda)
    assert plan.loss == Spec(
        name="HybridLoss",
        arguments={"cldice_weight": cldice_weight, "skeleton_iterations": skeleton_iterations(make_fingerprint())},
    )
    assert plan.name == name
    assert (plan.trainer, plan.patch_size, plan.batch_size) == ("FGANetTrainer", whole.patch_size, whole.batch_size)
    assert (plan.optimiser, plan.augmentation) == (whole.optimiser, whole.augmentation)
    assert plan.deep_supervision_weights == whole.deep_supervision_weights
    (reason,) = (decision.reason for decision in plan.decisions if decision.what == "network")
    assert (("use_bga is off" in reason), ("use_sda is off" in reason)) == (not use_bga, not use_sda)


# Compared networks ----------------------------------------------------------------------------------------------


@ample_memory
@pytest.mark.parametrize("target", [CPU, GPUS[-1]], ids=["cpu8", "cuda80"])
def test_the_compared_networks_learn_alike(target: Target, make_fingerprint: MakeFingerprint) -> None:
    """Their patches are FGA-Net's, and loss and optimiser those of each other."""
    whole = FGANetPlanner().plan(make_fingerprint(), target)
    names = sorted(set(NETWORK_CONFIGURATIONS) - {"fganet", "linknet"})
    plans = [planner.plan(make_fingerprint(), target) for planner in planners_for(names, None)]
    assert {plan.patch_size for plan in plans} == {whole.patch_size}
    assert [plan.loss for plan in plans] == [Spec(name="BCEDiceLoss", arguments={})] * 5
    assert len({plan.optimiser for plan in plans}) == 1
    assert [plan.network.name for plan in plans] == [plan.trainer.removesuffix("Trainer") for plan in plans]


@pytest.mark.parametrize("planner", NETWORK_PLANNERS)
def test_a_gpus_network_is_the_papers(planner: type[Planner]) -> None:
    """The arguments of its plan cost what the network costs by default; a CPU's much less."""
    on_gpu, on_cpu = planner().network((512, 512), GPUS[-1]), planner().network((512, 512), CPU)
    with torch.device("meta"):
        paper, planned, small = (
            NETWORKS.get(spec.name)(**spec.arguments) for spec in (Spec(name=on_gpu.name, arguments={}), on_gpu, on_cpu)
        )
    weights = [sum(each.numel() for each in network.parameters()) for network in (paper, planned, small)]
    assert weights[0] == weights[1] > 3 * weights[2]


# Names and machines ---------------------------------------------------------------------------------------------


def test_planners_are_found_by_configuration_or_by_name() -> None:
    assert [type(planner) for planner in planners_for(["linknet", "fganet"], None)] == [LinkNetPlanner, FGANetPlanner]
    assert [type(planner) for planner in planners_for(None, "FGANetPlanner")] == [FGANetPlanner]
    known = sorted([*NETWORK_CONFIGURATIONS, *ABLATIONS, *PUBLISHED, "fganet_realtime"])
    with pytest.raises(UsageError, match=f"unknown configuration 'fganett': known are {', '.join(known)}$"):
        planners_for(["fganett"], None)
    with pytest.raises(UsageError, match="unknown planner 'FGANetPlaner': did you mean 'FGANetPlanner'"):
        planners_for(None, "FGANetPlaner")


def test_the_two_papers_networks_are_planned_and_the_others_when_named() -> None:
    by_default = [planner.configuration_name for planner in planners_for(None, None)]
    assert by_default == ["fganet", "linknet"]
    names = [*ABLATIONS, *PUBLISHED, *NETWORK_CONFIGURATIONS]
    assert [planner.configuration_name for planner in planners_for(names, None)] == names


def test_an_unplanned_configuration_is_named(make_configuration: Callable[..., Configuration]) -> None:
    plans = Plans(
        schema_version=1,
        dataset="Dataset001_Made",
        preprocessing=Preprocessing(borders={}),
        configurations={"fganet": make_configuration()},
    )
    assert plans.configuration("fganet").name == "fganet"
    with pytest.raises(UsageError, match="Dataset001_Made has no configuration 'unet': planned are fganet"):
        plans.configuration("unet")


def test_the_target_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert target_machine("cuda", 24.0) == Target(device="cuda", memory_gb=24.0)
    assert target_machine("cpu", 3.0) == Target(device="cpu", memory_gb=3.0)
    here = target_machine()
    assert here.device == "cpu"
    assert here.memory_gb > 0
    for device, memory, message in [
        ("cuda", None, "this machine has no GPU; give the other one's memory with --memory_gb"),
        ("tpu", 8.0, "--target_device tpu: unknown; use auto, cpu or cuda"),
        ("cpu", 0.0, r"--memory_gb 0\.0: must be a number above 0"),
        ("cpu", -1.0, r"--memory_gb -1\.0: must be a number above 0"),
        ("cpu", math.inf, r"--memory_gb inf: must be a number above 0, in GiB"),
    ]:
        with pytest.raises(UsageError, match=message):
            target_machine(device, memory)
