"""A plan for a frame rate: the rule with made-up times, the plan it gives, and the measurement itself."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image

from gwunet.cli import plan_and_preprocess
from gwunet.errors import UsageError
from gwunet.exposed_field import exposed_field
from gwunet.fingerprint import Fingerprint, Spread
from gwunet.inference import Predictor
from gwunet.jsonio import from_json, to_json
from gwunet.losses import build_loss
from gwunet.networks import NETWORKS, build_network
from gwunet.networks.cost import count_cost
from gwunet.planners import FGANetPlanner, FGANetRealtimePlanner, Planner, latency, realtime
from gwunet.planners.latency import milliseconds_per_frame
from gwunet.planners.memory import GIB, StepMemory
from gwunet.planners.realtime import CANDIDATES, CPU_CANDIDATES, last_in_time, made_up_frame
from gwunet.planning import check_rate, planners_for
from gwunet.plans import Configuration, Plans, Preprocessing, Spec, Target
from gwunet.prepared import read_plans
from gwunet.training import TRAINERS
from gwunet.workspace import Workspace

MakeFingerprint = Callable[..., Fingerprint]
CPU_15 = Target(device="cpu", memory_gb=8.0, realtime_fps=15)
ALLOWED_MS = 1000 / 15 * 2 / 3


@pytest.fixture(autouse=True)
def _ample_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting a step takes most of a second, and no rule here depends on it."""
    monkeypatch.setattr(Planner, "_step_memory", lambda *_: StepMemory(fixed=0.0, per_patch=1e-3 * GIB))


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterable[float]], list[Configuration]]:
    """``take(ms)``: candidates take these milliseconds, in their order; gives the list of those that were timed."""

    def taking(ms: Iterable[float]) -> list[Configuration]:
        times, timed = iter(ms), []

        def made_up(configuration: Configuration, *_: Any) -> float:
            timed.append(configuration)
            return next(times)

        monkeypatch.setattr(latency, "milliseconds_per_frame", made_up)
        return timed

    return taking


# The rule -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ms", "fast", "asked"),
    [
        ((10, 20, 30, 41), 3, 4),
        ((10, 20, 41, 30), 2, 3),  # whatever comes after the first that is too slow is not asked
        ((40, 40.001, 1, 1), 1, 2),  # the limit is 40
        ((41, 1, 1, 1), 0, 1),
        ((40, 40, 40, 40), 4, 4),
    ],
)
def test_candidates_are_asked_up_to_the_first_that_is_too_slow(ms: tuple[float, ...], fast: int, asked: int) -> None:
    candidates = [Spec(name=str(index), arguments={}) for index in range(len(ms))]
    assert last_in_time(candidates, lambda spec: ms[int(spec.name)], 40) == (fast, ms[:asked])


def test_each_candidate_costs_more_than_the_one_before() -> None:
    """In multiply-accumulates of a frame, counted on weightless networks."""
    with torch.device("meta"):
        networks = [NETWORKS.get(spec.name)(**spec.arguments) for spec in CANDIDATES["cuda"]]
        costs = [count_cost(network, (1, 128, 128)).total for network in networks]
    assert CANDIDATES["cuda"][: len(CPU_CANDIDATES)] == CANDIDATES["cpu"]
    assert costs == sorted(set(costs))
    assert costs[-1] > 100 * costs[0]


# The plan -------------------------------------------------------------------------------------------------------


def test_the_last_candidate_that_keeps_the_rate_is_planned(
    take: Callable[..., list[Configuration]], make_fingerprint: MakeFingerprint
) -> None:
    """15 frames per second leave two thirds of 66.7 ms: by hand, 44.4 ms."""
    timed = take([5.0, 9.0, 20.0, 44.4, 44.5, 1.0])
    plan = FGANetRealtimePlanner().plan(make_fingerprint(), CPU_15)
    whole = FGANetPlanner().plan(make_fingerprint(), CPU_15)
    assert (plan.patch_size, plan.batch_size, plan.optimiser) == ((256, 256), 2, whole.optimiser)
    assert math.prod(plan.patch_size) * plan.batch_size == math.prod(whole.patch_size) * whole.batch_size
    assert plan.network == CPU_CANDIDATES[3]
    assert [each.network for each in timed] == list(CPU_CANDIDATES[:5])
    assert timed[3].inference == plan.inference  # what is measured is what is planned
    assert (plan.name, plan.planner, plan.target) == ("fganet_realtime", "FGANetRealtimePlanner", CPU_15)
    assert not plan.inference.mirror
    assert plan.trainer in TRAINERS.names()
    (rate,) = (decision for decision in plan.decisions if decision.what == "frame rate")
    assert rate.value == "15 frames per second of 512 x 512: 44.4 ms a frame"
    assert "44.4 ms are allowed" in rate.reason
    assert "16-16-32-64-128 stem 2 no SDA: 20.0" in rate.reason
    assert "the last too slow: " in rate.reason
    assert rate.reason.endswith("32-32-64-128-128 stem 2 no SDA: 44.5")
    assert all(decision.reason and decision.change for decision in plan.decisions)


def test_a_fast_machine_gets_the_whole_network(
    take: Callable[..., list[Configuration]], make_fingerprint: MakeFingerprint
) -> None:
    take([1.0] * 20)
    plan = FGANetRealtimePlanner().plan(make_fingerprint(), CPU_15)
    whole = FGANetPlanner().plan(make_fingerprint(), CPU_15)
    assert plan.network == whole.network
    assert plan.patch_size == (256, 256)
    (rate,) = (decision for decision in plan.decisions if decision.what == "frame rate")
    assert "all candidates, none too slow" in rate.reason


def test_a_slow_machine_is_told_its_rate(
    take: Callable[..., list[Configuration]], make_fingerprint: MakeFingerprint
) -> None:
    """100 ms a frame are two thirds of the time between 6.67 frames per second."""
    timed = take([100.0])
    with pytest.raises(UsageError, match=r"takes 100 ms .* at most 44 ms, .* ask for 6\.7 frames per second or less"):
        FGANetRealtimePlanner().plan(make_fingerprint(), CPU_15)
    assert len(timed) == 1


def test_it_is_measured_and_predicted_in_the_datasets_largest_size(
    take: Callable[..., list[Configuration]], make_fingerprint: MakeFingerprint
) -> None:
    timed = take([1.0] * 20)
    small = make_fingerprint((100, 100))
    assert made_up_frame(small).shape == (512, 512)
    assert FGANetRealtimePlanner().plan(small, CPU_15).inference.tile_size == (128, 128)
    largest = Spread(median=512, p05=512, p95=700, minimum=512, maximum=1024)
    large = dataclasses.replace(small, height=largest, dtypes={"uint8": 2, "uint16": 8})
    frame = made_up_frame(large)
    assert (frame.shape, frame.dtype) == ((1024, 512), np.uint16)
    assert exposed_field(frame, large.borders["uint8"]).all()
    plan = FGANetRealtimePlanner().plan(large, CPU_15)
    assert (plan.inference.tile_size, plan.inference.step) == ((128, 128), 1.0)
    assert timed[-1].inference == plan.inference


def test_the_plan_survives_json_and_is_trainable(
    take: Callable[..., list[Configuration]], make_fingerprint: MakeFingerprint
) -> None:
    take([1.0, 1.0, 1000.0])
    plan = FGANetRealtimePlanner().plan(make_fingerprint(), CPU_15)
    plans = Plans(
        schema_version=1,
        dataset="Dataset001_Made",
        preprocessing=Preprocessing(borders={}),
        configurations={plan.name: plan},
    )
    text = json.dumps(to_json(plans))
    assert from_json(Plans, json.loads(text), "plans.json") == plans
    before = json.loads(text)
    del before["configurations"]["fganet_realtime"]["target"]["realtime_fps"]  # as files of before it was known
    assert from_json(Plans, before, "plans.json").configuration("fganet_realtime").target.realtime_fps is None
    network = build_network(plan)
    loss = build_loss(plan)(network(torch.randn(2, 1, 64, 96)), torch.zeros(2, 1, 64, 96))
    loss.backward()
    assert loss.isfinite()


# Names and refusals ---------------------------------------------------------------------------------------------


def names(planners: Iterable[Any]) -> list[str]:
    return [planner.configuration_name for planner in planners]


def test_a_rate_brings_its_configuration_along() -> None:
    assert names(planners_for(None, None, True)) == ["fganet", "linknet", "fganet_realtime"]
    assert names(planners_for(["unet"], None, True)) == ["unet", "fganet_realtime"]
    assert names(planners_for(["fganet_realtime"], None, True)) == ["fganet_realtime"]
    assert names(planners_for(None, "FGANetRealtimePlanner", True)) == ["fganet_realtime"]


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match=r"--realtime .*: must be above 0"):
        check_rate(rate, "cpu")
    with pytest.raises(ValueError, match="realtime_fps is "):
        Target(device="cpu", memory_gb=1.0, realtime_fps=rate)


def test_no_rate_and_no_gpu_to_measure_on_are_refused(
    make_fingerprint: MakeFingerprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="found no frame rate to plan for; give it with --realtime"):
        FGANetRealtimePlanner().plan(make_fingerprint(), Target(device="cpu", memory_gb=8.0))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu = Target(device="cuda", memory_gb=8.0, realtime_fps=15)
    for refused in (lambda: FGANetRealtimePlanner().plan(make_fingerprint(), gpu), lambda: check_rate(15, "cuda")):
        with pytest.raises(UsageError, match="found no GPU here; wanted one to measure on"):
            refused()


def test_the_command_plans_it_beside_another(
    take: Callable[..., list[Configuration]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rate stands in the target of the configuration that keeps it, and what was measured in the table."""
    raw = tmp_path / "raw" / "Dataset001_Made"
    mask = np.zeros((48, 48), np.uint8)
    mask[20, 5:40] = 255
    for part, pixels in (("imagesTr", mask // 2 + 100), ("labelsTr", mask)):
        (raw / part).mkdir(parents=True)
        for index in range(6):
            Image.fromarray(pixels + np.uint8(index * (part == "imagesTr"))).save(raw / part / f"p{index}_f0.png")
    take([10.0, 20.0, 50.0])
    flags = ["-c", "fganet", "--target_device", "cpu", "--memory_gb", "2", "--no_preprocess", "-np", "1"]
    command = ["-d", "1", *flags, "--workspace", str(tmp_path), "--realtime", "15"]
    assert plan_and_preprocess.main(command) == 0
    configurations = read_plans(Workspace.find(tmp_path), "Dataset001_Made").configurations
    rates = {name: configuration.target.realtime_fps for name, configuration in configurations.items()}
    assert rates == {"fganet": None, "fganet_realtime": 15.0}
    assert configurations["fganet_realtime"].network == CPU_CANDIDATES[1]
    (decision,) = [each for each in configurations["fganet_realtime"].decisions if each.what == "frame rate"]
    assert decision.value.endswith("20.0 ms a frame")
    assert "frame rate" in capsys.readouterr().out
    take([100.0])
    assert plan_and_preprocess.main(command) == 2
    assert "ask for 6.7 frames per second or less" in capsys.readouterr().err
    assert read_plans(Workspace.find(tmp_path), "Dataset001_Made").configurations == configurations


# The measurement ------------------------------------------------------------------------------------------------


def test_a_frame_is_timed_from_array_to_mask(
    make_configuration: Callable[..., Configuration], make_fingerprint: MakeFingerprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock is put forward by 7 ms in each prediction but for three that stall: the median does not see them."""
    now, calls = [0.0], []
    predict_frame = Predictor.predict_frame

    def slow(self: Predictor, frame: Any) -> Any:
        calls.append(frame.shape)
        now[0] += 0.1 if len(calls) in (1, 4, 6, 8) else 0.007
        return predict_frame(self, frame)

    monkeypatch.setattr(Predictor, "predict_frame", slow)
    monkeypatch.setattr(latency, "keep_freed_memory", lambda: None)  # of this process
    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])
    state = torch.random.get_rng_state()
    frame = np.full((40, 50), 100, np.uint8)
    ms = milliseconds_per_frame(make_configuration(), Preprocessing(borders=make_fingerprint().borders), frame)
    assert ms == pytest.approx(7.0)
    assert set(calls) == {(40, 50)}
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_slow_network_is_not_timed_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = [0.0], []

    def step() -> None:
        calls.append(None)
        now[0] += 2.0

    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])
    assert latency.median_ms(step) == pytest.approx(2000.0)
    assert len(calls) == latency.WARM_UP + latency.LEAST_FRAMES


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_plan_by_real_measurement(
    device: Literal["cpu", "cuda"], make_fingerprint: MakeFingerprint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a rate that any machine keeps, on one candidate."""
    monkeypatch.setattr(realtime, "CANDIDATES", {device: CPU_CANDIDATES[:1]})
    monkeypatch.setattr(latency, "keep_freed_memory", lambda: None)
    target = Target(device=device, memory_gb=8.0, realtime_fps=0.02)
    plan = FGANetRealtimePlanner().plan(make_fingerprint(), target)
    assert plan.network == CPU_CANDIDATES[0]
    assert next(each for each in plan.decisions if each.what == "frame rate").value.startswith("0.02 frames per second")


def test_the_wires_that_are_timed_are_two_that_cross() -> None:
    from gwunet.localization import locate_guidewires

    for shape in ((512, 512), (300, 700)):
        wires = locate_guidewires(latency.two_wires(shape))
        assert len(wires) == 2
        assert all("crosses_other" in wire.flags and wire.length_px > 0.8 * shape[1] for wire in wires)
