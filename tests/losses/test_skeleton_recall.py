"""Skeleton recall against its formula, and what it is for: a break costs more than a thin mask."""

import numpy as np
import pytest
import torch

from gwunet.data.centreline import tubed_skeleton
from gwunet.dataset import CENTRELINE, IGNORE
from gwunet.losses import BCEDiceLoss
from gwunet.losses.skeleton_recall import SkeletonRecallLoss, skeleton_recall


def make_case(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and a target with wires, their centrelines and scattered ignored pixels."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, 1, 24, 31, generator=generator)
    target = torch.zeros(2, 1, 24, 31, dtype=torch.uint8)
    target[0, 0, 8:17, 4:28] = 1
    target[0, 0, 10:15, 6:26] = CENTRELINE
    target[1, 0, 3:20, 15] = CENTRELINE
    target[torch.rand(target.shape, generator=generator) < 0.1] = IGNORE
    return logits, target


@pytest.mark.parametrize(("weight", "bce_weight", "smooth"), [(1.0, 1.0, 1.0), (0.3, 0.5, 0.1), (0.0, 1.0, 1.0)])
def test_the_value_is_that_of_the_formula(weight: float, bce_weight: float, smooth: float) -> None:
    logits, target = make_case()
    valid = (target != IGNORE).numpy()
    p = (1 / (1 + np.exp(-logits.double().numpy())))[valid]
    g = np.isin(target.numpy(), (1, CENTRELINE))[valid].astype(float)
    s = (target == CENTRELINE).numpy()[valid].astype(float)
    bce = -(g * np.log(p) + (1 - g) * np.log1p(-p)).mean()
    dice = (2 * (p * g).sum() + smooth) / ((p**2).sum() + g.sum() + smooth)
    recall = ((p * s).sum() + smooth) / (s.sum() + smooth)
    found = SkeletonRecallLoss(weight, bce_weight, smooth)(logits, target)
    assert found.item() == pytest.approx(bce_weight * bce + 1 - dice + weight * (1 - recall), abs=1e-5)
    assert found.shape == ()


def test_without_weight_or_without_skeleton_it_is_bce_and_dice() -> None:
    logits, target = make_case()
    masks = torch.where(target == CENTRELINE, 1, target)
    plain = BCEDiceLoss(0.5)(logits, masks)
    torch.testing.assert_close(SkeletonRecallLoss(0.0, 0.5)(logits, target), plain)
    torch.testing.assert_close(SkeletonRecallLoss(1.0, 0.5)(logits, masks), plain)


def test_the_gradient_is_finite_in_extreme_logits_and_zero_at_ignored_pixels() -> None:
    random, target = make_case()
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        logits = (100 * random.sign()).to(dtype).requires_grad_()
        SkeletonRecallLoss()(logits, target).backward()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()
        assert (logits.grad[target == IGNORE] == 0).all()


def test_outputs_of_deep_supervision_cost_what_each_costs_alone() -> None:
    _, target = make_case()
    outputs = 3 * torch.randn(3, *target.shape, generator=torch.Generator().manual_seed(1))
    expected = torch.stack([SkeletonRecallLoss()(each, target) for each in outputs])
    torch.testing.assert_close(SkeletonRecallLoss()(outputs, target), expected)


def test_perfect_wrong_and_empty() -> None:
    _, target = make_case()
    target[target == IGNORE] = 0
    right = 200 * (target > 0).float() - 100
    assert SkeletonRecallLoss()(right, target).item() == pytest.approx(0, abs=1e-5)
    assert SkeletonRecallLoss()(-right, target).item() > 2.9
    nothing = torch.full_like(right, -100)
    assert SkeletonRecallLoss()(nothing, torch.zeros_like(target)).item() == pytest.approx(0, abs=1e-6)
    assert skeleton_recall(right.sigmoid(), torch.zeros_like(right)).item() == 1


def test_a_thin_mask_costs_no_recall_and_a_broken_one_does() -> None:
    """A bar of nine rows: predicted five rows thin, or whole with a gap of a tenth of its length."""
    wire = np.zeros((40, 80), bool)
    wire[15:24, 10:70] = True
    skeleton = torch.from_numpy(tubed_skeleton(wire))[None, None].float()
    whole = torch.from_numpy(wire)[None, None].float()
    thin, broken = skeleton.clone(), whole.clone()
    broken[..., 37:43] = 0
    assert skeleton_recall(thin, skeleton).item() == 1
    assert skeleton_recall(broken, skeleton).item() == pytest.approx(0.9, abs=0.02)
    assert whole[..., 20:60].sum() > thin[..., 20:60].sum()


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(ValueError, match=r"weight is -1\.0, it must be at least 0"):
        SkeletonRecallLoss(-1.0)
