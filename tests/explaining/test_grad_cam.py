"""Grad-CAM++ on networks whose map is known."""

import numpy as np
import pytest
import torch
from torch import nn

from gwunet.errors import UsageError
from gwunet.explaining.grad_cam import explain_wire, grad_cam_plus_plus, usual_layer
from gwunet.networks import FGANet, LinkNet, UNet


def test_the_map_of_the_paper_by_loops() -> None:
    """Equations 10, 11 and 19 pixel by pixel in float64, for activations of rectified units."""
    generator = torch.Generator().manual_seed(0)
    activations = torch.randn((3, 4, 5), generator=generator).relu().double()
    gradients = torch.randn((3, 4, 5), generator=generator).double()
    wanted = np.zeros((4, 5))
    for a, g in zip(activations.numpy(), gradients.numpy(), strict=True):
        weight = 0.0
        for i in range(4):
            for j in range(5):
                alpha = g[i, j] ** 2 / (2 * g[i, j] ** 2 + a.sum() * g[i, j] ** 3)
                weight += alpha * max(g[i, j], 0) if g[i, j] > 0 else 0.0
        wanted += weight * a
    assert grad_cam_plus_plus(activations, gradients).numpy() == pytest.approx(np.maximum(wanted, 0))


class Linear(nn.Module):
    """Logits = 3 x the first feature - 2 x the second; the features are the frame's light and dark pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 1, bias=False), nn.ReLU())
        self.head = nn.Sequential(nn.Conv2d(2, 1, 1, bias=False))
        with torch.no_grad():
            self.features[0].weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
            self.head[0].weight.copy_(torch.tensor([3.0, -2.0]).view(1, 2, 1, 1))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.features(frames))
        return logits


def test_of_a_linear_network_the_map_is_the_feature_that_speaks_for_the_wire() -> None:
    """The gradient of the mean logit is 3/n on the wire for the first feature and negative for the second, so the map
    is the first feature times one weight: the frame's positive part, scaled to 1."""
    frame = torch.tensor([[0.0, 4.0, -5.0], [2.0, -1.0, 1.0]])
    wire = torch.tensor([[False, True, True], [False, False, False]])
    found = explain_wire(Linear().eval(), "features", frame[None, None], wire)
    assert found == pytest.approx(np.array([[0, 1, 0], [0.5, 0, 0.25]]))


def test_what_works_in_place_after_the_layer_changes_nothing() -> None:
    class InPlace(Linear):
        def __init__(self) -> None:
            super().__init__()
            self.features = nn.Sequential(self.features[0], nn.ReLU(inplace=True))

    frame, wire = torch.randn((1, 1, 6, 7)), torch.ones((6, 7), dtype=torch.bool)
    plain, in_place = (explain_wire(made().eval(), "features.0", frame, wire) for made in (Linear, InPlace))
    assert in_place == pytest.approx(plain)


@pytest.mark.parametrize(
    ("network", "layer"),
    [
        (FGANet(features=(2, 4, 4, 4, 4, 4), decoder_features=(4, 4, 4, 2, 2)), "decoder.2"),
        (FGANet(features=(2, 4, 4), decoder_features=(4, 2), stem_stride=2), "decoder.0"),
        (UNet(features=(2, 2, 4, 4, 4)), "decoder.1"),
        (LinkNet(encoder="resnet18"), "decoder2"),
    ],
)
def test_the_usual_layer_is_the_last_stage_at_a_quarter(network: nn.Module, layer: str) -> None:
    tile = torch.randn((1, 1, 70, 66))
    assert usual_layer(network.eval(), tile) == layer
    wire = torch.zeros((70, 66), dtype=torch.bool)
    wire[30:33, 5:60] = True
    found = explain_wire(network, layer, tile, wire)
    assert found.shape == (70, 66)
    assert found.min() >= 0
    assert found.max() == pytest.approx(1) or not found.any()


def test_layers_that_cannot_be_shown_are_refused() -> None:
    tile, wire = torch.zeros((1, 1, 4, 4)), torch.ones((4, 4), dtype=torch.bool)
    with pytest.raises(UsageError, match=r"--layer neck: unknown; the network has features, .*head"):
        explain_wire(Linear().eval(), "neck", tile, wire)
    with pytest.raises(UsageError, match="no feature map at a 4th"):
        usual_layer(Linear().eval(), torch.zeros((1, 1, 64, 64)))
