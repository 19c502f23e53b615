"""FGA-Net on blocks of pixels: sizes, places, what an even frame gives, and that it folds."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gwunet.networks import FGANet
from gwunet.networks.cost import count_cost
from gwunet.networks.folding import fold_batch_norms

SMALL: dict[str, Any] = {"features": (4, 6, 8), "decoder_features": (6, 4)}
MakeNetwork = Callable[..., nn.Module]
AsTrained = Callable[[nn.Module], nn.Module]


def halves(size: tuple[int, int], count: int) -> list[tuple[int, int]]:
    """The sizes of the outputs: each half of the one before, rounded up."""
    sizes = [size]
    for _ in range(count):
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes


@pytest.mark.parametrize("stride", [2, 3, 4])
@pytest.mark.parametrize("size", [(64, 64), (65, 97), (33, 101)])
def test_outputs_are_of_the_same_sizes_as_without_it(stride: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = FGANet(**SMALL, stem_stride=stride)
    frames = torch.randn(2, 1, *size)
    outputs = network(frames)
    assert [tuple(each.shape) for each in outputs] == [(2, 1, *each) for each in halves(size, 2)]
    sum(each.square().mean() for each in outputs).backward()
    assert all(bool(each.grad.isfinite().all()) for each in network.parameters())
    assert all(bool(each.grad.abs().max() > 0) for each in network.parameters())
    with torch.inference_mode():
        assert network.eval()(frames).shape == (2, 1, *size)


@pytest.mark.parametrize("size", [(1, 1), (16, 9), (8, 8)])
def test_frames_that_shrink_to_one_pixel(size: tuple[int, int]) -> None:
    with torch.inference_mode():
        assert FGANet(**SMALL, stem_stride=4).eval()(torch.randn(1, 1, *size)).shape == (1, 1, *size)
    with pytest.raises(ValueError, match="one edge must be above 16"):
        FGANet(**SMALL, stem_stride=4)(torch.randn(2, 1, 16, 16))


def test_blocks_go_in_and_come_out_at_their_places(make: MakeNetwork, as_trained: AsTrained) -> None:
    """It is the network without a stem on four channels, one for each place in a block, with four logits each."""
    network = as_trained(make("FGANet", **SMALL, stem_stride=2))
    inner = FGANet(in_channels=4, **SMALL)
    inner.heads = network.heads
    inner.load_state_dict(network.state_dict())
    frames, logits = torch.randn(2, 1, 32, 48), torch.empty(2, 1, 32, 48)
    places = [(row, column) for row in range(2) for column in range(2)]
    with torch.inference_mode():
        blocks = inner.eval()(torch.cat([frames[:, :, row::2, column::2] for row, column in places], dim=1))
        for index, (row, column) in enumerate(places):
            logits[:, 0, row::2, column::2] = blocks[:, index]
        assert logits.std() > 0.1
        torch.testing.assert_close(network(frames), logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("channels", "stride"), [(1, 1), (1, 2), (3, 2)])
def test_an_even_exposure_is_not_seen_at_first(channels: int, stride: int) -> None:
    """The first convolution of a fresh network gives 0 for it, and not for an edge inside of blocks."""
    network = FGANet(in_channels=channels, **SMALL, stem_stride=stride)
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    even = torch.arange(1.0, channels + 1).view(1, -1, 1, 1).expand(1, channels, 32, 32).clone()
    edge = even.clone()
    edge[..., 15:] += 1
    with torch.inference_mode():
        flat, steep = (first(F.pixel_unshuffle(frame, stride))[..., 2:-2, 2:-2] for frame in (even, edge))
    assert flat.abs().max() < 1e-5
    assert steep.abs().max() > 0.1


def test_it_costs_a_quarter() -> None:
    """All but the first convolution, which has four channels for one, and the heads, which have four logits for one."""
    plain, blocks = (
        count_cost(FGANet(**SMALL, use_sda=False, stem_stride=stride), (1, 64, 64)).total for stride in (1, 2)
    )
    pixels = 64 * 64
    in_stem, in_heads = pixels * 9 * 4, pixels * 4  # the last head; others do not run in prediction
    assert blocks == (plain - in_stem - in_heads) // 4 + in_stem + in_heads


def test_it_folds_to_the_same(make: MakeNetwork, as_trained: AsTrained) -> None:
    network = as_trained(make("FGANet", **SMALL, stem_stride=2))
    folded = fold_batch_norms(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    frames = torch.randn(1, 1, 47, 70)
    with torch.inference_mode():
        torch.testing.assert_close(folded(frames), network(frames), atol=5e-4, rtol=0)


def test_no_stride_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="stem_stride is 0, needed at least 1"):
        FGANet(**SMALL, stem_stride=0)
