"""The rules for shapes against torch's own, for every operation that any planner's networks and losses need."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from gwunet.fingerprint import Fingerprint
from gwunet.losses import LOSSES, DeepSupervision
from gwunet.networks import NETWORKS
from gwunet.planners import Planner
from gwunet.planners.memory import StepMemory
from gwunet.planners.realtime import CPU_CANDIDATES
from gwunet.planners.shapes import rule_for
from gwunet.planning import PLANNERS
from gwunet.plans import Target


def layout(result: Any) -> list[Any]:
    """Sizes, types and strides; a stride over an axis of one element is never taken."""
    several = result if isinstance(result, tuple | list) else (result,)
    return [
        (each.shape, each.dtype, [step for step, size in zip(each.stride(), each.shape, strict=True) if size > 1])
        if isinstance(each, Tensor)
        else each
        for each in several
    ]


class Comparing(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Compares each rule's result with torch's, and goes on with torch's."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.compared: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result, rule = func(*args, **kwargs), rule_for(func)
        if rule is not None:
            assert layout(rule(*args, **kwargs)) == layout(result), func
            self.compared.add(str(func))
        return result


@pytest.mark.parametrize("name", PLANNERS.names())
def test_a_training_step_of_every_planner(
    name: str, make_fingerprint: Callable[..., Fingerprint], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Planner, "_step_memory", lambda *_: StepMemory(fixed=0.0, per_patch=1e6))  # seconds to count
    monkeypatch.setattr("gwunet.planners.latency.milliseconds_per_frame", lambda *_: 1.0)
    monkeypatch.setattr("gwunet.planners.realtime.CANDIDATES", {"cpu": CPU_CANDIDATES[2:3]})
    planner = PLANNERS.get(name)()
    rate = 15.0 if getattr(planner, "keeps_rate", False) else None
    plan = planner.plan(make_fingerprint(), Target(device="cpu", memory_gb=24.0, realtime_fps=rate))
    with torch.device("meta"), Comparing() as comparing:
        network = NETWORKS.get(plan.network.name)(**plan.network.arguments).train()
        frames, target = torch.empty(2, 1, 96, 64), torch.empty(2, 1, 96, 64, dtype=torch.uint8)
        loss = DeepSupervision(LOSSES.get(plan.loss.name)(**plan.loss.arguments), plan.deep_supervision_weights)
        loss(network(frames), target).backward()
    assert {"aten.convolution.default", "aten.convolution_backward.default", "aten.add_.Tensor"} < comparing.compared


@pytest.mark.parametrize(
    "call",
    [
        lambda x: functional.max_pool2d(x, 3, 2, 1),
        lambda x: functional.max_pool2d(x, (3, 2), ceil_mode=True),
        lambda x: functional.max_pool2d(x, 3, 1, 1, dilation=2),
        lambda x: functional.conv2d(x, torch.empty(6, 2, 3, 5), stride=(2, 1), padding=(1, 0), dilation=2, groups=2),
        lambda x: functional.conv_transpose2d(
            x, torch.empty(4, 3, 3, 2), torch.empty(6), stride=3, padding=1, output_padding=2, groups=2
        ),
        lambda x: functional.batch_norm(x, None, None, training=True),
        lambda x: functional.group_norm(x, 2),
        lambda x: functional.interpolate(x, (5, 40), mode="bilinear"),
        lambda x: x.transpose(1, 3) * 2,
        lambda x: x[:, 1:3] + x[:, :1],
        lambda x: x.expand(3, -1, -1, -1).sigmoid() if len(x) == 1 else x.sigmoid(),
        lambda x: x.to(memory_format=torch.channels_last).relu(),
        lambda x: x.permute(2, 0, 3, 1).clone(),
        lambda x: (x > 0) | (x < 1),
        lambda x: x.sum((1, -1)) / torch.arange(17),
        lambda x: (x > 0).sum() // 2,
        lambda x: x.mean((2, 3), keepdim=True) * x,
        lambda x: torch.stack((x, x), dim=-1),
        lambda x: functional.pixel_shuffle(x, 2),
        lambda x: functional.pixel_shuffle(x.to(memory_format=torch.channels_last), 2),
        lambda x: functional.pixel_unshuffle(x[0, :, 1:, 3:], 4),
        lambda x: torch.cat((x, x[:, :2]), dim=-3),
        lambda x: torch.zeros_like(x, dtype=torch.uint8) + x,
        lambda x: torch.maximum(x, x + 1, out=torch.empty(x.shape)),
        lambda x: nn.functional.logsigmoid(x[0, 1]),
    ],
)
def test_corners_that_no_network_here_has(call: Any) -> None:
    with torch.device("meta"), Comparing() as comparing:
        call(torch.empty(2, 4, 17, 23))
    assert comparing.compared


def test_counting_does_without_torchs_compiler() -> None:
    """Importing it would take longer than all the counting."""
    script = (
        "import sys, torch\n"
        "from gwunet.losses import LOSSES\n"
        "from gwunet.networks import NETWORKS\n"
        "from gwunet.planners.counting import count_step_memory\n"
        "small = {'features': (4, 4), 'decoder_features': (4,)}\n"
        "for network, arguments, loss, outputs in (\n"
        "    ('FGANet', small, 'HybridLoss', 2),\n"
        "    ('FGANet', small | {'stem_stride': 2}, 'HybridLoss', 2),\n"
        "    ('LinkNet', {}, 'ModifiedFocalLoss', 1),\n"
        "):\n"
        "    build = lambda: NETWORKS.get(network)(**arguments)\n"
        "    count_step_memory(build, LOSSES.get(loss)(), [1.0] * outputs, (64, 64), 'cpu')\n"
        "print([name for name in ('sympy', 'torch._dynamo') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100, check=False)
    assert done.stdout == "[]\n", done.stdout + done.stderr
