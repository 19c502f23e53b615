"""Every loss against its formula in float64 numpy, and what all of them must bear."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import gwunet.losses
from gwunet.data.centreline import tubed_skeleton
from gwunet.dataset import CENTRELINE, IGNORE
from gwunet.errors import SchemaError
from gwunet.losses import (
    LOSSES,
    BalancedBCELoss,
    BCEDiceLoss,
    DeepSupervision,
    HybridLoss,
    ModifiedFocalLoss,
    SoftDiceLoss,
    build_loss,
)
from gwunet.losses.soft_skeleton import soft_skeleton
from gwunet.networks import UNet
from gwunet.plans import Configuration, Spec

VARIANTS: dict[str, tuple[dict[str, Any], ...]] = {
    "BCEDiceLoss": ({}, {"bce_weight": 0.5}),
    "BalancedBCELoss": ({}, {"alpha": 0.5}),
    "HybridLoss": ({}, {"cldice_weight": 0.0}, {"bce_weight": 0.5, "cldice_weight": 1.0, "skeleton_iterations": 3}),
    "ModifiedFocalLoss": ({}, {"gamma": 0.0}, {"alpha": 3.0, "gamma": 1.0, "reduction": "sum"}),
    "SkeletonRecallLoss": ({}, {"weight": 0.5, "bce_weight": 0.5}),
    "SoftDiceLoss": ({}, {"smooth": 0.1}),
}
"""Arguments with which each loss is tested; every registered one needs an entry."""

every_loss = pytest.mark.parametrize(
    "loss",
    [
        pytest.param((name, arguments), id=f"{name}{arguments}")
        for name in LOSSES.names()
        for arguments in VARIANTS[name]
    ],
)


def make(loss: tuple[str, dict[str, Any]]) -> nn.Module:
    return LOSSES.get(loss[0])(**loss[1])


def cldice_alone(iterations: int) -> nn.Module:
    """One minus soft clDice."""
    return HybridLoss(cldice_weight=1.0, bce_weight=0.0, skeleton_iterations=iterations)


def make_case(ignored: float = 0.1, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and a target with two wires and scattered ignored pixels."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, 1, 24, 31, generator=generator)
    target = torch.zeros(2, 1, 24, 31, dtype=torch.uint8)
    target[0, 0, 10:13, 4:28] = 1
    target[1, 0, 3:20, 15] = 1
    target[torch.rand(target.shape, generator=generator) < ignored] = IGNORE
    return logits, target


# The formulas ---------------------------------------------------------------------------------------------------


def neighbourhood(image: np.ndarray, offsets: list[tuple[int, int]], choose: Callable[..., Any]) -> np.ndarray:
    """Minimum or maximum over the neighbours that lie in the image."""
    out = np.empty_like(image)
    height, width = image.shape
    for row, column in np.ndindex(image.shape):
        out[row, column] = choose(
            image[row + i, column + j] for i, j in offsets if 0 <= row + i < height and 0 <= column + j < width
        )
    return out


def skeleton_of(image: np.ndarray, iterations: int) -> np.ndarray:
    """Algorithm 1 of the clDice paper."""
    cross = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
    square = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]

    def opened(values: np.ndarray) -> np.ndarray:
        return neighbourhood(neighbourhood(values, cross, min), square, max)

    skeleton = np.maximum(image - opened(image), 0)
    for _ in range(iterations):
        image = neighbourhood(image, cross, min)
        skeleton = skeleton + (1 - skeleton) * np.maximum(image - opened(image), 0)
    return skeleton


class Reference:
    """The losses in float64."""

    def __init__(self, logits: torch.Tensor, target: torch.Tensor) -> None:
        self.logits = logits.double().numpy()
        self.valid = (target != IGNORE).numpy()
        self.wire = (target == 1).numpy().astype(np.float64)
        self.p = 1 / (1 + np.exp(-self.logits))

    def bce(self) -> float:
        values = -self.wire * np.log(self.p) - (1 - self.wire) * np.log1p(-self.p)
        return float(values[self.valid].mean())

    def dice(self, smooth: float = 1.0) -> float:
        p, g = self.p[self.valid], self.wire[self.valid]
        return float((2 * (p * g).sum() + smooth) / ((p**2).sum() + (g**2).sum() + smooth))

    def cldice(self, iterations: int, smooth: float = 1.0) -> float:
        p = self.p * self.valid
        skeletons = [
            np.stack([skeleton_of(image[0], iterations) for image in layer])[:, None] for layer in (p, self.wire)
        ]
        precision = ((skeletons[0] * self.wire).sum() + smooth) / (skeletons[0].sum() + smooth)
        sensitivity = ((skeletons[1] * p).sum() + smooth) / (skeletons[1].sum() + smooth)
        return float(2 * precision * sensitivity / (precision + sensitivity))

    def focal(self, alpha: float, gamma: float, reduction: str) -> float:
        wire = -alpha * (1 - self.p) ** gamma * np.log(self.p)
        rest = -(self.p**gamma) * np.log1p(-self.p)
        values = np.where(self.wire == 1, wire, rest)[self.valid]
        return float(values.sum() if reduction == "sum" else values.mean())


@pytest.mark.parametrize("ignored", [0.0, 0.2])
def test_the_values_are_those_of_the_formulas(ignored: float) -> None:
    logits, target = make_case(ignored)
    true = Reference(logits, target)

    def value(loss: nn.Module) -> float:
        return float(loss(logits, target))

    assert value(SoftDiceLoss()) == pytest.approx(1 - true.dice(), abs=1e-5)
    assert value(SoftDiceLoss(smooth=0.01)) == pytest.approx(1 - true.dice(0.01), abs=1e-5)
    assert value(cldice_alone(3)) == pytest.approx(1 - true.cldice(3), abs=1e-5)
    hybrid = true.bce() + 0.75 * (1 - true.dice()) + 0.25 * (1 - true.cldice(4))
    assert value(HybridLoss(cldice_weight=0.25, skeleton_iterations=4)) == pytest.approx(hybrid, abs=1e-5)
    assert value(HybridLoss(cldice_weight=0, bce_weight=0.5)) == pytest.approx(
        0.5 * true.bce() + 1 - true.dice(), abs=1e-5
    )
    assert value(BCEDiceLoss(0.5)) == pytest.approx(0.5 * true.bce() + 1 - true.dice(), abs=1e-5)
    assert value(BalancedBCELoss(30)) == pytest.approx(true.focal(30, 0, "mean"), rel=1e-5)
    assert value(ModifiedFocalLoss()) == pytest.approx(true.focal(100, 2.5, "mean"), rel=1e-5)
    assert value(ModifiedFocalLoss(30, 1.5, "sum")) == pytest.approx(true.focal(30, 1.5, "sum"), rel=1e-5)
    assert value(ModifiedFocalLoss(7, 0)) == pytest.approx(true.focal(7, 0, "mean"), rel=1e-5)


def test_focal_without_focus_is_balanced_cross_entropy() -> None:
    logits, target = make_case(0.0)
    balanced = nn.functional.binary_cross_entropy_with_logits(logits, target.float(), pos_weight=torch.tensor(9.0))
    torch.testing.assert_close(ModifiedFocalLoss(alpha=9, gamma=0)(logits, target), balanced)
    torch.testing.assert_close(BalancedBCELoss(alpha=9)(logits, target), balanced)


# What all losses must bear --------------------------------------------------------------------------------------


@every_loss
def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_much(loss: tuple[str, dict[str, Any]]) -> None:
    _, target = make_case(0.0)
    right = 200 * target.float() - 100
    assert make(loss)(right, target).item() == pytest.approx(0, abs=1e-30)
    assert make(loss)(-right, target).item() > 0.5


@pytest.mark.parametrize("alpha", [1 / 3, 12.3, 33.7])
@pytest.mark.parametrize("size", [12.0, 100.0])
@pytest.mark.parametrize("loss", [BalancedBCELoss, functools.partial(ModifiedFocalLoss, gamma=0.0)])
def test_small_balanced_losses_are_exact_and_never_negative(
    loss: Callable[..., nn.Module], alpha: float, size: float
) -> None:
    """Nearly right predictions: no difference of large numbers is left over."""
    _, target = make_case(0.0)
    logits = 2 * size * target.float() - size
    surprise = math.log1p(math.exp(-size))
    share = float((target == 1).double().mean())
    value = float(loss(alpha=alpha)(logits, target))
    assert value >= 0
    assert value == pytest.approx(surprise * (alpha * share + 1 - share), rel=1e-4, abs=1e-30)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [100.0, -100.0])
def test_extreme_logits_are_finite(loss: tuple[str, dict[str, Any]], dtype: torch.dtype, size: float) -> None:
    random, target = make_case()
    logits = (size * random.sign()).to(dtype).requires_grad_()
    value = make(loss)(logits, target)
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.dtype == dtype
    assert logits.grad.isfinite().all()


@every_loss
def test_half_precision_logits_are_computed_in_float32(loss: tuple[str, dict[str, Any]]) -> None:
    logits, target = make_case()
    half = logits.to(torch.bfloat16)
    torch.testing.assert_close(make(loss)(half, target), make(loss)(half.float(), target))


@every_loss
def test_several_outputs_cost_what_each_costs_alone(loss: tuple[str, dict[str, Any]]) -> None:
    """Values and gradients; the outputs of deep supervision go through a loss together."""
    _, target = make_case(0.2)
    outputs = 3 * torch.randn(3, *target.shape, generator=torch.Generator().manual_seed(1))
    together, alone = outputs.clone().requires_grad_(), outputs.clone().requires_grad_()
    values = make(loss)(together, target)
    expected = torch.stack([make(loss)(each, target) for each in alone])
    assert values.shape == (3,)
    torch.testing.assert_close(values, expected)
    factors = torch.tensor([1.0, 0.5, 2.0])
    (values * factors).sum().backward()
    (expected * factors).sum().backward()
    torch.testing.assert_close(together.grad, alone.grad)


@every_loss
def test_ignored_pixels_do_not_matter(loss: tuple[str, dict[str, Any]]) -> None:
    logits, target = make_case(0.2)
    other = torch.where(target == IGNORE, torch.randn(logits.shape) * 50, logits)
    first, second = logits.clone().requires_grad_(), other.requires_grad_()
    values = [make(loss)(first, target), make(loss)(second, target)]
    torch.testing.assert_close(*values)
    for value in values:
        value.backward()
    assert first.grad is not None
    assert second.grad is not None
    torch.testing.assert_close(first.grad, second.grad)
    assert (first.grad[target == IGNORE] == 0).all()
    assert first.grad.abs().sum() > 0


@every_loss
def test_a_target_without_wire_is_defined_and_falls_with_the_prediction(loss: tuple[str, dict[str, Any]]) -> None:
    logits, target = make_case(0.0)
    empty = torch.zeros_like(target)
    some, none = make(loss)(logits.abs(), empty), make(loss)(torch.full_like(logits, -60), empty)
    assert some.isfinite()
    assert none.item() == pytest.approx(0, abs=1e-6)
    assert some > none
    everything_ignored = make(loss)(logits, torch.full_like(target, IGNORE))
    assert everything_ignored.item() == pytest.approx(0, abs=1e-6)


@every_loss
def test_descending_reaches_the_target(loss: tuple[str, dict[str, Any]]) -> None:
    _, arguments = loss
    _, target = make_case(0.0)
    logits = torch.zeros(target.shape, requires_grad=True)
    optimiser = torch.optim.Adam([logits], 0.3)
    values = []
    for _ in range(50):
        optimiser.zero_grad()
        value = make(loss)(logits, target)
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert values[-1] < 0.7 * values[0]
    knows_centrelines_only = arguments.get("cldice_weight") == 1
    if not knows_centrelines_only:
        assert torch.equal(logits > 0, target == 1)


@every_loss
def test_shapes_that_differ_are_refused(loss: tuple[str, dict[str, Any]]) -> None:
    logits, target = make_case()
    with pytest.raises(ValueError, match=r"logits have the shape \(2, 1, 24, 30\), the target \(2, 1, 24, 31\)"):
        make(loss)(logits[..., 1:], target)


@every_loss
def test_it_is_exported_and_built_from_a_configuration(
    loss: tuple[str, dict[str, Any]], make_configuration: Callable[..., Configuration]
) -> None:
    name, arguments = loss
    assert getattr(gwunet.losses, name) is LOSSES.get(name)
    logits, target = make_case()
    built = build_loss(make_configuration(loss=Spec(name=name, arguments=arguments), deep_supervision_weights=(1.0,)))
    torch.testing.assert_close(built(logits, target), make(loss)(logits, target))
    with pytest.raises(SchemaError, match=r"configurations\.fganet\.loss\.arguments: .*alhpa"):
        build_loss(make_configuration(loss=Spec(name=name, arguments={"alhpa": 1})))


@pytest.mark.parametrize(
    ("loss", "arguments", "message"),
    [
        (BalancedBCELoss, {"alpha": -1.0}, "alpha is -1.0, it must be at least 0"),
        (HybridLoss, {"cldice_weight": 1.5}, "cldice_weight is 1.5, it must lie in"),
        (ModifiedFocalLoss, {"alpha": -1.0}, "alpha is -1.0"),
        (ModifiedFocalLoss, {"gamma": -0.5}, "gamma -0.5"),
        (ModifiedFocalLoss, {"reduction": "max"}, "reduction is 'max', needed 'mean' or 'sum'"),
    ],
)
def test_impossible_arguments_are_refused(loss: type[nn.Module], arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loss(**arguments)


@every_loss
def test_it_teaches_a_unet_a_wire_by_heart(
    loss: tuple[str, dict[str, Any]], wire_of_5_px: Callable[[int], torch.Tensor]
) -> None:
    """A dark wire in noise: Dice 0.9 within 100 steps. The wire's skeleton is marked, as preprocessing does."""
    wire = wire_of_5_px(64)
    target = wire.to(torch.uint8)
    target[0, 0][torch.from_numpy(tubed_skeleton(wire[0, 0].numpy() > 0))] = CENTRELINE
    torch.manual_seed(0)
    network = UNet(features=(8, 16, 32))
    frame = 0.5 * torch.randn(wire.shape) - wire
    optimiser = torch.optim.AdamW(network.parameters(), 0.1)
    best = 0.0
    for _ in range(100):
        logits = network(frame)
        found = (logits > 0).float()
        best = max(best, float(2 * (found * wire).sum() / (found.sum() + wire.sum())))
        if best >= 0.9:
            return
        optimiser.zero_grad()
        make(loss)(logits, target).backward()
        optimiser.step()
    pytest.fail(f"Dice {best:.3f}")


# clDice ---------------------------------------------------------------------------------------------------------


def line(width: int, gap: int = 0) -> torch.Tensor:
    image = torch.zeros(1, 1, 31, 60)
    top = 15 - width // 2
    image[..., top : top + width, 5:55] = 1
    image[..., 30 - gap // 2 : 30 - gap // 2 + gap] = 0
    return image


@pytest.mark.parametrize("width", [1, 3, 5, 7])
def test_the_soft_skeleton_of_a_line_is_its_middle(width: int) -> None:
    """As many iterations as half the width, rounded up, plus one; more change nothing."""
    enough = math.ceil(width / 2) + 1
    skeleton = soft_skeleton(line(width), enough)
    middle = skeleton[0, 0, :, 12:48]
    assert (middle[15] == 1).all()
    assert middle.sum() == 36
    assert torch.equal(soft_skeleton(line(width), enough + 6), skeleton)


def test_too_few_iterations_leave_a_thick_wire_without_skeleton() -> None:
    assert soft_skeleton(line(9), 2)[0, 0, :, 12:48].sum() == 0


def test_the_soft_skeleton_is_that_of_its_algorithm() -> None:
    image = torch.rand(1, 1, 13, 17, generator=torch.Generator().manual_seed(0))
    expected = skeleton_of(image[0, 0].double().numpy(), 4)
    np.testing.assert_allclose(soft_skeleton(image, 4)[0, 0].numpy(), expected, atol=1e-6)


def pooled_skeleton(image: torch.Tensor, iterations: int) -> torch.Tensor:
    """The soft skeleton by max pooling, which autograd differentiates."""

    def erode(values: torch.Tensor) -> torch.Tensor:
        rows = -nn.functional.max_pool2d(-values, (3, 1), 1, (1, 0))
        return torch.min(rows, -nn.functional.max_pool2d(-values, (1, 3), 1, (0, 1)))

    def detail(values: torch.Tensor) -> torch.Tensor:
        return nn.functional.relu(values - nn.functional.max_pool2d(erode(values), 3, 1, 1))

    skeleton = detail(image)
    for _ in range(iterations):
        image = erode(image)
        skeleton = skeleton + nn.functional.relu(detail(image) * (1 - skeleton))
    return skeleton


@pytest.mark.parametrize("size", [(13, 17), (1, 5), (2, 1)])
def test_the_gradient_of_the_soft_skeleton(size: tuple[int, int]) -> None:
    """Against autograd through pooling; without equal neighbours there is one gradient only."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, 1, *size, generator=generator, dtype=torch.float64)
    given = torch.rand(3, 1, *size, generator=generator, dtype=torch.float64)
    ours, theirs = image.clone().requires_grad_(), image.clone().requires_grad_()
    soft_skeleton(ours, 4).backward(given)
    pooled_skeleton(theirs, 4).backward(given)
    torch.testing.assert_close(ours.grad, theirs.grad)
    part = image[:1, :, :7, :9].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: soft_skeleton(values, 3), part)


def test_the_gradient_where_neighbours_are_equal_is_not_counted_twice() -> None:
    """Within a flat region an erosion has many minima; its gradient goes to one of them."""
    image = torch.full((1, 1, 9, 9), 0.5, requires_grad=True)
    soft_skeleton(image, 2).sum().backward()
    assert image.grad is not None
    assert image.grad.abs().max() <= 1


def test_cldice_punishes_a_break_more_than_a_thin_mask() -> None:
    """Dice prefers the broken mask, which misses fewer pixels; clDice the thin one, which misses no centreline."""
    target = line(3).to(torch.uint8)

    def cost(loss: nn.Module, mask: torch.Tensor) -> float:
        return float(loss(40 * mask - 20, target))

    whole, broken, thin = line(3), line(3, gap=12), line(1)
    assert cost(cldice_alone(4), whole) < 1e-3
    assert cost(cldice_alone(4), thin) < 0.1 < cost(cldice_alone(4), broken)
    assert cost(SoftDiceLoss(), broken) < cost(SoftDiceLoss(), thin)


# Deep supervision -----------------------------------------------------------------------------------------------


def test_outputs_are_upsampled_to_the_target_and_weighed() -> None:
    _, target = make_case(0.0)
    outputs = (torch.randn(2, 1, 24, 31), torch.randn(2, 1, 12, 16), torch.randn(2, 1, 6, 8))
    loss, weights = SoftDiceLoss(), (0.5, 0.3, 0.2)
    expected = sum(
        weight * float(loss(nn.functional.interpolate(each, size=(24, 31), mode="bilinear"), target))
        for weight, each in zip(weights, outputs, strict=True)
    )
    assert float(DeepSupervision(loss, weights)(outputs, target)) == pytest.approx(expected, rel=1e-5)


def test_a_single_output_and_validation_use_the_bare_loss() -> None:
    logits, target = make_case()
    bare = SoftDiceLoss()(logits, target)
    torch.testing.assert_close(DeepSupervision(SoftDiceLoss(), (1.0,))(logits, target), bare)
    torch.testing.assert_close(DeepSupervision(SoftDiceLoss(), (0.6, 0.4)).on_final(logits, target), bare)


def test_an_output_of_weight_zero_is_left_out() -> None:
    class Refusing(nn.Module):
        def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            assert logits.max() < 1
            return (logits * target).sum()

    zero, large = torch.zeros(1, 1, 4, 4), torch.full((1, 1, 2, 2), 5.0)
    assert DeepSupervision(Refusing(), (1.0, 0.0))((zero, large), torch.zeros(1, 1, 4, 4)) == 0


def test_weights_that_are_all_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one must not be 0"):
        DeepSupervision(SoftDiceLoss(), (0.0, 0.0))


def test_other_numbers_of_outputs_and_weights_are_refused() -> None:
    logits, target = make_case()
    with pytest.raises(SchemaError, match="weights: found 2; wanted one for each of the network's 1 outputs"):
        DeepSupervision(SoftDiceLoss(), (0.5, 0.5))((logits,), target)
