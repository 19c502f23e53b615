"""The compared networks: what they cost, and how their parts are put together, against plain reimplementations."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gwunet.networks import NETWORKS, AttentionUNet, CENet, DeepLabV3Plus, UNet, UNetPlusPlus
from gwunet.networks.attention_unet import AttentionGate
from gwunet.networks.cenet import DenseAtrous, ResidualMultiPooling
from gwunet.networks.cost import count_cost
from gwunet.networks.deeplabv3plus import ASPP, enlarge
from gwunet.networks.resnet import ResNet

GIGA = 1e9
MakeNetwork = Callable[..., nn.Module]
AsTrained = Callable[..., nn.Module]


def randomise(module: nn.Module) -> nn.Module:
    """Batch norms with statistics of their own: fresh ones do next to nothing."""
    generator = torch.Generator().manual_seed(1)
    for each in module.modules():
        if isinstance(each, nn.BatchNorm2d):
            for tensor in (each.weight, each.bias, each.running_mean, each.running_var):
                assert tensor is not None
                tensor.data.uniform_(0.5, 1.5, generator=generator)
    return module.eval()


def normalise(features: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """A batch norm in eval mode, by its formula."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, variance, scale, shift = (
        tensor.view(-1, 1, 1) for tensor in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (features - mean) / (variance + norm.eps).sqrt() * scale + shift


# Costs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "paper", "tolerance"),
    [
        ("UNet", 54.98, 0.03),
        ("UNetPlusPlus", 139.61, 0.03),
        ("AttentionUNet", 266.53, 0.03),
        ("CENet", 35.60, 0.03),
        ("DeepLabV3Plus", 83.32, 0.15),
    ],
)
def test_the_costs_of_the_papers_table(name: str, paper: float, tolerance: float) -> None:
    """FGA-Net paper, Table 1: 10^9 multiply-accumulates for 512x512 and 3 channels, counted its way."""
    with torch.device("meta"):
        network = NETWORKS.get(name)(in_channels=3)
    cost = count_cost(network, (3, 512, 512))
    assert cost.paper / GIGA == pytest.approx(paper, rel=tolerance)
    assert cost.deformable == 0


def test_the_true_cost_of_unet_counted_by_hand() -> None:
    with torch.device("meta"):
        cost = count_cost(UNet(3), (3, 512, 512))
    pixels, total, doubled = 512 * 512, 0, 0
    features = (32, 64, 128, 256, 512)
    for depth, width in enumerate(features):
        before = 3 if depth == 0 else features[depth - 1]
        total += (pixels >> 2 * depth) * 9 * (before * width + width * width)
    for depth, width in enumerate(features[:-1]):
        up = (pixels >> 2 * depth) * 2 * width * width  # of the four taps of a 2x2 kernel each output pixel has one
        doubled += up
        total += up + (pixels >> 2 * depth) * 9 * (2 * width * width + width * width)
    total += pixels * 32
    assert (cost.plain, cost.paper) == (total, total + 3 * doubled)


def test_separable_convolutions_save_a_third() -> None:
    with torch.device("meta"):
        plain, separable = DeepLabV3Plus(), DeepLabV3Plus(separable=True)
    ratio = count_cost(separable, (1, 512, 512)).plain / count_cost(plain, (1, 512, 512)).plain
    assert ratio == pytest.approx(2 / 3, abs=0.05)


# Sizes and arguments --------------------------------------------------------------------------------------------

COMPARED = ("AttentionUNet", "CENet", "DeepLabV3Plus", "UNet", "UNetPlusPlus")
compared = pytest.mark.parametrize("name", COMPARED)


@compared
def test_the_smallest_frames(name: str, make: MakeNetwork) -> None:
    network = make(name).eval()
    with torch.inference_mode():
        for size in [(1, 1), (1, 40), (2, 3), (31, 33), (129, 47)]:
            assert network(torch.randn(1, 1, *size)).shape == (1, 1, *size)


@compared
def test_a_batch_of_one_patch_trains(name: str, make: MakeNetwork) -> None:
    network = make(name)
    network(torch.randn(1, 1, 64, 64)).square().mean().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())


@compared
def test_the_logits_stand_where_the_frame_has_its_pixels(name: str, small_arguments: dict[str, dict[str, Any]]) -> None:
    """A change of one input pixel is felt around that pixel, not beside it. Mean over random networks."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    weight = torch.zeros(64, 96)
    for seed in range(6):
        torch.manual_seed(seed)
        frame = torch.randn(1, 1, 64, 96, requires_grad=True)
        NETWORKS.get(name)(**small_arguments[name]).eval()(frame)[0, 0, 40, 60].backward()
        assert frame.grad is not None
        weight += frame.grad[0, 0].square() / frame.grad.square().sum().clamp(min=1e-30)  # a narrow one may be dead
    assert (rows * weight).sum() / weight.sum() == pytest.approx(40, abs=6)
    assert (columns * weight).sum() / weight.sum() == pytest.approx(60, abs=6)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("UNet", {"features": (8,)}, r"features is \(8,\), needed at least two stages"),
        ("UNetPlusPlus", {"features": (8, 0, 8)}, r"features is \(8, 0, 8\), needed at least two stages of at least 1"),
        ("AttentionUNet", {"features": ()}, r"features is \(\), needed"),
        ("UNet", {"in_channels": 0}, "in_channels is 0, needed at least 1"),
        ("UNetPlusPlus", {"in_channels": -1}, "in_channels is -1, needed at least 1"),
        ("CENet", {"encoder": "resnet19"}, "unknown encoder 'resnet19', known are resnet18, .*, resnet101"),
        ("CENet", {"width": 3}, "width is 3, needed at least 4"),
        ("CENet", {"head_channels": 0}, "head_channels is 0, needed at least 1"),
        ("DeepLabV3Plus", {"encoder": "xception"}, "unknown encoder 'xception'"),
        ("DeepLabV3Plus", {"decoder_channels": 0}, "decoder_channels is 0, needed at least 1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NETWORKS.get(name)(**arguments)


# U-Net and its relatives ----------------------------------------------------------------------------------------


def test_unet_has_as_many_stages_as_features() -> None:
    """FGA-Net's own six stages among them, whose CPU plan repeats widths."""
    for features in [(4, 8), (4, 4, 8, 16, 32, 32)]:
        network = UNet(features=features)
        assert [stage[-1][0].out_channels for stage in network.encoder] == list(features)
        assert [stage.stage[-1][0].out_channels for stage in network.decoder] == list(features[-2::-1])
        assert [stage.up.in_channels for stage in network.decoder] == list(features[:0:-1])


@pytest.fixture
def compare(as_trained: AsTrained, make: MakeNetwork, plain_layers: Callable[..., Any]) -> Callable[..., None]:
    """A whole network against a forward pass that is written out in a test."""

    def check(name: str, forward: Callable[[Any, Tensor], Tensor], size: tuple[int, int], **arguments: Any) -> None:
        network, frames = as_trained(make(name, **arguments)), torch.randn(2, 1, *size)
        with torch.inference_mode():
            expected = forward(plain_layers(network), frames)
            assert expected.std() > 0.1
            torch.testing.assert_close(network(frames), expected, atol=1e-4, rtol=0)

    return check


def pooled_encoder(layers: Any, frames: Tensor) -> list[Tensor]:
    """Four stages of two convolutions with poolings between them."""
    features = [layers.double("encoder.0", frames)]
    for depth in (1, 2, 3):
        features.append(layers.double(f"encoder.{depth}", F.max_pool2d(features[-1], 2, ceil_mode=True)))
    return features


def test_unet_is_its_figure(compare: Callable[..., None]) -> None:
    """What was doubled is joined with the encoder's feature of the same size, which stands first."""

    def forward(layers: Any, frames: Tensor) -> Tensor:
        *skips, feature = pooled_encoder(layers, frames)
        for depth, skip in enumerate(reversed(skips)):
            doubled = layers.transposed(f"decoder.{depth}.up", feature, stride=2)
            doubled = doubled[..., : skip.shape[2], : skip.shape[3]]
            feature = layers.double(f"decoder.{depth}.stage", torch.cat((skip, doubled), dim=1))
        return layers.convolution("head", feature)

    compare("UNet", forward, (45, 70))


def test_attention_unet_is_its_figure(compare: Callable[..., None]) -> None:
    """The skip connection is what is gated, by the feature from below, and both are joined."""

    def forward(layers: Any, frames: Tensor) -> Tensor:
        *skips, feature = pooled_encoder(layers, frames)
        for depth, skip in enumerate(reversed(skips)):
            name = f"decoder.{depth}"
            doubled = feature.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., : skip.shape[2], : skip.shape[3]]
            gating = layers.normed(f"{name}.up.0", f"{name}.up.1", doubled, padding=1)
            of_skip, of_gating = (
                layers.norm(f"{name}.gate.{part}.1", layers.convolution(f"{name}.gate.{part}.0", each))
                for part, each in (("of_skip", skip), ("of_gating", gating))
            )
            psi = layers.convolution(f"{name}.gate.psi.0", (of_skip + of_gating).clamp(min=0))
            gated = skip * layers.norm(f"{name}.gate.psi.1", psi).sigmoid()
            feature = layers.double(f"{name}.stage", torch.cat((gated, gating), dim=1))
        return layers.convolution("head", feature)

    compare("AttentionUNet", forward, (45, 70))


def test_unetplusplus_is_its_equation() -> None:
    """Node X^{i,j} sees all nodes before it in its row and the upsampled one of the row below (equation 1)."""
    torch.manual_seed(0)
    network = randomise(UNetPlusPlus(features=(3, 4, 5, 6)))
    assert isinstance(network, UNetPlusPlus)
    assert [len(row) for row in network.nodes] == [4, 3, 2, 1]
    frames = torch.randn(1, 1, 21, 34)
    nodes: dict[tuple[int, int], Tensor] = {}
    for column in range(4):
        for level in range(4 - column):
            if column:
                up = F.interpolate(nodes[level + 1, column - 1], nodes[level, 0].shape[-2:], mode="bilinear")
                seen = torch.cat([*(nodes[level, before] for before in range(column)), up], dim=1)
            else:
                seen = F.max_pool2d(nodes[level - 1, 0], 2, ceil_mode=True) if level else frames
            nodes[level, column] = network.nodes[level][column](seen)
    torch.testing.assert_close(network(frames), network.heads[0](nodes[0, 3]))


def test_deep_supervision_of_unetplusplus_gives_every_column_at_full_resolution() -> None:
    torch.manual_seed(0)
    network = UNetPlusPlus(features=(3, 4, 5, 6), deep_supervision=True)
    frames = torch.randn(2, 1, 21, 34)
    outputs = network(frames)
    assert isinstance(outputs, tuple)
    assert [tuple(each.shape) for each in outputs] == [(2, 1, 21, 34)] * 3
    sum(each.square().mean() for each in outputs).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())
    # The first output is the last column's: it alone depends on the deepest level.
    depends = [
        torch.autograd.grad(each.sum(), network.nodes[3][0][0][0].weight, allow_unused=True)[0] is not None
        for each in network(frames)
    ]
    assert depends == [True, False, False]
    assert network.eval()(frames).shape == (2, 1, 21, 34)


def test_the_attention_gate_is_its_formula() -> None:
    """x * sigmoid(psi(relu(W_x x + W_g g))), each projection with a batch norm."""
    torch.manual_seed(0)
    gate = randomise(AttentionGate(6))
    assert isinstance(gate, AttentionGate)
    skip, gating = torch.randn(2, 6, 5, 7), torch.randn(2, 6, 5, 7)

    def project(projection: nn.Module, features: Tensor) -> Tensor:
        assert isinstance(projection, nn.Sequential)
        kernel, norm = projection
        assert isinstance(norm, nn.BatchNorm2d)
        assert isinstance(kernel.weight, Tensor)
        return normalise(torch.einsum("oc,bchw->bohw", kernel.weight[:, :, 0, 0], features), norm)

    added = (project(gate.of_skip, skip) + project(gate.of_gating, gating)).clamp(min=0)
    factor = 1 / (1 + torch.exp(-project(gate.psi, added)))
    assert factor.shape == (2, 1, 5, 7)
    torch.testing.assert_close(gate(skip, gating), skip * factor)


def test_attention_gates_stand_on_every_skip_connection() -> None:
    network = AttentionUNet(features=(4, 6, 8, 10))
    gates = [module for module in network.modules() if isinstance(module, AttentionGate)]
    assert [gate.of_skip[0].in_channels for gate in gates] == [8, 6, 4]
    assert [gate.of_skip[0].out_channels for gate in gates] == [4, 3, 2]


# CE-Net ---------------------------------------------------------------------------------------------------------


def test_the_branches_of_dac() -> None:
    block = DenseAtrous(4)
    kernels = [[layer for layer in cascade if isinstance(layer, nn.Conv2d)] for cascade in block.cascades]
    atrous = [[layer.dilation[0] for layer in branch if layer.kernel_size == (3, 3)] for branch in kernels]
    assert atrous == [[1], [3], [1, 3], [1, 3, 5]]
    assert [branch[-1].kernel_size for branch in kernels] == [(3, 3), (1, 1), (1, 1), (1, 1)]
    # What each branch sees: a step at one pixel is felt so far away.
    for cascade, width in zip(block.cascades, (3, 7, 9, 19), strict=True):
        assert isinstance(cascade, nn.Sequential)
        frame = torch.zeros(1, 4, 31, 31, requires_grad=True)
        cascade[:-1](frame)[0, :, 15, 15].sum().backward()
        assert frame.grad is not None
        felt = frame.grad.abs().sum(dim=(0, 1)).nonzero()
        assert (felt.amax(0) - felt.amin(0) + 1).tolist() == [width, width]


def test_dac_adds_its_branches_to_the_input() -> None:
    torch.manual_seed(0)
    block, features = DenseAtrous(4), torch.randn(2, 4, 9, 11)
    expected = features.clone()
    for cascade in block.cascades:
        feature = features
        assert isinstance(cascade, nn.Sequential)
        for layer in cascade[:-1]:
            rate = layer.dilation[0] if layer.kernel_size == (3, 3) else 0
            feature = F.conv2d(feature, layer.weight, layer.bias, padding=rate, dilation=max(rate, 1))
        expected += feature.clamp(min=0)
    torch.testing.assert_close(block(features), expected)


@pytest.mark.parametrize("size", [(12, 30), (7, 9), (1, 4), (1, 1)])
def test_rmp_adds_a_channel_for_each_pooling(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    block, features = ResidualMultiPooling(3), torch.randn(2, 3, *size)
    output = block(features)
    assert output.shape == (2, 7, *size)
    assert torch.equal(output[:, 4:], features)
    for index, edge in enumerate((2, 3, 5, 6)):
        cells = [
            torch.stack([columns.amax(dim=(2, 3)) for columns in rows.split(edge, dim=3)], dim=-1)
            for rows in features.split(edge, dim=2)
        ]
        kernel = block.pointwise[index]
        projected = F.conv2d(torch.stack(cells, dim=2), kernel.weight, kernel.bias)
        expected = F.interpolate(projected, size, mode="bilinear", align_corners=False)
        torch.testing.assert_close(output[:, index : index + 1], expected)


def test_the_decoder_of_cenet() -> None:
    """RMP's four channels come in; every block doubles the size and ends as wide as the feature that is added."""
    with torch.device("meta"):
        network = CENet()
    ends = [(block[0].in_channels, block[-3].out_channels) for block in (network.decoder4, network.decoder3)]
    ends += [(block[0].in_channels, block[-3].out_channels) for block in (network.decoder2, network.decoder1)]
    assert ends == [(516, 256), (256, 128), (128, 64), (64, 64)]
    assert (network.head[0].kernel_size, network.head[0].stride) == ((4, 4), (2, 2))


def test_cenet_is_its_figure(compare: Callable[..., None]) -> None:
    """A padded frame, encoder, DAC, RMP, four blocks to each but the last of which an encoder feature is added."""

    def context(layers: Any, features: Tensor) -> Tensor:
        total = features
        for branch, rates in enumerate(((1,), (3,), (1, 3), (1, 3, 5))):
            out = features
            for index, rate in enumerate(rates):
                out = layers.convolution(f"context.0.cascades.{branch}.{index}", out, padding=rate, dilation=rate)
            if branch:
                out = layers.convolution(f"context.0.cascades.{branch}.{len(rates)}", out)
            total = total + out.clamp(min=0)
        pooled = [F.max_pool2d(total, edge, ceil_mode=True) for edge in (2, 3, 5, 6)]
        single = [layers.convolution(f"context.1.pointwise.{index}", each) for index, each in enumerate(pooled)]
        return torch.cat([*(F.interpolate(each, total.shape[2:], mode="bilinear") for each in single), total], dim=1)

    def forward(layers: Any, frames: Tensor) -> Tensor:
        height, width = frames.shape[2:]
        padded = torch.zeros(2, 1, 64, 96)
        padded[..., :height, :width] = frames
        first, second, third, fourth = layers.resnet(padded)
        feature = layers.upsampling_block("decoder4", context(layers, fourth), 1) + third
        feature = layers.upsampling_block("decoder3", feature, 1) + second
        feature = layers.upsampling_block("decoder2", feature, 1) + first
        feature = layers.upsampling_block("decoder1", feature, 1)
        feature = layers.transposed("head.0", feature, stride=2, padding=1).clamp(min=0)
        feature = layers.convolution("head.2", feature, padding=1).clamp(min=0)
        return layers.convolution("head.4", feature, padding=1)[..., :height, :width]

    compare("CENet", forward, (45, 70))


# DeepLabV3+ -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separable", [False, True])
def test_the_dilations_of_aspp(separable: bool) -> None:
    module = ASPP(8, 4, separable)
    spatial = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)]
    assert [layer.dilation for layer in spatial] == [(6, 6), (12, 12), (18, 18)]
    assert [layer.padding for layer in spatial] == [(6, 6), (12, 12), (18, 18)]
    assert [layer.groups for layer in spatial] == [8 if separable else 1] * 3
    assert module.project[0].in_channels == 5 * 4


def test_aspp_is_its_branches_joined() -> None:
    torch.manual_seed(0)
    module = randomise(ASPP(3, 4, separable=False))
    assert isinstance(module, ASPP)
    features = torch.randn(2, 3, 20, 23)
    kernels = [layer.weight for layer in module.branches.modules() if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in module.branches.modules() if isinstance(layer, nn.BatchNorm2d)]
    # Torch's own rule written out: 3x3 taps so many pixels apart, zeros outside.
    joined = [torch.einsum("oc,bchw->bohw", kernels[0][:, :, 0, 0], features)]
    for kernel, rate in zip(kernels[1:4], (6, 12, 18), strict=True):
        padded = F.pad(features, (rate,) * 4)
        taps = [
            torch.einsum(
                "oc,bchw->bohw",
                kernel[:, :, row, column],
                padded[:, :, row * rate : row * rate + 20, column * rate : column * rate + 23],
            )
            for row in range(3)
            for column in range(3)
        ]
        joined.append(torch.stack(taps).sum(0))
    mean = features.sum(dim=(2, 3)) / (20 * 23)
    joined.append((mean @ kernels[4][:, :, 0, 0].T)[:, :, None, None].expand(2, 4, 20, 23))
    branches = [normalise(each, norm).clamp(min=0) for each, norm in zip(joined, norms, strict=True)]
    projected = torch.einsum("oc,bchw->bohw", module.project[0].weight[:, :, 0, 0], torch.cat(branches, dim=1))
    torch.testing.assert_close(module(features), normalise(projected, module.project[1]).clamp(min=0))


def test_enlarged_features_keep_their_places() -> None:
    """Pixel i of the small one is pixel 4i of the large one, between them it is linear, and the border is repeated."""
    features = torch.randn(2, 3, 4, 5)
    larger = enlarge(features, 4, (15, 17))
    assert larger.shape == (2, 3, 15, 17)
    torch.testing.assert_close(larger[..., :13:4, ::4], features)
    torch.testing.assert_close(larger[..., 2, ::4], (features[..., 0, :] + features[..., 1, :]) / 2)
    assert torch.equal(larger[..., 13:, :], larger[..., 12:13, :].expand(-1, -1, 2, -1))


def test_deeplabv3plus_is_its_figure(compare: Callable[..., None]) -> None:
    """ASPP of the last feature, enlarged and joined with the narrowed first one; 65 = 4 * 16 + 1 needs no border."""

    def forward(layers: Any, frames: Tensor) -> Tensor:
        first, _, _, fourth = layers.resnet(frames, output_stride=16)
        branches = [layers.normed("aspp.branches.0.0", "aspp.branches.0.1", fourth)]
        for branch, rate in enumerate((6, 12, 18), start=1):
            name = f"aspp.branches.{branch}"
            branches.append(layers.normed(f"{name}.0", f"{name}.1", fourth, padding=rate, dilation=rate))
        mean = fourth.mean((2, 3), keepdim=True)
        mean = layers.normed("aspp.branches.4.pointwise", "aspp.branches.4.norm", mean)
        branches.append(mean.expand_as(branches[0]))
        context = layers.normed("aspp.project.0", "aspp.project.1", torch.cat(branches, dim=1))
        context = F.interpolate(context, first.shape[2:], mode="bilinear", align_corners=True)
        low = layers.normed("low_level.0", "low_level.1", first)
        feature = layers.double("decoder", torch.cat((context, low), dim=1))
        return F.interpolate(layers.convolution("head", feature), (65, 97), mode="bilinear", align_corners=True)

    compare("DeepLabV3Plus", forward, (65, 97))


@pytest.mark.parametrize("name", ["resnet34", "resnet101"])
def test_output_stride_16_changes_no_parameter(name: str) -> None:
    """torchvision's ``replace_stride_with_dilation=(False, False, True)``."""
    with torch.device("meta"):
        plain, dilated = ResNet(name, 3), ResNet(name, 3, output_stride=16)
    shapes = {key: tensor.shape for key, tensor in plain.state_dict().items()}
    assert {key: tensor.shape for key, tensor in dilated.state_dict().items()} == shapes
    assert name != "resnet101" or sum(each.numel() for each in dilated.parameters()) == 42_500_160
    features = dilated(torch.empty(1, 3, 224, 224, device="meta"))
    assert [each.shape[-1] for each in features] == [56, 28, 14, 14]
    spatial = [layer for layer in dilated.layer4.modules() if getattr(layer, "kernel_size", None) == (3, 3)]
    assert [layer.dilation[0] for layer in spatial] == [1, *[2] * (len(spatial) - 1)]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_dilated_layer_gives_what_the_strided_one_gives_at_every_second_pixel(name: str) -> None:
    torch.manual_seed(0)
    plain, dilated = (ResNet(name, width=4, output_stride=stride).eval() for stride in (32, 16))
    dilated.load_state_dict(plain.state_dict())
    frames = torch.randn(1, 1, 96, 128)
    torch.testing.assert_close(dilated(frames)[3][..., ::2, ::2], plain(frames)[3], atol=1e-4, rtol=1e-4)


def test_an_output_stride_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="output_stride is 8, needed 16 or 32"):
        ResNet("resnet18", output_stride=8)
