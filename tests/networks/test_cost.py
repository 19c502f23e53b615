"""Counted multiply-accumulates against hand counts and against torch's own counter."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from gwunet.networks import NETWORKS, FGANet, LinkNet
from gwunet.networks.cost import Cost, count_cost
from gwunet.networks.deformable import DeformableConv2d
from gwunet.networks.spatial_shift import SpatialShift


class Toy(nn.Module):
    """A small U with groups, a transposed convolution and a layer that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(4, 8, 3, padding=1, groups=2)
        self.down = nn.Conv2d(8, 12, 3, stride=2, padding=1, bias=False)
        self.shared = nn.Conv2d(12, 12, 1)
        self.up = nn.ConvTranspose2d(12, 6, 2, stride=2, groups=3)
        self.head = nn.Conv2d(14, 1, 1)

    def forward(self, frames: Tensor) -> Tensor:
        skip = self.grouped(frames)
        below = self.shared(self.shared(self.down(skip)))
        logits: Tensor = self.head(torch.cat((skip, self.up(below)), dim=1))
        return logits


def multiply_accumulates_of_torch(network: nn.Module, frame_shape: tuple[int, int, int]) -> int:
    """torch's own count, which has two operations for each multiply-accumulate.

    It takes a transposed convolution by its input elements, as ``Cost.plain`` does.
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.empty(1, *frame_shape, device="meta"))
    return int(counter.get_total_flops()) // 2


def test_a_toy_counted_by_hand() -> None:
    height, width = 6, 10
    plain = (
        height * width * 8 * 9 * 2  # grouped: 8 outputs, each sees 2 of the 4 channels
        + 3 * 5 * 12 * 9 * 8
        + 2 * 3 * 5 * 12 * 12  # called twice
        + height * width * 14
    )
    # Each of the 3 * 5 input pixels has 12 channels and gives 2 * 2 pixels of the 2 channels of its group.
    transposed = 3 * 5 * 12 * 4 * 2
    # Each of the 6 * 10 output pixels has 6 channels, and takes 2 * 2 pixels of 4 channels in the paper's counting.
    transposed_of_paper = 6 * 10 * 6 * 4 * 4
    assert count_cost(Toy(), (4, height, width)) == Cost(
        parameters=(8 * 2 * 9 + 8) + 12 * 8 * 9 + (12 * 12 + 12) + (12 * 2 * 4 + 6) + (14 + 1),
        plain=plain + transposed,
        deformable=0,
        paper=plain + transposed_of_paper,
    )
    assert transposed_of_paper == 4 * transposed


def test_a_linear_layer_counts_every_position() -> None:
    cost = count_cost(nn.Linear(7, 5), (3, 4, 7))
    assert (cost.plain, cost.paper, cost.parameters) == (3 * 4 * 7 * 5, 3 * 4 * 7 * 5, 7 * 5 + 5)


def test_deformable_kernels_stand_apart_and_their_predictors_do_not() -> None:
    cost = count_cost(DeformableConv2d(5, 6), (5, 7, 9))
    assert cost.deformable == 7 * 9 * 6 * 9 * 5
    assert cost.plain == cost.paper == 7 * 9 * 27 * 9 * 5
    assert cost.total == 7 * 9 * 9 * 5 * (27 + 6)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (Toy, (4, 12, 20)),
        (lambda: FGANet(use_sda=False), (1, 64, 96)),
        (lambda: FGANet(in_channels=3, use_sda=False, use_bga=False, fusion_kernel_size=3), (3, 71, 127)),
        (LinkNet, (1, 96, 64)),
        (lambda: LinkNet(encoder="resnet18"), (1, 65, 70)),
    ],
)
def test_the_count_of_torch_itself(network: type[nn.Module], shape: tuple[int, int, int]) -> None:
    with torch.device("meta"):
        built = network()
    cost = count_cost(built, shape)
    assert cost.plain == multiply_accumulates_of_torch(built, shape)
    assert cost.deformable == 0
    assert cost.parameters == sum(each.numel() for each in built.parameters())


@pytest.mark.parametrize("name", NETWORKS.names())
def test_no_convolution_of_any_network_escapes(name: str) -> None:
    """Hooks would not see a convolution that a network calls as a function."""
    with torch.device("meta"):
        network = NETWORKS.get(name)()
    cost = count_cost(network, (1, 64, 64))
    moves = 0

    def count_moves(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal moves
        moves += 9 * output.numel()

    # A spatial shift only moves values, by a convolution whose kernels have a single 1.
    for module in network.modules():
        if isinstance(module, SpatialShift):
            module.register_forward_hook(count_moves)
    # torch sees a deformable kernel where it is applied as a matrix product, and not in an operator of its own.
    assert multiply_accumulates_of_torch(network, (1, 64, 64)) - moves - cost.plain in (0, cost.deformable)


def test_the_network_is_left_as_it_is() -> None:
    network = FGANet(features=(4, 6, 8), decoder_features=(6, 4)).train()
    before = copy.deepcopy(network.state_dict())
    count_cost(network, (1, 64, 64))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    assert all(each.requires_grad and each.device.type == "cpu" for each in network.parameters())
    assert isinstance(network(torch.randn(2, 1, 64, 64)), tuple)
