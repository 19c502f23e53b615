"""The network, loss, planner and trainer that how-to/add_network_or_loss.md shows work as they stand there."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from gwunet.fingerprint import Fingerprint
from gwunet.losses import LOSSES, build_loss
from gwunet.networks import NETWORKS, build_network
from gwunet.planning import PLANNERS, planners_for
from gwunet.plans import Target
from gwunet.training import TRAINERS

PAGE = Path(__file__).parents[2] / "documentation" / "how-to" / "add_network_or_loss.md"


@pytest.fixture
def my_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The page's code in a module; what it registers is forgotten afterwards."""
    for registry in (NETWORKS, LOSSES, PLANNERS, TRAINERS):
        registry.names()
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "my_module.py").write_text("\n".join(code), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    sys.modules.pop("my_module", None)  # another page's
    yield
    sys.modules.pop("my_module", None)


@pytest.mark.usefixtures("my_module")
def test_a_step_of_the_planned_network_lowers_the_loss(make_fingerprint: Callable[..., Fingerprint]) -> None:
    (planner,) = planners_for(None, "my_module:MyPlanner")
    planned = planner.plan(make_fingerprint(), Target(device="cpu", memory_gb=4.0))
    assert (planned.name, planned.network.name, planned.loss.name) == ("three_layers", "ThreeLayers", "SquaredError")
    assert TRAINERS.find("my_module:MyTrainer").name == "MyTrainer"
    torch.manual_seed(0)
    network, loss = build_network(planned), build_loss(planned)
    frames, target = torch.randn(2, 1, 24, 40), torch.zeros(2, 1, 24, 40, dtype=torch.uint8)
    target[:, :, 10:12] = 1
    optimiser = torch.optim.SGD(network.parameters(), lr=0.5)
    before = loss(network(frames), target)
    before.backward()
    optimiser.step()
    assert network(frames).shape == frames.shape
    assert loss(network(frames), target) < before


@pytest.mark.usefixtures("my_module")
def test_the_loss_is_the_mean_over_pixels_that_count(make_fingerprint: Callable[..., Fingerprint]) -> None:
    planners_for(None, "my_module:MyPlanner")
    logits, target = torch.randn(3, 2, 1, 5, 6), torch.randint(0, 3, (2, 1, 5, 6), dtype=torch.uint8)
    counts = target != 2
    error = (logits.double().sigmoid() - (target == 1).double()) ** 2
    expected = torch.stack([each[counts].mean() for each in error])
    torch.testing.assert_close(LOSSES.get("SquaredError")()(logits, target).double(), expected, atol=1e-6, rtol=1e-5)
