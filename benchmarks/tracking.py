"""Tracking of two wires in simulated sequences: identity switches, tip errors with frames blanked, time per frame.

    OMP_NUM_THREADS=1 python benchmarks/tracking.py [--runs 20] [--frames 60] [--size 512] [--blanked 0.1] [--seed 0]

Wires are located in the sequences' true masks and tracked. A run in which a wire leaves the field for some frames is
left out, and the next one taken, so that both are there in every frame from the first with wires on. Then some frames
are blanked: masks without wire in the place of theirs. A tip's error in a frame where its wire was not found is that of
the last tip known; with tracking, of the wire as it was bridged. Which true wire a located one is, is decided frame by
frame and so without the tracker. The time is that of ``locate_guidewires`` and ``Tracker.update``, on one core.
"""

import argparse
import dataclasses
import platform
import statistics
import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gwunet.evaluation.localization import identity_switches, with_identities
from gwunet.evaluation.wires import PlainWire, Wire, WireScore, score_wires
from gwunet.localization import Guidewire, Tracker, locate_guidewires
from gwunet.synthetic.sequence import SimulatedFrame, simulate_sequence

WIRES = 2


@dataclasses.dataclass(frozen=True)
class TrueFrame:
    """A frame's mask, (H, W), and what is true of it."""

    mask: NDArray[np.bool_]
    exposed: NDArray[np.bool_]
    wires: Sequence[Wire]


@dataclasses.dataclass
class Found:
    """What was found in all frames of a run, with or without tracking."""

    tip_errors: list[float] = dataclasses.field(default_factory=list)
    blank_tip_errors: list[float] = dataclasses.field(default_factory=list)
    """Of the blanked frames alone."""
    switches: int = 0
    flags: dict[str, int] = dataclasses.field(default_factory=dict)

    def add(self, other: "Found") -> None:
        self.tip_errors += other.tip_errors
        self.blank_tip_errors += other.blank_tip_errors
        self.switches += other.switches
        for flag, count in other.flags.items():
            self.flags[flag] = self.flags.get(flag, 0) + count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--blanked", type=float, default=0.1, help="share of the frames")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    whole, single, tracked, milliseconds = Found(), Found(), Found(), []
    for frames in runs(arguments.runs, arguments.frames, arguments.size, arguments.seed):
        located, times = locate(frames)
        rng = np.random.default_rng(arguments.seed)
        blank = rng.random(len(frames)) < arguments.blanked
        followed, tracking_times = track(located)
        milliseconds += [1e3 * sum(both) for both in zip(times, tracking_times, strict=True)]
        left = [[] if is_blank else wires for wires, is_blank in zip(located, blank, strict=True)]
        whole.add(judge(frames, followed, np.zeros_like(blank)))
        single.add(judge(frames, left, blank))
        tracked.add(judge(frames, track(left)[0], blank))
        print(".", end="", flush=True)
    print(f"\n{platform.machine()}, numpy {np.__version__}; {arguments}\n")
    print("| | mean tip error, px | in blanked frames, px | identity switches | flags |")
    print("|---|---|---|---|---|")
    print(row("tracked, no frame blanked", whole))
    print(row("blanked, not tracked", single, has_identities=False))
    print(row("blanked, tracked", tracked))
    low, high = np.percentile(milliseconds, (50, 95))
    print(f"\nms per frame: median {low:.2f}, 95th percentile {high:.2f}, of {len(milliseconds)}")


def runs(count: int, n_frames: int, size: int, seed: int) -> Iterator[list[TrueFrame]]:
    """So many runs of frames with two wires."""
    patient = made = 0
    while made < count:
        simulated = simulate_sequence(seed=seed, patient=patient, sequence=0, frames=n_frames, size=size, wires=WIRES)
        patient += 1
        frames = _with_all_wires(simulated)
        if frames is not None:
            made += 1
            yield frames


def _with_all_wires(simulated: Iterator[SimulatedFrame]) -> list[TrueFrame] | None:
    frames = []
    for frame in simulated:
        if len(frame.wires) == 1:
            return None
        plain = [PlainWire(wire.centreline) for wire in frame.wires]
        frames.append(TrueFrame(frame.mask != 0, frame.exposed, plain))
    numbered = with_identities([frame.wires for frame in frames])
    return [dataclasses.replace(frame, wires=wires) for frame, wires in zip(frames, numbered, strict=True)]


def locate(frames: Sequence[TrueFrame]) -> tuple[list[list[Guidewire]], list[float]]:
    """The wires of each frame, and the seconds it took."""
    located, seconds = [], []
    for frame in frames:
        start = time.perf_counter()
        located.append(locate_guidewires(frame.mask, field=frame.exposed))
        seconds.append(time.perf_counter() - start)
    return located, seconds


def track(located: Sequence[Sequence[Guidewire]]) -> tuple[list[list[Guidewire]], list[float]]:
    """The wires of each frame as the tracker reports them, and the seconds it took."""
    tracker, reported, seconds = Tracker(), [], []
    for wires in located:
        start = time.perf_counter()
        reported.append(tracker.update(wires))
        seconds.append(time.perf_counter() - start)
    return reported, seconds


def judge(frames: Sequence[TrueFrame], found: Sequence[Sequence[Guidewire]], blank: NDArray[np.bool_]) -> Found:
    """Compare what was found in a run with what is true."""
    judged = Found()
    last: dict[int, NDArray[np.float64]] = {}
    scores: list[WireScore] = []
    for index, (frame, wires) in enumerate(zip(frames, found, strict=True)):
        scores.append(score_wires(str(index), frame.wires, wires))
        for match in scores[-1].matches:
            last[match.reference] = wires[match.predicted].centreline[-1]
        for number, true in enumerate(frame.wires):
            if number in last:
                error = float(np.hypot(*(last[number] - true.centreline[-1])))
                judged.tip_errors.append(error)
                if blank[index]:
                    judged.blank_tip_errors.append(error)
        for flag in (flag for wire in wires for flag in wire.flags):
            judged.flags[flag] = judged.flags.get(flag, 0) + 1
    judged.switches = identity_switches(scores)
    return judged


def row(name: str, found: Found, *, has_identities: bool = True) -> str:
    """One line of the table."""
    blank = f"{statistics.mean(found.blank_tip_errors):.2f}" if found.blank_tip_errors else "-"
    switches = str(found.switches) if has_identities else "-"
    flags = ", ".join(f"{flag} {count}" for flag, count in sorted(found.flags.items()))
    return f"| {name} | {statistics.mean(found.tip_errors):.3f} | {blank} | {switches} | {flags} |"


if __name__ == "__main__":
    main()
