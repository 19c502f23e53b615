"""The plan of a network that keeps a frame rate: of several, the largest measured to keep it."""

import copy
import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from gwunet.errors import UsageError
from gwunet.exposed_field import Frame
from gwunet.fingerprint import Fingerprint
from gwunet.planners.fganet import CPU_FEATURES, FGANetPlanner, narrow_decoder
from gwunet.planning import PLANNERS, check_measurable
from gwunet.plans import Configuration, Decision, Preprocessing, Spec, Target

PERIOD_SHARE = 2 / 3
"""Of the time from frame to frame that a frame may take. The rest is for frames that take longer than the median one,
and for whatever gives the frames and shows the masks."""
LEAST_EDGE = 512
"""Frames are measured in no smaller size: it is what fluoroscopy units mostly give."""
PAPER_FEATURES = (32, 64, 128, 256, 512, 1024)
HALF_FEATURES = (16, 32, 64, 128, 256, 512)


def _fganet(
    features: Sequence[int],
    decoder_features: Sequence[int] | None = None,
    *,
    stem: int = 1,
    without: Sequence[str] = (),
) -> Spec:
    arguments = {"features": list(features), "decoder_features": list(decoder_features or narrow_decoder(features))}
    stride = {"stem_stride": stem} if stem > 1 else {}
    return Spec(name="FGANet", arguments={"in_channels": 1, **arguments, **stride, **dict.fromkeys(without, False)})


# Each costs more than the one before it. What a slower machine does without first is what costs most
# for what it gives: SDA, whose deformable convolutions few runtimes compute well; then pixels; then channels.
NO_SDA = ("use_sda",)
BARE = ("use_sda", "use_bga")
CPU_CANDIDATES = (
    _fganet((16, 32, 64, 64), stem=4, without=BARE),
    _fganet((16, 16, 32, 64, 128), stem=2, without=BARE),
    _fganet((16, 16, 32, 64, 128), stem=2, without=NO_SDA),
    _fganet((16, 32, 64, 128, 128), stem=2, without=NO_SDA),
    _fganet((32, 32, 64, 128, 128), stem=2, without=NO_SDA),
    _fganet(CPU_FEATURES, without=NO_SDA),
    _fganet(CPU_FEATURES),
)
CANDIDATES: dict[Literal["cpu", "cuda"], tuple[Spec, ...]] = {
    "cpu": CPU_CANDIDATES,
    "cuda": (
        *CPU_CANDIDATES,
        _fganet(HALF_FEATURES, HALF_FEATURES[-2::-1]),
        _fganet(PAPER_FEATURES, PAPER_FEATURES[-2::-1]),
    ),
}
"""Smallest first."""


def last_in_time(
    candidates: Sequence[Spec], milliseconds: Callable[[Spec], float], limit_ms: float
) -> tuple[int, tuple[float, ...]]:
    """Asks one candidate after another what it takes, up to the first one that takes more than ``limit_ms``.

    So a slow machine, on which asking takes long, is asked little.

    Returns:
        How many are fast enough, the last of which is to be planned, and what those that were asked take, in order.
    """
    asked: list[float] = []
    for candidate in candidates:
        asked.append(milliseconds(candidate))
        if asked[-1] > limit_ms:
            return len(asked) - 1, tuple(asked)
    return len(asked), tuple(asked)


@PLANNERS.register("FGANetRealtimePlanner")
class FGANetRealtimePlanner(FGANetPlanner):
    """FGA-Net as large as keeps ``Target.realtime_fps`` on this machine, measured frame by frame.

    A frame is measured as large as the dataset's largest, 512 x 512 at the least, and exposed all over. The plan is a
    pure function of the fingerprint, the target and the measured times.
    """

    name = "FGANetRealtimePlanner"
    configuration_name = "fganet_realtime"
    by_default = False
    keeps_rate = True
    mirror = False
    cpu_batch = 2
    cpu_patch_edge = 256
    cpu_patch_reason = "on a CPU: as many pixels a step as eight of 128, and few ends of tiles, which cost no time then"
    cpu_step = 1.0
    prediction_reason = "four mirrored copies would take four times as long"

    def __init__(self, candidate: Spec = CPU_CANDIDATES[0]) -> None:
        """``candidate``: the network that all but ``plan`` decides for."""
        self._candidate = candidate

    def plan(self, fingerprint: Fingerprint, target: Target) -> Configuration:
        """The configuration of the last candidate that keeps the rate.

        Raises:
            UsageError: the target names no rate or is not here to be measured, or the smallest candidate is too slow.
        """
        rate = target.realtime_fps
        if rate is None:
            raise UsageError(f"-c {self.configuration_name}: found no frame rate to plan for; give it with --realtime")
        check_measurable(target.device)
        frame = made_up_frame(fingerprint)
        planned: list[Configuration] = []

        def milliseconds(candidate: Spec) -> float:
            from gwunet.planners.latency import milliseconds_per_frame  # torch comes late

            planned.append(type(self)(candidate)._of_candidate(fingerprint, target))
            return milliseconds_per_frame(planned[-1], Preprocessing(borders=fingerprint.borders), frame)

        candidates = CANDIDATES[target.device]
        limit_ms = PERIOD_SHARE * 1e3 / rate
        fast, measured = last_in_time(candidates, milliseconds, limit_ms)
        if not fast:
            raise UsageError(
                f"--realtime {rate:g}: found that the smallest of {len(candidates)} networks takes {measured[0]:.0f} "
                f"ms for a frame of {frame.shape[0]} x {frame.shape[1]} here; wanted at most {limit_ms:.0f} ms, "
                f"{PERIOD_SHARE:.0%} of the time between frames: ask for {PERIOD_SHARE * 1e3 / measured[0]:.2g} frames "
                "per second or less, or plan while nothing else runs"
            )
        return _with_rate(planned[fast - 1], rate_decision(candidates, measured, fast, rate, frame.shape))

    def _of_candidate(self, fingerprint: Fingerprint, target: Target) -> Configuration:
        return super().plan(fingerprint, target)

    def network(self, patch_size: tuple[int, int], target: Target) -> Spec:
        """The candidate, for any patch."""
        del patch_size, target
        return copy.deepcopy(self._candidate)

    def network_reason(self, target: Target) -> str:
        """What was measured stands in a decision of its own."""
        return f"the largest of {len(CANDIDATES[target.device])} that keeps the frame rate, see there"

    def network_change(self, target: Target) -> str:
        """What would change the network."""
        del target
        return "--realtime, --target_device, a faster or idler machine"

    def _largest_frame(self, fingerprint: Fingerprint) -> tuple[tuple[int, int], str]:
        return measured_size(fingerprint), "the size whose time was measured"


def measured_size(fingerprint: Fingerprint) -> tuple[int, int]:
    """Rows and columns of the largest frame, 512 each at the least."""
    height, width = fingerprint.height.maximum, fingerprint.width.maximum
    return max(LEAST_EDGE, math.ceil(height)), max(LEAST_EDGE, math.ceil(width))


def made_up_frame(fingerprint: Fingerprint) -> Frame:
    """A frame of ``measured_size`` in the dataset's most frequent type, exposed all over.

    Its levels run from the dataset's median to its bright end, so that none of them is taken for the border.
    """
    rows, columns = measured_size(fingerprint)
    dtype = max(fingerprint.dtypes, key=lambda name: fingerprint.dtypes[name])
    _, _, median, bright, _ = fingerprint.intensity
    ramp = np.linspace(median, max(bright, median + 1), columns)
    levels = np.broadcast_to(ramp, (rows, columns))
    return levels.astype(np.uint8) if dtype == "uint8" else levels.astype(np.uint16)


def rate_decision(
    candidates: Sequence[Spec], measured: Sequence[float], fast: int, rate: float, frame_shape: tuple[int, ...]
) -> Decision:
    """What was measured: the last of the ``fast`` candidates is planned, the one after it is too slow."""
    times = ", ".join(f"{_short(candidate)}: {ms:.1f}" for candidate, ms in zip(candidates, measured, strict=False))
    return Decision(
        what="frame rate",
        value=f"{rate:g} frames per second of {frame_shape[0]} x {frame_shape[1]}: {measured[fast - 1]:.1f} ms a frame",
        reason=f"measured here from frame to wires, of one fold with fresh weights; {PERIOD_SHARE * 1e3 / rate:.1f} ms "
        f"are allowed, {PERIOD_SHARE:.0%} of the time between frames. ms of "
        + ("the candidates, the last too slow" if fast < len(measured) else "all candidates, none too slow")
        + f": {times}",
        change="--realtime; planning again on another machine, or on this one with less beside it",
    )


def _short(network: Spec) -> str:
    arguments = network.arguments
    parts = ["-".join(str(width) for width in arguments["features"])]
    parts += [f"stem {arguments['stem_stride']}"] if "stem_stride" in arguments else []
    parts += [f"no {name.upper()}" for name in ("sda", "bga") if not arguments.get(f"use_{name}", True)]
    return " ".join(parts)


def _with_rate(configuration: Configuration, decision: Decision) -> Configuration:
    """The decision right after that on the network."""
    decisions: list[Decision] = []
    for each in configuration.decisions:
        decisions += [each, decision] if each.what == "network" else [each]
    return dataclasses.replace(configuration, decisions=tuple(decisions))
